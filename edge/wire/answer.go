package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"

	"landfall/edge/record"
)

// Code says why a request was not taken whole. Codes are stable.
type Code string

// The codes and what they mean.
const (
	CodeNone        Code = ""             // taken whole
	CodeOutOfOrder  Code = "out_of_order" // starts elsewhere than at acked
	CodeConflict    Code = "conflict"     // contradicts what is landed
	CodeMalformed   Code = "malformed"    // breaks the protocol
	CodeTruncated   Code = "truncated"    // ended too early; the blocks before are landed
	CodeVersion     Code = "version"      // newer than this ingest
	CodeForbidden   Code = "forbidden"    // another gateway's
	CodeTooLarge    Code = "too_large"    // a block beyond MaxBlockBytes
	CodeBomb        Code = "bomb"         // a body beyond the limit of a request
	CodeNotZstd     Code = "not_zstd"     // another encoding
	CodeCorrupt     Code = "corrupt"      // a block fails its checks
	CodeBusy        Code = "busy"         // too many sessions
	CodeSuperseded  Code = "superseded"   // cut by a newer request of the gateway
	CodeFull        Code = "full"         // free space is under the reserve
	CodeUnavailable Code = "unavailable"  // the landing log cannot be written now
)

var statuses = map[Code]int{
	CodeNone: http.StatusOK, CodeOutOfOrder: http.StatusConflict, CodeConflict: http.StatusConflict,
	CodeMalformed: http.StatusBadRequest, CodeTruncated: http.StatusBadRequest, CodeVersion: http.StatusBadRequest,
	CodeForbidden: http.StatusForbidden, CodeTooLarge: http.StatusRequestEntityTooLarge, CodeBomb: http.StatusRequestEntityTooLarge,
	CodeNotZstd: http.StatusUnsupportedMediaType, CodeCorrupt: http.StatusUnprocessableEntity, CodeBusy: http.StatusTooManyRequests,
	CodeSuperseded: http.StatusServiceUnavailable, CodeFull: http.StatusServiceUnavailable, CodeUnavailable: http.StatusServiceUnavailable,
}

// Status is the HTTP status that goes with a code; 0 for a code not known here.
func (c Code) Status() int { return statuses[c] }

// Refusals lists every code but CodeNone, for counters.
func Refusals() []Code {
	return []Code{
		CodeOutOfOrder, CodeConflict, CodeMalformed, CodeTruncated, CodeVersion, CodeForbidden, CodeTooLarge,
		CodeBomb, CodeNotZstd, CodeCorrupt, CodeBusy, CodeSuperseded, CodeFull, CodeUnavailable,
	}
}

// Answer is what the cloud says about a log of a gateway.
type Answer struct {
	Gateway  string
	Log      record.LogID
	Request  RequestID
	Known    bool          // false: the cloud does not know what it holds of this log
	Acked    record.Offset // next offset that the cloud does not hold
	Hash     record.Hash   // of the block that ends at Acked; zero: not known
	LandedAt record.Micros // the cloud's clock
	Code     Code
	Conflict bool
	Detail   string // for people
	// Landing names the landing log that stands behind the ingest, for comparing
	// with other answers: 1 to MaxLandingBytes of a-z, 0-9 and '-'. Empty: not said.
	Landing string
	// Newest is the newest log of the gateway that the cloud holds, in an answer to a
	// question about a log of which it holds nothing. Zero: not said, or none.
	Newest HeldLog
	// Publishes says that the ingest tells what is published; false for one that
	// is older or has no lake, and then the four fields below are zero.
	Publishes bool
	// Lake names the lake that the ingest's landing log feeds, for comparing with
	// other answers: 1 to MaxLakeBytes of a-z, 0-9 and '-'. Empty: not said.
	Lake           string
	PublishedKnown bool // false: it does not know now
	Published      Published
	// AgainIn is when what has landed now should be published, in whole seconds,
	// at most MaxAgainIn; 0: not said.
	AgainIn time.Duration
}

type answerJSON struct {
	Protocol int     `json:"protocol"`
	Gateway  string  `json:"gateway"`
	Log      string  `json:"log"`
	Request  string  `json:"request"`
	Acked    *uint64 `json:"acked"`
	Hash     string  `json:"hash"`
	LandedAt *int64  `json:"landed_at"`
	Error    *Code   `json:"error"`
	Conflict bool    `json:"conflict"`
	Detail   string  `json:"detail,omitempty"`
	Landing  string  `json:"landing,omitempty"`

	Newest *heldJSON `json:"newest,omitempty"`

	Published *publishedJSON `json:"published,omitempty"`
}

// HeldLog says how far the cloud has a log.
type HeldLog struct {
	Log  record.LogID
	Next record.Offset // the first offset that it does not hold
}

// IsZero says that there is none.
func (h HeldLog) IsZero() bool { return h == HeldLog{} }

type heldJSON struct {
	Log  string `json:"log"`
	Next uint64 `json:"next"`
}

// decodeNewest reads what Encode wrote. Error: ErrNotAnswer.
func (a *Answer) decodeNewest(j *heldJSON) error {
	if j == nil {
		return nil
	}
	id, err := record.ParseLogID(j.Log)
	if err != nil || id.IsZero() || id == a.Log {
		return fmt.Errorf("newest log %.80q: %w", j.Log, ErrNotAnswer)
	}
	a.Newest = HeldLog{Log: id, Next: record.Offset(j.Next)}
	return nil
}

// Encode gives the answer's JSON, one line. What DecodeAnswer would not take of
// Landing, Lake, AgainIn and Published.Ledger is left out or cut down to its bound.
func (a Answer) Encode() []byte {
	landed, code := int64(a.LandedAt), a.Code
	j := answerJSON{
		Protocol: Version, Gateway: a.Gateway, Log: a.Log.String(), Request: a.Request.String(),
		LandedAt: &landed, Error: &code, Conflict: a.Conflict, Detail: a.Detail,
	}
	if isName(a.Landing, MaxLandingBytes) {
		j.Landing = a.Landing
	}
	if !a.Newest.IsZero() {
		j.Newest = &heldJSON{Log: a.Newest.Log.String(), Next: uint64(a.Newest.Next)}
	}
	if a.Known {
		acked := uint64(a.Acked)
		j.Acked = &acked
		if a.Hash != (record.Hash{}) {
			j.Hash = a.Hash.String()
		}
	}
	j.Published = a.encodePublished()
	p, err := json.Marshal(j)
	if err != nil { // no field of answerJSON can fail
		return nil
	}
	return append(p, '\n')
}

// DecodeAnswer reads an answer and checks that it is one, to the request sent:
// content type, protocol, echoes, and that status and code belong together.
// Codes of a later ingest are taken when their status is an error's.
// Error: ErrNotAnswer (with record.ErrVersion for another protocol version).
func DecodeAnswer(status int, contentType string, body []byte, sent RequestHeader) (Answer, error) {
	if mt, _, err := mime.ParseMediaType(contentType); err != nil || mt != AnswerType {
		return Answer{}, fmt.Errorf("status %d, content type %q: %w", status, contentType, ErrNotAnswer)
	}
	var j answerJSON
	dec := json.NewDecoder(bytes.NewReader(body))
	if err := dec.Decode(&j); err != nil || len(body) > MaxAnswerBytes {
		return Answer{}, fmt.Errorf("status %d, body of %d bytes: %w", status, len(body), ErrNotAnswer)
	}
	if _, err := dec.Token(); err != io.EOF {
		return Answer{}, fmt.Errorf("status %d, bytes after the answer: %w", status, ErrNotAnswer)
	}
	if j.Protocol != Version {
		return Answer{}, fmt.Errorf("protocol %d: %w: %w", j.Protocol, record.ErrVersion, ErrNotAnswer)
	}
	if j.Gateway != sent.Gateway || j.Log != sent.Log.String() || j.Request != sent.Request.String() {
		return Answer{}, fmt.Errorf("answer to gateway %q, log %q, request %q: %w", j.Gateway, j.Log, j.Request, ErrNotAnswer)
	}
	if j.Error == nil || j.LandedAt == nil {
		return Answer{}, fmt.Errorf("error or landed_at absent: %w", ErrNotAnswer)
	}
	a := Answer{
		Gateway: j.Gateway, Log: sent.Log, Request: sent.Request, LandedAt: record.Micros(*j.LandedAt),
		Code: *j.Error, Conflict: j.Conflict, Detail: j.Detail, Landing: j.Landing,
	}
	if a.Landing != "" && !isName(a.Landing, MaxLandingBytes) {
		return Answer{}, fmt.Errorf("landing %.80q: %w", a.Landing, ErrNotAnswer)
	}
	if want, known := statuses[a.Code]; known && want != status || !known && status < 400 {
		return Answer{}, fmt.Errorf("status %d with error %q: %w", status, a.Code, ErrNotAnswer)
	}
	if a.Conflict != (a.Code == CodeConflict) {
		return Answer{}, fmt.Errorf("conflict %v with error %q: %w", a.Conflict, a.Code, ErrNotAnswer)
	}
	if err := a.decodeAcked(j); err != nil {
		return Answer{}, err
	}
	if err := a.decodeNewest(j.Newest); err != nil {
		return Answer{}, err
	}
	if err := a.decodePublished(j.Published); err != nil {
		return Answer{}, err
	}
	return a, nil
}

func (a *Answer) decodeAcked(j answerJSON) error {
	if j.Acked == nil {
		return nil
	}
	a.Known, a.Acked = true, record.Offset(*j.Acked)
	if j.Hash == "" {
		return nil
	}
	h, err := record.ParseLogID(j.Hash)
	if err != nil {
		return fmt.Errorf("hash %q: %w", j.Hash, ErrNotAnswer)
	}
	a.Hash = record.Hash(h)
	return nil
}
