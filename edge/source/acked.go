package source

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"landfall/edge/record"
)

// The acknowledged line protocol, for a sender that keeps each line until it is
// captured. Text over TCP, lines end in LF; '>' is the sender, '<' the gateway.
// Version 2:
//
//	> HELLO <id> 2 <epoch> [<token>]
//	< LAST <seq> <window>   highest number of this epoch that is durable, 0: none
//	> <seq> <line>          number, one space, the line's bytes (no LF, 1 byte to 64 KiB)
//	< ACK <seq>             all that this connection sent, up to that number, is durable (after C1)
//	< ERR <reason>          nothing from here on was taken; the gateway closes the connection
//
// The id says who sends: 1 to 64 of A-Z a-z 0-9 . _ -, and belongs to one sender. The
// epoch says which life of its numbers this is: 1 to 32 of the same. Numbers are
// decimal, from 1 to 2^63-1, and rise from line to line of an epoch and of a
// connection; they may have gaps. A sender that may have lost its number, or starts
// again at 1, takes an epoch that it never had; a random one will do.
//
// A sender lets go of a line after ACK only; LAST acknowledges nothing. After a
// connection broke it sends again everything that was not acknowledged, in order,
// with the same numbers and bytes in the same epoch. It has at most <window> lines on
// the way that are not acknowledged.
//
// The gateway knows a repeat by content: of twice the <window> lines taken last of an id
// it keeps a digest over epoch, number and bytes (ackedring.go), in the same fsync as the
// lines. So what a sender has on the way is known as long as others used the id for no
// more than <window> lines meanwhile. What was taken is acknowledged and not captured again; a number of this epoch
// that was passed, under which it does not remember these bytes, is answered ERR. So no
// line is ever acknowledged that was not captured, whoever else used the id.
//
// Version 1 says HELLO <id> alone, and is answered LAST <seq>. There the number alone
// says what was taken: LAST acknowledges, and lines up to the highest number that
// anybody ever sent under the id are acknowledged and not captured. So each line is
// captured exactly once only while nobody else uses the id and its numbers rise for
// ever. The two versions of an id know nothing of each other.
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
	// MaxSenders bounds the ids, each of which has marks in the log: those that were
	// ever taken from count, over restarts too, because one that was forgotten would
	// be taken again from its beginning. 0: 1024. Of version 2 there are
	// MaxEpochSenders at most. One host (of IPv6 a network of 64 bits) brings 16 and an eighth of them at once, or
	// PerHost where that is more, and then one each newSenderEvery: so it takes days,
	// in which status is red, until nobody else can come.
	MaxSenders int
	// IdleTimeout ends a connection on which nothing came for so long; 0: 1 h.
	IdleTimeout time.Duration
	// Allow lists the addresses that may connect; none: all. Others are refused
	// before they take a place.
	Allow []netip.Prefix
	// Token gives what a sender must state in HELLO, asked for each connection; nil:
	// nothing. Senders of version 1 have no way to state it and are refused.
	Token func() string
	// MinVersion refuses senders of an older version of the protocol. 0: 1.
	MinVersion int
}

// Validate names the first field that cannot be used. Error: ErrConfig.
func (c *AckedConfig) Validate() error {
	if err := c.validate(); err != nil {
		return err
	}
	if c.MaxSenders < 0 || c.MaxSenders > MaxSenders {
		return fmt.Errorf("max_senders of source %s: %d is not in 0..%d: %w", c.Name, c.MaxSenders, MaxSenders, ErrConfig)
	}
	if (c.MinVersion == 2 || c.Token != nil) && c.MaxSenders > MaxEpochSenders {
		return fmt.Errorf("max_senders of source %s: %d is not in 0..%d, where only version 2 is taken: %w", c.Name, c.MaxSenders, MaxEpochSenders, ErrConfig)
	}
	if c.MinVersion < 0 || c.MinVersion > 2 {
		return fmt.Errorf("min_version of source %s: %d is not 1 or 2: %w", c.Name, c.MinVersion, ErrConfig)
	}
	return validateListen(c.Name, c.Listen, c.MaxClients, c.PerHost, c.IdleTimeout)
}

// Acked is a TCP server for senders that wait for acknowledgement. Each id is a
// stream. Its marks are <source>/<id> of version 1, whose Position is uvarint the
// highest number taken, and <source>/<id>/<n> of version 2, see ackedRing.
type Acked struct {
	meter
	listener
	cfg AckedConfig

	mu      sync.Mutex
	senders map[string]*ackedSender // by mark; guarded by mu
	known   map[string]bool         // senders, and ids with a mark; nil: marks not read yet; guarded by mu
	epochs  int                     // of known, those of version 2; guarded by mu
	hosts   map[string]*newSenders  // by host (networkOf), of those that brought a sender lately; guarded by mu
}

// newSenders is how many senders that were not known a host has brought, less one for
// each newSenderEvery since.
type newSenders struct {
	n  int
	at int64 // microseconds since boot: up to then they are taken off
}

// newSenderEvery is how often a host may bring another sender, once it has brought its
// share at once.
const newSenderEvery = 10 * time.Minute

// ackedSender is what is known of one id in one version, across its connections.
type ackedSender struct {
	// durable says what is after C1: of version 1 the highest number, of version 2
	// the newest batch.
	durable atomic.Uint64

	turn      sync.Mutex // held while a batch is delivered: one connection at a time
	delivered uint64     // highest number, or newest batch, handed to capture; guarded by turn
	ring      *ackedRing // what was taken; nil: version 1; guarded by turn

	mu      sync.Mutex // never held while anything waits
	current *ackedLink // guarded by mu
	// connections is how many have this id, the older ones ending; guarded by mu.
	connections int
	from        string // the host that brought it; empty: it was known at the start
	// lastEpoch and last are the highest number that is durable; of version 2; guarded
	// by mu.
	lastEpoch string
	last      uint64
}

// ackedLink is one connection of a sender.
type ackedLink struct {
	conn   net.Conn
	id     string
	epoch  string // empty: version 1
	sender *ackedSender
	acks   chan struct{} // an acknowledgement is due

	seq   uint64 // number received last; of version 2; the reader's goroutine only
	lines uint64 // received; of version 2; the reader's goroutine only

	// due is what becomes acknowledged with which batch, in order; of version 2;
	// guarded by the sender's mu, as what follows.
	due      []ackedDue
	acked    uint64 // highest number that may be acknowledged
	answered uint64 // of lines, those that may be
}

// ackedDue says that all up to seq, which are so many lines of the connection, is
// durable once a batch is.
type ackedDue struct{ batch, seq, lines uint64 }

// helloTimeout bounds how long a client may keep a connection without saying
// who it is.
const helloTimeout = 30 * time.Second

// ackedLineBytes bounds a frame's line; pieces of MaxLineBytes go to capture.
const ackedLineBytes = 64 << 10

// defaultAckedSenders is what AckedConfig.MaxSenders is when it is not said.
const defaultAckedSenders = 1024

// NewAcked makes an Acked. Error: ErrConfig.
func NewAcked(cfg AckedConfig) (*Acked, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.MaxSenders == 0 {
		cfg.MaxSenders = defaultAckedSenders
	}
	a := &Acked{cfg: cfg, senders: map[string]*ackedSender{}}
	a.init(&a.cfg.Options, "acked", true)
	a.setup(&a.meter, cfg.Listen, newSlots(cfg.MaxClients, cfg.PerHost), cfg.IdleTimeout)
	a.refusal = "ERR"
	a.allow = cfg.Allow
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
	l, err := a.hello(r, conn, sink)
	conn.idle.Store(int64(a.idle)) // from the next read on
	var refuse protocolError
	if errors.As(err, &refuse) {
		_ = write(conn, "ERR", string(refuse))
	}
	if err != nil {
		return err
	}
	defer a.forget(l)
	l.sender.take(l)
	done := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() { l.acknowledge(done) })
	err = a.receive(r, l, sink)
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
func (a *Acked) hello(r *bufio.Reader, conn net.Conn, sink Sink) (*ackedLink, error) {
	line, err := readFrame(r)
	if err != nil {
		return nil, err
	}
	h, err := parseAckedHello(line)
	if err == nil {
		err = a.admit(&h)
	}
	if err != nil {
		return nil, err
	}
	s, err := a.sender(h.id, h.epoch != "", hostOf(conn), sink)
	return &ackedLink{conn: conn, id: h.id, epoch: h.epoch, sender: s, acks: make(chan struct{}, 1)}, err
}

// admit refuses who may not send here.
func (a *Acked) admit(h *ackedHello) error {
	var why protocolError
	switch {
	case h.epoch == "" && (a.cfg.MinVersion == 2 || a.cfg.Token != nil):
		why = "version 1 is not taken here: want HELLO <id> 2 <epoch>"
	case a.cfg.Token == nil:
		return nil
	default:
		// Compared in constant time, whatever the length.
		got, want := sha256.Sum256([]byte(h.token)), sha256.Sum256([]byte(a.cfg.Token()))
		if subtle.ConstantTimeCompare(got[:], want[:]) == 1 {
			return nil
		}
		why = "the token is missing or wrong"
	}
	a.refuse("sender "+h.id, why)
	return why
}

// sender returns what is known of id, from its marks at first; host is who asks.
func (a *Acked) sender(id string, epochs bool, host string, sink Sink) (*ackedSender, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	host = networkOf(host)
	mark := a.mark(id)
	if epochs {
		mark += "/"
	}
	if s := a.senders[mark]; s != nil {
		s.connect()
		return s, nil
	}
	if a.known == nil {
		a.known = map[string]bool{}
		for _, m := range sink.Marks(a.mark("")) {
			a.know(knownMark(a.mark(""), m))
		}
	}
	isNew := !a.known[mark]
	if why := a.refuses(epochs, host); isNew && why != "" {
		a.refuse("sender "+id, why)
		return nil, why
	}
	s, err := openAckedSender(id, mark, epochs, sink)
	if err != nil {
		return nil, err
	}
	if isNew {
		s.from = host
		a.brings(host, 1)
	}
	a.senders[mark] = s
	a.know(mark)
	s.connect()
	return s, nil
}

// refuses says why no new sender is taken from a host; empty: one is. It is called with
// mu held.
func (a *Acked) refuses(epochs bool, host string) protocolError {
	most := a.cfg.MaxSenders
	if epochs {
		most = min(most, MaxEpochSenders)
	}
	switch {
	case len(a.known) >= a.cfg.MaxSenders, epochs && a.epochs >= MaxEpochSenders:
		return "too many senders"
	case a.brings(host, 0) >= max(perHostOf(most), a.cfg.PerHost):
		return protocolError(fmt.Sprintf("too many new senders of this host: another one in %v", newSenderEvery))
	}
	return ""
}

// brings adds n to the senders that a host has brought lately, and returns how many they
// are. Hosts that brought none lately are forgotten, so that those held are no more than
// senders. It is called with mu held.
func (a *Acked) brings(host string, n int) int {
	_, now := a.cfg.Clock.Now()
	if a.hosts == nil {
		a.hosts = map[string]*newSenders{}
	}
	h := a.hosts[host]
	if h == nil {
		h = &newSenders{at: now}
	}
	gone := (now - h.at) / newSenderEvery.Microseconds()
	h.at += gone * newSenderEvery.Microseconds()
	if h.n = max(0, h.n-int(gone)) + n; h.n <= 0 {
		delete(a.hosts, host)
		return 0
	}
	a.hosts[host] = h
	return h.n
}

// know notes that a sender is known. It is called with mu held.
func (a *Acked) know(mark string) {
	if !a.known[mark] && strings.HasSuffix(mark, "/") {
		a.epochs++
	}
	a.known[mark] = true
}

// knownMark returns what the sender of a mark is known as: <source>/<id> of version 1,
// and that with a '/' behind it of version 2.
func knownMark(prefix, mark string) string {
	if i := strings.LastIndexByte(mark, '/'); i >= len(prefix) {
		return mark[:i+1]
	}
	return mark
}

// openAckedSender reads the marks of a sender. Errors: record.ErrCorrupt,
// record.ErrVersion.
func openAckedSender(id, mark string, epochs bool, sink Sink) (s *ackedSender, err error) {
	s = &ackedSender{}
	if epochs {
		if s.ring, err = openAckedRing(mark, sink); err != nil {
			return nil, fmt.Errorf("read marks of sender %s: %w", id, err)
		}
		s.lastEpoch, s.last = s.ring.epoch, s.ring.last
		return s, nil
	}
	if p := sink.Position(mark); len(p) > 0 {
		seq, n := binary.Uvarint(p)
		if n != len(p) {
			return nil, fmt.Errorf("decode mark of sender %s: %w", id, record.ErrCorrupt)
		}
		s.delivered = seq
		s.durable.Store(seq)
	}
	return s, nil
}

// forget drops a sender that never sent a line: there is nothing to know of it, and
// its place is another's.
func (a *Acked) forget(l *ackedLink) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s, mark := l.sender, a.mark(l.id)
	if l.epoch != "" {
		mark += "/"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// Without connections nothing delivers, and none begins while mu is held.
	if s.connections--; s.connections > 0 || s.delivered > 0 || s.ring != nil && !s.ring.empty() || a.senders[mark] != s {
		return
	}
	delete(a.senders, mark)
	delete(a.known, mark)
	if s.from != "" && a.brings(s.from, 0) > 0 {
		a.brings(s.from, -1)
	}
	if l.epoch != "" {
		a.epochs--
	}
}

func (a *Acked) mark(id string) string { return a.cfg.Name + "/" + id }

func (s *ackedSender) connect() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.connections++
}

// take makes l the id's connection and ends the one before.
func (s *ackedSender) take(l *ackedLink) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != nil {
		_ = s.current.conn.Close()
	}
	s.current = l
}

// frame is one numbered line.
type frame struct {
	seq  uint64
	line []byte
}

// deliver hands over the frames that are new.
func (a *Acked) deliver(frames []frame, l *ackedLink, sink Sink) error {
	if len(frames) == 0 {
		return nil
	}
	s := l.sender
	s.turn.Lock()
	defer s.turn.Unlock()
	if !s.has(l) {
		return protocolError("another connection of this id took over")
	}
	if s.ring != nil {
		return a.deliverEpoch(frames, l, sink)
	}
	return a.deliverNumbers(frames, l, sink)
}

// deliverNumbers is deliver of version 1. It is called with the sender's turn held.
func (a *Acked) deliverNumbers(frames []frame, l *ackedLink, sink Sink) error {
	wall, mono := a.cfg.Clock.Now()
	s := l.sender
	var lines lineBuffer
	last, repeated := s.delivered, false
	if last == 0 && frames[0].seq > 1 {
		a.moved.Add(1)
		a.log(slog.LevelWarn, "a sender that is not known here begins above 1: lines that another gateway took without the sender hearing of it come twice", "sender", l.id, "first", frames[0].seq)
	}
	for _, f := range frames {
		a.received(len(f.line), wall)
		if f.seq <= last {
			a.duplicates.Add(1)
			repeated = true
			continue
		}
		last = f.seq
		lines.addWhole(f.line)
	}
	if repeated {
		s.wake()
	}
	if last == s.delivered {
		return nil
	}
	b := lines.batch(l.id, wall, mono)
	if b == nil {
		b = &Batch{Stream: l.id, ReceivedAt: wall, Monotonic: mono} // only empty lines
	}
	b.Client = hostOf(l.conn)
	b.Mark, b.Position, b.Sync = a.mark(l.id), binary.AppendUvarint(nil, last), true
	b.Durable = func() { s.settle(last) }
	a.lines(b)
	if err := sink.Deliver(b); err != nil {
		return fmt.Errorf("%w: %w", errStopped, err)
	}
	s.delivered = last
	return nil
}

// addWhole adds a line of any length, in pieces where it is too long.
func (l *lineBuffer) addWhole(line []byte) {
	var split Splitter
	split.hold(line, l.add)
	split.Flush(false, l.add)
}

// settle notes that all up to n is durable.
func (s *ackedSender) settle(n uint64) {
	s.durable.Store(n)
	s.wake()
}

// wake has the current connection acknowledge what is durable.
func (s *ackedSender) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == nil {
		return
	}
	select {
	case s.current.acks <- struct{}{}:
	default: // one is due already and will tell the newest number
	}
}

func (s *ackedSender) has(l *ackedLink) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current == l
}
