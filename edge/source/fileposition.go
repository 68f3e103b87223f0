package source

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"landfall/edge/durable"
	"landfall/edge/record"
)

const (
	headBytes = 1024 // of a file's beginning that identify it
	tailBytes = 256  // before the offset that confirm it
)

// filePosition says where a reader stands in a file's content and which file
// it was. It is File's Position, version 2:
//
//	1 byte version (2) | 1 byte, a sum: 1 inside a line of which a piece was given,
//	    2 in a copy of a file that was cut in place, that gap not yet declared
//	uvarint offset | uvarint head length | 16 byte head hash
//	uvarint tail length | 16 byte tail hash
//	uvarint device | uvarint inode | varint born | varint modified
//	uvarint number of gaps declared so far; when not 0, of the last one:
//	    1 byte reason | varint since | varint until, microseconds since 1970 UTC
//	uvarint number of files left lately (2 at most), each:
//	    uvarint device | uvarint inode | varint born | uvarint length
//
// Head is the content's beginning, tail the bytes before offset; a hash is the
// first 16 bytes of SHA-256. Of gzip they are of what is unpacked. Device, inode,
// born and modified (nanoseconds since 1970 UTC) are those of durable.Description,
// 0 where the file system does not tell. Version 1 ended before the device.
type filePosition struct {
	cut      bool
	owes     bool // see fileReader.owe
	offset   int64
	headLen  int64
	head     record.Hash
	tailLen  int64
	tail     record.Hash
	isPlaced bool // false: nothing read yet

	id       durable.Identity
	modified int64
	gaps     uint64
	gap      fileGap // the last; the zero value for none
	left     []leftFile
}

// fileGap is an interval of a source in which lines may be missing.
type fileGap struct {
	reason       gapReason
	since, until record.Micros
}

// leftFile is a file that was read to its end: what it gains after length is not
// read any more.
type leftFile struct {
	id     durable.Identity
	length int64
}

// maxLeft is how many of them a position has.
const maxLeft = 2

// The bits of a position's second byte.
const (
	positionCut  = 1
	positionOwes = 2 // of version 2
)

func (p filePosition) encode() []byte {
	b := []byte{2, 0}
	if p.cut {
		b[1] |= positionCut
	}
	if p.owes {
		b[1] |= positionOwes
	}
	b = binary.AppendUvarint(b, uint64(p.offset))
	b = append(binary.AppendUvarint(b, uint64(p.headLen)), p.head[:]...)
	b = append(binary.AppendUvarint(b, uint64(p.tailLen)), p.tail[:]...)
	b = binary.AppendVarint(appendIdentity(b, p.id), p.modified)
	b = binary.AppendUvarint(b, p.gaps)
	if p.gaps > 0 {
		b = append(b, byte(p.gap.reason))
		b = binary.AppendVarint(binary.AppendVarint(b, int64(p.gap.since)), int64(p.gap.until))
	}
	b = binary.AppendUvarint(b, uint64(len(p.left)))
	for _, l := range p.left {
		b = binary.AppendUvarint(appendIdentity(b, l.id), uint64(l.length))
	}
	return b
}

func appendIdentity(b []byte, id durable.Identity) []byte {
	b = binary.AppendUvarint(binary.AppendUvarint(b, id.Device), id.Inode)
	return binary.AppendVarint(b, id.Born)
}

func decodeFilePosition(b []byte) (filePosition, error) {
	if len(b) == 0 {
		return filePosition{}, nil
	}
	if b[0] != 1 && b[0] != 2 {
		return filePosition{}, fmt.Errorf("decode file position version %d: %w", b[0], record.ErrVersion)
	}
	f := record.NewFields(b[1:])
	flags := f.Byte()
	p := filePosition{isPlaced: true, cut: flags&positionCut != 0, owes: b[0] == 2 && flags&positionOwes != 0}
	p.offset = length(&f)
	p.headLen = length(&f)
	copy(p.head[:], f.Take(uint64(len(p.head))))
	p.tailLen = length(&f)
	copy(p.tail[:], f.Take(uint64(len(p.tail))))
	bad := false
	if b[0] == 2 {
		bad = !p.decodeFile(&f)
	}
	if bad || f.Bad() || len(f.Rest()) > 0 || p.offset < 0 || p.headLen < 0 || p.tailLen < 0 || p.headLen > headBytes || p.tailLen > tailBytes ||
		p.headLen+p.tailLen > p.offset && p.tailLen > 0 {
		return filePosition{}, fmt.Errorf("decode file position: %w", record.ErrCorrupt)
	}
	return p, nil
}

// decodeFile reads what version 2 added and tells whether it can be.
func (p *filePosition) decodeFile(f *record.Fields) bool {
	p.id, p.modified = identity(f), f.Varint()
	if p.gaps = f.Uvarint(); p.gaps > 0 {
		p.gap = fileGap{gapReason(f.Byte()), record.Micros(f.Varint()), record.Micros(f.Varint())}
	}
	n := f.Uvarint()
	if n > maxLeft {
		return false
	}
	for range n {
		l := leftFile{identity(f), length(f)}
		if l.length < 0 {
			return false
		}
		p.left = append(p.left, l)
	}
	return true
}

func identity(f *record.Fields) durable.Identity {
	return durable.Identity{Device: f.Uvarint(), Inode: f.Uvarint(), Born: f.Varint()}
}

// length reads a number of bytes; -1: it is none.
func length(f *record.Fields) int64 {
	if v := f.Uvarint(); v <= 1<<62 {
		return int64(v)
	}
	return -1
}

func hashBytes(p []byte) record.Hash {
	sum := sha256.Sum256(p)
	return record.Hash(sum[:16])
}

// trail remembers of the bytes read what a filePosition needs.
type trail struct {
	head   []byte // the first bytes of the content
	recent []byte // the last bytes read
	read   int64  // bytes of the content read
}

// recentBytes covers a pending line and the tail before it.
const recentBytes = MaxLineBytes + tailBytes

// follow takes note of the next bytes read.
func (t *trail) follow(p []byte) {
	t.read += int64(len(p))
	t.head = append(t.head, p[:min(len(p), headBytes-len(t.head))]...)
	if len(p) > recentBytes {
		p = p[len(p)-recentBytes:]
	}
	if keep := recentBytes - len(p); len(t.recent) > keep {
		t.recent = append(t.recent[:0], t.recent[len(t.recent)-keep:]...)
	}
	t.recent = append(t.recent, p...)
}

// position is that of the byte pending bytes before the last one read.
func (t *trail) position(pending int) filePosition {
	p := filePosition{isPlaced: true, offset: t.read - int64(pending)}
	p.headLen = min(p.offset, int64(len(t.head)))
	p.head = hashBytes(t.head[:p.headLen])
	before := t.recent[:len(t.recent)-pending]
	p.tailLen = min(int64(len(before)), tailBytes, p.offset-p.headLen)
	p.tail = hashBytes(before[int64(len(before))-p.tailLen:])
	return p
}

// resume moves a fresh content to p and sets the trail to it. It tells whether
// it is the file p is of: its head and the bytes before the offset must hash
// alike. When it is not, neither is of use any more.
func (t *trail) resume(c *content, p filePosition) (same bool, err error) {
	same, err = t.check(c, p)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return false, nil // shorter than the position
	}
	return same, err
}

func (t *trail) check(c *content, p filePosition) (same bool, err error) {
	if !p.isPlaced {
		return true, nil
	}
	t.head = make([]byte, p.headLen, headBytes)
	if _, err := io.ReadFull(c, t.head); err != nil || hashBytes(t.head) != p.head {
		return false, err
	}
	t.recent = append(t.recent[:0], t.head...)
	if p.tailLen > 0 {
		if err := c.skip(p.offset - p.headLen - p.tailLen); err != nil {
			return false, err
		}
		t.recent = make([]byte, p.tailLen)
		if _, err := io.ReadFull(c, t.recent); err != nil || hashBytes(t.recent) != p.tail {
			return false, err
		}
	}
	t.read = p.offset
	return true, nil
}
