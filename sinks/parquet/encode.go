package parquet

import (
	"encoding/binary"
	"hash/crc32"
	"math"

	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/encoding/delta"
	"github.com/parquet-go/parquet-go/encoding/rle"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

const (
	// pageRows is the number of rows of a data page: small enough for tight
	// statistics, large enough for compression.
	pageRows = 20_480
	// pageBytes ends a page of a blob column early.
	pageBytes = 1 << 20
)

// encoder writes column chunks, one at a time. It is reused from file to file
// and belongs to one goroutine.
type encoder struct {
	out   *output
	zip   *zstd.Encoder
	delta delta.BinaryPackedEncoding
	index rle.DictionaryEncoding
	level rle.Encoding
	proto thrift.CompactProtocol

	i32    []int32
	i64    []int64
	defs   []byte
	values []byte
	page   []byte
	zipped []byte

	meta  format.ColumnMetaData
	order func(a, b []byte) int // of plain-encoded bounds; nil: no bounds kept
	ci    format.ColumnIndex
	oi    format.OffsetIndex
	row   int64 // rows of this chunk so far
	null  bool  // the column is nullable

	keys, keys2 []key
	rows        []uint32

	pageRows  int // rows of a data page; pageRows but in tests
	groupRows int // least rows of a row group among several; RowGroupRows but in tests
}

func newEncoder() (*encoder, error) {
	zip, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderCRC(false), zstd.WithWindowSize(1<<20), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, err
	}
	return &encoder{zip: zip, level: rle.Encoding{BitWidth: 1}, pageRows: pageRows, groupRows: RowGroupRows}, nil
}

// begin starts a column chunk.
func (e *encoder) begin(c Column) {
	e.meta = format.ColumnMetaData{
		Type: c.Type.format(), Codec: format.Zstd, PathInSchema: thrift.Slice[string]{c.Name},
		Encoding: thrift.Slice[format.Encoding]{format.RLE},
	}
	e.order, e.null, e.row = c.Type.order(), c.Nullable, 0
	e.ci, e.oi = format.ColumnIndex{}, format.OffsetIndex{}
}

// dictionary writes the chunk's dictionary page: n values, plain-encoded.
func (e *encoder) dictionary(plain []byte, n int) error {
	e.meta.DictionaryPageOffset = e.out.n
	h := format.PageHeader{Type: format.DictionaryPage}
	h.DictionaryPageHeader = thrift.New(format.DictionaryPageHeader{NumValues: int32(n), Encoding: format.Plain, IsSorted: true})
	_, err := e.put(&h, plain, format.Plain)
	return err
}

// data writes one data page of rows rows, whose values lie encoded in
// e.values and whose definition levels, if some are NULL, in e.defs. lo and hi
// are the plain-encoded bounds, nil when every value is NULL.
func (e *encoder) data(rows, nulls int, enc format.Encoding, lo, hi []byte) error {
	e.page = e.page[:0]
	if e.null {
		e.page = append(e.page, 0, 0, 0, 0)
		if nulls == 0 || nulls == rows {
			e.page = appendRun(e.page, rows, nulls == 0)
		} else {
			levels, err := e.level.EncodeLevels(e.zipped[:0], e.defs)
			if err != nil {
				return err
			}
			e.zipped = levels
			e.page = append(e.page, levels...)
		}
		binary.LittleEndian.PutUint32(e.page, uint32(len(e.page)-4))
	}
	e.page = append(e.page, e.values...)
	h := format.PageHeader{Type: format.DataPage}
	h.DataPageHeader = thrift.New(format.DataPageHeader{
		NumValues: int32(rows), Encoding: enc,
		DefinitionLevelEncoding: format.RLE, RepetitionLevelEncoding: format.RLE,
	})
	at := e.out.n
	if e.meta.DataPageOffset == 0 {
		e.meta.DataPageOffset = at
	}
	size, err := e.put(&h, e.page, enc)
	if err != nil {
		return err
	}
	e.oi.PageLocations = append(e.oi.PageLocations, format.PageLocation{Offset: at, CompressedPageSize: size, FirstRowIndex: e.row})
	e.row += int64(rows)
	e.meta.NumValues += int64(rows)
	e.meta.Statistics.NullCount += int64(nulls)
	e.bounds(rows, nulls, lo, hi)
	return nil
}

// appendRun appends one RLE run of n equal definition levels.
func appendRun(p []byte, n int, defined bool) []byte {
	p = binary.AppendUvarint(p, uint64(n)<<1)
	if defined {
		return append(p, 1)
	}
	return append(p, 0)
}

// bounds takes a page's bounds into the column index and the chunk's own.
func (e *encoder) bounds(rows, nulls int, lo, hi []byte) {
	if e.order == nil {
		return
	}
	e.ci.NullPages = append(e.ci.NullPages, nulls == rows)
	e.ci.NullCounts = append(e.ci.NullCounts, int64(nulls))
	lo, hi = append([]byte{}, lo...), append([]byte{}, hi...)
	e.ci.MinValues, e.ci.MaxValues = append(e.ci.MinValues, lo), append(e.ci.MaxValues, hi)
	if nulls == rows {
		return
	}
	s := &e.meta.Statistics
	if s.MinValue == nil || e.order(lo, s.MinValue) < 0 {
		s.MinValue = lo
	}
	if s.MaxValue == nil || e.order(hi, s.MaxValue) > 0 {
		s.MaxValue = hi
	}
}

// put compresses a page and writes it behind its header. It gives the bytes
// written.
func (e *encoder) put(h *format.PageHeader, page []byte, enc format.Encoding) (int32, error) {
	e.zipped = e.zip.EncodeAll(page, e.zipped[:0])
	h.UncompressedPageSize, h.CompressedPageSize = int32(len(page)), int32(len(e.zipped))
	h.CRC = int32(crc32.ChecksumIEEE(e.zipped))
	at := e.out.n
	if err := thrift.NewEncoder(e.proto.NewWriter(e.out)).Encode(h); err != nil {
		return 0, err
	}
	e.meta.TotalUncompressedSize += e.out.n - at + int64(len(page))
	if _, err := e.out.Write(e.zipped); err != nil {
		return 0, err
	}
	e.meta.TotalCompressedSize += e.out.n - at
	for _, had := range e.meta.Encoding {
		if had == enc {
			return int32(e.out.n - at), nil
		}
	}
	e.meta.Encoding = append(e.meta.Encoding, enc)
	return int32(e.out.n - at), nil
}

// boundaryOrder says whether the pages' bounds ascend.
func (e *encoder) boundaryOrder() format.BoundaryOrder {
	last := -1
	for i, null := range e.ci.NullPages {
		if null {
			continue
		}
		if last >= 0 && (e.order(e.ci.MinValues[last], e.ci.MinValues[i]) > 0 || e.order(e.ci.MaxValues[last], e.ci.MaxValues[i]) > 0) {
			return format.Unordered
		}
		last = i
	}
	return format.Ascending
}

// constant writes a chunk in which every row holds one value (plain-encoded),
// or NULL where plain is nil.
func (e *encoder) constant(c Column, rows int, plain, bound []byte) error {
	e.begin(c)
	e.values = e.values[:0]
	if plain == nil {
		return e.data(rows, rows, format.Plain, nil, nil)
	}
	if err := e.dictionary(plain, 1); err != nil {
		return err
	}
	// Bit width 1, then one run of index 0.
	e.values = append(binary.AppendUvarint(append(e.values, 1), uint64(rows)<<1), 0)
	return e.data(rows, 0, format.RLEDictionary, bound, bound)
}

func (c *ints[T]) write(e *encoder, rows []uint32) error {
	null := c.null
	if !c.spread {
		if c.Nullable && c.first == null {
			return e.constant(c.Column, len(rows), nil, nil)
		}
		p := plainInt(nil, c.first)
		return e.constant(c.Column, len(rows), p, p)
	}
	e.begin(c.Column)
	for start := 0; start < len(rows); start += e.pageRows {
		page := rows[start:min(start+e.pageRows, len(rows))]
		vals := scratch[T](e)[:len(page)]
		nulls, k := 0, 0
		if c.Nullable {
			defs := e.levels(len(page))
			for i, r := range page {
				v := c.vals[r]
				vals[k] = v
				defs[i] = 1
				if v == null {
					defs[i] = 0
					nulls++
				} else {
					k++
				}
			}
		} else {
			for i, r := range page {
				vals[i] = c.vals[r]
			}
			k = len(page)
		}
		vals = vals[:k]
		if err := e.deltas(vals); err != nil {
			return err
		}
		lo, hi := extremes(vals)
		if err := e.data(len(page), nulls, format.DeltaBinaryPacked, plainInt(nil, lo), plainInt(nil, hi)); err != nil {
			return err
		}
	}
	return nil
}

// scratch gives room for a page of values of T.
func scratch[T int32 | int64](e *encoder) []T {
	var t T
	if _, ok := any(t).(int32); ok {
		if e.i32 == nil {
			e.i32 = make([]int32, e.pageRows)
		}
		return any(e.i32).([]T)
	}
	if e.i64 == nil {
		e.i64 = make([]int64, e.pageRows)
	}
	return any(e.i64).([]T)
}

func (e *encoder) levels(n int) []byte {
	if cap(e.defs) < n {
		e.defs = make([]byte, max(n, e.pageRows))
	}
	e.defs = e.defs[:n]
	return e.defs
}

// deltas encodes values of int32 or int64 into e.values.
func (e *encoder) deltas(vals any) (err error) {
	switch v := vals.(type) {
	case []int32:
		e.values, err = e.delta.EncodeInt32(e.values[:0], v)
	case []int64:
		e.values, err = e.delta.EncodeInt64(e.values[:0], v)
	}
	return err
}

func extremes[T int32 | int64](vals []T) (lo, hi T) {
	if len(vals) == 0 {
		return 0, 0
	}
	lo, hi = vals[0], vals[0]
	for _, v := range vals {
		lo, hi = min(lo, v), max(hi, v)
	}
	return lo, hi
}

func (c *doubles) write(e *encoder, rows []uint32) error {
	if !c.spread {
		if math.IsNaN(c.first) {
			return e.constant(c.Column, len(rows), nil, nil)
		}
		return e.constant(c.Column, len(rows), plainDouble(nil, c.first), plainDouble(nil, c.first))
	}
	e.begin(c.Column)
	for start := 0; start < len(rows); start += e.pageRows {
		page := rows[start:min(start+e.pageRows, len(rows))]
		defs := e.levels(len(page))
		e.values = e.values[:0]
		nulls, lo, hi := 0, math.Inf(1), math.Inf(-1)
		for i, r := range page {
			v := c.vals[r]
			if math.IsNaN(v) {
				defs[i] = 0
				nulls++
				continue
			}
			defs[i] = 1
			lo, hi = min(lo, v), max(hi, v)
			e.values = plainDouble(e.values, v)
		}
		if err := e.data(len(page), nulls, format.Plain, plainDouble(nil, lowZero(lo)), plainDouble(nil, hi)); err != nil {
			return err
		}
	}
	return nil
}

// lowZero gives a lower bound of 0 its negative sign, as the format asks.
func lowZero(v float64) float64 {
	if v == 0 {
		return math.Copysign(0, -1)
	}
	return v
}

func (c *bools) write(e *encoder, rows []uint32) error {
	e.begin(c.Column)
	for start := 0; start < len(rows); start += e.pageRows {
		page := rows[start:min(start+e.pageRows, len(rows))]
		defs := e.levels(len(page))
		e.values = e.values[:0]
		nulls, k := 0, 0
		var seen [3]bool
		for i, r := range page {
			v := c.first
			if c.spread {
				v = c.vals[r]
			}
			seen[v] = true
			if v == nullBool {
				defs[i] = 0
				nulls++
				continue
			}
			defs[i] = 1
			if k%8 == 0 {
				e.values = append(e.values, 0)
			}
			e.values[k/8] |= v << (k % 8)
			k++
		}
		lo, hi := []byte{1}, []byte{0}
		if seen[0] {
			lo[0] = 0
		}
		if seen[1] {
			hi[0] = 1
		}
		if err := e.data(len(page), nulls, format.Plain, lo, hi); err != nil {
			return err
		}
	}
	return nil
}
