package parquetfile_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"landfall/decoders/ais"
	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/engine/parquetfile"
	"landfall/engine/stream"
	"landfall/engine/table"
	"landfall/sinks/object"
	"landfall/sinks/parquet"
)

// written returns the bytes of a small file of a table.
func written(t testing.TB, name table.Name) []byte {
	t.Helper()
	dir := t.TempDir()
	files, err := object.OpenLake(durable.OS{}, dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := parquet.New(parquet.Config{Files: files})
	if err != nil {
		t.Fatal(err)
	}
	st, err := s.Begin(stream.TaskID{Landing: "test"}, stream.ClaimID(strings.Repeat("c", 32)), 1)
	if err != nil {
		t.Fatal(err)
	}
	var b table.Batch
	for i := range 50 {
		line := table.Lineage{Gateway: "gw", Log: strings.Repeat("ab", 16), Offset: record.Offset(i), Rows: 1}
		times := table.Times{EventTime: record.Micros(1_700_000_000+i) * 1e6}
		b.Records = append(b.Records, table.RecordRow{Lineage: line, Times: times, Kind: record.KindAIS, Raw: []byte("!AIVDM," + strings.Repeat("x", i))})
		p := table.PositionRow{Lineage: line, Times: times, Position: ais.Position{Header: ais.Header{MMSI: uint32(211_000_000 + i%3)}}}
		if i%4 > 0 {
			p.Lat, p.Station = ais.Some(float64(i)/7), "roof"
		}
		b.Positions = append(b.Positions, p)
	}
	if err := st.Write(&b); err != nil {
		t.Fatal(err)
	}
	staged, err := st.Seal(t.Context())
	if err == nil {
		err = s.Publish(t.Context(), staged)
	}
	if err != nil {
		t.Fatal(err)
	}
	found, err := filepath.Glob(filepath.Join(dir, string(name), "*", "*.parquet"))
	if err != nil || len(found) != 1 {
		t.Fatalf("%v %v", found, err)
	}
	data, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// readAll reads every value, and returns how many there were.
func readAll(data []byte) (n int64, err error) {
	f, err := parquetfile.Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return 0, err
	}
	vals := make([]parquetfile.Value, 64)
	for _, g := range f.Groups() {
		for i := range f.Columns() {
			c, err := g.Column(i)
			if err != nil {
				return n, err
			}
			for left := min(g.NumRows(), 1<<20); left > 0; { // a run may say that there are billions
				k := min(left, int64(len(vals)))
				if err := c.Fill(vals[:k]); err != nil {
					return n, err
				}
				n, left = n+k, left-k
			}
		}
	}
	return n, nil
}

func allocated(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// FuzzRead reads what anybody may put into a table's folder.
func FuzzRead(f *testing.F) {
	for _, name := range []table.Name{table.Record, table.AISPosition} {
		data := written(f, name)
		f.Add(data)
		f.Add(data[:len(data)/2])
		f.Add(append(data[:100:100], data[len(data)-1500:]...))
	}
	f.Add([]byte("PAR1\x00\x00\x00\x00PAR1"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := readAll(data); err != nil && !errors.Is(err, parquetfile.ErrDamaged) && !errors.Is(err, parquetfile.ErrUnsupported) {
			t.Fatalf("an error of no kind: %v", err)
		}
	})
}

// footer makes a file of a footer alone.
func footer(b []byte) []byte {
	data := append([]byte("PAR1"), b...)
	return append(binary.LittleEndian.AppendUint32(data, uint32(len(b))), "PAR1"...)
}

// TestLengthsAreNotBelieved: nothing is allocated for a length before it is
// compared with the bytes that are there.
func TestLengthsAreNotBelieved(t *testing.T) {
	huge := binary.AppendUvarint(nil, 1<<31-1)
	good := written(t, table.Record)
	length := binary.LittleEndian.Uint32(good[len(good)-8:])
	longer := bytes.Clone(good)
	binary.LittleEndian.PutUint32(longer[len(good)-8:], uint32(len(good)))
	longest := bytes.Clone(good)
	binary.LittleEndian.PutUint32(longest[len(good)-8:], 1<<32-1)
	for name, data := range map[string][]byte{
		"a list of the schema":     footer(append([]byte{0x29, 0xfc}, huge...)),
		"a list of row groups":     footer(append([]byte{0x49, 0xfc}, huge...)),
		"a string":                 footer(append([]byte{0x68}, huge...)),
		"a list that nobody reads": footer(append([]byte{0xf9, 0xfc}, huge...)),
		"a map that nobody reads":  footer(append(append([]byte{0xfb}, huge...), 0x11)),
		"nesting":                  footer(bytes.Repeat([]byte{0xfc}, 16<<20)), // deeper than a stack may be
		"nested lists":             footer(append([]byte{0xf9}, bytes.Repeat([]byte{0x19}, 1<<20)...)),
		"a longer footer":          longer,
		"the longest footer":       longest,
		"cut":                      good[:len(good)-1],
		"cut at its beginning":     good[1:],
		"only a footer":            append([]byte("PAR1"), good[len(good)-8-int(length):]...),
		"empty":                    nil,
	} {
		t.Run(name, func(t *testing.T) {
			var err error
			took := allocated(func() { _, err = readAll(data) })
			if !errors.Is(err, parquetfile.ErrDamaged) && !errors.Is(err, parquetfile.ErrUnsupported) {
				t.Errorf("read with %v", err)
			}
			if took > uint64(len(data))+16<<20 {
				t.Errorf("%d bytes allocated", took)
			}
		})
	}
}

// TestCheckAndSkip: both go past pages without their values.
func TestCheckAndSkip(t *testing.T) {
	data := written(t, table.Record)
	f, err := parquetfile.Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	at, ok := f.Lookup("_offset")
	if !ok || f.NumRows() != 50 || f.CreatedBy() != "landfall" {
		t.Fatalf("column %v, %d rows, by %q", ok, f.NumRows(), f.CreatedBy())
	}
	if v, ok := f.Meta("landfall.table"); !ok || v != "record" {
		t.Errorf("it is of table %q", v)
	}
	for _, n := range []int64{0, 1, 49, 50, 51} {
		c, err := f.Groups()[0].Column(at)
		if err != nil {
			t.Fatal(err)
		}
		err = c.Skip(n)
		if n > 50 {
			if !errors.Is(err, parquetfile.ErrDamaged) {
				t.Errorf("passed over %d of 50 values: %v", n, err)
			}
			continue
		}
		var v [1]parquetfile.Value
		if err == nil {
			err = c.Fill(v[:])
		}
		if n < 50 && (err != nil || v[0].Int64() != n) || n == 50 && err == nil {
			t.Errorf("value %d is %d: %v", n, v[0].Int64(), err)
		}
	}
	for i := range f.Columns() {
		c, err := f.Groups()[0].Column(i)
		if err == nil {
			err = c.Check()
		}
		if err != nil {
			t.Errorf("column %d: %v", i, err)
		}
	}
}

// failing is a file that cannot be read.
type failing struct{ error }

func (f failing) ReadAt([]byte, int64) (int, error) { return 0, f.error }

// TestAnErrorOfReadingIsNoDamage: what cannot be read now may be in order.
func TestAnErrorOfReadingIsNoDamage(t *testing.T) {
	want := errors.New("no answer")
	if _, err := parquetfile.Open(failing{want}, 1000); !errors.Is(err, want) || errors.Is(err, parquetfile.ErrDamaged) {
		t.Errorf("got %v", err)
	}
	if _, err := parquetfile.Open(failing{io.EOF}, 1000); !errors.Is(err, parquetfile.ErrDamaged) {
		t.Errorf("a file shorter than it was: %v", err)
	}
}
