package source

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"landfall/edge/record"
)

const (
	headBytes = 1024 // of a file's beginning that identify it
	tailBytes = 256  // before the offset that confirm it
)

// filePosition says where a reader stands in a file's content and which file
// it was. It is File's Position, version 1:
//
//	1 byte version (1) | 1 byte: 1 inside a line of which a piece was given
//	uvarint offset | uvarint head length | 16 byte head hash
//	uvarint tail length | 16 byte tail hash
//
// Head is the content's beginning, tail the bytes before offset; a hash is the
// first 16 bytes of SHA-256.
type filePosition struct {
	cut      bool
	offset   int64
	headLen  int64
	head     record.Hash
	tailLen  int64
	tail     record.Hash
	isPlaced bool // false: nothing read yet
}

func (p filePosition) encode() []byte {
	b := []byte{1, 0}
	if p.cut {
		b[1] = 1
	}
	b = binary.AppendUvarint(b, uint64(p.offset))
	b = append(binary.AppendUvarint(b, uint64(p.headLen)), p.head[:]...)
	return append(binary.AppendUvarint(b, uint64(p.tailLen)), p.tail[:]...)
}

func decodeFilePosition(b []byte) (filePosition, error) {
	if len(b) == 0 {
		return filePosition{}, nil
	}
	if b[0] != 1 {
		return filePosition{}, fmt.Errorf("decode file position version %d: %w", b[0], record.ErrVersion)
	}
	p, bad := filePosition{isPlaced: true}, len(b) < 2
	if !bad {
		p.cut, b = b[1] == 1, b[2:]
	}
	number := func() int64 {
		v, n := binary.Uvarint(b)
		if n <= 0 || v > 1<<62 {
			bad, b = true, nil
			return 0
		}
		b = b[n:]
		return int64(v)
	}
	hash := func() (h record.Hash) {
		if len(b) < len(h) {
			bad = true
			return h
		}
		copy(h[:], b)
		b = b[len(h):]
		return h
	}
	p.offset = number()
	p.headLen, p.head = number(), hash()
	p.tailLen, p.tail = number(), hash()
	if bad || len(b) > 0 || p.headLen > headBytes || p.tailLen > tailBytes || p.headLen+p.tailLen > p.offset && p.tailLen > 0 {
		return filePosition{}, fmt.Errorf("decode file position: %w", record.ErrCorrupt)
	}
	return p, nil
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
