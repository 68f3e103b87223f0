package parquet

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// Physical is a column's storage in the file.
type Physical string

// The storages used.
const (
	Bool      Physical = "BOOLEAN"
	Int32     Physical = "INT32"
	Int64     Physical = "INT64"
	Uint64    Physical = "UINT64"             // INT64, in the order of unsigned numbers
	Timestamp Physical = "TIMESTAMP(us, UTC)" // INT64
	Double    Physical = "DOUBLE"
	String    Physical = "STRING" // BYTE_ARRAY
	Blob      Physical = "BLOB"   // BYTE_ARRAY
)

// Column describes one column of one table, as it stands in every file.
type Column struct {
	Name     string
	Type     Physical
	Unit     string // empty: none
	Nullable bool
	Doc      string // what it says, and what NULL means
}

// column is the rows' values of one column, gathered in memory.
//
// Every column counts rows without storing them for as long as they are all
// equal, which most columns of a small gateway are.
type column interface {
	about() Column
	// write encodes the values of the rows, in that order, as one column chunk.
	write(e *encoder, rows []uint32) error
	// reset drops the rows and keeps the memory.
	reset()
}

// ints is a column of INT32, INT64 or TIMESTAMP. The type's smallest value
// stands for NULL.
type ints[T int32 | int64] struct {
	Column
	n      int
	first  T
	null   T
	spread bool // not all values are equal: vals holds all n
	vals   []T
}

const (
	null32 int32 = math.MinInt32
	null64 int64 = math.MinInt64
)

func (c *ints[T]) about() Column { return c.Column }

func (c *ints[T]) reset() { c.n, c.spread, c.vals = 0, false, c.vals[:0] }

func (c *ints[T]) add(v T) {
	if !c.spread {
		if c.n == 0 {
			c.first = v
		}
		if v == c.first {
			c.n++
			return
		}
		c.spread, c.vals = true, repeat(c.vals, c.first, c.n)
	}
	c.vals = append(c.vals, v)
	c.n++
}

func (c *ints[T]) at(i int) T {
	if !c.spread {
		return c.first
	}
	return c.vals[i]
}

// repeat makes n copies of v in s, with room to grow.
func repeat[T any](s []T, v T, n int) []T {
	s = slices.Grow(s[:0], max(64, n+1))[:n]
	for i := range s {
		s[i] = v
	}
	return s
}

// doubles is a column of DOUBLE stored as it is: values that seldom repeat. A
// NaN stands for NULL.
type doubles struct {
	Column
	n      int
	first  float64
	spread bool
	vals   []float64
}

func (c *doubles) about() Column { return c.Column }

func (c *doubles) reset() { c.n, c.spread, c.vals = 0, false, c.vals[:0] }

func (c *doubles) add(v float64) {
	if !c.spread {
		if c.n == 0 {
			c.first = v
		}
		if math.Float64bits(v) == math.Float64bits(c.first) {
			c.n++
			return
		}
		c.spread, c.vals = true, repeat(c.vals, c.first, c.n)
	}
	c.vals = append(c.vals, v)
	c.n++
}

// nullDouble is the NaN that stands for NULL.
func nullDouble() float64 { return math.NaN() }

// bools is a column of BOOLEAN: 0, 1, or 2 for NULL.
type bools struct {
	Column
	n      int
	first  byte
	spread bool
	vals   []byte
}

func (c *bools) about() Column { return c.Column }

func (c *bools) reset() { c.n, c.spread, c.vals = 0, false, c.vals[:0] }

func (c *bools) add(v byte) {
	if !c.spread {
		if c.n == 0 {
			c.first = v
		}
		if v == c.first {
			c.n++
			return
		}
		c.spread, c.vals = true, repeat(c.vals, c.first, c.n)
	}
	c.vals = append(c.vals, v)
	c.n++
}

const nullBool byte = 2

func (c *bools) set(v bool) {
	if v {
		c.add(1)
	} else {
		c.add(0)
	}
}

// noKey is the index that stands for NULL in a dictionary column.
const noKey = math.MaxUint32

// dict is a column stored as indices into its distinct values.
type dict[K cmp.Ordered] struct {
	Column
	n      int
	first  uint32
	spread bool
	vals   []uint32
	keys   []K
}

func (c *dict[K]) about() Column { return c.Column }

func (c *dict[K]) reset() {
	c.n, c.spread, c.vals = 0, false, c.vals[:0]
	clear(c.keys)
	c.keys = c.keys[:0]
}

func (c *dict[K]) addIndex(v uint32) {
	if !c.spread {
		if c.n == 0 {
			c.first = v
		}
		if v == c.first {
			c.n++
			return
		}
		c.spread, c.vals = true, repeat(c.vals, c.first, c.n)
	}
	c.vals = append(c.vals, v)
	c.n++
}

func (c *dict[K]) at(i int) uint32 {
	if !c.spread {
		return c.first
	}
	return c.vals[i]
}

// insert gives a value that no index stands for yet its index.
func (c *dict[K]) insert(k K) uint32 {
	c.keys = append(c.keys, k)
	return uint32(len(c.keys) - 1)
}

// recentKeys is the number of strings whose index is found without hashing.
const recentKeys = 8

// strs is a dictionary column of STRING.
type strs struct {
	dict[string]
	index  map[string]uint32
	recent [recentKeys]struct {
		key string
		idx uint32 // plus 1; 0: unused
	}
}

func (c *strs) reset() {
	c.dict.reset()
	clear(c.index)
	clear(c.recent[:])
}

// add takes a value. The string is kept, so it must be an ordinary immutable
// one, not a view of a buffer.
func (c *strs) add(s string) {
	if !c.spread && c.n > 0 && c.first != noKey && s == c.keys[c.first] {
		c.n++
		return
	}
	r := &c.recent[(len(s)^int(lastByte(s)))%recentKeys]
	if r.idx != 0 && r.key == s {
		c.addIndex(r.idx - 1)
		return
	}
	i, ok := c.index[s]
	if !ok {
		if c.index == nil {
			c.index = make(map[string]uint32)
		}
		// A TAG block may hold any bytes; a STRING may not.
		i = c.insert(strings.ToValidUTF8(s, "\ufffd"))
		c.index[s] = i
	}
	r.key, r.idx = s, i+1
	c.addIndex(i)
}

func lastByte(s string) byte {
	if s == "" {
		return 0
	}
	return s[len(s)-1]
}

// addOrNull takes a value; the empty string is NULL.
func (c *strs) addOrNull(s string) {
	if s == "" {
		c.addIndex(noKey)
		return
	}
	c.add(s)
}

// codes is a dictionary column of STRING for values that come as small
// numbers, each with one name.
type codes struct {
	dict[string]
	index [256]uint32 // index of a code's name, plus 1
}

func (c *codes) reset() {
	c.dict.reset()
	clear(c.index[:])
}

func (c *codes) add(code byte, name func(byte) string) {
	if i := c.index[code]; i != 0 {
		c.addIndex(i - 1)
		return
	}
	i := c.insert(name(code))
	c.index[code] = i + 1
	c.addIndex(i)
}

// floats is a dictionary column of DOUBLE: measured in coarse steps, so that
// values repeat.
type floats struct {
	dict[float64]
	slots []uint32 // open addressing: index into keys plus 1; power of two long
}

func (c *floats) reset() {
	c.dict.reset()
	clear(c.slots)
}

func (c *floats) add(v float64) {
	if 2*len(c.keys) >= len(c.slots) {
		c.grow()
	}
	c.addIndex(c.find(v))
}

func (c *floats) find(v float64) uint32 {
	mask := uint64(len(c.slots) - 1)
	for h := math.Float64bits(v) * 0x9e3779b97f4a7c15 >> 32; ; h++ {
		switch i := c.slots[h&mask]; {
		case i == 0:
			k := c.insert(v)
			c.slots[h&mask] = k + 1
			return k
		case c.keys[i-1] == v:
			return i - 1
		}
	}
}

func (c *floats) grow() {
	c.slots = make([]uint32, max(64, 4*len(c.slots)))
	mask := uint64(len(c.slots) - 1)
	for k, v := range c.keys {
		h := math.Float64bits(v) * 0x9e3779b97f4a7c15 >> 32
		for c.slots[h&mask] != 0 {
			h++
		}
		c.slots[h&mask] = uint32(k) + 1
	}
}

// blobs is a column of BLOB, or of STRING where values seldom repeat. The
// bytes are copied into chunks that never move.
type blobs struct {
	Column
	vals   []span
	chunks [][]byte
	used   int // chunks in use; those after it are empty, of full size
}

// span is where a value lies; chunk noKey is NULL.
type span struct{ chunk, pos, n uint32 }

// blobChunkBytes is the size of a chunk of a blob column; a longer value gets
// one of its own.
const blobChunkBytes = 1 << 20

func (c *blobs) about() Column { return c.Column }

func (c *blobs) reset() {
	c.vals, c.used = c.vals[:0], 0
	c.chunks = slices.DeleteFunc(c.chunks, func(p []byte) bool { return cap(p) != blobChunkBytes })
}

func (c *blobs) addNull() { c.vals = append(c.vals, span{chunk: noKey}) }

func (c *blobs) add(p []byte) {
	if c.used == 0 || len(c.chunks[c.used-1])+len(p) > cap(c.chunks[c.used-1]) {
		c.nextChunk(len(p))
	}
	last := c.used - 1
	pos := len(c.chunks[last])
	c.chunks[last] = append(c.chunks[last], p...)
	c.vals = append(c.vals, span{uint32(last), uint32(pos), uint32(len(p))})
}

// nextChunk takes a chunk with room for n bytes into use.
func (c *blobs) nextChunk(n int) {
	switch {
	case c.used < len(c.chunks) && n <= blobChunkBytes:
		c.chunks[c.used] = c.chunks[c.used][:0]
	default:
		// Small files are common: chunks start small and grow to full size.
		size := min(blobChunkBytes, 4096<<min(c.used, 8))
		c.chunks = slices.Insert(c.chunks, c.used, make([]byte, 0, max(size, n)))
	}
	c.used++
}

// addString adds a value to a column of STRING.
func (c *blobs) addString(s string) {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\ufffd")
	}
	c.add([]byte(s))
}

func (c *blobs) at(s span) []byte { return c.chunks[s.chunk][s.pos : s.pos+s.n] }
