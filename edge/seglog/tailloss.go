package seglog

import (
	"landfall/edge/durable"
	"landfall/edge/record"
)

// TailLoss says that offsets [From, To) of a log were durable and were not found at
// Open: its end was cut off, damaged or zeroed, its newest segment is gone, or the
// directory is an older copy. Readers return them as a Gap, as far as they are not
// released. A log without its newest segment is told at each Open until it is released.
type TailLoss struct {
	Log      record.LogID
	From, To record.Offset
}

// TailLosses returns what Open missed at the ends of logs.
func (s *Store) TailLosses() []TailLoss { return s.tailLosses }

// reachEnd gives a log the end that is known of it, where less than that was found.
// said is what the log after it says, when that is known. searched says that l.end was
// searched for in the log's segments.
func (s *Store) reachEnd(l *logState, said record.Offset, known, searched bool) {
	found, beheaded, n := l.end, l.beheaded(), len(l.segments)
	if beheaded {
		s.noteBeheaded(l)
	}
	if l.newest != nil {
		l.end = max(l.end, l.newest.end)
	}
	if searched || n == 0 && !known && l.newest != nil {
		l.end = max(l.end, said)
		if least, ok := s.known(l.id); ok {
			l.end = max(l.end, least.End)
		}
	}
	if n > 0 {
		l.segments[n-1].end = l.end
	}
	if n > 0 && beheaded {
		l.segments[n-1].end = l.newest.first
	}
	if beheaded && known && l.end == found { // it was told before, and is still so
		found = l.newest.first
		if n == 0 {
			found = l.shedEnd()
		}
	}
	if l.end <= found {
		return
	}
	last := l == s.logs[len(s.logs)-1]
	closed := l.newest != nil && l.newest.closed && l.newest.end == l.end
	s.app.unproven = s.app.unproven || last && !known && !closed
	s.tailLosses = append(s.tailLosses, TailLoss{l.id, found, l.end})
	s.stats.TailLosses++
	s.stats.TailLostOffsets += uint64(l.end - found)
	s.cfg.Logger.Error("the end of a log is gone", "log", l.id, "from", found, "to", l.end)
}

// keepEnds has the note of each log whose end was gone say where it ended, so that this
// is known without the marker, which will tell of the next log. A note that cannot be
// written stays as it is.
func (s *Store) keepEnds(m *tailMarker) {
	for _, loss := range s.tailLosses {
		l, _ := s.find(loss.Log)
		if l.newest == nil || l.id != m.log || l.newest.end != m.end {
			continue
		}
		l.tip = Tip{End: m.end, Digest: m.tip.Digest, DigestKnown: m.tip.DigestKnown} // the hash is another one, of what declares the loss
		if err := durable.WriteFileAtomic(s.fs, s.path(newestName(l.ordinal, l.id)), l.newest.encode(l.id, l.ordinal)); err != nil {
			s.cfg.Logger.Warn("the end of a log is not noted", "log", l.id, "error", err)
		}
	}
}
