package seglog

import (
	"errors"
	"fmt"
	"slices"

	"landfall/edge/durable"
)

// maxSpares bounds the files kept ready. One hides the making of the next from
// Append; the second takes a released segment while the first waits.
const maxSpares = 2

// zeroChunk is how much of a new file is written at a time.
const zeroChunk = 256 << 10

// spare is a file ready to become a segment: full size, its bytes on disk, so
// that overwriting it needs no metadata to be synced.
type spare struct {
	name  string
	size  int64
	fresh bool // full of zeros
}

// keep is the keeper: it makes the next spare and drops what is released, off
// the append path, until the Store closes.
func (s *Store) keep() {
	for {
		select {
		case <-s.stop:
			return
		case <-s.keeperWake:
		}
		if err := s.sweep(); err != nil {
			s.cfg.Logger.Warn("drop released segments", "dir", s.cfg.Dir, "error", err)
		}
		s.mu.Lock()
		need := len(s.spares) == 0 && !s.making
		s.making = s.making || need
		s.mu.Unlock()
		if !need {
			continue
		}
		p, err := s.makeSpare(s.cfg.SegmentBytes)
		s.mu.Lock()
		s.making = false
		if err == nil {
			s.spares = append(s.spares, p)
		}
		s.made.Broadcast()
		s.mu.Unlock()
		if err != nil && !errors.Is(err, ErrFull) {
			s.cfg.Logger.Warn("make spare segment", "dir", s.cfg.Dir, "error", err)
		}
	}
}

func (s *Store) wakeKeeper() {
	select {
	case s.keeperWake <- struct{}{}:
	default:
	}
}

// takeSpare gives a file of at least size bytes: one that is ready, the one
// the keeper is making, a new one, or, under ShedOldest, one that held the
// oldest segment. Error: ErrFull.
func (s *Store) takeSpare(size int64) (spare, error) {
	if size <= s.cfg.SegmentBytes {
		size = s.cfg.SegmentBytes
	}
	for {
		if p, ok := s.readySpare(size); ok {
			return p, nil
		}
		p, err := s.makeSpare(size)
		if err == nil || !errors.Is(err, ErrFull) {
			return p, err
		}
		if s.freeRoom() || s.dropSpare() {
			continue
		}
		if s.cfg.Policy != ShedOldest || s.stuck() {
			return spare{}, err
		}
		shed, shedErr := s.shedOldest()
		if shedErr != nil {
			return spare{}, fmt.Errorf("shed the oldest segment: %w", errors.Join(shedErr, err))
		}
		if !shed {
			return spare{}, err
		}
	}
}

// readySpare waits for the keeper when it is at work, because making another
// file beside it would take longer.
func (s *Store) readySpare(size int64) (spare, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		for i, p := range s.spares {
			if p.size >= size {
				s.spares = slices.Delete(s.spares, i, i+1)
				return p, true
			}
		}
		if !s.making || size > s.cfg.SegmentBytes {
			return spare{}, false
		}
		s.made.Wait()
	}
}

// dropSpare removes a ready spare that is too small for the group at hand, to
// make room for a file that is not.
func (s *Store) dropSpare() bool {
	s.mu.Lock()
	if len(s.spares) == 0 {
		s.mu.Unlock()
		return false
	}
	p := s.spares[0]
	s.spares = slices.Delete(s.spares, 0, 1)
	s.mu.Unlock()
	_ = s.discard(p.name, p.size)
	return true
}

// makeSpare makes a file full of zeros, fsynced; its name is worth no fsync
// before it is a segment's. Error: ErrFull when quota, reserve or disk leave no
// room.
func (s *Store) makeSpare(size int64) (spare, error) {
	if err := s.room(size); err != nil {
		return spare{}, err
	}
	s.mu.Lock()
	s.spareNo++
	p := spare{name: spareName(s.spareNo), size: size, fresh: true}
	s.mu.Unlock()
	err := s.fillSpare(p)
	if err == nil {
		s.mu.Lock()
		s.stats.WrittenBytes += uint64(size)
		s.mu.Unlock()
		return p, nil
	}
	_ = s.discardUnknown(p.name)
	if errors.Is(err, durable.ErrNoSpace) {
		return spare{}, fmt.Errorf("make segment of %d bytes: %w: %w", size, ErrFull, err)
	}
	return spare{}, fmt.Errorf("make segment %s of %d bytes: %w", p.name, size, err)
}

// room checks quota and reserve for another file of size bytes. Files of marks, set aside
// or not, and files beside count in the quota, but two segments beside all these are
// always allowed: with less no segment could take the place of another.
func (s *Store) room(size int64) error {
	if s.cfg.QuotaBytes > 0 {
		beside := int64(0)
		if s.cfg.BesideBytes != nil {
			beside = s.cfg.BesideBytes()
		}
		s.mu.Lock()
		held := s.heldBytes() + beside
		quota := max(s.cfg.QuotaBytes, 2*s.cfg.SegmentBytes+s.markFileBytes()+s.asideBytes()+beside)
		s.mu.Unlock()
		if held+size > quota {
			return fmt.Errorf("find room for %d bytes beside %d of a quota of %d: %w", size, held, s.cfg.QuotaBytes, ErrFull)
		}
	}
	if s.cfg.ReserveBytes > 0 {
		free, err := s.fs.Free(s.cfg.Dir)
		if errors.Is(err, errors.ErrUnsupported) {
			return nil
		}
		if err != nil {
			return err
		}
		if free < uint64(size+s.cfg.ReserveBytes) {
			return fmt.Errorf("find room for %d bytes, %d free, reserve %d: %w", size, free, s.cfg.ReserveBytes, ErrFull)
		}
	}
	return nil
}

func (s *Store) fillSpare(p spare) error {
	f, err := s.fs.Create(s.path(p.name))
	if err != nil {
		return err
	}
	zeros := make([]byte, min(p.size, zeroChunk))
	for left := p.size; left > 0 && err == nil; {
		var n int
		n, err = f.Write(zeros[:min(left, zeroChunk)])
		left -= int64(n)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// recoverSpare keeps a spare of the right size; what it holds is unknown.
func (s *Store) recoverSpare(name string, n uint64) error {
	s.spareNo = max(s.spareNo, n)
	info, err := s.fs.Stat(s.path(name))
	if err != nil {
		return err
	}
	if info.Size() != s.cfg.SegmentBytes || len(s.spares) >= maxSpares {
		_ = s.discard(name, info.Size())
		return nil
	}
	s.spares = append(s.spares, spare{name: name, size: info.Size()})
	return nil
}
