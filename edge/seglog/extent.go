package seglog

import (
	"errors"

	"landfall/edge/record"
)

// unmeasured is the extent of a segment of an earlier start until it is known.
const unmeasured = -1

// BlockBytes returns about how many bytes the blocks of a log from one offset to before
// another take: of whole segments exactly, of a part of one as its records are on
// average. An unknown log has none. Where a log of an earlier start ends within its last
// segment is looked for in the background from the first call on; until that is known
// the whole file counts.
func (s *Store) BlockBytes(log record.LogID, from, to record.Offset) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, _ := s.find(log)
	if l == nil {
		return 0
	}
	sum := int64(0)
	for _, g := range l.segments {
		end := min(g.end, l.end)
		first, last := max(from, g.first), min(to, end)
		if first >= last {
			continue
		}
		if g.extent == unmeasured && g == l.segments[len(l.segments)-1] {
			s.measureSoon()
		}
		sum += int64(float64(g.blockBytes()) * float64(last-first) / float64(end-g.first))
	}
	return sum
}

// blockBytes is what the frames of a segment take. One that is not its log's last was
// written until the next group did not fit. Caller holds mu.
func (g *segment) blockBytes() int64 {
	if g.extent == unmeasured {
		return max(0, min(g.limit, g.size)-g.dataAt)
	}
	return g.extent
}

// measureSoon starts the goroutine that measures, unless it runs. Caller holds mu.
func (s *Store) measureSoon() {
	if s.measuring || s.closed {
		return
	}
	s.measuring = true
	s.background.Go(s.measure)
}

// measure finds where the last segments of logs end, one after the other. A segment that
// cannot be read keeps the size of its file.
func (s *Store) measure() {
	for {
		g, end, ok := s.nextUnmeasured()
		if !ok {
			return
		}
		n, err := s.extentOf(g, end)
		s.mu.Lock()
		if err != nil {
			n = g.blockBytes()
		}
		g.extent = n
		s.mu.Unlock()
		if err != nil {
			s.cfg.Logger.Warn("how much of a segment is written is not known", "segment", g.name, "error", err)
		}
	}
}

// nextUnmeasured returns a segment that is to be measured and where its log ends; false:
// there is none, and the goroutine ends.
func (s *Store) nextUnmeasured() (g *segment, end record.Offset, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.logs {
		if n := len(l.segments); n > 0 && l.segments[n-1].extent == unmeasured && !s.closed {
			return l.segments[n-1], l.end, true
		}
	}
	s.measuring = false
	return nil, 0, false
}

// extentOf returns how many bytes the frames of a segment take up to offset end. It reads
// their heads alone, but where one is damaged: then all of the segment.
func (s *Store) extentOf(g *segment, end record.Offset) (n int64, err error) {
	f, err := s.fs.Open(s.path(g.name))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	sc := &scanner{file: f, id: g.id, fresh: g.fresh, at: g.dataAt}
	p := make([]byte, frameBytes)
	for at := g.dataAt; ; {
		got, err := readPages(f, p, at)
		if err != nil {
			return 0, err
		}
		head, ok := frameHead{}, false
		if got == frameBytes {
			head, ok = sc.codec.parse(p, g.id, at)
		}
		if !ok {
			break
		}
		at += frameSize(head.length)
		if head.first+record.Offset(head.count) >= end {
			return at - g.dataAt, nil
		}
	}
	for {
		block, _, ok, err := sc.next(g.size)
		if err != nil || !ok {
			return n, err
		}
		if block.First < end {
			n = sc.at - g.dataAt
		}
	}
}
