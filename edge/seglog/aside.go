package seglog

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"strings"

	"landfall/edge/durable"
	"landfall/edge/record"
)

// A file of marks set aside, version 1: all marks of one source, as of when it was
// configured last. Little-endian.
//
//	 0  4  magic "LFA" and the version, 1
//	 4  4  CRC-32C of bytes 8..
//	 8  2  length of the source's name
//	10  .  its name
//	 .  .  marks: each uvarint length, name, uvarint length, value, by name
const (
	asideMagic   = "LFA"
	asideVersion = 1
	asideFixed   = 10
	maxAside     = 64 << 20 // bounds what is read: more than the largest source has
)

// settleMarks sets aside the marks of sources that there are no more, so that
// neither memory nor what each segment begins with grows with them, and takes back
// those of sources that there are again. Nothing is ever forgotten: a source that
// comes back goes on where it stood, however long it was away.
//
// Steps of setting aside, and what a crash after each leaves: write the file (the
// marks are in it and where they were; the next Open does the same again or, with
// the source there again, goes on with those that were not set aside, which are no
// older); forget them in memory (the same, until a segment becomes durable that
// does not begin with them: then the file alone has them). Steps of taking back:
// read the file (it is still there); a segment becomes durable that begins with the
// marks (both have them, and the file's yield to the others); remove the file. A
// file that cannot be written leaves the marks where they are until the next Open.
func (s *Store) settleMarks() error {
	if s.cfg.MarkOwner == nil {
		return nil
	}
	m := &s.marks
	for _, owner := range s.cfg.Owners {
		if name := asideName(owner); m.asides[name] {
			marks, err := s.readAside(name, owner)
			if err != nil {
				return err
			}
			for mark, value := range marks {
				if _, ok := m.all[mark]; !ok {
					m.set(mark, value)
				}
			}
			m.obsolete = append(m.obsolete, name)
			s.cfg.Logger.Info("marks of a source taken back", "source", owner, "marks", len(marks))
		}
	}
	gone := map[string]map[string][]byte{}
	for mark, value := range m.all {
		owner := s.cfg.MarkOwner(mark)
		if owner == "" || slices.Contains(s.cfg.Owners, owner) {
			continue
		}
		if gone[owner] == nil {
			gone[owner] = map[string][]byte{}
		}
		gone[owner][mark] = value
	}
	for _, owner := range slices.Sorted(maps.Keys(gone)) {
		if err := s.setAside(owner, gone[owner]); err != nil {
			return err
		}
	}
	return nil
}

// setAside takes the marks of one source away. Error: a newer version's file.
func (s *Store) setAside(owner string, marks map[string][]byte) error {
	m, name := &s.marks, asideName(owner)
	all := map[string][]byte{}
	if m.asides[name] {
		before, err := s.readAside(name, owner)
		if err != nil {
			return err
		}
		maps.Copy(all, before)
	}
	maps.Copy(all, marks)
	p := encodeAside(owner, all)
	if err := durable.WriteFileAtomic(s.fs, s.path(name), p); err != nil {
		s.cfg.Logger.Warn("marks of a source that is configured no more stay", "source", owner, "error", err)
		return nil
	}
	s.stats.WrittenBytes += uint64(len(p))
	s.stats.MarkBytesWritten += uint64(len(p))
	m.asides[name] = true
	m.leaveChain()
	for mark := range marks {
		m.remove(mark)
	}
	s.cfg.Logger.Warn("marks of a source that is configured no more are set aside", "source", owner, "marks", len(all), "file", name)
	return nil
}

// maxHandedOn bounds the file of a source of which a mark may be handed on.
const maxHandedOn = 64 << 10

// Aside returns the mark that bears its source's own name of every source whose marks
// are set aside, by that name: one that follows a single thing has no other.
func (s *Store) Aside() (map[string][]byte, error) {
	s.appendMu.Lock()
	defer s.appendMu.Unlock()
	found := map[string][]byte{}
	for name := range s.marks.asides {
		p, err := durable.ReadFileUpTo(s.fs, s.path(name), maxHandedOn)
		if errors.Is(err, durable.ErrTooLarge) {
			continue // it has many
		}
		if err != nil {
			return nil, fmt.Errorf("read marks set aside: %w", err)
		}
		owner, marks, err := decodeAside(p)
		if err != nil {
			continue // told when its source is there again
		}
		if mark, ok := marks[owner]; ok && len(marks) == 1 {
			found[owner] = mark
		}
	}
	return found, nil
}

// HandOn gives a source what stands in the mark of one whose marks are set aside, and
// which then has none: the source goes on as that one, under another name. It comes
// before the first Append. Steps, and what a crash after each leaves: those of taking
// back.
func (s *Store) HandOn(from, to string) error {
	s.appendMu.Lock()
	defer s.appendMu.Unlock()
	name := asideName(from)
	marks, err := s.readAside(name, from)
	if err != nil {
		return fmt.Errorf("hand on the mark of source %s: %w", from, err)
	}
	mark, ok := marks[from]
	if !ok {
		return fmt.Errorf("hand on the mark of source %s: %w", from, record.ErrCorrupt)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.marks.set(to, mark)
	s.marks.obsolete = append(s.marks.obsolete, name)
	return nil
}

// readAside returns nothing for a damaged file, which goes to quarantine.
func (s *Store) readAside(name, owner string) (map[string][]byte, error) {
	p, err := durable.ReadFileUpTo(s.fs, s.path(name), maxAside)
	if err != nil && !errors.Is(err, durable.ErrTooLarge) {
		return nil, err
	}
	of, marks, errDecode := decodeAside(p)
	if err = errors.Join(err, errDecode); err == nil && of != owner {
		err = fmt.Errorf("marks of %q in the file of %q: %w", of, owner, record.ErrCorrupt)
	}
	if err != nil {
		delete(s.marks.asides, name)
		return nil, s.quarantineMeta(name, err)
	}
	return marks, nil
}

func encodeAside(owner string, marks map[string][]byte) []byte {
	p := make([]byte, asideFixed)
	copy(p, asideMagic)
	p[3] = asideVersion
	binary.LittleEndian.PutUint16(p[8:], uint16(len(owner)))
	p = append(p, owner...)
	for _, name := range sortedKeys(marks) {
		p = appendMark(p, name, marks[name])
	}
	binary.LittleEndian.PutUint32(p[4:], crc32.Checksum(p[8:], castagnoli))
	return p
}

// decodeAside reads what encodeAside wrote. Errors: record.ErrCorrupt,
// record.ErrVersion.
func decodeAside(p []byte) (owner string, marks map[string][]byte, err error) {
	if len(p) < asideFixed || string(p[:3]) != asideMagic {
		return "", nil, fmt.Errorf("parse marks set aside: %w", record.ErrCorrupt)
	}
	if err := record.JudgeVersion(p); err != nil {
		return "", nil, fmt.Errorf("parse marks set aside: %w", err)
	}
	n := int(binary.LittleEndian.Uint16(p[8:]))
	if n == 0 || len(p) < asideFixed+n {
		return "", nil, fmt.Errorf("parse marks set aside, %d bytes: %w", len(p), record.ErrCorrupt)
	}
	owner, marks = string(p[asideFixed:asideFixed+n]), map[string][]byte{}
	if err := parseMarks(p[asideFixed+n:], marks); err != nil {
		return "", nil, fmt.Errorf("parse marks set aside: %w", err)
	}
	return owner, marks, nil
}

// asideName does not depend on what a file system takes for a name.
func asideName(owner string) string {
	sum := sha256.Sum256([]byte(owner))
	return fmt.Sprintf("%x%s", sum[:16], asideSuffix)
}

func hasAsideSuffix(name string) bool { return strings.HasSuffix(name, asideSuffix) }

// markFileBytes is what the files of marks take, without those set aside. Caller
// holds mu.
func (s *Store) markFileBytes() int64 {
	n := int64(0)
	for _, size := range s.marks.files {
		n += size
	}
	return n
}
