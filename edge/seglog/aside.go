package seglog

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"
	"path/filepath"
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

// asideFile is a file of marks set aside.
type asideFile struct {
	owner string // the source; empty where the file does not say it
	size  int64
}

// AsideSources lists the sources whose marks are set aside; one whose file does not say
// it has the file's name.
func (s *Store) AsideSources() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for name, f := range s.marks.asides {
		all = append(all, cmp.Or(f.owner, name))
	}
	slices.Sort(all)
	return all
}

// Forget removes the marks of a source that are set aside in a directory of logs,
// durably on return, and returns the file's bytes; 0: there are none. The directory may
// be that of an open Store, which does not have the source: it notices when it next
// releases something or needs room. If the source is there again later, what it gives again is taken
// again. After a crash they are there or not.
func Forget(fsys durable.FS, dir, source string) (bytes int64, err error) {
	path := filepath.Join(dir, asideName(source))
	info, err := fsys.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err == nil {
		bytes = info.Size()
		err = fsys.Remove(path)
	}
	if err == nil {
		err = fsys.SyncDir(dir)
	}
	if err != nil {
		return 0, fmt.Errorf("forget the marks of source %s: %w", source, err)
	}
	return bytes, nil
}

// recoverAside takes note of a file of marks set aside. What cannot be looked at counts
// nothing.
func (s *Store) recoverAside(name string) {
	f := asideFile{}
	if info, err := s.fs.Stat(s.path(name)); err == nil {
		f.size = info.Size()
	}
	if owner, err := s.asideOwner(name); err == nil {
		f.owner = owner
	}
	s.marks.asides[name] = f
}

// asideOwner reads whose marks a file has, and no more of it: the name of the file tells
// whether it is right.
func (s *Store) asideOwner(name string) (owner string, err error) {
	f, err := s.fs.Open(s.path(name))
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	p := make([]byte, asideFixed+1<<16)
	n, err := readPages(f, p, 0)
	if err != nil {
		return "", err
	}
	if p = p[:n]; n < asideFixed || string(p[:3]) != asideMagic {
		return "", record.ErrCorrupt
	}
	if length := int(binary.LittleEndian.Uint16(p[8:])); asideFixed+length <= n {
		owner = string(p[asideFixed : asideFixed+length])
	}
	if asideName(owner) != name {
		return "", record.ErrCorrupt
	}
	return owner, nil
}

// asideNames lists the files of marks set aside.
func (s *Store) asideNames() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.marks.asides))
}

// lookForgotten notices which files of marks set aside Forget has removed, and says
// whether any was.
func (s *Store) lookForgotten() (forgotten bool) {
	for _, name := range s.asideNames() {
		if _, err := s.fs.Stat(s.path(name)); errors.Is(err, fs.ErrNotExist) {
			s.forgetAside(name)
			forgotten = true
		}
	}
	return forgotten
}

// forgetAside says that a file of marks set aside is not there any more.
func (s *Store) forgetAside(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.marks.asides, name)
}

// settleMarks sets aside the marks of sources that there are no more, so that
// neither memory nor what each segment begins with grows with them, and takes back
// those of sources that there are again. Nothing is forgotten but by Forget: a source
// that comes back goes on where it stood, however long it was away. The files count in
// the quota.
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
		name := asideName(owner)
		if _, ok := m.asides[name]; ok {
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
	if _, ok := m.asides[name]; ok {
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
	m.asides[name] = asideFile{owner, int64(len(p))}
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
	for _, name := range s.asideNames() {
		p, err := durable.ReadFileUpTo(s.fs, s.path(name), maxHandedOn)
		if errors.Is(err, durable.ErrTooLarge) || errors.Is(err, fs.ErrNotExist) {
			continue // it has many, or was forgotten a moment ago
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
		s.forgetAside(name)
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

// asideBytes is what the files of marks set aside take. Caller holds mu.
func (s *Store) asideBytes() int64 {
	n := int64(0)
	for _, f := range s.marks.asides {
		n += f.size
	}
	return n
}

// markFileBytes is what the files of marks take, without those set aside. Caller
// holds mu.
func (s *Store) markFileBytes() int64 {
	n := int64(0)
	for _, size := range s.marks.files {
		n += size
	}
	return n
}
