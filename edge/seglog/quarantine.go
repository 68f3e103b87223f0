package seglog

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"landfall/edge/durable"
	"landfall/edge/record"
)

const (
	maxQuarantineCopy  = 16 << 20 // bytes kept of one damaged place
	maxQuarantineFiles = 64       // places kept; the rest is counted only
)

func isVersion(err error) bool { return errors.Is(err, record.ErrVersion) }

// noteDamage counts damaged bytes once, and keeps a copy of them for people.
// A copy that fails, for want of space or otherwise, stops nothing.
func (s *Store) noteDamage(g *segment, d span, file io.ReaderAt) {
	s.mu.Lock()
	key := span2{g.name, d.at}
	if s.noted[key] {
		s.mu.Unlock()
		return
	}
	s.noted[key] = true
	s.stats.CorruptBlocks++
	s.stats.CorruptBytes += uint64(d.size)
	s.mu.Unlock()
	s.cfg.Logger.Error("segment damaged", "segment", g.name, "at", d.at, "bytes", d.size)
	p := make([]byte, min(d.size, maxQuarantineCopy))
	n, err := readPages(file, p, d.at)
	if err == nil {
		err = s.quarantine(fmt.Sprintf("%s-%012d.bad", g.name, d.at), p[:n])
	}
	if err != nil {
		s.cfg.Logger.Warn("damaged bytes not kept", "segment", g.name, "at", d.at, "error", err)
	}
}

// quarantineMeta takes a damaged tombstone or note out of the way. Error: err,
// when it is a newer version's.
func (s *Store) quarantineMeta(name string, err error) error {
	if isVersion(err) {
		return err
	}
	s.stats.UnreadableMeta++
	s.cfg.Logger.Warn("file of the log directory damaged", "name", name, "error", err)
	if err := s.quarantineFile(name); err != nil {
		s.cfg.Logger.Warn("damaged file stays", "name", name, "error", err)
	}
	return nil
}

// quarantine keeps a copy of damaged bytes, once, where there is room for it.
func (s *Store) quarantine(name string, p []byte) error {
	s.dirMu.Lock()
	defer s.dirMu.Unlock()
	s.mu.Lock()
	n := len(s.quarantined)
	s.mu.Unlock()
	if n >= maxQuarantineFiles {
		return fmt.Errorf("quarantine holds %d files already", n)
	}
	if err := s.room(int64(len(p))); err != nil {
		return err
	}
	dir := s.path(quarantineName)
	if err := durable.MkdirAllSync(s.fs, dir); err != nil {
		return err
	}
	path := filepath.Join(dir, name)
	if _, err := s.fs.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := durable.WriteFileAtomic(s.fs, path, p); err != nil {
		return err
	}
	s.mu.Lock()
	s.stats.Quarantined++
	s.quarantined = append(s.quarantined, stray{filepath.Join(quarantineName, name), int64(len(p))})
	s.mu.Unlock()
	return nil
}

// quarantineFile moves a file of Dir to quarantine. It runs while the Store opens.
func (s *Store) quarantineFile(name string) error {
	info, err := s.fs.Stat(s.path(name))
	if err != nil {
		return err
	}
	dir := s.path(quarantineName)
	if err := durable.MkdirAllSync(s.fs, dir); err != nil {
		return err
	}
	if err := s.fs.Rename(s.path(name), filepath.Join(dir, name)); err != nil {
		return err
	}
	s.stats.Quarantined++
	s.quarantined = append(s.quarantined, stray{filepath.Join(quarantineName, name), info.Size()})
	return errors.Join(s.fs.SyncDir(dir), s.fs.SyncDir(s.cfg.Dir))
}
