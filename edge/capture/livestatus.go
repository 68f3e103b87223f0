package capture

import (
	"slices"
	"sync"

	"landfall/edge/clock"
	"landfall/edge/record"
	"landfall/edge/source"
)

// SourceStatus is a source's transport and what capture made of its lines: Lines
// counts those fed, everything else what is durable (C1), as does Watermark.
type SourceStatus struct {
	source.Status
	Captured  Counts
	Watermark record.Watermark
}

// LiveStatus describes a Live at one moment.
type LiveStatus struct {
	Sources   []SourceStatus
	Captured  Counts           // over all sources; Lines are those fed, the rest is durable (C1)
	Waiting   int              // fragments that wait for partners
	Queued    int              // batches read and not yet taken
	Groups    uint64           // committed
	Bytes     uint64           // of committed blocks
	Watermark record.Watermark // the gateway's

	CommitAt     record.Micros // of the last group; NoTime: none yet
	AppendErrors uint64        // attempts that the log refused
	BlockedSince record.Micros // NoTime: the log takes groups
	BlockedBy    string        // the log's last refusal, while BlockedSince
}

// liveStats is what Status may read beside Run.
type liveStats struct {
	mu sync.Mutex
	// Guarded by mu.
	status   LiveStatus
	perSrc   []Counts
	marks    []record.Watermark
	hasBegun bool
}

// took copies what Run's goroutine knows.
func (s *liveStats) took(g *group) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.Waiting = g.capturer.Waiting()
	if g.builder.Count() == 0 {
		s.durable(g)
		return
	}
	s.status.Captured.Lines = g.capturer.Counts().Lines
	for i := range g.names {
		if i == len(s.perSrc) {
			s.perSrc = append(s.perSrc, Counts{})
			s.marks = append(s.marks, record.Watermark{Source: g.names[i], At: record.NoTime})
		}
		s.perSrc[i].Lines = g.perSrc[i].Lines
	}
}

// durable copies what capture made of the lines, all of which is durable now. It is
// called with mu held.
func (s *liveStats) durable(g *group) {
	s.status.Captured, s.status.Watermark = g.capturer.Counts(), g.marks.Gateway()
	s.perSrc = append(s.perSrc[:0], g.perSrc...)
	s.marks = s.marks[:0]
	for i := range g.names {
		s.marks = append(s.marks, g.marks.Source(i))
	}
}

func (s *liveStats) committed(c clock.Clock, g *group) {
	now, _ := c.Now()
	bytes := g.builder.Size()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.durable(g)
	s.status.Groups++
	s.status.Bytes += uint64(bytes)
	s.status.CommitAt, s.hasBegun = now, true
	s.status.BlockedSince, s.status.BlockedBy = record.NoTime, ""
}

// blocked tells whether the log refuses for the first time in a row.
func (s *liveStats) blocked(c clock.Clock, err error) (first bool) {
	now, _ := c.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.AppendErrors++
	if first = s.status.BlockedBy == ""; first {
		s.status.BlockedSince = now
	}
	s.status.BlockedBy = err.Error()
	return first
}

// Status describes the capture now. It may be called from any goroutine.
func (l *Live) Status() LiveStatus {
	l.stats.mu.Lock()
	st := l.stats.status
	perSrc, marks, hasBegun := slices.Clone(l.stats.perSrc), slices.Clone(l.stats.marks), l.stats.hasBegun
	l.stats.mu.Unlock()
	if !hasBegun {
		st.CommitAt = record.NoTime
	}
	if st.BlockedBy == "" {
		st.BlockedSince = record.NoTime
	}
	st.Queued = len(l.queue)
	for i, s := range l.cfg.Sources {
		one := SourceStatus{Status: s.Status(), Watermark: record.Watermark{Source: s.Name(), At: record.NoTime}}
		if i < len(perSrc) {
			one.Captured, one.Watermark = perSrc[i], marks[i]
		}
		st.Sources = append(st.Sources, one)
	}
	return st
}
