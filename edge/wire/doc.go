// Package wire is the language of the link between a gateway and the cloud:
// what a request of blocks looks like, and what an answer must look like to be
// believed.
//
// In:  edge/forward writes a RequestHeader and, through an Encoder, blocks.
// Out: engine/ingest reads them with ParseRequestHeader and a Decoder, and
// answers with an Answer, which the gateway checks with DecodeAnswer.
//
// The protocol, version 1, over HTTP/1.1 or HTTP/2:
//
//	POST /v1/blocks
//	Landfall-Protocol: 1
//	Landfall-Gateway:  name of the gateway
//	Landfall-Log:      LogID, 32 hexadecimal digits
//	Landfall-Offset:   offset of the first record of the request; it is always
//	                   one that was acknowledged, or the log's first
//	Landfall-Request:  random identity of this request, 32 hexadecimal digits
//	Landfall-Clock:    optional: what is known of the time of the gateway's boots
//	                   (record.EncodeAnchors), base64; it belongs to the records of
//	                   this request and lands beside them
//	Landfall-Behind:   optional: records that wait on the gateway, a space, and
//	                   the age of the oldest in seconds
//	Landfall-Release:  optional: "published" says that the gateway has every
//	                   record of this log that it was not told to be published, and
//	                   keeps it until it is. Absent, or anything else: it may let go
//	                   of what has landed, or has done so of a part of the log
//	Content-Type:      application/vnd.landfall.blocks
//	Content-Encoding:  zstd
//
// The body is one zstd stream (RFC 8878), flushed after each block so that the
// cloud lands a block as soon as it has arrived:
//
//	0  4  length of the block, little-endian
//	4  .  the block (edge/record), the same bytes as in the gateway's log
//
// and so on to the end of the stream. A body without blocks is a question: what
// do you hold of this log? The answer is one JSON object of type
// application/vnd.landfall.answer+json:
//
//	protocol   1
//	gateway, log, request   as in the request
//	acked      the next offset that the cloud does not hold; null: not known
//	hash       record.HashBlock of the block that ends at acked; "": not known
//	landed_at  microseconds since 1970 UTC, the cloud's clock
//	error      a Code, "" with status 200
//	conflict   true: blocks contradict what is landed
//	detail     for people
//	landing    optional: the landing log behind the ingest, at most 16 of a-z, 0-9
//	           and '-': the beginning of its identity. A gateway that hears two of
//	           them by turns reaches two engines that do not share one
//	newest     optional, an object, in an answer to a question about a log of which
//	           the cloud holds nothing: log and next of the newest other log of the
//	           gateway that it holds. A gateway that does not know that log, or not
//	           so far, has lost what it knew: its data directory is new, an older
//	           copy, or another machine's
//	published  optional, an object: how far the log is in the lake, see below
//
// An error answer may carry acked too: what landed before the error has landed.
//
// Two offsets travel back for each log. Below acked nothing need be sent again
// while the cloud keeps it; acked may go back when the cloud lost something.
// Below published.next everything is in the lake, verified and in its ledger.
// That offset may be lower than before from an ingest that has not heard yet what
// another one told: its ledger entry is an older one. The gateway never goes back
// with it. An answer without the object is one of an ingest
// that does not tell, for it is older or has no lake. In the object:
//
//	next      the first offset that is not published; absent: not known now
//	hash      record.HashBlock of the block that ends at next; "": not known, as
//	          behind a loss and at 0
//	lake      optional: the lake that the landing log feeds, at most 16 of a-z, 0-9
//	          and '-': the beginning of its identity. A gateway whose records lie
//	          in one lake believes nothing that the ingest of another says
//	again_in  optional: seconds until what has landed now should be published,
//	          at most a day
//	ledger    optional: the newest entry of the ledger of the log's task that the
//	          cloud has verified: task (at most 200 of a-z, 0-9 and '-'), number,
//	          sha256 (64 hexadecimal digits)
//
// The protocol's version is still 1: an end that does not know the header or the
// object passes over it.
//
// Invariants
//
//  1. Only a well-formed answer that echoes gateway, log and request is an
//     answer; a captive portal's 200 is ErrNotAnswer.
//  2. The memory of a Decoder is bounded by its window and one block, whatever
//     the input; the decoded bytes of a request are bounded by its limit.
//  3. A status and a Code belong together; the table is Code.Status.
//  4. ErrVersion of edge/record (a newer protocol) is not a malformed request.
//  5. No answer says that more is published than is acknowledged.
//
// Everything here is pure but for the reader or writer it is given. An Encoder
// and a Decoder belong to one goroutine each.
package wire

import (
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"landfall/edge/record"
)

// Fixed parts of the protocol.
const (
	Version         = 1
	Path            = "/v1/blocks"
	ContentType     = "application/vnd.landfall.blocks"
	ContentEncoding = "zstd"
	AnswerType      = "application/vnd.landfall.answer+json"

	// MaxBlockBytes bounds a block on the link. It leaves room under
	// record.MaxBlockBytes for what the landing log puts around a block.
	MaxBlockBytes = record.MaxBlockBytes - 64<<10
	// MaxAnswerBytes bounds an answer.
	MaxAnswerBytes = 16 << 10
	// MaxTaskBytes bounds the name of a task in an answer.
	MaxTaskBytes = 200
	// MaxLandingBytes bounds the name of a landing log in an answer.
	MaxLandingBytes = 16
	// MaxLakeBytes bounds the name of a lake in an answer.
	MaxLakeBytes = 16
	// MaxAgainIn bounds Answer.AgainIn.
	MaxAgainIn = 24 * time.Hour
	// MaxGatewayBytes bounds a gateway's name.
	MaxGatewayBytes = 128
	// frameHeaderBytes is the length before each block.
	frameHeaderBytes = 4
	// maxWindowBytes bounds the memory that a stream may ask its reader for.
	maxWindowBytes = 8 << 20
)

// Errors of this package, to be tested with errors.Is.
var (
	// ErrNotAnswer says that what came back is no answer of a Landfall ingest
	// to this request: nothing may be concluded from it.
	ErrNotAnswer = errors.New("not an answer to this request")
	// ErrMalformed says that a request breaks the protocol.
	ErrMalformed = errors.New("malformed request")
	// ErrNotZstd says that a body is not a zstd stream.
	ErrNotZstd = errors.New("not a zstd stream")
	// ErrBomb says that a body decodes to more than a request may hold, or
	// asks for more memory than a reader gives.
	ErrBomb = errors.New("decodes beyond the limit of a request")
	// ErrTruncated says that a body ended inside the stream: what came before
	// is good.
	ErrTruncated = errors.New("body cut short")
)

// RequestID is the random identity of one request.
type RequestID [16]byte

// String gives 32 lower-case hexadecimal digits.
func (id RequestID) String() string { return hex.EncodeToString(id[:]) }

// ParseRequestID reads what String wrote.
func ParseRequestID(s string) (RequestID, error) {
	id, err := record.ParseLogID(s)
	if err != nil {
		return RequestID{}, fmt.Errorf("parse request id %s: %w", Cut(s), ErrMalformed)
	}
	return RequestID(id), nil
}

// CheckGateway says whether name may be a gateway's: 1 to MaxGatewayBytes of
// letters, digits, '.', '_' and '-', so that it can stand in a header, a file
// name and a certificate alike. Error: ErrMalformed.
func CheckGateway(name string) error {
	if name == "" || len(name) > MaxGatewayBytes {
		return fmt.Errorf("gateway name of %d bytes, want 1 to %d: %w", len(name), MaxGatewayBytes, ErrMalformed)
	}
	for _, c := range []byte(name) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '_', c == '-':
		default:
			return fmt.Errorf("gateway name %q: want letters, digits, '.', '_' and '-': %w", name, ErrMalformed)
		}
	}
	return nil
}
