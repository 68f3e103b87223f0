package seglog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"

	"landfall/edge/durable"
	"landfall/edge/record"
)

// A tombstone file, version 1: the ranges of one log that were given up and
// are still to be told. Little-endian.
//
//	 0  4  magic "LFT" and the version, 1
//	 4  4  CRC-32C of bytes 8..
//	 8 16  LogID
//	24  8  ordinal of the log
//	32  .  ranges, ascending: each 8 bytes first offset, 8 bytes offset after the last
const (
	shedMagic   = "LFT"
	shedVersion = 1
	shedFixed   = 32
	// maxShedBytes is room for a million ranges, and bounds what is read.
	maxShedBytes = 16 << 20
)

func encodeShed(id record.LogID, ordinal uint64, ranges []offsetRange) []byte {
	p := make([]byte, shedFixed, shedFixed+16*len(ranges))
	copy(p, shedMagic)
	p[3] = shedVersion
	copy(p[8:], id[:])
	binary.LittleEndian.PutUint64(p[24:], ordinal)
	for _, r := range ranges {
		p = binary.LittleEndian.AppendUint64(p, uint64(r.from))
		p = binary.LittleEndian.AppendUint64(p, uint64(r.to))
	}
	binary.LittleEndian.PutUint32(p[4:], crc32.Checksum(p[8:], castagnoli))
	return p
}

// decodeShed reads what encodeShed wrote. Errors: record.ErrCorrupt,
// record.ErrVersion.
func decodeShed(p []byte) (id record.LogID, ordinal uint64, ranges []offsetRange, err error) {
	if len(p) < 8 || string(p[:3]) != shedMagic {
		return id, 0, nil, fmt.Errorf("parse tombstone: %w", record.ErrCorrupt)
	}
	if err := record.JudgeVersion(p); err != nil {
		return id, 0, nil, fmt.Errorf("parse tombstone: %w", err)
	}
	if p[3] != shedVersion || len(p) < shedFixed || (len(p)-shedFixed)%16 != 0 {
		return id, 0, nil, fmt.Errorf("parse tombstone of %d bytes: %w", len(p), record.ErrCorrupt)
	}
	last := record.Offset(0)
	for rest := p[shedFixed:]; len(rest) > 0; rest = rest[16:] {
		r := offsetRange{record.Offset(binary.LittleEndian.Uint64(rest)), record.Offset(binary.LittleEndian.Uint64(rest[8:]))}
		if r.from < last || r.to <= r.from {
			return id, 0, nil, fmt.Errorf("parse tombstone range: %w", record.ErrCorrupt)
		}
		last = r.to
		ranges = append(ranges, r)
	}
	return record.LogID(p[8:24]), binary.LittleEndian.Uint64(p[24:]), ranges, nil
}

func hasShedSuffix(name string) bool { return strings.HasSuffix(name, shedSuffix) }

// recoverTombstone reads a tombstone. A damaged one goes to quarantine: its
// ranges then come out of Readers as missing instead of shed.
func (s *Store) recoverTombstone(name string) error {
	p, err := durable.ReadFileUpTo(s.fs, s.path(name), maxShedBytes)
	if err != nil && !errors.Is(err, durable.ErrTooLarge) {
		return err
	}
	id, ordinal, ranges, errDecode := decodeShed(p)
	if err = errors.Join(err, errDecode); err == nil && shedName(ordinal, id) != name {
		err = fmt.Errorf("tombstone %s is named %s: %w", shedName(ordinal, id), name, record.ErrCorrupt)
	}
	if err != nil {
		return s.quarantineMeta(name, err)
	}
	s.logOf(id, ordinal).shed = ranges
	return nil
}

// shedOldest gives up the oldest segment that is not the newest of the
// directory, and tells whether there was one. Steps, and what a crash after
// each leaves: write the tombstone (the range reads as shed; the segment still
// there goes at the next Open), remove the segment (the same, with room).
func (s *Store) shedOldest() (bool, error) {
	s.dirMu.Lock()
	defer s.dirMu.Unlock()
	s.mu.Lock()
	l, g := s.oldestSheddable()
	if g == nil {
		s.mu.Unlock()
		return false, nil
	}
	from := max(g.first, l.released)
	ranges := addRange(slices.Clone(l.shed), offsetRange{from, g.end})
	id, ordinal := l.id, l.ordinal
	s.mu.Unlock()

	tomb := encodeShed(id, ordinal, ranges)
	if err := durable.WriteFileAtomic(s.fs, s.path(shedName(ordinal, id)), tomb); err != nil {
		return false, err
	}

	s.mu.Lock()
	l.shed = ranges
	s.stats.ShedSegments++
	s.stats.ShedOffsets += uint64(g.end - from)
	s.stats.WrittenBytes += uint64(len(tomb))
	s.mu.Unlock()
	s.cfg.Logger.Warn("segment shed", "log", id, "from", from, "to", g.end)
	return true, s.drop(l, g)
}

// oldestSheddable never names the newest segment. Caller holds mu.
func (s *Store) oldestSheddable() (*logState, *segment) {
	newest := s.newestSegment()
	for _, l := range s.logs {
		for _, g := range l.segments {
			if g != newest {
				return l, g
			}
		}
	}
	return nil, nil
}

// newestSegment may be nil. Caller holds mu.
func (s *Store) newestSegment() *segment {
	if l := s.newestWithSegments(); l != nil {
		return l.segments[len(l.segments)-1]
	}
	return nil
}

// shedEnd ends the last range of a log that was given up; 0: none was.
func (l *logState) shedEnd() record.Offset {
	if n := len(l.shed); n > 0 {
		return l.shed[n-1].to
	}
	return 0
}

// addRange adds a range that overlaps none, joining neighbours.
func addRange(ranges []offsetRange, r offsetRange) []offsetRange {
	ranges = append(ranges, r)
	slices.SortFunc(ranges, func(a, b offsetRange) int {
		if a.from < b.from {
			return -1
		}
		return 1
	})
	joined := ranges[:1]
	for _, next := range ranges[1:] {
		if last := &joined[len(joined)-1]; next.from <= last.to {
			last.to = max(last.to, next.to)
			continue
		}
		joined = append(joined, next)
	}
	return joined
}

// finishShed drops the segments of ranges whose tombstone a crash left without
// its deed.
func (s *Store) finishShed(l *logState) error {
	for _, g := range slices.Clone(l.segments) {
		if g == s.newestSegment() {
			continue
		}
		for _, r := range l.shed {
			if r.from <= g.first && g.end <= r.to {
				if err := s.drop(l, g); err != nil {
					return err
				}
				break
			}
		}
	}
	return nil
}
