package seglog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"strconv"
	"strings"

	"landfall/edge/durable"
	"landfall/edge/record"
)

// A file of marks, version 1. Little-endian.
//
//	 0  4  magic "LFM" and the version, 1
//	 4  4  CRC-32C of bytes 8..
//	 8  8  its number; numbers rise
//	16  8  number of the file before it in the chain; 0: it begins a full set
//	24  8  flags: bit 0, it is the last file of its set
//	32  .  marks: each uvarint length, name, uvarint length, value, by name
const (
	markFileMagic   = "LFM"
	markFileVersion = 1
	markFileFixed   = 32
	// maxMarkFile bounds what is read: a file ends with the mark that fills it, and a
	// mark came in a block.
	maxMarkFile = record.MaxBlockBytes + 2*markPartBytes

	flagLastOfSet = 1 << 0
)

// markFile is the decoded head of a file of marks.
type markFile struct {
	number, previous uint64
	last             bool
	size             int64
	marks            map[string][]byte
}

// newMarkFile returns room for the fixed part; marks are appended.
func newMarkFile() []byte { return make([]byte, markFileFixed, 4<<10) }

// seal completes what newMarkFile began.
func (f *markFile) seal(p []byte) []byte {
	copy(p, markFileMagic)
	p[3] = markFileVersion
	binary.LittleEndian.PutUint64(p[8:], f.number)
	binary.LittleEndian.PutUint64(p[16:], f.previous)
	if f.last {
		p[24] = flagLastOfSet
	}
	binary.LittleEndian.PutUint32(p[4:], crc32.Checksum(p[8:], castagnoli))
	return p
}

// decodeMarkFile reads what seal completed. Errors: record.ErrCorrupt,
// record.ErrVersion.
func decodeMarkFile(p []byte) (markFile, error) {
	if len(p) < 8 || string(p[:3]) != markFileMagic {
		return markFile{}, fmt.Errorf("parse file of marks: %w", record.ErrCorrupt)
	}
	if err := record.JudgeVersion(p); err != nil {
		return markFile{}, fmt.Errorf("parse file of marks: %w", err)
	}
	if len(p) < markFileFixed {
		return markFile{}, fmt.Errorf("parse file of marks of %d bytes: %w", len(p), record.ErrCorrupt)
	}
	f := markFile{
		number: binary.LittleEndian.Uint64(p[8:]), previous: binary.LittleEndian.Uint64(p[16:]),
		last: p[24] == flagLastOfSet, size: int64(len(p)), marks: map[string][]byte{},
	}
	flags := binary.LittleEndian.Uint64(p[24:])
	if f.number == 0 || f.previous >= f.number || flags > flagLastOfSet {
		return markFile{}, fmt.Errorf("parse file of marks %d after %d: %w", f.number, f.previous, record.ErrCorrupt)
	}
	if err := parseMarks(p[markFileFixed:], f.marks); err != nil {
		return markFile{}, fmt.Errorf("parse file of marks: %w", err)
	}
	return f, nil
}

func markFileName(n uint64) string { return fmt.Sprintf("%010d%s", n, marksSuffix) }

func parseMarkFileName(name string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, marksSuffix)
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, ok && err == nil && markFileName(n) == name
}

// recoverMarkFile takes note of a file of marks; readMarkChain reads it.
func (s *Store) recoverMarkFile(name string, n uint64) error {
	info, err := s.fs.Stat(s.path(name))
	if err != nil {
		return err
	}
	s.marks.files[name] = info.Size()
	s.marks.number = max(s.marks.number, n)
	s.marks.numbers = append(s.marks.numbers, n)
	return nil
}

// readMarkFiles reads all files of marks, by number. A damaged one is not there.
func (s *Store) readMarkFiles() (map[uint64]markFile, error) {
	files := map[uint64]markFile{}
	for _, n := range s.marks.numbers {
		f, err := s.readMarkFile(n)
		if err != nil {
			return nil, err
		}
		if f.number != 0 {
			files[n] = f
		}
	}
	return files, nil
}

// newestChain returns the chain that reaches farthest without a hole.
func newestChain(files map[uint64]markFile) (c markChain) {
	for _, n := range slices.Backward(slices.Sorted(maps.Keys(files))) {
		if c = chainTo(files, n); c.head != 0 {
			break
		}
	}
	return c
}

// chainTo returns the chain that ends with a file. It has no head where a file is
// not there, or the last set is not whole.
func chainTo(files map[uint64]markFile, head uint64) markChain {
	c := markChain{head: head}
	for n := head; n != 0; n = files[n].previous {
		f, ok := files[n]
		if !ok || n == head && !f.last {
			return markChain{}
		}
		c.files = append(c.files, n)
	}
	slices.Reverse(c.files)
	for _, n := range c.files {
		if f := files[n]; c.sets == 0 {
			c.full += f.size
		} else {
			c.more += f.size
		}
		if files[n].last {
			c.sets++
		}
	}
	return c
}

// marks returns what the files of the chain say.
func (c markChain) marks(files map[uint64]markFile) map[string][]byte {
	marks := map[string][]byte{}
	for _, n := range c.files {
		maps.Copy(marks, files[n].marks)
	}
	return marks
}

// readMarkFile returns no number for a damaged one, which goes to quarantine.
func (s *Store) readMarkFile(n uint64) (markFile, error) {
	name := markFileName(n)
	p, err := durable.ReadFileUpTo(s.fs, s.path(name), maxMarkFile)
	if err != nil && !errors.Is(err, durable.ErrTooLarge) {
		return markFile{}, err
	}
	f, errDecode := decodeMarkFile(p)
	if err = errors.Join(err, errDecode); err == nil && f.number != n {
		err = fmt.Errorf("file of marks %d is named %s: %w", f.number, name, record.ErrCorrupt)
	}
	if err != nil {
		delete(s.marks.files, name)
		return markFile{}, s.quarantineMeta(name, err)
	}
	return f, nil
}
