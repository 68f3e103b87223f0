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
	// dirty says that AckedOffset in memory is ahead of the state file.
	dirty bool
	// room says that the room for the state file on a full disk is kept.
	room bool
	// hurried says that the core was told what hurry says.
	hurried bool

	hurry   context.Context // ends when what is captured is to go at once
	hurryUp context.CancelFunc

	mu     sync.Mutex // guards what Status reads
	acked  map[record.LogID]Mark
	bytes  map[record.LogID]sentBytes
	status Status
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
	s := &Session{cfg: cfg, bytes: map[record.LogID]sentBytes{}}
	gateway, marks, err := loadState(cfg.FS, cfg.StatePath)
	if errors.Is(err, ErrState) || errors.Is(err, durable.ErrMedia) {
		cfg.Logger.Error("forwarding state is damaged; the cloud will be asked", "path", cfg.StatePath, "error", err)
		s.status.Counters.StateDamaged++
	} else if err != nil {
		return nil, err
	}
	if err := checkName(gateway, cfg, marks); err != nil {
		return nil, err
	}
	s.link = newLink(cfg)
	if s.enc, err = wire.NewEncoder(io.Discard); err != nil {
		return nil, err
	}
	s.core = NewCore(cfg.Tuning, marks)
	s.hurry, s.hurryUp = context.WithCancel(context.Background())
	s.acked = maps.Clone(s.core.marks)
	s.status.State, s.status.OldestUnacked = stateIdle, record.NoTime
	return s, nil
}

// checkName refuses another gateway name while something captured under the
// old one is not forwarded.
func checkName(was string, cfg Config, marks map[record.LogID]Mark) error {
	if was == "" || was == cfg.Gateway {
		return nil
	}
	for _, l := range cfg.Store.Logs() {
		if next := max(marks[l.ID].Next, l.First); next < l.End {
			return fmt.Errorf("forward as %q: log %s of %q has %d records to go: %w", cfg.Gateway, l.ID, was, l.End-next, ErrRenamed)
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
	s.settle() // the name, before anything is sent under it, if the disk lets us
	for ctx.Err() == nil {
		s.cfg.Pulse.Beat()
		if s.dirty {
			s.settle()
		}
		if !s.hurried && s.hurry.Err() != nil {
			s.hurried = true
			s.core.Hurry()
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

func (s *Session) logs() []Log {
	var out []Log
	for _, l := range s.cfg.Store.Logs() {
		out = append(out, Log{ID: l.ID, First: l.First, End: l.End, Closed: l.Closed})
	}
	return out
}

// wait returns when the store holds more than logs, at until if that is set,
// when ctx ends, or when there is a hurry. During a backoff it waits for until
// or a hurry alone.
func (s *Session) wait(ctx context.Context, until time.Time, logs []Log) {
	s.cfg.Pulse.End()
	defer s.cfg.Pulse.Begin()
	ctx, wake := context.WithCancel(ctx)
	defer wake()
	if !s.hurried {
		defer context.AfterFunc(s.hurry, wake)()
	}
	if !until.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, until.Sub(s.cfg.Now()))
		defer cancel()
		if s.core.Resting(s.cfg.Now()) {
			<-ctx.Done()
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

// act carries out one Ask or Send and hands the core what came of it. Steps,
// and what a crash after each leaves: the cloud lands blocks (the next session
// asks), it answers (the same), AckedOffset is persisted (the next session goes
// on from there), what lies below is released (the same).
func (s *Session) act(ctx context.Context, action Action) {
	h := wire.RequestHeader{Gateway: s.cfg.Gateway, Log: action.Log, Offset: action.Offset}
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
		e.Contradicts, err = s.contradicts(action, e.Answer, did.marks)
	}
	if err != nil {
		s.cfg.Logger.Warn("request ended without an answer", "log", action.Log, "offset", action.Offset, "error", err)
		s.core.Failed(now, action, s.cfg.Rand())
		return
	}
	if progress, ok := s.core.Answered(now, e, s.logs(), s.cfg.Rand()); ok {
		s.advance(progress)
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

// contradicts says whether this gateway's log has another block than the cloud
// at the offset that an answer acknowledges anew. What the store has no more
// cannot be compared.
func (s *Session) contradicts(action Action, a wire.Answer, sent []boundary) (bool, error) {
	if !a.Known || a.Acked <= action.Offset {
		return false, nil
	}
	for _, b := range sent {
		if b.end == a.Acked {
			return a.Hash != (record.Hash{}) && a.Hash != b.hash, nil
		}
	}
	reader, err := s.cfg.Store.Reader(action.Log, action.Offset)
	if err != nil {
		return false, fmt.Errorf("compare log %s at offset %d: %w", action.Log, action.Offset, err)
	}
	defer func() { _ = reader.Close() }() // read only
	for {
		item, err := reader.Next()
		switch {
		case errors.Is(err, seglog.ErrCaughtUp), err == io.EOF:
			return false, nil // beyond the end: the core's to judge
		case err != nil:
			return false, fmt.Errorf("compare log %s below offset %d: %w", action.Log, a.Acked, err)
		case item.IsGap() && item.Gap.To >= a.Acked:
			return false, nil
		case item.IsGap() || item.Block.End() < a.Acked:
			continue
		case item.Block.End() == a.Acked:
			return a.Hash != (record.Hash{}) && a.Hash != record.HashBlock(item.Block.Bytes), nil
		default:
			return true, nil // no block ends there
		}
	}
}

// advance shows what was acknowledged, and settles it.
func (s *Session) advance(p Progress) {
	s.mu.Lock()
	if was := s.acked[p.Log].Next; p.Mark.Next > was {
		s.status.Counters.AckedRecords += uint64(p.Mark.Next - was)
	}
	s.acked = maps.Clone(s.core.marks)
	s.mu.Unlock()
	s.settle()
}

// settle makes AckedOffset durable, and only then releases what it covers.
// False: the state file could not be written, and it is to be tried again.
func (s *Session) settle() bool {
	failpoint.Hit("forward.before-ack")
	p, err := encodeState(s.cfg.Gateway, s.core.marks)
	if err == nil {
		err = s.write(p)
	}
	if s.dirty = err != nil; s.dirty {
		s.cfg.Logger.Error("acknowledged offset cannot be persisted; nothing is released", "error", err)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.status.LastError, s.status.LastErrorAt = err.Error(), s.cfg.Now()
		s.status.Counters.StateFailures++
		return false
	}
	failpoint.Hit("forward.after-ack")
	for _, l := range s.cfg.Store.Logs() {
		next := s.core.marks[l.ID].Next
		s.cfg.Settled(l.ID, next)
		if next > l.First {
			if err := s.cfg.Store.Release(l.ID, next); err != nil {
				s.cfg.Logger.Error("acknowledged records stay on disk", "log", l.ID, "error", err)
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
	switch {
	case a.Kind == ActAsk:
		s.status.State = stateAsking
	case a.Kind == ActSend:
		s.status.State = stateSending
	case s.cfg.Now().Before(s.core.until):
		s.status.State = stateWaiting
	default:
		s.status.State = stateIdle
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
	s.status.LastTransferAt = now
}
