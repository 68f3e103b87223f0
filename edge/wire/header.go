package wire

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"landfall/edge/record"
)

// MaxHeaderBytes bounds all headers of a request together: those of the protocol need
// less than 2 KiB, and proxies add theirs.
const MaxHeaderBytes = 32 << 10

// HeaderPrefix is that of the protocol's headers.
const HeaderPrefix = "Landfall-"

// Names of the request's headers.
const (
	HeaderProtocol = "Landfall-Protocol"
	HeaderGateway  = "Landfall-Gateway"
	HeaderLog      = "Landfall-Log"
	HeaderOffset   = "Landfall-Offset"
	HeaderRequest  = "Landfall-Request"
	HeaderClock    = "Landfall-Clock"
	HeaderBehind   = "Landfall-Behind"
	HeaderRelease  = "Landfall-Release"
)

// releasePublished is the value of HeaderRelease that means RequestHeader.Keeps.
const releasePublished = "published"

// RequestHeader says whose blocks follow, and from where.
type RequestHeader struct {
	Gateway string
	Log     record.LogID
	Offset  record.Offset // first offset of the request
	Request RequestID
	// Clock is what the gateway knows of the time of its boots
	// (record.EncodeAnchors); nil: no record of this log needs it. It says of the
	// blocks of this request when their records were captured, and is no part of
	// them.
	Clock []byte
	// Behind is what waits on the gateway, this request's own included. Zero: not
	// said, as by a gateway that keeps up.
	Behind Behind
	// Keeps says that the gateway has every record of this log that it was not told
	// to be published, and keeps it until it is. False: it may let go of what has
	// landed, or has done so of a part of this log, as every gateway does that does
	// not know the header. It may be true of one log and not of another, and become
	// true. A gateway that is told nothing more of what is published may let go of
	// what it promised to keep after a day, and says so no more.
	Keeps bool
}

// Behind says how far a gateway is behind: for people, nothing is decided by it.
type Behind struct {
	Records uint64        // captured and not acknowledged
	Age     time.Duration // since the oldest of them was received; whole seconds
}

// Write sets the headers of a request. body says whether blocks follow; a
// question has no content type.
func (h RequestHeader) Write(to http.Header, body bool) {
	to.Set(HeaderProtocol, strconv.Itoa(Version))
	to.Set(HeaderGateway, h.Gateway)
	to.Set(HeaderLog, h.Log.String())
	to.Set(HeaderOffset, h.Offset.String())
	to.Set(HeaderRequest, h.Request.String())
	if len(h.Clock) > 0 {
		to.Set(HeaderClock, base64.StdEncoding.EncodeToString(h.Clock))
	}
	if h.Behind.Records > 0 {
		to.Set(HeaderBehind, fmt.Sprintf("%d %d", h.Behind.Records, int64(h.Behind.Age/time.Second)))
	}
	if h.Keeps {
		to.Set(HeaderRelease, releasePublished)
	}
	if body {
		to.Set("Content-Type", ContentType)
		to.Set("Content-Encoding", ContentEncoding)
	}
}

// ParseRequestHeader reads what Write wrote. On an error the fields parsed so
// far are returned with it, so that a refusal can echo them.
// Errors: ErrMalformed; record.ErrVersion for another protocol version.
func ParseRequestHeader(from http.Header) (RequestHeader, error) {
	var h RequestHeader
	var err error
	if len(from.Get(HeaderGateway)) <= MaxGatewayBytes {
		h.Gateway = from.Get(HeaderGateway)
	}
	if err = single(from); err != nil {
		return h, err
	}
	if h.Request, err = ParseRequestID(from.Get(HeaderRequest)); err != nil {
		return h, fmt.Errorf("header %s: %w", HeaderRequest, err)
	}
	if err = CheckGateway(from.Get(HeaderGateway)); err != nil {
		return h, fmt.Errorf("header %s: %w", HeaderGateway, err)
	}
	if h.Log, err = record.ParseLogID(from.Get(HeaderLog)); err != nil || h.Log.IsZero() {
		return h, fmt.Errorf("header %s: %s: %w", HeaderLog, Cut(from.Get(HeaderLog)), ErrMalformed)
	}
	if v := from.Get(HeaderProtocol); v != strconv.Itoa(Version) {
		if n, err := strconv.ParseUint(v, 10, 16); err == nil && n > Version {
			return h, fmt.Errorf("header %s: %d: %w", HeaderProtocol, n, record.ErrVersion)
		}
		return h, fmt.Errorf("header %s: %s: %w", HeaderProtocol, Cut(v), ErrMalformed)
	}
	if h.Offset, err = record.ParseOffset(from.Get(HeaderOffset)); err != nil {
		return h, fmt.Errorf("header %s: %s: %w", HeaderOffset, Cut(from.Get(HeaderOffset)), ErrMalformed)
	}
	h.Behind = parseBehind(from.Get(HeaderBehind))
	h.Keeps = from.Get(HeaderRelease) == releasePublished
	return h, h.parseClock(from.Get(HeaderClock))
}

// single refuses a header of the protocol that stands twice: a proxy and its client
// may each have set one, and readers would not agree which counts.
func single(from http.Header) error {
	for name, values := range from {
		if len(values) > 1 && strings.HasPrefix(name, HeaderPrefix) {
			return fmt.Errorf("header %s stands %d times: %w", Cut(name), len(values), ErrMalformed)
		}
	}
	return nil
}

// Cut quotes what a stranger sent, at most 64 bytes of it.
func Cut(text string) string {
	if len(text) > 64 {
		return fmt.Sprintf("%q… of %d bytes", text[:64], len(text))
	}
	return strconv.Quote(text)
}

// parseBehind reads the header that is for people; what it cannot read was not
// said.
func parseBehind(text string) Behind {
	records, age, _ := strings.Cut(text, " ")
	n, err := strconv.ParseUint(records, 10, 63)
	s, ageErr := strconv.ParseUint(age, 10, 32)
	if err != nil || ageErr != nil {
		return Behind{}
	}
	return Behind{Records: n, Age: time.Duration(s) * time.Second}
}

// parseClock reads the header with a gateway's anchors. What a newer gateway
// knows is not read here: its blocks are good without it.
func (h *RequestHeader) parseClock(text string) error {
	if text == "" {
		return nil
	}
	p, err := base64.StdEncoding.DecodeString(text)
	if err == nil && len(p) <= record.MaxAnchorBytes {
		_, err = record.DecodeAnchors(p)
	} else {
		err = record.ErrCorrupt
	}
	switch {
	case errors.Is(err, record.ErrVersion):
		return nil
	case err != nil:
		return fmt.Errorf("header %s: %d bytes: %w", HeaderClock, len(text), ErrMalformed)
	}
	h.Clock = p
	return nil
}

// CheckContent checks the headers of a request that has a body.
// Errors: ErrNotZstd for another encoding, ErrMalformed for another type.
func CheckContent(from http.Header) error {
	if e := from.Get("Content-Encoding"); e != ContentEncoding {
		return fmt.Errorf("content encoding %s: %w", Cut(e), ErrNotZstd)
	}
	if t := from.Get("Content-Type"); t != ContentType {
		return fmt.Errorf("content type %s: %w", Cut(t), ErrMalformed)
	}
	return nil
}
