package source

import (
	"fmt"
	"log/slog"

	"landfall/edge/record"
)

// deliverEpoch is deliver of version 2, in batches of which each touches one chunk of
// the ring. It is called with the sender's turn held.
//
// Steps of a line, and what a crash after each leaves:
//
//  1. its digest is put into the ring in memory: nothing, the line is sent again;
//  2. the batch with the line and the chunk's mark is handed to capture: nothing, or
//     both, in one fsync (C1); the line is sent again, and known or taken;
//  3. Durable marks the batch as durable: as after 2;
//  4. ACK is sent: the sender may not hear it, and sends the line again, which is known.
func (a *Acked) deliverEpoch(frames []frame, l *ackedLink, sink Sink) error {
	e := epochBatch{a: a, l: l, sink: sink}
	e.wall, e.mono = a.cfg.Clock.Now()
	l.sender.ring.enter(l.epoch)
	for i := range frames {
		if err := e.take(&frames[i]); err != nil {
			if stop := e.flush(); stop != nil {
				return stop
			}
			return err
		}
	}
	return e.flush()
}

// epochBatch is a batch of lines of version 2 that is being made.
type epochBatch struct {
	a          *Acked
	l          *ackedLink
	sink       Sink
	wall       record.Micros
	mono       int64
	lines      lineBuffer
	unflushed  bool // a digest was added since the last batch
	unanswered bool // a line was taken or known since the last note
}

// take takes one line. Errors: protocolError, when it is not taken; errStopped.
func (e *epochBatch) take(f *frame) error {
	a, l, ring := e.a, e.l, e.l.sender.ring
	a.received(len(f.line), e.wall)
	if f.seq <= l.seq {
		return protocolError("numbers must rise on a connection")
	}
	if l.lines-l.answeredLines() >= ackedWindow {
		return protocolError(fmt.Sprintf("more than %d lines on the way without an acknowledgement", ackedWindow))
	}
	digest := ackedDigest(l.epoch, f)
	switch {
	case ring.has(digest):
		a.duplicates.Add(1)
	case len(f.line) == 0:
		return protocolError(fmt.Sprintf("line %d is empty: there is nothing to capture, and what is not captured is not acknowledged", f.seq))
	case f.seq <= ring.last:
		a.conflicts.Add(1)
		why := protocolError(fmt.Sprintf("line %d was passed in this epoch and not with these bytes: it is not taken; begin a new epoch", f.seq))
		a.log(slog.LevelWarn, "a sender contradicts what was taken under its numbers, and keeps its line", "sender", l.id, "epoch", l.epoch, "number", f.seq)
		return why
	default:
		if ring.full() {
			if err := e.flush(); err != nil {
				return err
			}
		}
		ring.add(f.seq, digest)
		e.lines.addWhole(f.line)
		e.unflushed = true
	}
	l.seq, e.unanswered = f.seq, true
	l.lines++
	return nil
}

// flush hands over what was taken, and notes what is acknowledged with it.
func (e *epochBatch) flush() error {
	s, l := e.l.sender, e.l
	if e.unflushed {
		e.unflushed = false
		b := e.lines.batch(l.id, e.wall, e.mono) // never nil: none is empty
		n, value := s.ring.mark()
		b.Mark, b.Position, b.Sync = fmt.Sprintf("%s/%d", e.a.mark(l.id), n), value, true
		b.Client = hostOf(l.conn)
		s.delivered++ // before it is handed over: what was not taken is never durable
		batch, epoch, last := s.delivered, s.ring.epoch, s.ring.last
		b.Durable = func() { s.settleEpoch(batch, epoch, last) }
		e.a.lines(b)
		if err := e.sink.Deliver(b); err != nil {
			return fmt.Errorf("%w: %w", errStopped, err)
		}
	}
	if e.unanswered {
		e.unanswered = false
		l.note(s.delivered)
	}
	return nil
}

// note has all that was received acknowledged once a batch is durable, and everything
// before it: a line that is known may lie in any of them.
func (l *ackedLink) note(batch uint64) {
	l.sender.mu.Lock()
	l.due = append(l.due, ackedDue{batch, l.seq, l.lines})
	l.sender.mu.Unlock()
	l.sender.wake()
}

// advance moves acked and answered to what is durable. It is called with the sender's mu
// held.
func (l *ackedLink) advance() {
	durable := l.sender.durable.Load()
	for len(l.due) > 0 && l.due[0].batch <= durable {
		l.acked, l.answered = l.due[0].seq, l.due[0].lines
		l.due = l.due[1:]
	}
}

// answeredLines returns how many lines of the connection may be acknowledged.
func (l *ackedLink) answeredLines() uint64 {
	l.sender.mu.Lock()
	defer l.sender.mu.Unlock()
	return l.answered
}

// settleEpoch notes that a batch is durable, and with it a number of an epoch.
func (s *ackedSender) settleEpoch(batch uint64, epoch string, last uint64) {
	s.mu.Lock()
	s.lastEpoch, s.last = epoch, last
	s.mu.Unlock()
	s.settle(batch)
}
