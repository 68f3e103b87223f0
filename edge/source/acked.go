package source

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"landfall/edge/record"
)

// The acknowledged line protocol, for a sender that keeps each line until it is
// captured. Text over TCP, lines end in LF; '>' is the sender, '<' the gateway:
//
//	> HELLO <id>            who sends: 1 to 64 of A-Z a-z 0-9 . _ -
//	< LAST <seq>            highest number that is durable; 0: none
//	> <seq> <line>          number, one space, the line's bytes (no LF, up to 64 KiB)
//	< ACK <seq>             that number and all below it are durable (after C1)
//	< ERR <reason>          the gateway closes the connection
//
// Numbers are decimal, from 1 to 2^63-1, and rise from line to line of one id,
// for ever; they may have gaps. After a connection broke, the sender connects
// again, reads LAST and goes on with its first unacknowledged line; a number
// that was taken already is passed over and acknowledged. So each line is
// captured exactly once, whatever happens to the connection and the gateway.
//
// A sender should keep several lines on the way: one sentence of a
// multi-sentence message may be acknowledged only when the others came or its
// time limit has passed. A new connection of an id ends the older one.

// AckedConfig configures an Acked.
type AckedConfig struct {
	Options
	Listen     string // host:port, required
	MaxClients int    // connections at a time; 0: 256
	PerHost    int    // of them from one host; 0: 16 and an eighth of MaxClients
	// MaxSenders bounds the ids, each of which has a mark in the log: those that were
	// ever taken from count, over restarts too, because one that was forgotten would
	// be taken again from its beginning. 0: 1024.
	MaxSenders int
	// IdleTimeout ends a connection on which nothing came for so long; 0: 1 h.
	IdleTimeout time.Duration
}

// Validate names the first field that cannot be used. Error: ErrConfig.
func (c *AckedConfig) Validate() error {
	if err := c.validate(); err != nil {
		return err
	}
	if c.MaxSenders < 0 || c.MaxSenders > MaxSenders {
		return fmt.Errorf("max_senders of source %s: %d is not in 0..%d: %w", c.Name, c.MaxSenders, MaxSenders, ErrConfig)
	}
	return validateListen(c.Name, c.Listen, c.MaxClients, c.PerHost, c.IdleTimeout)
}

// Acked is a TCP server for senders that wait for acknowledgement. Each id is a
// stream with a mark of its own, named <source>/<id>; its Position is uvarint
// the highest number taken.
type Acked struct {
	meter
	listener
	cfg AckedConfig

	mu      sync.Mutex
	senders map[string]*ackedSender // guarded by mu
	known   map[string]bool         // senders, and ids with a mark; nil: marks not read yet; guarded by mu
}

// ackedSender is what is known of one id, across its connections.
type ackedSender struct {
	durable atomic.Uint64 // highest number after C1

	turn      sync.Mutex // held while a batch is delivered: one connection at a time
	delivered uint64     // highest number handed to capture; guarded by turn

	mu      sync.Mutex    // never held while anything waits
	current net.Conn      // guarded by mu
	acks    chan struct{} // of current: an acknowledgement is due; guarded by mu
	// connections is how many have this id, the older ones ending; guarded by mu.
	connections int
}

// helloTimeout bounds how long a client may keep a connection without saying
// who it is.
const helloTimeout = 30 * time.Second

// ackedLineBytes bounds a frame's line; pieces of MaxLineBytes go to capture.
const ackedLineBytes = 64 << 10

// NewAcked makes an Acked. Error: ErrConfig.
func NewAcked(cfg AckedConfig) (*Acked, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.MaxSenders == 0 {
		cfg.MaxSenders = 1024
	}
	a := &Acked{cfg: cfg, senders: map[string]*ackedSender{}}
	a.init(&a.cfg.Options, "acked", true)
	a.setup(&a.meter, cfg.Listen, newSlots(cfg.MaxClients, cfg.PerHost), cfg.IdleTimeout)
	a.refusal = "ERR"
	return a, nil
}

// Run serves until ctx ends. It returns nil.
func (a *Acked) Run(ctx context.Context, sink Sink) error {
	a.serve(ctx, func(ctx context.Context, conn *slotConn) error {
		stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
		defer stop()
		defer func() { _ = conn.Close() }()
		return a.session(conn, sink)
	})
	return nil
}

// protocolError is told to the sender before the connection is closed.
type protocolError string

// Error implements error.
func (e protocolError) Error() string { return string(e) }

// session serves one connection.
func (a *Acked) session(conn *slotConn, sink Sink) error {
	if err := conn.SetReadDeadline(time.Now().Add(helloTimeout)); err != nil {
		return fmt.Errorf("set read deadline: %w", err)
	}
	r := bufio.NewReaderSize(conn, ackedLineBytes+32)
	id, s, err := a.hello(r, sink)
	conn.idle.Store(int64(a.idle)) // from the next read on
	var refuse protocolError
	if errors.As(err, &refuse) {
		_ = write(conn, "ERR", string(refuse))
	}
	if err != nil {
		return err
	}
	defer a.forget(id, s)
	acks := s.take(conn)
	done := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() { acknowledge(conn, s, acks, done) })
	err = a.receive(r, id, s, conn, sink)
	close(done)
	writer.Wait()
	if errors.As(err, &refuse) {
		_ = write(conn, "ERR", string(refuse))
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// hello reads who sends.
func (a *Acked) hello(r *bufio.Reader, sink Sink) (string, *ackedSender, error) {
	line, err := readFrame(r)
	if err != nil {
		return "", nil, err
	}
	id, ok := bytes.CutPrefix(line, []byte("HELLO "))
	if !ok || !validID(id) {
		return "", nil, protocolError("want HELLO <id>")
	}
	s, err := a.sender(string(id), sink)
	return string(id), s, err
}

func validID(id []byte) bool {
	if len(id) == 0 || len(id) > 64 {
		return false
	}
	for _, c := range id {
		if !('0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || c == '.' || c == '_' || c == '-') {
			return false
		}
	}
	return true
}

// sender gives what is known of id, from its mark at first.
func (a *Acked) sender(id string, sink Sink) (*ackedSender, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s := a.senders[id]; s != nil {
		s.connect()
		return s, nil
	}
	if a.known == nil {
		a.known = map[string]bool{}
		for _, mark := range sink.Marks(a.mark("")) {
			a.known[strings.TrimPrefix(mark, a.mark(""))] = true
		}
	}
	if !a.known[id] && len(a.known) >= a.cfg.MaxSenders {
		why := protocolError("too many senders")
		a.refuse("sender "+id, why)
		return nil, why
	}
	s := &ackedSender{}
	if p := sink.Position(a.mark(id)); len(p) > 0 {
		seq, n := binary.Uvarint(p)
		if n != len(p) {
			return nil, fmt.Errorf("decode mark of sender %s: %w", id, record.ErrCorrupt)
		}
		s.delivered = seq
		s.durable.Store(seq)
	}
	a.senders[id], a.known[id] = s, true
	s.connect()
	return s, nil
}

// forget drops a sender that never sent a line: there is nothing to know of it, and
// its place is another's.
func (a *Acked) forget(id string, s *ackedSender) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	// Without connections nothing delivers, and none begins while mu is held.
	if s.connections--; s.connections == 0 && s.delivered == 0 && a.senders[id] == s {
		delete(a.senders, id)
		delete(a.known, id)
	}
}

func (a *Acked) mark(id string) string { return a.cfg.Name + "/" + id }

func (s *ackedSender) connect() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.connections++
}

// take makes conn the id's connection, ends the one before, and has LAST sent.
func (s *ackedSender) take(conn net.Conn) chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != nil {
		_ = s.current.Close()
	}
	s.current, s.acks = conn, make(chan struct{}, 1)
	return s.acks
}

// frame is one numbered line.
type frame struct {
	seq  uint64
	line []byte
}

// deliver hands over the frames that are new.
func (a *Acked) deliver(frames []frame, id string, s *ackedSender, conn net.Conn, sink Sink) error {
	if len(frames) == 0 {
		return nil
	}
	wall, mono := a.cfg.Clock.Now()
	s.turn.Lock()
	defer s.turn.Unlock()
	if !s.has(conn) {
		return protocolError("another connection of this id took over")
	}
	var lines lineBuffer
	last, repeated := s.delivered, false
	if last == 0 && frames[0].seq > 1 {
		a.moved.Add(1)
		a.log(slog.LevelWarn, "a sender that is not known here begins above 1: lines that another gateway took without the sender hearing of it come twice", "sender", id, "first", frames[0].seq)
	}
	for _, f := range frames {
		a.received(len(f.line), wall)
		if f.seq <= last {
			a.duplicates.Add(1)
			repeated = true
			continue
		}
		last = f.seq
		var split Splitter
		split.hold(f.line, lines.add)
		split.Flush(false, lines.add)
	}
	if repeated {
		s.wake()
	}
	if last == s.delivered {
		return nil
	}
	b := lines.batch(id, wall, mono)
	if b == nil {
		b = &Batch{Stream: id, ReceivedAt: wall, Monotonic: mono} // only empty lines
	}
	b.Client = hostOf(conn)
	b.Mark, b.Position, b.Sync = a.mark(id), binary.AppendUvarint(nil, last), true
	b.Durable = func() { s.settle(last) }
	a.lines(b)
	if err := sink.Deliver(b); err != nil {
		return fmt.Errorf("%w: %w", errStopped, err)
	}
	s.delivered = last
	return nil
}

// settle notes that all up to seq is durable.
func (s *ackedSender) settle(seq uint64) {
	s.durable.Store(seq)
	s.wake()
}

// wake has the current connection acknowledge what is durable.
func (s *ackedSender) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.acks == nil {
		return
	}
	select {
	case s.acks <- struct{}{}:
	default: // one is due already and will tell the newest number
	}
}

func (s *ackedSender) has(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current == conn
}
