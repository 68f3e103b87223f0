package capture

import (
	"bytes"
	"slices"

	"landfall/decoders/nmea"
	"landfall/edge/record"
)

// fragment is one sentence of a message whose others have not come.
type fragment struct {
	meta
	raw   []byte
	flags nmea.Flags
	now   int64 // the time the assembler was given
}

// hold keeps a copy of a fragment until the assembler gives it back.
func (c *Capturer) hold(s *Stream, p *nmea.Sentence, m *meta, now int64) {
	if c.cfg.Replay && c.waitingBytes+len(p.Raw) > maxWaitingBytes {
		c.Flush()
	}
	var f *fragment
	if n := len(c.free); n > 0 {
		f, c.free = c.free[n-1], c.free[:n-1]
	} else {
		f = &fragment{}
	}
	f.meta, f.flags, f.now = *m, p.Flags, now
	f.raw = append(f.raw[:0], p.Raw...)
	if len(s.held) == 0 {
		c.holders = append(c.holders, s)
	}
	s.held = append(s.held, f)
	s.heldBytes += len(f.raw)
	c.waiting++
	c.waitingBytes += len(f.raw)
}

// holding finds the fragment that the assembler knows as part; -1: there is
// none. Where several are equal in bytes and time it does not matter which.
func (s *Stream) holding(part *nmea.Part) int {
	return slices.IndexFunc(s.held, func(f *fragment) bool {
		return f.now == part.At && bytes.Equal(f.raw, part.Sentence.Raw)
	})
}

// release gives the fragment that came back as part.
func (c *Capturer) release(s *Stream, part *nmea.Part) *fragment {
	i := s.holding(part)
	if i < 0 {
		// The assembler gives back what it was given; were it not so, the bytes
		// would still be kept, without their receipt time.
		f := &fragment{raw: append([]byte(nil), part.Sentence.Raw...), flags: part.Sentence.Flags}
		f.meta = meta{source: s.source, flags: recordFlags(part.Sentence.Flags), at: Receipt{At: record.NoTime}}
		return f
	}
	f := s.held[i]
	s.held = slices.Delete(s.held, i, i+1)
	if len(s.held) == 0 {
		c.holders = slices.DeleteFunc(c.holders, func(h *Stream) bool { return h == s })
	}
	c.waiting--
	s.heldBytes -= len(f.raw)
	c.waitingBytes -= len(f.raw)
	return f
}

// steadyClock measures how long capture was at work. While nothing calls it,
// because the process is gone, the log takes nothing or the machine stands
// still, no more than step passes: a source that resends lost nothing in that
// time, and what waits for partners may still meet them.
type steadyClock struct {
	step int64 // microseconds that pass at most between two calls
	last int64
	now  int64
	set  bool
}

// tick takes the monotonic time and gives the steady one.
func (s *steadyClock) tick(monotonic int64) int64 {
	switch d := monotonic - s.last; {
	case !s.set:
		s.set, s.last = true, monotonic
	case d > 0:
		s.now += min(d, s.step)
		s.last = monotonic
	}
	return s.now
}
