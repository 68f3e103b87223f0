package seglog

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"landfall/edge/durable"
	"landfall/edge/durable/failpoint"
	"landfall/edge/record"
)

// Release says that nobody needs offsets of log below the given one any more.
// Segments wholly below go, and with them tombstones; the newest segment of the
// directory stays until there is a newer one. It may be called again with any
// offset: a lower one changes nothing. An offset after the end counts as the
// end. Error: ErrUnknownLog, ErrClosed, or the file system's, after which
// the rest goes with a later call.
func (s *Store) Release(log record.LogID, below record.Offset) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return ErrClosed
	}
	l, _ := s.find(log)
	if l == nil {
		s.mu.Unlock()
		return fmt.Errorf("release log %s: %w", log, ErrUnknownLog)
	}
	l.released = max(l.released, min(below, l.end))
	s.mu.Unlock()
	if err := s.sweep(); err != nil {
		return fmt.Errorf("release log %s below %d: %w", log, below, err)
	}
	return nil
}

// sweep drops what is released. Steps, and what a crash after each leaves:
// drop a segment (its name may come back with its content, is below what is
// released, and goes with the next sweep), rewrite or remove the tombstone
// (the range may be told again to a caller who asks below what it released).
func (s *Store) sweep() error {
	s.dirMu.Lock()
	defer s.dirMu.Unlock()
	s.removeStrays()
	s.lookForgotten()
	for {
		s.mu.Lock()
		l, g := s.releasable()
		s.mu.Unlock()
		if g == nil {
			break
		}
		failpoint.Hit("c3.before-release")
		if err := s.drop(l, g); err != nil { // Commit point C3
			return err
		}
		failpoint.Hit("c3.after-release")
		s.mu.Lock()
		s.stats.ReleasedSegments++
		s.mu.Unlock()
	}
	return s.sweepTombstones()
}

// releasable gives a segment wholly below what is released. Caller holds mu.
func (s *Store) releasable() (*logState, *segment) {
	newest := s.newestSegment()
	for _, l := range s.logs {
		if len(l.segments) > 0 && l.segments[0] != newest && l.segments[0].end <= l.released {
			return l, l.segments[0]
		}
	}
	return nil, nil
}

// sweepTombstones drops notes and ranges that are released, and logs of which
// nothing is left. The newest log stays, whatever is left of it, because the next
// one names it. Caller holds dirMu.
func (s *Store) sweepTombstones() error {
	s.mu.Lock()
	logs := slices.Clone(s.logs)
	s.mu.Unlock()
	for _, l := range logs {
		s.mu.Lock()
		noted := l != s.logs[len(s.logs)-1] && len(l.segments) == 0 && l.newest != nil && l.released >= l.end
		s.mu.Unlock()
		if noted {
			if err := s.forgetNewest(l); err != nil {
				return err
			}
		}
		s.mu.Lock()
		left := slices.Clone(l.shed)
		released, had := l.released, len(l.shed)
		s.mu.Unlock()
		left = slices.DeleteFunc(left, func(r offsetRange) bool { return r.to <= released })
		if len(left) == had {
			continue
		}
		if err := s.rewriteTombstone(l, left); err != nil {
			return err
		}
		s.mu.Lock()
		l.shed = left
		s.mu.Unlock()
	}
	s.mu.Lock()
	s.forgetEmptyLogs()
	s.mu.Unlock()
	return nil
}

func (s *Store) rewriteTombstone(l *logState, left []offsetRange) error {
	if len(left) > 0 {
		return durable.WriteFileAtomic(s.fs, s.path(shedName(l.ordinal, l.id)), encodeShed(l.id, l.ordinal, left))
	}
	return s.removeSynced(shedName(l.ordinal, l.id))
}

// removeSynced removes a file, durably; one that is not there is no error.
func (s *Store) removeSynced(name string) error {
	if err := s.fs.Remove(s.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return s.fs.SyncDir(s.cfg.Dir)
}

// drop takes a segment from its log and recycles its file, or removes it when
// a Reader still reads it, when it has another size, or when there are spares
// enough. The file is written again only after its old name is durably gone. After an
// error the segment is not in its log any more, and its file goes with a later sweep.
// Caller holds dirMu.
func (s *Store) drop(l *logState, g *segment) error {
	s.mu.Lock()
	noted := l.newest != nil && g == l.segments[len(l.segments)-1] // a later one would speak for itself
	s.mu.Unlock()
	if noted {
		if err := s.forgetNewest(l); err != nil {
			return err
		}
	}
	s.mu.Lock()
	recycle := g.readers == 0 && g.size == s.cfg.SegmentBytes && len(s.spares) < maxSpares
	l.segments = slices.DeleteFunc(l.segments, func(o *segment) bool { return o == g })
	g.dropped = true
	file := g.file
	if g.readers == 0 {
		g.file = nil
	} else {
		file = nil
	}
	s.spareNo++
	spareName := spareName(s.spareNo)
	s.mu.Unlock()

	if file != nil {
		if err := file.Close(); err != nil {
			s.cfg.Logger.Warn("close of a dropped segment", "segment", g.name, "error", err)
		}
	}
	if !recycle {
		return errors.Join(s.discard(g.name, g.size), s.fs.SyncDir(s.cfg.Dir))
	}
	if err := s.fs.Rename(s.path(g.name), s.path(spareName)); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return errors.Join(err, s.discard(g.name, g.size), s.discard(spareName, g.size)) // it has one of the two names
	}
	if err := s.fs.SyncDir(s.cfg.Dir); err != nil {
		return errors.Join(err, s.discard(spareName, g.size))
	}
	s.mu.Lock()
	s.spares = append(s.spares, spare{name: spareName, size: g.size})
	s.stats.Recycled++
	s.made.Broadcast()
	s.mu.Unlock()
	return nil
}
