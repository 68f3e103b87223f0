package parquetfile_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"landfall/edge/record"
	"landfall/engine/parquetfile"
)

// page is a page of a file that a test makes by hand.
type page struct {
	header format.PageHeader
	body   []byte
	// crc leaves the header's CRC as it is.
	crc bool
}

// dataPage is a plain page of one run of bytes, before anything is wrong.
func dataPage(values int, encoding format.Encoding, body []byte) page {
	return page{header: format.PageHeader{
		Type: format.DataPage, UncompressedPageSize: int32(len(body)), CompressedPageSize: int32(len(body)),
		DataPageHeader: thrift.New(format.DataPageHeader{NumValues: int32(values), Encoding: encoding,
			DefinitionLevelEncoding: format.RLE, RepetitionLevelEncoding: format.RLE}),
	}, body: body}
}

func dictionaryPage(values int, body []byte) page {
	return page{header: format.PageHeader{
		Type: format.DictionaryPage, UncompressedPageSize: int32(len(body)), CompressedPageSize: int32(len(body)),
		DictionaryPageHeader: thrift.New(format.DictionaryPageHeader{NumValues: int32(values), Encoding: format.Plain}),
	}, body: body}
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := thrift.NewEncoder(new(thrift.CompactProtocol).NewWriter(&b)).Encode(v); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// handmade is a file of one column and one row group.
type handmade struct {
	kind     format.Type
	optional bool
	codec    format.CompressionCodec
	rows     int64
	pages    []page
	by       string
	change   func(*format.FileMetaData)
}

func (h handmade) file(t testing.TB) []byte {
	t.Helper()
	data := []byte("PAR1")
	m := format.ColumnMetaData{Type: h.kind, PathInSchema: thrift.Slice[string]{"c"}, Codec: h.codec, NumValues: h.rows}
	for _, p := range h.pages {
		at := int64(len(data))
		switch {
		case p.header.Type == format.DictionaryPage && m.DictionaryPageOffset == 0:
			m.DictionaryPageOffset = at
		case p.header.Type == format.DictionaryPage:
		case m.DataPageOffset == 0:
			m.DataPageOffset = at
		}
		if !p.crc {
			p.header.CRC = int32(crc32.ChecksumIEEE(p.body))
		}
		head := encode(t, &p.header)
		data = append(append(data, head...), p.body...)
		m.TotalUncompressedSize += int64(len(head)) + int64(p.header.UncompressedPageSize)
		m.TotalCompressedSize += int64(len(head) + len(p.body))
	}
	repetition := format.Required
	if h.optional {
		repetition = format.Optional
	}
	meta := format.FileMetaData{
		Version: 2, NumRows: h.rows, CreatedBy: h.by,
		Schema: thrift.Slice[format.SchemaElement]{
			{Name: "row", NumChildren: thrift.New(int32(1))},
			{Name: "c", Type: thrift.New(h.kind), RepetitionType: thrift.New(repetition)},
		},
		RowGroups: thrift.Slice[format.RowGroup]{{NumRows: h.rows, Columns: thrift.Slice[format.ColumnChunk]{{MetaData: m}}}},
	}
	if h.change != nil {
		h.change(&meta)
	}
	foot := encode(t, &meta)
	data = append(data, foot...)
	return append(binary.LittleEndian.AppendUint32(data, uint32(len(foot))), "PAR1"...)
}

func longs(n int) []byte {
	var b []byte
	for i := range n {
		b = binary.LittleEndian.AppendUint64(b, uint64(i))
	}
	return b
}

// run is one run of equal values.
func run(n uint64, width byte, value byte) []byte {
	return append(binary.AppendUvarint([]byte{width}, n<<1), value)
}

// deltas is the head of deltas, and nothing more.
func deltas(block, minis, total uint64) []byte {
	b := binary.AppendUvarint(binary.AppendUvarint(binary.AppendUvarint(nil, block), minis), total)
	return binary.AppendVarint(b, 5)
}

func chunkOf(m *format.FileMetaData) *format.ColumnMetaData {
	return &m.RowGroups[0].Columns[0].MetaData
}

// resized says that a page is of other lengths.
func resized(p page, uncompressed, compressed int32) page {
	p.header.UncompressedPageSize, p.header.CompressedPageSize = uncompressed, compressed
	return p
}

// bomb is a zstd frame of many zeros.
func bomb(t testing.TB, n int) []byte {
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return z.EncodeAll(make([]byte, n), nil)
}

// TestWhatAFileSaysOfItself: each number that a file may get wrong. What is right
// is read; what is not is an error that allocates nothing.
func TestWhatAFileSaysOfItself(t *testing.T) {
	good := []page{dataPage(10, format.Plain, longs(10))}
	texts := []byte("\x01\x00\x00\x00a\x02\x00\x00\x00bc")
	noCRC := good[0]
	noCRC.crc = true
	otherCRC := noCRC
	otherCRC.header.CRC = 7
	one := dataPage(1, format.DeltaBinaryPacked, deltas(128, 4, 1))
	for _, c := range []struct {
		name string
		h    handmade
		want string // empty: it is read
	}{
		{"good", handmade{kind: format.Int64, rows: 10, pages: good}, ""},
		{"no CRC", handmade{kind: format.Int64, rows: 10, pages: []page{noCRC}}, ""},
		{"no CRC in a file of ours", handmade{kind: format.Int64, rows: 10, pages: []page{noCRC}, by: "landfall"}, "CRC"},
		{"another CRC", handmade{kind: format.Int64, rows: 10, pages: []page{otherCRC}}, "CRC"},
		{"two pages", handmade{kind: format.Int64, rows: 10, pages: []page{dataPage(4, format.Plain, longs(4)), dataPage(6, format.Plain, longs(6))}}, ""},
		{"one delta", handmade{kind: format.Int64, rows: 1, pages: []page{one}}, ""},
		{"a dictionary", handmade{kind: format.ByteArray, rows: 10, pages: []page{dictionaryPage(2, texts), dataPage(10, format.RLEDictionary, run(10, 1, 1))}}, ""},
		{"zstd", handmade{kind: format.Int64, rows: 10, codec: format.Zstd, pages: []page{resized(dataPage(10, format.Plain, bomb(t, 80)), 80, int32(len(bomb(t, 80))))}}, ""},

		{"a page longer than its column", handmade{kind: format.Int64, rows: 10, pages: []page{resized(good[0], 80, 1<<30)}}, "left in its column"},
		{"a page longer than its column says uncompressed", handmade{kind: format.Int64, rows: 10, codec: format.Zstd, pages: []page{resized(dataPage(10, format.Plain, bomb(t, 80)), 1<<27, int32(len(bomb(t, 80))))},
			change: func(m *format.FileMetaData) { chunkOf(m).TotalUncompressedSize = 200 }}, "bytes of pages in a column"},
		{"a page beyond all limits", handmade{kind: format.Int64, rows: 10, codec: format.Zstd, pages: []page{resized(dataPage(10, format.Plain, bomb(t, 80)), 1<<31-1, int32(len(bomb(t, 80))))}}, "at most"},
		{"a negative length", handmade{kind: format.Int64, rows: 10, pages: []page{resized(good[0], -1, -80)}}, "no length"},
		{"a bomb", handmade{kind: format.Int64, rows: 10, codec: format.Zstd, pages: []page{resized(dataPage(10, format.Plain, bomb(t, 1<<26)), 80, int32(len(bomb(t, 1<<26))))}}, "decompressed"},
		{"a frame of fewer bytes", handmade{kind: format.Int64, rows: 10, codec: format.Zstd, pages: []page{resized(dataPage(10, format.Plain, bomb(t, 79)), 80, int32(len(bomb(t, 79))))}}, "decompressed"},
		{"more values than the column", handmade{kind: format.Int64, rows: 9, pages: good}, "its column has 9 left"},
		{"fewer values than the column", handmade{kind: format.Int64, rows: 11, pages: good}, "missing at its end"},
		{"pages behind the last value", handmade{kind: format.Int64, rows: 10, pages: []page{good[0], dataPage(0, format.Plain, nil)}}, "behind the column's last value"},
		{"fewer bytes than values", handmade{kind: format.Int64, rows: 10, pages: []page{dataPage(10, format.Plain, longs(9))}}, "go on beyond"},
		{"bytes behind the values", handmade{kind: format.Int64, rows: 10, pages: []page{dataPage(10, format.Plain, longs(11))}}, "behind its values"},
		{"a text of 4 GiB", handmade{kind: format.ByteArray, rows: 1, pages: []page{dataPage(1, format.Plain, []byte("\xff\xff\xff\xffx"))}}, "go on beyond"},
		{"a dictionary of too many", handmade{kind: format.ByteArray, rows: 10, pages: []page{dictionaryPage(1<<30, texts), dataPage(10, format.RLEDictionary, run(10, 1, 1))}}, "dictionary of"},
		{"a dictionary of numbers of too many", handmade{kind: format.Int64, rows: 10, pages: []page{dictionaryPage(1<<30, longs(2)), dataPage(10, format.RLEDictionary, run(10, 1, 1))}}, "dictionary of"},
		{"a dictionary of too few", handmade{kind: format.ByteArray, rows: 10, pages: []page{dictionaryPage(1, texts), dataPage(10, format.RLEDictionary, run(10, 1, 0))}}, "behind its values"},
		{"a place beyond the dictionary", handmade{kind: format.ByteArray, rows: 10, pages: []page{dictionaryPage(2, texts), dataPage(10, format.RLEDictionary, run(10, 8, 2))}}, "beyond its dictionary"},
		{"no dictionary", handmade{kind: format.ByteArray, rows: 10, pages: []page{dataPage(10, format.RLEDictionary, run(10, 1, 0))}}, "beyond its dictionary"},
		{"a dictionary behind data", handmade{kind: format.ByteArray, rows: 20, pages: []page{dictionaryPage(2, texts), dataPage(10, format.RLEDictionary, run(10, 1, 1)), dictionaryPage(2, texts), dataPage(10, format.RLEDictionary, run(10, 1, 1))}}, "behind another page"},
		{"a run of billions", handmade{kind: format.ByteArray, rows: 10, pages: []page{dictionaryPage(2, texts), dataPage(10, format.RLEDictionary, run(1<<40, 1, 1))}}, "more values than its page"},
		{"packed runs of billions", handmade{kind: format.ByteArray, rows: 10, pages: []page{dictionaryPage(2, texts), dataPage(10, format.RLEDictionary, append(binary.AppendUvarint([]byte{1}, 1<<30|1), 0xaa))}}, "go on beyond"},
		{"places of 33 bits", handmade{kind: format.ByteArray, rows: 10, pages: []page{dictionaryPage(2, texts), dataPage(10, format.RLEDictionary, run(10, 33, 1))}}, "33 bits"},
		{"deltas of billions", handmade{kind: format.Int64, rows: 10, pages: []page{dataPage(10, format.DeltaBinaryPacked, deltas(128, 4, 1<<40))}}, "more deltas"},
		{"deltas of too few", handmade{kind: format.Int64, rows: 10, pages: []page{dataPage(10, format.DeltaBinaryPacked, deltas(128, 4, 1))}}, "go on beyond"},
		{"deltas in blocks of billions", handmade{kind: format.Int64, rows: 10, pages: []page{dataPage(10, format.DeltaBinaryPacked, deltas(1<<40, 1<<37, 10))}}, "impossible blocks"},
		{"deltas in no blocks", handmade{kind: format.Int64, rows: 10, pages: []page{dataPage(10, format.DeltaBinaryPacked, deltas(0, 0, 10))}}, "impossible blocks"},
		{"lengths beyond the bytes", handmade{kind: format.ByteArray, rows: 1, pages: []page{dataPage(1, format.DeltaLengthByteArray, append(deltas(128, 4, 1), "abc"...))}}, "go on beyond"},
		{"levels of 4 GiB", handmade{kind: format.Int64, optional: true, rows: 10, pages: []page{dataPage(10, format.Plain, append([]byte{255, 255, 255, 255}, longs(10)...))}}, "go on beyond"},
		{"a column outside the file", handmade{kind: format.Int64, rows: 10, pages: good, change: func(m *format.FileMetaData) { chunkOf(m).DataPageOffset = 1 << 40 }}, "outside the file's pages"},
		{"a column before the file", handmade{kind: format.Int64, rows: 10, pages: good, change: func(m *format.FileMetaData) { chunkOf(m).DataPageOffset = -4 }}, "outside the file's pages"},
		{"a column longer than the file", handmade{kind: format.Int64, rows: 10, pages: good, change: func(m *format.FileMetaData) { chunkOf(m).TotalCompressedSize = 1 << 62 }}, "outside the file's pages"},
		{"a column in the footer", handmade{kind: format.Int64, rows: 10, pages: good, change: func(m *format.FileMetaData) { chunkOf(m).TotalCompressedSize += 8 }}, "outside the file's pages"},
		{"another number of values", handmade{kind: format.Int64, rows: 10, pages: good, change: func(m *format.FileMetaData) { chunkOf(m).NumValues = 1 << 40 }}, "in a row group of 10"},
		{"another number of rows", handmade{kind: format.Int64, rows: 10, pages: good, change: func(m *format.FileMetaData) { m.NumRows = 1 << 40 }}, "in its row groups"},
		{"another type", handmade{kind: format.Int64, rows: 10, pages: good, change: func(m *format.FileMetaData) { chunkOf(m).Type = format.Int32 }}, "in the place of"},
		{"another name", handmade{kind: format.Int64, rows: 10, pages: good, change: func(m *format.FileMetaData) { chunkOf(m).PathInSchema[0] = "d" }}, "in the place of"},
		{"a row group without columns", handmade{kind: format.Int64, rows: 10, pages: good, change: func(m *format.FileMetaData) { m.RowGroups[0].Columns = nil }}, "0 of 1 columns"},
		{"an unknown compression", handmade{kind: format.Int64, rows: 10, pages: good, codec: format.Brotli}, "compression 4"},
		{"an unknown encoding", handmade{kind: format.Int64, rows: 10, pages: []page{dataPage(10, format.ByteStreamSplit, longs(10))}}, "encoding 9"},
	} {
		t.Run(c.name, func(t *testing.T) {
			data := c.h.file(t)
			var n int64
			var err error
			took := allocated(func() { n, err = readAll(data) })
			switch {
			case c.want == "" && (err != nil || n != c.h.rows):
				t.Errorf("%d values of %d: %v", n, c.h.rows, err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("want %q, got %v", c.want, err)
			case err != nil && !errors.Is(err, parquetfile.ErrDamaged) && !errors.Is(err, parquetfile.ErrUnsupported):
				t.Errorf("an error of no kind: %v", err)
			}
			if took > 8<<20 {
				t.Errorf("%d bytes allocated", took)
			}
		})
	}
}

// TestOneValueTakesNoMoreThanAPageMay: a file of a few kilobytes that unpacks to
// hundreds of megabytes is not unpacked, and the longest value that Landfall
// writes is.
func TestOneValueTakesNoMoreThanAPageMay(t *testing.T) {
	one := func(n int) []byte {
		value := append(binary.LittleEndian.AppendUint32(nil, uint32(n)), make([]byte, n)...)
		z, err := zstd.NewWriter(nil)
		if err != nil {
			t.Fatal(err)
		}
		p := resized(dataPage(1, format.Plain, z.EncodeAll(value, nil)), int32(len(value)), 0)
		p.header.CompressedPageSize = int32(len(p.body))
		return handmade{kind: format.ByteArray, rows: 1, codec: format.Zstd, pages: []page{p}}.file(t)
	}
	huge, whole := one(200<<20), one(record.MaxBlockBytes)
	var err error
	if took := allocated(func() { _, err = readAll(huge) }); !errors.Is(err, parquetfile.ErrUnsupported) || took > 1<<20 || len(huge) > 32<<10 {
		t.Errorf("200 MiB in %d: %d bytes allocated, error %v", len(huge), took, err)
	}
	if _, err := readAll(whole); err != nil {
		t.Errorf("a whole block: %v", err)
	}
}
