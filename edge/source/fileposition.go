package source

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"

	"landfall/edge/durable"
	"landfall/edge/record"
)

const (
	headBytes = 1024 // of a file's beginning that tell another one at once
	tailBytes = 256  // before the offset that do so too
)

// filePosition says where a reader stands in a file's content and which file
// it was. It is File's Position, version 3:
//
//	1 byte version (3) | 1 byte, a sum: 1 inside a line of which a piece was given,
//	    2 in a copy of a file that was cut in place, that gap not yet declared
//	uvarint offset | uvarint head length | 16 byte head hash
//	uvarint tail length | 16 byte tail hash | 16 byte hash of all bytes before offset
//	uvarint device | uvarint inode | varint born | varint modified
//	uvarint number of gaps declared so far; when not 0, of the last one:
//	    1 byte reason | varint since | varint until, microseconds since 1970 UTC
//	uvarint number of files left lately (2 at most), each:
//	    uvarint device | uvarint inode | varint born | uvarint length
//
// Head is the content's beginning, tail the bytes before offset; a hash is the
// first 16 bytes of SHA-256. Of gzip they are of what is unpacked. The hash of all
// says which file it is; head and tail tell most others after reading little. Device,
// inode, born and modified (nanoseconds since 1970 UTC) are those of
// durable.Description, 0 where the file system does not tell. Version 2 has no hash of
// all bytes, and a position that was read from it has none either, until the next line.
// Version 1 ended before the device.
type filePosition struct {
	cut      bool
	owes     bool // see fileReader.owe
	offset   int64
	headLen  int64
	head     record.Hash
	tailLen  int64
	tail     record.Hash
	all      record.Hash // of every byte before offset, where hasAll
	hasAll   bool        // false: a version before 3 wrote it
	isPlaced bool        // false: nothing read yet

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
	positionOwes = 2 // since version 2
)

func (p filePosition) encode() []byte {
	b := []byte{2, 0}
	if p.hasAll {
		b[0] = 3
	}
	if p.cut {
		b[1] |= positionCut
	}
	if p.owes {
		b[1] |= positionOwes
	}
	b = binary.AppendUvarint(b, uint64(p.offset))
	b = append(binary.AppendUvarint(b, uint64(p.headLen)), p.head[:]...)
	b = append(binary.AppendUvarint(b, uint64(p.tailLen)), p.tail[:]...)
	if p.hasAll {
		b = append(b, p.all[:]...)
	}
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
	if b[0] < 1 || b[0] > 3 {
		return filePosition{}, fmt.Errorf("decode file position version %d: %w", b[0], record.ErrVersion)
	}
	f := record.NewFields(b[1:])
	flags := f.Byte()
	p := filePosition{isPlaced: true, cut: flags&positionCut != 0, owes: b[0] > 1 && flags&positionOwes != 0, hasAll: b[0] == 3}
	p.offset = length(&f)
	p.headLen = length(&f)
	copy(p.head[:], f.Take(uint64(len(p.head))))
	p.tailLen = length(&f)
	copy(p.tail[:], f.Take(uint64(len(p.tail))))
	if p.hasAll {
		copy(p.all[:], f.Take(uint64(len(p.all))))
	}
	bad := false
	if b[0] > 1 {
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

// trail remembers of the bytes read what a filePosition needs. The zero value is that
// of a file of which nothing was read.
type trail struct {
	head   []byte // the first bytes of the content
	recent []byte // the last bytes read
	read   int64  // bytes of the content read
	// sum is SHA-256 of the first hashed bytes; nil: of none. It stays behind what was
	// read, because a position is that of a line's beginning; the rest lies in recent.
	sum    hash.Hash
	hashed int64
}

// recentBytes covers a pending line and the tail before it.
const recentBytes = MaxLineBytes + tailBytes

// follow takes note of the next bytes read.
func (t *trail) follow(p []byte) {
	leave := max(0, len(t.recent)+len(p)-recentBytes) // of recent and p together
	old := min(leave, len(t.recent))
	if next := t.unhashed(); next < old {
		t.hash(t.recent[next:old])
	}
	t.hash(p[:leave-old])
	t.recent = append(t.recent[:0], t.recent[old:]...)
	t.recent = append(t.recent, p[leave-old:]...)
	t.head = append(t.head, p[:min(len(p), headBytes-len(t.head))]...)
	t.read += int64(len(p))
}

// unhashed is where in recent the bytes begin that are not in sum.
func (t *trail) unhashed() int { return len(t.recent) - int(t.read-t.hashed) }

func (t *trail) hash(p []byte) {
	if t.sum == nil {
		t.sum = sha256.New()
	}
	_, _ = t.sum.Write(p) // never fails
	t.hashed += int64(len(p))
}

// clone returns a trail that goes on by itself.
func (t *trail) clone() *trail {
	c := *t
	c.head, c.recent = bytes.Clone(t.head), bytes.Clone(t.recent)
	if t.sum != nil {
		sum, _ := t.sum.(hash.Cloner).Clone() // that of SHA-256 never fails
		c.sum = sum
	}
	return &c
}

// position is that of the byte pending bytes before the last one read. Later ones are
// not before it.
func (t *trail) position(pending int) filePosition {
	p := filePosition{isPlaced: true, offset: t.read - int64(pending)}
	p.headLen = min(p.offset, int64(len(t.head)))
	p.head = hashBytes(t.head[:p.headLen])
	before := t.recent[:len(t.recent)-pending]
	p.tailLen = min(int64(len(before)), tailBytes, p.offset-p.headLen)
	p.tail = hashBytes(before[int64(len(before))-p.tailLen:])
	t.hash(before[t.unhashed():])
	p.all, p.hasAll = record.Hash(t.sum.Sum(nil)[:16]), true
	return p
}

// whole is the position after all that was read, lines that have not ended included.
func (t *trail) whole() filePosition { return t.clone().position(0) }

// resume moves a fresh content to p and sets the trail to it. It tells whether
// it is the file p is of: the bytes before the offset must hash alike, each of which it
// reads. When it is not, neither is of use any more. Error: errStopped when stop was
// closed before.
func (t *trail) resume(c *content, p filePosition, stop <-chan struct{}) (same bool, err error) {
	same, err = t.check(c, p, stop)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return false, nil // shorter than the position
	}
	return same, err
}

func (t *trail) check(c *content, p filePosition, stop <-chan struct{}) (same bool, err error) {
	if !p.isPlaced {
		return true, nil
	}
	if c.gz == nil { // the tail can be had before all that comes before it
		tail := make([]byte, p.tailLen)
		if n, err := c.file.ReadAt(tail, p.offset-p.tailLen); int64(n) < p.tailLen || hashBytes(tail) != p.tail {
			return false, err
		}
	}
	buf := make([]byte, readBytes)
	for t.read < p.offset {
		to := p.offset
		if t.read < p.headLen {
			to = min(p.headLen, p.offset)
		}
		n, err := io.ReadFull(c, buf[:min(to-t.read, int64(len(buf)))])
		t.follow(buf[:n])
		if err != nil || t.read == p.headLen && hashBytes(t.head) != p.head {
			return false, err
		}
		select {
		case <-stop:
			return false, errStopped
		default:
		}
	}
	is := t.position(0)
	isTail := hashBytes(t.recent[max(0, int64(len(t.recent))-p.tailLen):]) == p.tail
	return is.head == p.head && isTail && (!p.hasAll || is.all == p.all), nil
}
