package parquet

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math"
	"slices"

	"github.com/parquet-go/parquet-go/format"
)

// write encodes a dictionary column: the values used, sorted, then indices
// into them. With a sorted dictionary the bounds of a page are those of its
// indices.
func (c *dict[K]) write(e *encoder, rows []uint32) error {
	if !c.spread {
		if c.first == noKey {
			return e.constant(c.Column, len(rows), nil, nil)
		}
		k := c.keys[c.first]
		return e.constant(c.Column, len(rows), plainKey(nil, k), boundKey(k))
	}
	used, rank := c.used(rows)
	e.begin(c.Column)
	if len(used) > 0 {
		var plain []byte
		for _, k := range used {
			plain = plainKey(plain, c.keys[k])
		}
		if err := e.dictionary(plain, len(used)); err != nil {
			return err
		}
	}
	for start := 0; start < len(rows); start += e.pageRows {
		if err := c.writePage(e, rows[start:min(start+e.pageRows, len(rows))], used, rank); err != nil {
			return err
		}
	}
	return nil
}

// used gives the keys that rows hold, sorted, and each one's place among them.
func (c *dict[K]) used(rows []uint32) (used, rank []uint32) {
	rank = make([]uint32, len(c.keys))
	for _, r := range rows {
		if k := c.vals[r]; k != noKey && rank[k] == 0 {
			rank[k] = 1
			used = append(used, k)
		}
	}
	slices.SortFunc(used, func(a, b uint32) int { return cmp.Compare(c.keys[a], c.keys[b]) })
	for i, k := range used {
		rank[k] = uint32(i)
	}
	return used, rank
}

func (c *dict[K]) writePage(e *encoder, page []uint32, used, rank []uint32) (err error) {
	vals, defs := scratch[int32](e)[:len(page)], e.levels(len(page))
	nulls, k := 0, 0
	for i, r := range page {
		v := c.vals[r]
		if v == noKey {
			defs[i] = 0
			nulls++
			continue
		}
		defs[i] = 1
		vals[k] = int32(rank[v])
		k++
	}
	vals = vals[:k]
	if k == 0 {
		e.values = e.values[:0]
		return e.data(len(page), nulls, format.Plain, nil, nil)
	}
	if e.values, err = e.index.EncodeInt32(e.values[:0], vals); err != nil {
		return err
	}
	lo, hi := extremes(vals)
	return e.data(len(page), nulls, format.RLEDictionary, boundKey(c.keys[used[lo]]), boundKey(c.keys[used[hi]]))
}

// write encodes a column of seldom repeated bytes: lengths as deltas, then the
// bytes. No bounds are kept.
func (c *blobs) write(e *encoder, rows []uint32) error {
	e.begin(c.Column)
	for start := 0; start < len(rows); {
		size, end := 0, start
		for end < len(rows) && end-start < e.pageRows && (size < pageBytes || end == start) {
			size += int(c.vals[rows[end]].n)
			end++
		}
		if err := c.writePage(e, rows[start:end]); err != nil {
			return err
		}
		start = end
	}
	return nil
}

func (c *blobs) writePage(e *encoder, page []uint32) error {
	vals, defs := scratch[int32](e)[:len(page)], e.levels(len(page))
	nulls, k := 0, 0
	for i, r := range page {
		s := c.vals[r]
		if s.chunk == noKey {
			defs[i] = 0
			nulls++
			continue
		}
		defs[i] = 1
		vals[k] = int32(s.n)
		k++
	}
	if k == 0 {
		e.values = e.values[:0]
		return e.data(len(page), nulls, format.Plain, nil, nil)
	}
	if err := e.deltas(vals[:k]); err != nil {
		return err
	}
	for _, r := range page {
		if s := c.vals[r]; s.chunk != noKey {
			e.values = append(e.values, c.at(s)...)
		}
	}
	return e.data(len(page), nulls, format.DeltaLengthByteArray, nil, nil)
}

func plainInt[T int32 | int64](p []byte, v T) []byte {
	if w, ok := any(v).(int64); ok {
		return binary.LittleEndian.AppendUint64(p, uint64(w))
	}
	return binary.LittleEndian.AppendUint32(p, uint32(v))
}

func plainDouble(p []byte, v float64) []byte {
	return binary.LittleEndian.AppendUint64(p, math.Float64bits(v))
}

// plainKey appends a dictionary value, plain-encoded.
func plainKey[K cmp.Ordered](p []byte, k K) []byte {
	switch v := any(k).(type) {
	case string:
		return append(binary.LittleEndian.AppendUint32(p, uint32(len(v))), v...)
	case float64:
		return plainDouble(p, v)
	}
	return p
}

// boundKey gives a dictionary value as it stands in statistics.
func boundKey[K cmp.Ordered](k K) []byte {
	switch v := any(k).(type) {
	case string:
		return []byte(v)
	case float64:
		return plainDouble(nil, v)
	}
	return nil
}

// format gives the storage its type in the file.
func (p Physical) format() format.Type {
	switch p {
	case Bool:
		return format.Boolean
	case Int32:
		return format.Int32
	case Int64, Uint64, Timestamp:
		return format.Int64
	case Double:
		return format.Double
	default:
		return format.ByteArray
	}
}

// order compares plain-encoded bounds; nil where no bounds are kept.
func (p Physical) order() func(a, b []byte) int {
	switch p {
	case Bool, String:
		return bytes.Compare
	case Int32:
		return func(a, b []byte) int {
			return cmp.Compare(int32(binary.LittleEndian.Uint32(a)), int32(binary.LittleEndian.Uint32(b)))
		}
	case Int64, Timestamp:
		return func(a, b []byte) int {
			return cmp.Compare(int64(binary.LittleEndian.Uint64(a)), int64(binary.LittleEndian.Uint64(b)))
		}
	case Uint64:
		return func(a, b []byte) int {
			return cmp.Compare(binary.LittleEndian.Uint64(a), binary.LittleEndian.Uint64(b))
		}
	case Double:
		return func(a, b []byte) int {
			return cmp.Compare(math.Float64frombits(binary.LittleEndian.Uint64(a)), math.Float64frombits(binary.LittleEndian.Uint64(b)))
		}
	default:
		return nil
	}
}
