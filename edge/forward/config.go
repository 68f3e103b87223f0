package forward

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"landfall/edge/durable"
	"landfall/edge/pulse"
	"landfall/edge/record"
	"landfall/edge/seglog"
	"landfall/edge/wire"
)

// Store is what forwarding needs of the gateway's log store; *seglog.Store is
// one. Every method may be called beside an Append.
type Store interface {
	// Logs lists every log, in opening order.
	Logs() []seglog.LogInfo
	// BlockBytes returns about how many bytes the blocks between two offsets take.
	BlockBytes(log record.LogID, from, to record.Offset) int64
	// Reader reads a log from an offset, never past DurableOffset.
	Reader(log record.LogID, from record.Offset) (*seglog.Reader, error)
	// Wait returns when there is more than beyond, or a newer log.
	Wait(ctx context.Context, log record.LogID, beyond record.Offset) error
	// Release says that nothing below an offset will be read again.
	Release(log record.LogID, below record.Offset) error
}

// Config says what is forwarded where. Zero fields take their default.
type Config struct {
	Gateway string // required; its name in the cloud, see wire.CheckGateway
	URL     string // required; http or https, the ingest's root
	Store   Store  // required

	Release Release // what is waited for before records are let go
	// Lake is the beginning of the identity of the lake to which records go, 1 to
	// wire.MaxLakeBytes; empty: that of the first engine that names one. Another one
	// than before has everything that the store holds sent again.
	Lake string

	FS        durable.FS // nil: durable.OS
	StatePath string     // required; the file that holds AckedOffset, in a directory that exists

	TLS *tls.Config // nil: the system's roots, no client certificate
	// Proxy is that of http.Transport; nil: none. https goes through CONNECT.
	Proxy func(*http.Request) (*url.URL, error)

	// StallTimeout is how long a link may make no progress at all, in a
	// handshake, in sending or in waiting for the answer. Default 30 s. There is
	// no limit on the whole of a request.
	StallTimeout time.Duration
	// MinRate, bytes a second, is the slowest link that is waited for: what lies
	// in the kernel's SendBuffer may take that long more. Default 4 KiB/s.
	MinRate int64
	// SendBuffer is the socket's, in bytes: what is in it cannot be taken back.
	// Default 256 KiB.
	SendBuffer int

	// Clock gives what is known of the time of the gateway's boots, to go along
	// with the blocks of a log (wire.RequestHeader.Clock); nil: nothing.
	Clock func(record.LogID) []byte
	// Settled is told that the cloud has a log below an offset (Core.Settled: it is
	// published, or has landed where Release or an older ingest make that enough):
	// after that is durable here, before what lies below is released, and again.
	// From Run's goroutine; nil disables it.
	Settled func(log record.LogID, below record.Offset)
	// Newest is told the newest log of this gateway that the cloud has, when a log is
	// asked about of which it has nothing, and before anything of that is sent. After
	// an error nothing is sent, and it is asked again. From Run's goroutine; nil
	// disables it.
	Newest func(wire.HeldLog) error
	// Introduced is told what came of asking that at the beginning of Run, before
	// anything is sent: nil when Newest was told it. nil: it is not asked.
	Introduced func(error)
	// Was is a name that the gateway had before, "" for none. At the beginning of Run the
	// cloud is asked which log it has newest under that, and NewestWas is told it, unless
	// the cloud does not say. From Run's goroutine; nil disables it.
	Was       string
	NewestWas func(wire.HeldLog)
	// Anchored is told the newest entry of the ledger of this gateway's task that an
	// answer names, once for each. From Run's goroutine; nil disables it.
	Anchored func(wire.LedgerTip)
	// OnAhead is told that the cloud has a log up to an offset that lies behind its end
	// here, though nothing is appended to it any more: the gateway's disk lost its end.
	// From Run's goroutine, with each such answer; nil disables it.
	OnAhead func(log record.LogID, end, landed record.Offset)
	// DigestAt returns the digest of a log at its end, for a loss behind which no
	// block says it; false where it is not known. nil: it never is.
	DigestAt func(record.LogID, record.Offset) (record.Digest, bool)
	// Told takes the cloud's time from an answer, which was given after and before
	// these times. From Run's goroutine; nil: nobody is interested.
	Told func(cloud record.Micros, after, before time.Time)

	Tuning Tuning
	Now    func() time.Time // nil: time.Now
	Rand   func() float64   // in [0,1), for jitter; nil: math/rand
	Pulse  *pulse.Pulse     // of Run, but for its waits; nil: nobody asks
	Logger *slog.Logger     // nil: silence
}

// Validate checks the fields and changes nothing.
func (c Config) Validate() error {
	if err := wire.CheckGateway(c.Gateway); err != nil {
		return fmt.Errorf("forward: Gateway: %w", err)
	}
	u, err := url.Parse(c.URL)
	switch {
	case err != nil:
		return fmt.Errorf("forward: URL: %w", err)
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return fmt.Errorf("forward: URL %q: want http://host:port or https://host:port", c.URL)
	case c.Store == nil:
		return errors.New("forward: Store is nil")
	case c.StatePath == "":
		return errors.New("forward: StatePath is empty")
	case c.Release > ReleaseLanded:
		return fmt.Errorf("forward: unknown Release %d", c.Release)
	case c.StallTimeout < 0 || c.MinRate < 0 || c.SendBuffer < 0:
		return errors.New("forward: StallTimeout, MinRate and SendBuffer must not be negative")
	}
	return nil
}

func (c Config) withDefaults() Config {
	if c.FS == nil {
		c.FS = durable.OS{}
	}
	if c.StallTimeout == 0 {
		c.StallTimeout = 30 * time.Second
	}
	if c.MinRate == 0 {
		c.MinRate = 4 << 10
	}
	if c.SendBuffer == 0 {
		c.SendBuffer = 256 << 10
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Float64
	}
	if c.Settled == nil {
		c.Settled = func(record.LogID, record.Offset) {}
	}
	if c.Anchored == nil {
		c.Anchored = func(wire.LedgerTip) {}
	}
	if c.OnAhead == nil {
		c.OnAhead = func(record.LogID, record.Offset, record.Offset) {}
	}
	if c.Newest == nil {
		c.Newest = func(wire.HeldLog) error { return nil }
	}
	if c.DigestAt == nil {
		c.DigestAt = func(record.LogID, record.Offset) (record.Digest, bool) { return 0, false }
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.Tuning = c.Tuning.withDefaults()
	return c
}
