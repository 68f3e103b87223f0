package seglog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"strings"

	"landfall/edge/durable"
	"landfall/edge/record"
)

// newest is what a log's file .last says: the segment it was written for, the
// newest one then, existed and held at least [first, end). Without it, a newest
// segment that is gone as a whole would leave no trace: the one before it would
// look like the end.
type newest struct {
	number     uint64 // of the segment within its log
	first, end record.Offset
	closed     bool // the log ended at end
}

// A file .last, version 1. Little-endian.
//
//	 0  4  magic "LFN" and the version, 1
//	 4  4  CRC-32C of bytes 8..64
//	 8 16  LogID
//	24  8  ordinal of the log
//	32  8  number of the segment
//	40  8  offset of its first record
//	48  8  offset after the last record that was durable in it
//	56  8  flags: bit 0, the log was closed there
const (
	newestMagic   = "LFN"
	newestVersion = 1
	newestBytes   = 64
	maxNoteBytes  = 1 << 20 // of any version

	flagClosed = 1 << 0
)

func (n *newest) encode(id record.LogID, ordinal uint64) []byte {
	p := make([]byte, newestBytes)
	copy(p, newestMagic)
	p[3] = newestVersion
	copy(p[8:], id[:])
	binary.LittleEndian.PutUint64(p[24:], ordinal)
	binary.LittleEndian.PutUint64(p[32:], n.number)
	binary.LittleEndian.PutUint64(p[40:], uint64(n.first))
	binary.LittleEndian.PutUint64(p[48:], uint64(n.end))
	if n.closed {
		p[56] = flagClosed
	}
	binary.LittleEndian.PutUint32(p[4:], crc32.Checksum(p[8:], castagnoli))
	return p
}

// decodeNewest reads what encode wrote. Errors: record.ErrCorrupt,
// record.ErrVersion.
func decodeNewest(p []byte) (id record.LogID, ordinal uint64, n newest, err error) {
	if len(p) < 8 || string(p[:3]) != newestMagic {
		return id, 0, n, fmt.Errorf("parse note of the newest segment: %w", record.ErrCorrupt)
	}
	if err := record.JudgeVersion(p); err != nil {
		return id, 0, n, fmt.Errorf("parse note of the newest segment: %w", err)
	}
	if p[3] != newestVersion || len(p) != newestBytes {
		return id, 0, n, fmt.Errorf("parse note of the newest segment, %d bytes: %w", len(p), record.ErrCorrupt)
	}
	flags := binary.LittleEndian.Uint64(p[56:])
	n = newest{
		closed: flags == flagClosed,
		number: binary.LittleEndian.Uint64(p[32:]),
		first:  record.Offset(binary.LittleEndian.Uint64(p[40:])), end: record.Offset(binary.LittleEndian.Uint64(p[48:])),
	}
	if n.end <= n.first || flags > flagClosed {
		return id, 0, n, fmt.Errorf("parse note of the newest segment, offsets %d to %d: %w", n.first, n.end, record.ErrCorrupt)
	}
	return record.LogID(p[8:24]), binary.LittleEndian.Uint64(p[24:]), n, nil
}

// noteNewest notes the active segment, after C1 of its first group and before
// Append returns, and again, as closed, when the Store closes. A crash before it
// is durable leaves the note before, which is no less true; so does a write that
// fails, and the next Append tries again. Caller holds appendMu.
func (s *Store) noteNewest(closed bool) {
	a := &s.app
	if a.segment == nil || a.noted == a.segment.id.number && !closed {
		return
	}
	s.mu.Lock()
	n := newest{number: a.segment.id.number, first: a.segment.first, end: a.segment.end, closed: closed}
	s.mu.Unlock()
	p := n.encode(a.log, a.ordinal)
	if err := durable.WriteFileAtomic(s.fs, s.path(newestName(a.ordinal, a.log)), p); err != nil {
		if a.unnoted != n.number {
			a.unnoted = n.number
			s.cfg.Logger.Warn("newest segment not noted: were its file lost now, nothing would tell", "segment", a.segment.name, "error", err)
		}
		return
	}
	a.noted = n.number
	s.mu.Lock()
	s.activeLog().newest = &n
	s.stats.WrittenBytes += uint64(len(p))
	s.mu.Unlock()
}

// recoverNewest reads a note. A damaged one goes to quarantine: the end of its
// log is then where the segments end.
func (s *Store) recoverNewest(name string) error {
	p, err := durable.ReadFileUpTo(s.fs, s.path(name), maxNoteBytes)
	if err != nil && !errors.Is(err, durable.ErrTooLarge) {
		return err
	}
	id, ordinal, n, errDecode := decodeNewest(p)
	if err = errors.Join(err, errDecode); err == nil && newestName(ordinal, id) != name {
		err = fmt.Errorf("note %s is named %s: %w", newestName(ordinal, id), name, record.ErrCorrupt)
	}
	if err != nil {
		return s.quarantineMeta(name, err)
	}
	s.logOf(id, ordinal).newest = &n
	return nil
}

// beheaded tells whether the segment that was the newest of the log is gone,
// and none that came after it is there.
func (l *logState) beheaded() bool {
	n := len(l.segments)
	return l.newest != nil && (n == 0 || l.segments[n-1].id.number < l.newest.number)
}

// noteBeheaded counts a log without its newest segment.
func (s *Store) noteBeheaded(l *logState) {
	s.stats.Beheaded++
	s.cfg.Logger.Error("newest segment is gone", "log", l.id, "number", l.newest.number, "from", l.newest.first, "to at least", l.newest.end)
}

// forgetNewest removes a log's note, durably, before the last of its segments
// goes for good reason. A crash in between leaves the segment without a note.
// Where an earlier attempt removed it and its fsync failed, another fsync would
// prove nothing: so the note is written anew, to be removed again.
func (s *Store) forgetNewest(l *logState) error {
	name := newestName(l.ordinal, l.id)
	if _, err := s.fs.Stat(s.path(name)); errors.Is(err, fs.ErrNotExist) {
		if err := durable.WriteFileAtomic(s.fs, s.path(name), l.newest.encode(l.id, l.ordinal)); err != nil {
			return err
		}
	}
	if err := s.removeSynced(name); err != nil {
		return err
	}
	s.mu.Lock()
	l.newest = nil
	s.mu.Unlock()
	return nil
}

func hasNewestSuffix(name string) bool { return strings.HasSuffix(name, newestSuffix) }
