package forward

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"sync"
	"time"

	"landfall/edge/durable"
	"landfall/edge/durable/failpoint"
	"landfall/edge/record"
	"landfall/edge/seglog"
	"landfall/edge/wire"
)

const (
	emptyPoll   = 200 * time.Millisecond // between looks at a store without any log
	settleRetry = time.Second            // after a state file that could not be written
)

// Session forwards the logs of one store to one ingest.
type Session struct {
	cfg  Config
	core *Core
	link *link
	enc  *wire.Encoder
	// dirty says that what is settled in memory is ahead of the state file, and
	// that the file could not be written.
	dirty bool
	// unsaved says that the state in memory is another than in the file, by
	// something that nothing is released for.
	unsaved bool
	// promised says that the state file has how records are released: only then may
	// a request promise that they are kept (Core.keeps says of which logs).
	promised bool
	// room says that the room for the state file on a full disk is kept.
	room bool
	// hurried says that the core was told what hurry says.
	hurried bool

	hurry   context.Context // ends when what is captured is to go at once
	hurryUp context.CancelFunc

	anchored wire.LedgerTip // the last one told

	look chan struct{} // holds one where LookAgain was called

	mu      sync.Mutex // guards what Status reads
	acked   map[record.LogID]Mark
	settled map[record.LogID]record.Offset
	stands  map[record.LogID]time.Time // since when a log waits to be published, and nothing of it was
	bytes   map[record.LogID]sentBytes
	status  Status
	engines engines // that have answered
	// last is what the last request with blocks began at and sent of its log.
	last struct {
		log  record.LogID
		next record.Offset
		at   record.Micros // receipt of the block at next
		sent []boundary
	}
}

// sentBytes counts a log's blocks handed to the link.
type sentBytes struct {
	sent, resent int64
	below        record.Offset // blocks below were sent at least once
	acked        record.Offset // counted as acknowledged
}

// New reads what was acknowledged and makes a session; nothing is sent before
// Run. A state file that is damaged is counted, reported to the Logger, and
// replaced: the cloud is asked. Errors: ErrRenamed, naming both gateways;
// record.ErrVersion; those of Validate and of the file system.
func New(cfg Config) (*Session, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	s := &Session{cfg: cfg, bytes: map[record.LogID]sentBytes{}, stands: map[record.LogID]time.Time{},
		look: make(chan struct{}, 1)}
	was, err := loadState(cfg.FS, cfg.StatePath)
	if errors.Is(err, ErrState) || errors.Is(err, durable.ErrMedia) {
		cfg.Logger.Error("forwarding state is damaged; the cloud will be asked", "path", cfg.StatePath, "error", err)
		s.status.Counters.StateDamaged++
		was.telling.Told = true // perhaps: until the cloud has answered, nothing is released
	} else if err != nil {
		return nil, err
	}
	if err := checkName(&was, cfg); err != nil {
		return nil, err
	}
	if from := was.lake; was.chooseLake(cfg.Lake) {
		cfg.Logger.Warn("records go to another lake from now on; all that is kept is sent to it", "lake", cfg.Lake, "before", from)
	}
	s.link = newLink(cfg)
	if s.enc, err = wire.NewEncoder(io.Discard); err != nil {
		return nil, err
	}
	s.core = NewCore(cfg.Tuning, was.marks)
	s.core.lake = was.lake
	s.core.Resume(cfg.Release, was.release, was.telling, s.logs())
	s.hurry, s.hurryUp = context.WithCancel(context.Background())
	for log, m := range was.marks {
		s.bytes[log] = sentBytes{acked: m.Next}
		if m.Published < m.Next {
			s.stands[log] = cfg.Now()
		}
	}
	s.status.State, s.status.OldestUnacked = stateIdle, record.NoTime
	s.show()
	return s, nil
}

// checkName refuses another gateway name while something captured under the
// old one is not settled: it may have to be sent, or sent again, under that.
func checkName(was *state, cfg Config) error {
	if was.gateway == "" || was.gateway == cfg.Gateway {
		return nil
	}
	settled := was.core().settledAll()
	for _, l := range cfg.Store.Logs() {
		if next := max(settled[l.ID], l.First); next < l.End {
			return fmt.Errorf("forward as %q: log %s of %q has %d records to go: %w", cfg.Gateway, l.ID, was.gateway, l.End-next, ErrRenamed)
		}
	}
	return nil
}

// Run forwards until ctx ends, and returns ctx's error. Everything else is
// retried, and shows in Status; a state file that cannot be written holds up
// Release alone, for sending again is safe and releasing too much is not.
func (s *Session) Run(ctx context.Context) error {
	defer s.link.client.CloseIdleConnections()
	defer s.hurryUp()
	s.cfg.Pulse.Begin()
	defer s.cfg.Pulse.End()
	defer func() {
		if s.unsaved {
			s.settle()
		}
	}()
	s.settle() // the name, before anything is sent under it, if the disk lets us
	if s.cfg.Was != "" && s.cfg.NewestWas != nil {
		s.introduceWas(ctx)
	}
	if s.cfg.Introduced != nil {
		s.cfg.Introduced(s.introduce(ctx))
	}
	for ctx.Err() == nil {
		s.cfg.Pulse.Beat()
		if s.dirty {
			s.settle()
		}
		if !s.hurried && s.hurry.Err() != nil {
			s.hurried = true
			s.core.Hurry()
		}
		select {
		case <-s.look:
			s.core.LookAgain()
		default:
		}
		logs := s.logs()
		action := s.core.Next(s.cfg.Now(), logs)
		s.note(action)
		if action.Kind == ActWait {
			if retry := s.cfg.Now().Add(settleRetry); s.dirty && (action.Until.IsZero() || retry.Before(action.Until)) {
				action.Until = retry
			}
			s.wait(ctx, action.Until, logs)
			continue
		}
		s.act(ctx, action)
	}
	return ctx.Err()
}

// Hurry has what is captured sent at once, whatever Linger and a backoff say:
// the gateway stops, and nothing more is to come. It may be called from any
// goroutine, and again.
func (s *Session) Hurry() { s.hurryUp() }

// LookAgain has a link that rests after a failure tried, and every log that is red
// asked about, at once: an operator has mended something. It may be called from any
// goroutine.
func (s *Session) LookAgain() {
	select {
	case s.look <- struct{}{}:
	default: // it was asked for already
	}
}

func (s *Session) logs() []Log {
	var out []Log
	for _, l := range s.cfg.Store.Logs() {
		out = append(out, Log{ID: l.ID, First: l.First, End: l.End, Closed: l.Closed})
	}
	return out
}

// wait returns when the store holds more than logs, at until if that is set,
// when ctx ends, or when there is a hurry or LookAgain was called. During a rest
// (linger, backoff) it waits for the end of that, or these, alone.
func (s *Session) wait(ctx context.Context, until time.Time, logs []Log) {
	s.cfg.Pulse.End()
	defer s.cfg.Pulse.Begin()
	ctx, wake := context.WithCancel(ctx)
	defer wake()
	if !s.hurried {
		defer context.AfterFunc(s.hurry, wake)()
	}
	defer s.wakeToLook(ctx, wake)()
	if !until.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, until.Sub(s.cfg.Now()))
		defer cancel()
		if rest := s.core.Rest().Sub(s.cfg.Now()); rest > 0 {
			resting, cancel := context.WithTimeout(ctx, rest)
			defer cancel()
			<-resting.Done()
			return
		}
	}
	if n := len(logs); n > 0 {
		if err := s.cfg.Store.Wait(ctx, logs[n-1].ID, logs[n-1].End); err == nil || ctx.Err() != nil {
			return
		}
	}
	poll := time.NewTimer(emptyPoll)
	defer poll.Stop()
	select {
	case <-poll.C:
	case <-ctx.Done():
	}
}

// wakeToLook calls wake when LookAgain is called, or was; until the function that it
// returns was, which waits for it.
func (s *Session) wakeToLook(ctx context.Context, wake func()) (end func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-s.look:
			s.LookAgain() // it is taken by Run
			wake()
		case <-ctx.Done():
		}
	}()
	return func() {
		wake()
		<-done
	}
}

// act carries out one Ask or Send and hands the core what came of it. Steps,
// and what a crash after each leaves: the cloud lands blocks (the next session
// asks), publishes them (the same), and answers (the same); settle does the rest.
func (s *Session) act(ctx context.Context, action Action) {
	h := wire.RequestHeader{Gateway: s.cfg.Gateway, Log: action.Log, Offset: action.Offset}
	h.Keeps = s.promised && s.core.keeps(action.Log, s.logs())
	_, _ = rand.Read(h.Request[:]) // never fails
	h.Behind = s.behind()
	if s.cfg.Clock != nil && action.Kind == ActSend {
		h.Clock = s.cfg.Clock(action.Log)
	}
	e := Exchange{Action: action}
	w := &watchdog{patient: s.link.patient}
	defer w.end()
	begin := s.cfg.Now()
	var did sums
	var err error
	s.cfg.Pulse.End() // the link may be slow; its own watchdog ends a request that stalls
	if action.Kind == ActAsk {
		e.Answer, err = s.link.exchange(ctx, h, w, nil)
	} else {
		e.Answer, did, err = s.send(ctx, action, h, w)
	}
	s.cfg.Pulse.Begin()
	now := s.cfg.Now()
	if s.cfg.Told != nil && err == nil {
		s.cfg.Told(e.Answer.LandedAt, did.after(begin), now)
	}
	e.Took, e.Sent, e.Whole, e.Records = now.Sub(begin), did.sent, did.whole, int64(did.end-did.from)
	s.count(action, did, e.Answer, err)
	if ctx.Err() != nil {
		return
	}
	if did.err != nil && !errors.Is(did.err, errBodyStopped) {
		s.cfg.Logger.Error("log cannot be sent", "log", action.Log, "offset", did.end, "error", did.err)
		if errors.Is(did.err, record.ErrTooLarge) || errors.Is(did.err, record.ErrCorrupt) {
			s.core.Stick(now, action.Log, did.err.Error())
		}
	}
	if err == nil {
		err = s.compare(&e, did.marks)
	}
	if err == nil {
		err = s.hearNewest(e.Answer) // before anything of the log is sent
	}
	if err != nil {
		s.cfg.Logger.Warn("request ended without an answer", "log", action.Log, "offset", action.Offset, "error", err)
		s.core.Failed(now, action, s.cfg.Rand())
		return
	}
	lake := s.core.lake
	s.noteLake(e.Answer)
	progress, moved := s.core.Answered(now, e, s.logs(), s.cfg.Rand())
	s.lookAhead(action.Log, e.Answer) // before the log is let go of
	s.advance(now, progress, moved)
	if s.core.lake != lake {
		s.settle() // once in a gateway's life
	}
	if tip := e.Answer.Published.Ledger; !tip.IsZero() && tip != s.anchored && s.core.otherLake(e.Answer) == "" {
		s.cfg.Anchored(tip)
		s.anchored = tip
	}
}

// lookAhead tells where an answer that is believed shows that a log which has ended was
// longer than it is here.
func (s *Session) lookAhead(log record.LogID, a wire.Answer) {
	here := find(s.logs(), log)
	if _, blocked := s.core.red[log]; blocked || here == nil || !here.Closed {
		return
	}
	landed := record.Offset(0)
	if a.Known {
		landed = a.Acked
	}
	if a.PublishedKnown {
		landed = max(landed, a.Published.Next)
	}
	if landed > here.End {
		s.cfg.OnAhead(log, here.End, landed)
	}
}

// send streams blocks and gives the answer and what was sent.
func (s *Session) send(ctx context.Context, action Action, h wire.RequestHeader, w *watchdog) (wire.Answer, sums, error) {
	reader, err := s.cfg.Store.Reader(action.Log, action.Offset)
	if err != nil {
		return wire.Answer{}, sums{from: action.Offset, end: action.Offset}, fmt.Errorf("read log %s at offset %d: %w", action.Log, action.Offset, err)
	}
	mark := s.core.Acked(action.Log)
	if mark.Next != action.Offset {
		mark = Mark{Next: action.Offset}
	}
	s.mu.Lock()
	already := s.bytes[action.Log].below
	s.mu.Unlock()
	b := newBody(action.Log, mark, action.Bytes, already, reader, s.enc, w.touch, s.cfg.DigestAt)
	answer, err := s.link.exchange(ctx, h, w, b)
	did, closeErr := b.sums()
	if err == nil && closeErr != nil {
		err = closeErr
	}
	return answer, did, err
}

// compare looks whether this gateway's log has the blocks at which an answer says
// that something landed, or is published, that it did not say before.
func (s *Session) compare(e *Exchange, sent []boundary) (err error) {
	a, was := e.Answer, s.core.Acked(e.Action.Log)
	if a.Known && a.Acked != e.Action.Offset {
		if e.Contradicts, err = s.contradicts(e.Action.Log, a.Acked, a.Hash, sent); err != nil {
			return err
		}
	}
	if a.PublishedKnown && a.Published.Next > was.Published {
		e.Forged, err = s.contradicts(e.Action.Log, a.Published.Next, a.Published.Hash, sent)
	}
	return err
}

// contradicts says whether this gateway's log has no block that ends at an offset,
// or another one than the hash says. What the store has no more, or not yet,
// cannot be compared; nor can a hash that is not known.
func (s *Session) contradicts(log record.LogID, at record.Offset, hash record.Hash, sent []boundary) (bool, error) {
	for _, b := range sent {
		if b.end == at {
			return differ(hash, b.hash), nil
		}
	}
	here := find(s.logs(), log)
	if here == nil || at <= here.First || at > here.End {
		return false, nil
	}
	reader, err := s.cfg.Store.Reader(log, at-1)
	if err != nil {
		return false, fmt.Errorf("compare log %s at offset %d: %w", log, at, err)
	}
	defer func() { _ = reader.Close() }() // read only
	item, err := reader.Next()
	switch {
	case errors.Is(err, seglog.ErrCaughtUp), err == io.EOF:
		return false, nil
	case err != nil:
		return false, fmt.Errorf("compare log %s at offset %d: %w", log, at, err)
	case item.IsGap():
		return false, nil
	case item.Block.End() == at:
		return differ(hash, record.HashBlock(item.Block.Bytes)), nil
	}
	return true, nil // no block ends there
}

// advance shows what an answer changed, and settles it when more may be released.
// What has landed is not written for itself while nothing is released for it: the
// next session asks. But a closed log that has landed whole is written down before
// the next one is sent: the cloud knows for sure only what it holds of the newest.
func (s *Session) advance(now time.Time, p Progress, moved bool) {
	s.unsaved = s.unsaved || moved
	s.mu.Lock()
	b := s.bytes[p.Log]
	if moved && p.Mark.Next > b.acked {
		s.status.Counters.AckedRecords += uint64(p.Mark.Next - b.acked)
		b.acked = p.Mark.Next
		s.bytes[p.Log] = b
	}
	was := s.acked[p.Log]
	switch {
	case !moved:
	case p.Mark.Published >= p.Mark.Next, !s.core.telling.Told:
		delete(s.stands, p.Log)
	case p.Mark.Published > was.Published || s.stands[p.Log].IsZero():
		s.stands[p.Log] = now
	}
	if p.Back {
		s.status.Counters.Resyncs++
		s.cfg.Logger.Warn("the cloud has lost what had landed of a log; it is sent again", "log", p.Log, "from", p.Mark.Next, "landed", was.Next, "published", p.Mark.Published)
	}
	s.mu.Unlock()
	s.show()
	for _, l := range s.logs() {
		whole := moved && l.ID == p.Log && l.Closed && was.Next < l.End && p.Mark.Next >= l.End
		if whole || min(s.core.Settled(l.ID), l.End) > l.First {
			s.settle()
			return
		}
	}
}

// show has Status tell what the core knows.
func (s *Session) show() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.acked, s.settled = maps.Clone(s.core.marks), s.core.settledAll()
	s.status.Telling, s.status.Lake = s.core.Telling(), s.core.lake
}

// settle releases what the cloud has (Core.Settled). Steps, and what a crash after
// each leaves: the marks and how records are released are made durable (the next
// session goes on from there and releases the same);
// Settled is told (it is told again); the store is told what nobody will read, and
// lets go of whole segments (C3; the next session tells it again). False: the state
// file could not be written, nothing is released, and it is to be tried again.
func (s *Session) settle() bool {
	failpoint.Hit("forward.before-ack")
	s.core.keepOnly(s.logs()) // who reads the state takes a log in it that is not there for lost
	st := state{gateway: s.cfg.Gateway, lake: s.core.lake, release: s.cfg.Release, telling: s.core.telling, marks: s.core.marks}
	p, err := st.encode()
	if err == nil {
		err = s.write(p)
	}
	if s.dirty = err != nil; s.dirty {
		s.cfg.Logger.Error("what the cloud has cannot be persisted; nothing is released", "error", err)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.status.LastError, s.status.LastErrorAt = err.Error(), s.cfg.Now()
		s.status.Counters.StateFailures++
		return false
	}
	s.unsaved, s.promised = false, true
	failpoint.Hit("forward.after-ack")
	for _, l := range s.cfg.Store.Logs() {
		below := s.core.Settled(l.ID)
		s.cfg.Settled(l.ID, below)
		if below > l.First {
			if err := s.cfg.Store.Release(l.ID, below); err != nil {
				s.cfg.Logger.Error("settled records stay on disk", "log", l.ID, "error", err)
			}
		}
	}
	return true
}

// roomBytes is more than the state file and its directory entry take.
const roomBytes = 64 << 10

// write replaces the state file. On a disk that is full because nothing was
// released it takes the room that was kept for this, or it would stay full for
// ever. The room is kept anew as soon as there is some.
func (s *Session) write(p []byte) error {
	room := s.cfg.StatePath + ".room"
	err := durable.WriteFileAtomic(s.cfg.FS, s.cfg.StatePath, p)
	if errors.Is(err, durable.ErrNoSpace) && s.cfg.FS.Remove(room) == nil {
		s.room = false
		err = durable.WriteFileAtomic(s.cfg.FS, s.cfg.StatePath, p)
	}
	if err == nil && !s.room {
		s.room = durable.WriteFileAtomic(s.cfg.FS, room, make([]byte, roomBytes)) == nil
	}
	return err
}

// note shows the next action in Status.
func (s *Session) note(a Action) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.Reds = s.core.Reds()
	s.status.BytesPerSecond, s.status.RoundTrip = s.core.Pace()
	s.status.NextTryAt = time.Time{}
	switch {
	case a.Kind == ActAsk:
		s.status.State = stateAsking
	case a.Kind == ActSend:
		s.status.State = stateSending
	case s.cfg.Now().Before(s.core.until):
		s.status.State, s.status.NextTryAt = stateWaiting, s.core.until
	default:
		s.status.State = stateIdle
	}
}

// noteLake shows in Status whether an engine of another lake answered.
func (s *Session) noteLake(a wire.Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.status.OtherLake = a.Lake; s.core.otherLake(a) == "" {
		s.status.OtherLake = ""
	}
}

// count shows what an exchange did in Status.
func (s *Session) count(action Action, did sums, a wire.Answer, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &s.status.Counters
	if action.Kind == ActAsk {
		c.Questions++
	} else {
		c.Requests++
		b := s.bytes[action.Log]
		b.sent, b.resent, b.below = b.sent+did.sent, b.resent+did.resent, max(b.below, did.end)
		s.bytes[action.Log] = b
		c.BlockBytes, c.ResentBytes, c.WireBytes = c.BlockBytes+uint64(did.sent), c.ResentBytes+uint64(did.resent), c.WireBytes+uint64(did.wire)
		c.LossBlocks += did.losses
		s.last.log, s.last.next, s.last.at, s.last.sent = action.Log, action.Offset, did.oldest, did.marks
	}
	now := s.cfg.Now()
	switch {
	case err != nil:
		c.Failures++
		if errors.Is(err, wire.ErrNotAnswer) {
			c.NotAnswers++
		}
		s.status.LastError, s.status.LastErrorAt = err.Error(), now
		return
	case a.Code != wire.CodeNone:
		c.Refusals++
		s.status.LastError, s.status.LastErrorAt = fmt.Sprintf("%s: %s", a.Code, a.Detail), now
	default:
		s.status.LastError = ""
	}
	s.status.LastTransferAt, s.status.AgainIn = now, a.AgainIn
	if s.engines.hear(now, a.Landing) {
		c.LandingReturns++
	}
}
