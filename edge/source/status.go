package source

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"landfall/edge/record"
)

// State says what a source is doing.
type State string

// The states of a source. Silence is not a state: Status.LastReceiptAt has its
// age.
const (
	StateStarting State = "starting" // Run was not called yet
	StateAbsent   State = "absent"   // not there or not reachable; tried again
	StateOpen     State = "open"     // open, connected or listening
	StateFinished State = "finished" // a bounded source gave all it had
	StateFailed   State = "failed"   // broken beyond trying again; Detail says why
	StateStopped  State = "stopped"  // the gateway stops
)

// Counters count since the process started.
type Counters struct {
	Bytes       uint64 // bytes read
	Lines       uint64 // lines delivered
	Truncated   uint64 // of them pieces of longer lines, or ended in the middle
	Connects    uint64 // opens, connections or accepted clients
	Disconnects uint64 // ends of them
	Errors      uint64 // errors of the transport, and protocol errors of a sender
	Duplicates  uint64 // lines, readings or messages sent again although they were taken (Acked, Node, MQTT)
	Conflicts   uint64 // readings or lines sent again that contradict what was taken (Node, Acked)
	Rotations   uint64 // files replaced or truncated under the reader (File)
	Refused     uint64 // clients and senders beyond the bound
	Idled       uint64 // clients ended because they were silent, for long or to make room (TCPServer, Acked)
	Lost        uint64 // datagrams the kernel had no room for (UDP); characters a port overran (Serial); readings the node had none for (Node); messages missing by their numbers (Sparkplug)
	LineErrors  uint64 // characters with a framing or parity error, and breaks (Serial, where the driver counts them)
	Unserved    uint64 // lines that clients of Relay missed because they did not keep up
	Rejected    uint64 // reports without readings, captured with the reason (MQTT, Sparkplug, Node)
	Downgraded  uint64 // messages at QoS 0 where more was asked for: their publisher's own, sent once (MQTT)
	Forgotten   uint64 // connections to a broker that no longer knew the session: what came meanwhile is lost (MQTT)
	// Unidentified are messages taken without a usable time or number of their own,
	// which would be known when they are sent again (MQTT at QoS 1 and 2).
	Unidentified uint64
	// PossiblyTwice may be there twice: unidentified messages that the broker says it
	// has sent before (MQTT), readings that another gateway may have taken (Node).
	PossiblyTwice uint64
	// Moved are nodes and senders that began with numbers which another gateway took,
	// or this one before it lost its data (Node, Acked).
	Moved     uint64
	Oversized uint64 // messages larger than MaxPayload, captured as rejected reports with their beginning (MQTT, Sparkplug)
	Discarded uint64 // bytes of them beyond it, which were never held
	// Kills are messages and lines of which the gateway died three times: they were
	// captured unread, with the reason kills.
	Kills uint64
	// Takeovers are connections that the broker ended and took the next of at once, with
	// the session where it keeps one: another client has the client id, or something
	// between cuts connections (MQTT, Sparkplug).
	Takeovers uint64
	// Copies are files beside the path that were not read, because one that is read has
	// all that they have (File).
	Copies uint64
}

// Status describes a source at one moment.
type Status struct {
	Name          string
	Kind          string // file, tcp-client, tcp-server, udp, serial, acked, node, mqtt, sparkplug, modbus
	Resend        bool   // what was not durable is read or sent again
	State         State
	Detail        string        // the error or address behind State
	Since         record.Micros // of State
	LastReceiptAt record.Micros // NoTime: nothing yet
	Open          int           // connections, clients or senders now
	// Gaps counts the intervals in which lines may be missing, over all starts;
	// LastGap says the last in words, empty for none (File).
	Gaps    uint64
	LastGap string
	// LastRefused says which client was refused last, and why; LastRefusedAt when;
	// NoTime: none was.
	LastRefused   string
	LastRefusedAt record.Micros
	// LastTakeoverAt is when Takeovers counted last; NoTime: it never did.
	LastTakeoverAt record.Micros
	Counters
}

// meter keeps a source's counters and state.
type meter struct {
	o      *Options
	kind   string
	resend bool

	bytes, lineCount, truncated, connects, disconnects atomic.Uint64
	errors, duplicates, rotations, refused, lost       atomic.Uint64
	rejected, conflicts, lineErrors                    atomic.Uint64
	downgraded, forgotten, oversized, discarded        atomic.Uint64
	unidentified, possiblyTwice, moved                 atomic.Uint64
	idled, takeovers, copies                           atomic.Uint64
	lastReceipt, open, lastTakeover                    atomic.Int64

	mu     sync.Mutex
	state  State         // guarded by mu
	detail string        // guarded by mu
	since  record.Micros // guarded by mu
	// lastRefused is who was refused last and why, lastRefusedAt when; guarded by mu.
	lastRefused   string
	lastRefusedAt record.Micros
}

func (m *meter) init(o *Options, kind string, resend bool) {
	m.o, m.kind, m.resend, m.state = o, kind, resend, StateStarting
	m.since, _ = o.Clock.Now()
	m.lastReceipt.Store(int64(record.NoTime))
	m.lastTakeover.Store(int64(record.NoTime))
	m.lastRefusedAt = record.NoTime
}

func (m *meter) received(n int, wall record.Micros) {
	m.bytes.Add(uint64(n))
	m.lastReceipt.Store(int64(wall))
}

func (m *meter) lines(b *Batch) {
	m.lineCount.Add(uint64(len(b.Lines)))
	for i := range b.Lines {
		if b.Lines[i].Truncated {
			m.truncated.Add(1)
		}
	}
}

func (m *meter) connected(detail string) {
	m.connects.Add(1)
	m.open.Add(1)
	m.set(StateOpen, detail)
}

func (m *meter) disconnected() {
	m.disconnects.Add(1)
	m.open.Add(-1)
}

// refusalPause is how often the log says that clients are refused.
const refusalPause = record.Micros(time.Minute / time.Microsecond)

// Refuse counts a client that something beside the source refused, as its Relay. It
// may be called from any goroutine.
func (m *meter) Refuse(who string, why error) { m.refuse(who, why) }

// refuse counts a client that is refused, and keeps who it was and why.
func (m *meter) refuse(who string, why error) {
	m.refused.Add(1)
	wall, _ := m.o.Clock.Now()
	m.mu.Lock()
	again := m.lastRefusedAt != record.NoTime && wall-m.lastRefusedAt < refusalPause
	m.lastRefused, m.lastRefusedAt = who+": "+why.Error(), wall
	m.mu.Unlock()
	if !again {
		m.log(slog.LevelWarn, "a client is refused", "client", who, "error", why)
	}
}

// fault counts an error and shows it; the log has it once per change.
func (m *meter) fault(state State, err error) {
	m.errors.Add(1)
	m.set(state, err.Error())
}

// set moves the state and says so in the log when it changed.
func (m *meter) set(state State, detail string) {
	wall, _ := m.o.Clock.Now()
	m.mu.Lock()
	changed := m.state != state
	if changed {
		m.since = wall
	}
	m.state, m.detail = state, detail
	m.mu.Unlock()
	if changed {
		level := slog.LevelInfo
		if state == StateAbsent || state == StateFailed {
			level = slog.LevelWarn
		}
		m.log(level, "source is "+string(state), "detail", detail)
	}
}

func (m *meter) log(level slog.Level, msg string, args ...any) {
	if m.o.Logger != nil {
		m.o.Logger.Log(context.Background(), level, msg, append([]any{"source", m.o.Name, "kind", m.kind}, args...)...)
	}
}

// Name gives the source's name.
func (m *meter) Name() string { return m.o.Name }

// Resend tells whether what was not durable is read or sent again.
func (m *meter) Resend() bool { return m.resend }

// Status describes the source now. It may be called from any goroutine.
func (m *meter) Status() Status {
	m.mu.Lock()
	s := Status{State: m.state, Detail: m.detail, Since: m.since, LastRefused: m.lastRefused, LastRefusedAt: m.lastRefusedAt}
	m.mu.Unlock()
	s.Name, s.Kind, s.Resend = m.o.Name, m.kind, m.resend
	s.LastReceiptAt, s.Open = record.Micros(m.lastReceipt.Load()), int(m.open.Load())
	s.LastTakeoverAt = record.Micros(m.lastTakeover.Load())
	s.Counters = Counters{
		Bytes: m.bytes.Load(), Lines: m.lineCount.Load(), Truncated: m.truncated.Load(),
		Connects: m.connects.Load(), Disconnects: m.disconnects.Load(), Errors: m.errors.Load(),
		Duplicates: m.duplicates.Load(), Rotations: m.rotations.Load(), Refused: m.refused.Load(), Lost: m.lost.Load(),
		Rejected: m.rejected.Load(), Conflicts: m.conflicts.Load(), LineErrors: m.lineErrors.Load(),
		Downgraded: m.downgraded.Load(), Forgotten: m.forgotten.Load(), Oversized: m.oversized.Load(), Discarded: m.discarded.Load(), Idled: m.idled.Load(),
		Unidentified: m.unidentified.Load(), PossiblyTwice: m.possiblyTwice.Load(), Moved: m.moved.Load(),
		Kills: m.o.Care.Refused(), Takeovers: m.takeovers.Load(), Copies: m.copies.Load(),
	}
	return s
}
