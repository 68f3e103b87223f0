package seglog

import (
	"fmt"

	"landfall/edge/record"
)

// openLog chooses this Store's log at the first Append: its identity, what it
// says of the log before, and the block of offset 0. Nothing is written yet; a
// failed first Append leaves the choice for the next.
func (s *Store) openLog() error {
	prevChain := s.lastChain()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	a := &s.app
	if !a.log.IsZero() {
		return nil
	}
	now := s.cfg.Now()
	o := record.Opening{PrevLastAt: record.NoTime, OpenedAt: now, CutTailBytes: a.cutTail}
	a.ordinal = 1
	if n := len(s.logs); n > 0 {
		last := s.logs[n-1]
		o.Prev, o.PrevEnd, o.PrevLastAt, o.PrevEndUnproven = last.id, last.end, last.lastAt, a.unproven
		o.PrevChain = prevChain
		a.ordinal = last.ordinal + 1
	}
	id := s.cfg.NewLogID()
	if l, _ := s.find(id); l != nil || id.IsZero() {
		return fmt.Errorf("open log: the new id %s is taken", id)
	}
	var b record.Builder
	b.Reset()
	err := b.Add(&record.Record{
		Kind: record.KindLogOpen, ReceivedAt: now, EventTime: now, TimeSource: record.TimeReceipt, Raw: o.Encode(),
	})
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	a.digester = record.NewDigester(id)
	if s.cfg.CapturedRecords {
		a.digest = b.DigestAt(&a.digester, 0)
		b.SetDigest(a.digest)
	}
	pad := padTo(int64(frameBytes+b.Size()), frameAlign)
	a.opening = b.SealFramed(id, 0, record.Hash{}, int(pad))
	a.prev = record.HashBlock(a.opening[frameBytes : frameBytes+b.Size()])
	a.log, a.next = id, 1
	a.head = header{
		id: segmentID{log: id}, ordinal: a.ordinal, prev: o.Prev, prevEnd: o.PrevEnd, lastAt: o.PrevLastAt,
	}
	return nil
}

// lastChain returns the hash of the last block of the log before, for the opening
// of this Store's; zero where that block cannot be read, and in a Store that keeps
// no digests, whose openings nobody compares. Caller holds appendMu.
func (s *Store) lastChain() record.Hash {
	if !s.cfg.CapturedRecords || !s.app.log.IsZero() || s.app.unproven {
		return record.Hash{}
	}
	s.mu.Lock()
	n := len(s.logs)
	if s.closed || n == 0 {
		s.mu.Unlock()
		return record.Hash{}
	}
	last := s.logs[n-1].id
	s.mu.Unlock()
	tip, err := s.Tip(last)
	if err != nil {
		s.cfg.Logger.Warn("the opening of the log does not say with which block the one before ended", "log", last, "error", err)
	}
	return tip.Chain
}

// activeLog gives the state of this Store's log, listed from its first durable
// group on. Caller holds mu.
func (s *Store) activeLog() *logState {
	if n := len(s.logs); n > 0 && s.logs[n-1].active {
		return s.logs[n-1]
	}
	a := &s.app
	l := &logState{
		id: a.log, ordinal: a.ordinal, active: true, prev: a.head.prev, prevEnd: a.head.prevEnd, lastAt: s.cfg.Now(),
	}
	s.logs = append(s.logs, l)
	return l
}
