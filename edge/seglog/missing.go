package seglog

import (
	"landfall/edge/durable"
	"landfall/edge/record"
)

// KnownLog is what is kept outside of Dir of one log.
type KnownLog struct {
	ID      record.LogID
	Prev    record.LogID  // the log before it, zero when none or unknown
	End     record.Offset // it was durable below this; never 0
	Closed  bool          // it ended at End
	Settled bool          // nobody needs anything below End any more, so that its files may be gone
}

// known returns what is kept elsewhere of a log.
func (s *Store) known(id record.LogID) (k KnownLog, ok bool) {
	for _, k := range s.cfg.Known {
		if k.ID == id {
			return k, true
		}
	}
	return KnownLog{}, false
}

// takeKnownLogs lists logs that are known elsewhere and of which nothing is in the
// directory, so that they are missed like any lost end, and returns them: those of which
// something is needed, and the newest, whose last segment stays until a newer log is
// there. A directory with a log that is not known elsewhere is newer than what is kept
// there, and then nothing is missed. named are the logs that another one here follows.
func (s *Store) takeKnownLogs(named map[record.LogID]record.Offset) (missing []*logState) {
	for _, l := range s.logs {
		if _, ok := s.known(l.id); !ok {
			return nil
		}
	}
	first := int64(1) // ordinal of the first known log
	for i, k := range s.cfg.Known {
		if l, _ := s.find(k.ID); l != nil {
			first = int64(l.ordinal) - int64(i)
		}
	}
	for i, k := range s.cfg.Known {
		_, follows := named[k.ID]
		if l, _ := s.find(k.ID); l != nil || k.Settled && (follows || i < len(s.cfg.Known)-1) {
			continue
		}
		l := s.logOf(k.ID, uint64(max(1, first+int64(i))))
		l.newest = &newest{end: k.End, closed: k.Closed}
		l.prev = k.Prev
		prev, _ := s.known(k.Prev)
		l.prevEnd = prev.End
		missing = append(missing, l)
		s.cfg.Logger.Error("a log is gone that other files know", "log", k.ID, "to at least", k.End)
	}
	s.sortLogs()
	return missing
}

// keepMissing notes the ends of logs of which nothing was in the directory, so that they
// are known without what is kept elsewhere. One that cannot be written is looked for
// again at the next Open, until a newer log is there.
func (s *Store) keepMissing(missing []*logState) {
	for _, l := range missing {
		if err := durable.WriteFileAtomic(s.fs, s.path(newestName(l.ordinal, l.id)), l.newest.encode(l.id, l.ordinal)); err != nil {
			s.cfg.Logger.Warn("the end of a log that is gone is not noted", "log", l.id, "error", err)
		}
	}
}
