package seglog

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
)

// stray is a file that takes room and holds no record that anybody reads: one that nobody
// needs and that could not be removed, or a copy in quarantine.
type stray struct {
	name string // within Dir
	size int64
}

// maxStrays is how many files may stay though nobody needs them before ShedOldest gives
// nothing up any more: where files cannot be removed that would make no room.
const maxStrays = 2

// discard removes a file that nobody needs. One that stays counts against the quota until
// a later sweep, or somebody who needs room, has removed it.
func (s *Store) discard(name string, size int64) error {
	err := s.fs.Remove(s.path(name))
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	s.mu.Lock()
	s.stats.FailedRemovals++
	s.strays = append(s.strays, stray{name, size})
	s.mu.Unlock()
	s.cfg.Logger.Warn("a file that nobody needs cannot be removed", "name", name, "bytes", size, "error", err)
	return err
}

// discardUnknown is discard for a file whose size is not known.
func (s *Store) discardUnknown(name string) error {
	size := int64(0)
	if info, err := s.fs.Stat(s.path(name)); err == nil {
		size = info.Size()
	}
	return s.discard(name, size)
}

// removeStrays tries again to remove what stayed, and says whether any of it went. Caller
// holds dirMu.
func (s *Store) removeStrays() (removed bool) {
	s.mu.Lock()
	strays := slices.Clone(s.strays)
	s.mu.Unlock()
	for _, f := range strays {
		err := s.fs.Remove(s.path(f.name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.cfg.Logger.Warn("a file that nobody needs still cannot be removed", "name", f.name, "error", err)
			continue
		}
		s.mu.Lock()
		s.strays = slices.DeleteFunc(s.strays, func(o stray) bool { return o == f })
		s.mu.Unlock()
		removed = true
	}
	if removed {
		if err := s.fs.SyncDir(s.cfg.Dir); err != nil { // what comes back goes at the next Open
			s.cfg.Logger.Warn("removed files may come back", "dir", s.cfg.Dir, "error", err)
		}
	}
	return removed
}

// freeRoom makes some room from what no Reader reads, and says whether it did: from files
// that stayed, then from the oldest copy in quarantine.
func (s *Store) freeRoom() bool {
	s.dirMu.Lock()
	defer s.dirMu.Unlock()
	return s.removeStrays() || s.lookForgotten() || s.dropQuarantined()
}

// dropQuarantined removes the oldest copy in quarantine and says whether it did. Caller
// holds dirMu.
func (s *Store) dropQuarantined() bool {
	s.mu.Lock()
	if len(s.quarantined) == 0 {
		s.mu.Unlock()
		return false
	}
	f := s.quarantined[0]
	s.mu.Unlock()
	if err := s.fs.Remove(s.path(f.name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.cfg.Logger.Warn("a copy in quarantine cannot be removed", "name", f.name, "error", err)
		return false
	}
	s.mu.Lock()
	s.quarantined = s.quarantined[1:]
	s.stats.QuarantineDropped++
	s.mu.Unlock()
	s.cfg.Logger.Warn("a copy in quarantine is given up to make room for records", "name", f.name, "bytes", f.size)
	return true
}

// recoverQuarantine learns what lies in quarantine. What cannot be looked at stays out of
// the quota.
func (s *Store) recoverQuarantine() {
	entries, err := s.fs.ReadDir(s.path(quarantineName))
	s.quarantined = nil // what was moved there a moment ago is among them
	for _, e := range entries {
		name := filepath.Join(quarantineName, e.Name())
		info, errStat := s.fs.Stat(s.path(name))
		if errStat == nil {
			s.quarantined = append(s.quarantined, stray{name, info.Size()})
		}
		err = errors.Join(err, errStat)
	}
	if err != nil {
		s.cfg.Logger.Warn("what is in quarantine is not known", "error", err)
	}
}

// strayBytes is what stayed and what is in quarantine. Caller holds mu.
func (s *Store) strayBytes() (strays, quarantined int64) {
	for _, f := range s.strays {
		strays += f.size
	}
	for _, f := range s.quarantined {
		quarantined += f.size
	}
	return strays, quarantined
}

// stuck says that files cannot be removed. Caller holds no lock.
func (s *Store) stuck() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.strays) >= maxStrays
}
