// Package ingest is the cloud's end of the link: it takes the requests of
// gateways, lands their blocks as they are, and says what is landed and what is
// published.
//
// In:  requests of edge/wire, over HTTP/1.1 or HTTP/2; from Published, what is in
// the lake and what tasks lack.
// Out: landing.Log.Append, block by block as they arrive; an Answer at the end.
//
// Invariants
//
//  1. An answer acknowledges only what Append has made durable (C2) or what is
//     published (C5), whatever its status; and never less than is published. To a
//     gateway that lets go of what has landed it acknowledges only what landed before
//     Config.Confirm was asked.
//  2. Of one request blocks land in order and without a hole, from the offset
//     its header names; at the first block that cannot be landed it ends, and
//     nothing more of it is landed.
//  3. A request starts where the log stands: at the landing log's tail of this
//     LogID, or at what is published where that is more; where neither is known,
//     or in a shared log the tail lies below, where the gateway says, which is
//     always an acknowledged offset. So as long as the landing log keeps what it
//     promised, each block of a log lies in the partition behind all of the log
//     that is not published, whatever late or repeated copy comes when, at
//     whichever ingest. Where it did not, a block may follow a hole. The task
//     judges: it takes each offset once and in order, passes over what follows a
//     hole, and asks for what is missing.
//  4. A gateway that keeps its records is then taken back: the log stands at the
//     offset that its task asks for, and everything from there lands again. It is
//     taken back once for a hole, not at each request, and never below what is
//     published. A gateway that lets go of what has landed is never taken back.
//  5. A block that contradicts what is landed is never acknowledged. It is
//     landed once, marked, for the table conflict. What an ingest does not know
//     to be landed it cannot compare; the task does. A tail that others have
//     passed is no reason to be wrong: what it tells of is landed, with that
//     hash, and a log has one block at each place.
//  6. Requests of one gateway run one after the other: a newer one ends the
//     older one, and waits until that has landed what had arrived of it.
//  7. What one gateway may ask for (bytes and requests a second, requests at a
//     time) is bounded, so that a flood of one slows the others little: bytes
//     are paced before anything is done with them, whether or not they land, and
//     a refusal is held back, so that asking again at once brings nothing. A
//     gateway's bound is touched only by who proved to be it.
//  8. Places are shared by clients: when all are taken, whoever has fewer than another
//     gets one of that one's (places.go), so that no number of requests, names or
//     connections of some keeps another out for longer than Config.Slice.
//  9. A block is checked (length, CRC, structure) and never decoded further.
//
// A Handler may be called from any goroutine. Each request runs on its own; the
// state of a gateway belongs to the request that holds its turn.
package ingest

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"landfall/edge/record"
	"landfall/engine/landing"
)

// What Config's fields are when they are not said.
const (
	DefaultMaxRequestBytes = 256 << 20
	DefaultMaxSessions     = 256
	DefaultStallTimeout    = time.Minute
	defaultBusyHold        = time.Second
	defaultSlice           = 10 * time.Second
)

// Config says where blocks land and who may send them. Zero fields take their
// default.
type Config struct {
	Log      landing.Log // required
	Identity Identity    // required: one of its ways
	// Published tells what is in the lake. Nil: this ingest does not know, its
	// answers say nothing of it, and gateways let go of what has landed.
	Published Published
	// Unread counts what of each gateway has landed and was not read by its task; a
	// gateway that has too much of it waits. Nil: nobody tells what is read.
	Unread *Unread
	// MaxGateways bounds the gateways of which anything is in the lake, or landed through
	// this ingest: of one more nothing is taken. 0: no bound.
	MaxGateways int
	// Confirm is asked after what a gateway lets go of has landed, and before that is
	// acknowledged: an error is why it is not, now. It is not asked of a gateway that
	// keeps its records until they are published. It may be called from any goroutine.
	// Nil: what has landed is acknowledged.
	Confirm func(context.Context) error

	// MaxRequestBytes bounds the blocks of one request, before compression.
	// Default 256 MiB.
	MaxRequestBytes int64
	// MaxBodies bounds the memory, in bytes, that bodies of all requests hold together. Where it
	// is used up a body gives way to one that needs less (bodies.go). At least MinMaxBodies.
	// Default 256 MiB.
	MaxBodies int64
	// MaxSessions bounds the requests at a time. When all run, one gives way to one that comes, which waits for BusyHold at
	// most: a body that stands still for a second or more, or one of a client that has
	// more places than the other. A client is a gateway whose name is proved, or the
	// host (of IPv6 the network of 64 bits) from which unproved names come. Default 256.
	MaxSessions int
	// Slice is how long a request that does not stand still keeps its place at least
	// while others wait that have one place less, or are of its own client. Default 10 s.
	Slice time.Duration
	// GatewayBytes bounds the blocks of one gateway, bytes a second before
	// compression, landed or not, by reading on later: the link's own flow control
	// holds it back; and to twice as much what the bodies bring before it is
	// unpacked. A second's worth may come at once. 0: no bound. It is at least
	// MinGatewayBytes.
	GatewayBytes int64
	// GatewayRequests bounds the requests of one gateway a second; twice as
	// many may come at once. More are refused as busy. 0: no bound.
	GatewayRequests int
	// GatewaySessions bounds the requests of one gateway that run or wait for
	// their turn; more are refused as busy. 0: no bound.
	GatewaySessions int
	// BusyHold is how long a request that is refused as busy waits for its
	// answer. As many wait as MaxSessions; more are refused at once. Default 1 s.
	BusyHold time.Duration
	// StallTimeout is how long a body may bring less than 512 bytes, and how long the
	// rest of one that is refused may come. Default 60 s.
	StallTimeout time.Duration
	// CutGrace is how long a request that is ended by a newer one of its gateway
	// may go on to land what has arrived already. Default 250 ms.
	CutGrace time.Duration

	Now    func() record.Micros // wall clock; nil: time.Now
	Logger *slog.Logger         // nil: silence
}

// Identity says how a gateway proves its name. The ways are tried in the order
// of the fields; a request that satisfies none is refused.
type Identity struct {
	// ClientCertificate takes the name from the verified client certificate: it
	// must be the common name or a DNS name of it.
	ClientCertificate bool
	// VerifyClient judges the chain that was shown; its error is a
	// certs.Refusal. Nil: TLS has judged it.
	VerifyClient func(chain []*x509.Certificate) error
	// TrustedHeader is a header in which a TLS-ending proxy names the gateway. It
	// is believed from TrustedProxies only.
	TrustedHeader  string
	TrustedProxies []netip.Prefix
	// AllowUnauthenticated believes what the gateway says: for loopback and
	// closed networks.
	AllowUnauthenticated bool
}

// Validate checks the fields and changes nothing.
func (c Config) Validate() error {
	id := c.Identity
	switch {
	case c.Log == nil:
		return errors.New("ingest: Log is nil")
	case id.TrustedHeader != "" && len(id.TrustedProxies) == 0:
		return fmt.Errorf("ingest: Identity.TrustedHeader %q without TrustedProxies would believe everybody", id.TrustedHeader)
	case !id.ClientCertificate && id.TrustedHeader == "" && !id.AllowUnauthenticated:
		return errors.New("ingest: Identity names no way to tell gateways apart")
	case c.GatewayBytes != 0 && c.GatewayBytes < MinGatewayBytes || c.GatewayRequests < 0 || c.GatewaySessions < 0:
		return fmt.Errorf("ingest: GatewayBytes must be 0 or at least %d, GatewayRequests and GatewaySessions not negative", MinGatewayBytes)
	case c.MaxBodies != 0 && c.MaxBodies < MinMaxBodies:
		return fmt.Errorf("ingest: MaxBodies must be 0 or at least %d", MinMaxBodies)
	case c.MaxRequestBytes < 0 || c.MaxSessions < 0 || c.BusyHold < 0 || c.StallTimeout < 0 || c.CutGrace < 0 || c.Slice < 0:
		return errors.New("ingest: MaxRequestBytes, MaxSessions, Slice, BusyHold, StallTimeout and CutGrace must not be negative")
	}
	return nil
}

func (c Config) withDefaults() Config {
	if c.MaxRequestBytes == 0 {
		c.MaxRequestBytes = DefaultMaxRequestBytes
	}
	if c.MaxBodies == 0 {
		c.MaxBodies = DefaultMaxBodies
	}
	if c.MaxSessions == 0 {
		c.MaxSessions = DefaultMaxSessions
	}
	if c.Slice == 0 {
		c.Slice = defaultSlice
	}
	if c.BusyHold == 0 {
		c.BusyHold = defaultBusyHold
	}
	if c.StallTimeout == 0 {
		c.StallTimeout = DefaultStallTimeout
	}
	if c.CutGrace == 0 {
		c.CutGrace = 250 * time.Millisecond
	}
	if c.Now == nil {
		c.Now = func() record.Micros { return record.Micros(time.Now().UnixMicro()) }
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}
