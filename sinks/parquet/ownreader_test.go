package parquet

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"landfall/engine/parquetfile"
	"landfall/engine/stream"
	"landfall/engine/table"
	"landfall/sinks/sinktest"
)

// ownColumns reads a whole file with engine/parquetfile: each column's values in
// canonical text.
func ownColumns(data []byte) (map[string][]string, error) {
	f, err := parquetfile.Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, err
	}
	all := make(map[string][]string)
	vals := make([]parquetfile.Value, 100)
	for _, g := range f.Groups() {
		for i, schema := range f.Columns() {
			c, err := g.Column(i)
			if err != nil {
				return nil, err
			}
			for left := g.NumRows(); left > 0; {
				n := min(left, int64(len(vals)))
				if err := c.Fill(vals[:n]); err != nil {
					return nil, err
				}
				left -= n
				for _, v := range vals[:n] {
					all[schema.Name] = append(all[schema.Name], ownText(v, schema.Kind))
				}
			}
		}
	}
	return all, nil
}

func ownText(v parquetfile.Value, k parquetfile.Kind) string {
	switch {
	case v.IsNull():
		return "NULL"
	case k == parquetfile.Boolean && v.Boolean():
		return "1"
	case k == parquetfile.Boolean:
		return "0"
	case k == parquetfile.Double:
		return fmt.Sprintf("%016x", v.Uint64())
	case k == parquetfile.ByteArray:
		return string(v.ByteArray())
	case k == parquetfile.Int32:
		return fmt.Sprint(v.Int32())
	}
	return fmt.Sprint(v.Int64())
}

// ownDigests reads files of a table and returns the hash of each column, in the
// order of _offset, or next_offset, and _row.
func ownDigests(t *testing.T, name table.Name, files []string) map[string]string {
	t.Helper()
	all := make(map[string][]string)
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		cols, err := ownColumns(data)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for c, vals := range cols {
			all[c] = append(all[c], vals...)
		}
	}
	sorted := "_offset"
	if name == table.Log {
		sorted = "next_offset"
	}
	order := make([]int, len(all[sorted]))
	offsets, rows := make([]int64, len(order)), make([]int64, len(order))
	for i := range order {
		order[i] = i
		offsets[i], _ = strconv.ParseInt(all[sorted][i], 10, 64)
		if of := all["_row"]; len(of) > 0 { // a table without it has one row a record
			rows[i], _ = strconv.ParseInt(of[i], 10, 64)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(offsets[a], offsets[b]), cmp.Compare(rows[a], rows[b]))
	})
	digests := make(map[string]string)
	for _, c := range Schema(name) {
		vals := make([]string, len(order))
		for i, at := range order {
			vals[i] = all[c.Name][at]
			switch {
			case vals[i] == "NULL":
			case c.Type == Blob:
				vals[i] = fmt.Sprintf("%x", vals[i])
			case c.Type == Uint64: // the file's type is a signed one's
				if n, err := strconv.ParseInt(vals[i], 10, 64); err == nil {
					vals[i] = fmt.Sprint(uint64(n))
				}
			}
		}
		digests[c.Name] = digest(vals)
	}
	return digests
}

// everyTable lands rows of every table, and returns them with their files.
func everyTable(t *testing.T, n int) (*table.Batch, map[table.Name][]string) {
	t.Helper()
	dir, s := lake(t)
	all := harbour(1, n)
	strange(all)
	land(t, s, 1, all)
	files := make(map[table.Name][]string)
	for _, name := range table.Names() {
		found, err := filepath.Glob(filepath.Join(dir, string(name), "dt=*", "*.parquet"))
		if err != nil || len(found) == 0 {
			t.Fatalf("no files of %s: %v", name, err)
		}
		files[name] = found
	}
	return all, files
}

// TestReaderOfItsOwnSeesTheSame compares every value of every column with the
// rows that were written: engine/parquetfile shares no code with this package.
func TestReaderOfItsOwnSeesTheSame(t *testing.T) {
	all, files := everyTable(t, 9000)
	got := make(map[table.Name]map[string]string)
	for name, of := range files {
		got[name] = ownDigests(t, name, of)
	}
	compareDigests(t, "parquetfile", all, got)
}

// rewriteScript writes each file of argv[2:], "to=from", again with the writer
// argv[1].
const rewriteScript = `
import sys
import pyarrow.parquet as pp
how = sys.argv[1]
for arg in sys.argv[2:]:
    to, path = arg.split("=", 1)
    if how == "duckdb":
        import duckdb
        duckdb.connect().execute("COPY (SELECT * FROM read_parquet('%s', hive_partitioning = false)) TO '%s' (FORMAT parquet, COMPRESSION zstd)" % (path, to))
    elif how == "polars":
        import polars
        polars.read_parquet(path, hive_partitioning=False).write_parquet(to, compression="gzip")
    else:
        t = pp.read_table(path, partitioning=None)
        numbers = {"int64": "DELTA_BINARY_PACKED", "int32": "DELTA_BINARY_PACKED", "timestamp[us, tz=UTC]": "DELTA_BINARY_PACKED", "uint64": "DELTA_BINARY_PACKED",
            "string": "DELTA_BYTE_ARRAY", "binary": "DELTA_LENGTH_BYTE_ARRAY", "bool": "PLAIN", "double": "PLAIN"}
        o = {"pyarrow": {}, "pyarrow plain": dict(use_dictionary=False, compression="none", write_page_checksum=True),
             "pyarrow v2": dict(data_page_version="2.0", version="2.6", compression="zstd", write_page_checksum=True, data_page_size=4096),
             "pyarrow deltas": dict(use_dictionary=False, compression="gzip", column_encoding={f.name: numbers[str(f.type)] for f in t.schema})}[how]
        pp.write_table(t, to, **o)
`

// TestReaderOfItsOwnReadsOthers does so with files that other programs wrote.
func TestReaderOfItsOwnReadsOthers(t *testing.T) {
	all, files := everyTable(t, 3000)
	for _, writer := range []string{"pyarrow", "pyarrow plain", "pyarrow v2", "pyarrow deltas", "duckdb", "polars"} {
		t.Run(writer, func(t *testing.T) {
			out, args, again := t.TempDir(), []string{writer}, make(map[table.Name][]string)
			for name, of := range files {
				for i, from := range of { // the days of one table have one file name
					to := filepath.Join(out, fmt.Sprintf("%s-%d.parquet", name, i))
					args, again[name] = append(args, to+"="+from), append(again[name], to)
				}
			}
			sinktest.Python(t, rewriteScript, args...)
			got := make(map[table.Name]map[string]string)
			for name, of := range again {
				got[name] = ownDigests(t, name, of)
			}
			compareDigests(t, writer, all, got)
		})
	}
}

// allocated returns the bytes that a function allocates.
func allocated(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestFlippedBits flips single bits of files of every table: each is an error or
// changes no value, and none makes the reader allocate for a length that is not
// there.
func TestFlippedBits(t *testing.T) {
	_, files := everyTable(t, 400)
	flips := 2000
	if os.Getenv("LANDFALL_SOAK") == "1" {
		flips = 100_000
	}
	rng := rand.New(rand.NewPCG(3, 1))
	var names []table.Name
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	seen, silent := 0, 0
	for _, name := range names {
		data, err := os.ReadFile(files[name][0])
		if err != nil {
			t.Fatal(err)
		}
		var want map[string][]string
		usual := allocated(func() { want, err = ownColumns(data) })
		if err != nil {
			t.Fatal(err)
		}
		for range flips/len(names) + 1 {
			bit := rng.IntN(8 * len(data))
			data[bit/8] ^= 1 << (bit % 8)
			var got map[string][]string
			took := allocated(func() { got, err = ownColumns(data) })
			if most := usual + 16<<20; took > most {
				t.Errorf("%s, bit %d: %d bytes allocated, usual are %d", name, bit, took, usual)
			}
			switch {
			case err == nil:
				silent++
				if what := difference(want, got); what != "" {
					t.Errorf("%s, bit %d of %d bytes: %s", name, bit, len(data), what)
				}
			case errors.Is(err, parquetfile.ErrDamaged) || errors.Is(err, parquetfile.ErrUnsupported):
				seen++
			default:
				t.Errorf("%s, bit %d: %v", name, bit, err)
			}
			data[bit/8] ^= 1 << (bit % 8)
		}
	}
	t.Logf("%d bits: %d seen, %d change nothing that is read", seen+silent, seen, silent)
}

// difference says which column has other values; a column that is named
// otherwise is missed by whoever looks for it.
func difference(want, got map[string][]string) string {
	for name, vals := range got {
		if had, ok := want[name]; ok && !slices.Equal(vals, had) {
			return name + " has other values"
		}
	}
	if len(got) != len(want) {
		return fmt.Sprintf("%d columns of %d", len(got), len(want))
	}
	return ""
}

// checksumScript flips a bit of files in memory and reads one column of each with
// page checksums: arguments are "path:column:byte". It prints those that are
// read without an error, and how many there were.
const checksumScript = `
import pyarrow, sys
import pyarrow.parquet as pp
def read(data, column):
    pp.ParquetFile(pyarrow.BufferReader(bytes(data)), page_checksum_verification=True).read([column])
files, unseen = {}, []
for arg in sys.argv[1:]:
    path, column, at = arg.rsplit(":", 2)
    if path not in files:
        files[path] = bytearray(open(path, "rb").read())
        read(files[path], column)
    data = files[path]
    data[int(at)] ^= 16
    try:
        read(data, column)
        unseen.append(arg)
    except OSError as e:
        assert "CRC" in str(e) or "checksum" in str(e), e
    data[int(at)] ^= 16
print(len(sys.argv) - 1, *unseen)
`

// TestPageChecksums flips a bit in the body of every page of every table,
// dictionaries too: pyarrow with page checksums sees each, and so does
// engine/parquetfile.
func TestPageChecksums(t *testing.T) {
	_, files := everyTable(t, 400)
	var args []string
	for _, of := range files {
		f := openFile(t, of[0])
		data, err := os.ReadFile(of[0])
		if err != nil {
			t.Fatal(err)
		}
		for g, group := range f.Metadata().RowGroups {
			for i, chunk := range group.Columns {
				var ends []int64
				if m := chunk.MetaData; m.DictionaryPageOffset > 0 {
					ends = append(ends, m.DataPageOffset)
				}
				for _, page := range f.OffsetIndexes()[g*len(group.Columns)+i].PageLocations {
					ends = append(ends, page.Offset+int64(page.CompressedPageSize))
				}
				for _, end := range ends {
					args = append(args, fmt.Sprintf("%s:%s:%d", of[0], chunk.MetaData.PathInSchema[0], end-1))
					data[end-1] ^= 16
					if _, err := ownColumns(data); !errors.Is(err, parquetfile.ErrDamaged) || !strings.Contains(err.Error(), "CRC") {
						t.Errorf("%s: parquetfile: %v", args[len(args)-1], err)
					}
					data[end-1] ^= 16
				}
			}
		}
	}
	if got := sinktest.Python(t, checksumScript, args...); got != fmt.Sprint(len(args)) || len(args) < 300 {
		t.Errorf("pyarrow does not see: %s", got)
	}
}

// TestDamageIsNotAnotherHistory: a published file that is not the manifest's, and
// of which nothing is staged any more, is damaged where it is not whole in
// itself; a whole one may be another history, and stays.
func TestDamageIsNotAnotherHistory(t *testing.T) {
	dir, s := lake(t)
	staged := land(t, s, 1, slice(harbour(1, 100), 0, 100))
	path := filepath.Join(dir, staged[0].Target)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	otherDir, other := lake(t)
	second := land(t, other, 1, slice(harbour(2, 100), 0, 100))
	otherRows, err := os.ReadFile(filepath.Join(otherDir, second[0].Target))
	if err != nil {
		t.Fatal(err)
	}
	flipped, zeroed := bytes.Clone(good), bytes.Clone(good)
	flipped[len(good)/10] ^= 1
	clear(zeroed[64:512])
	for _, c := range []struct {
		name string
		data []byte
		want error
	}{
		{"one bit", flipped, stream.ErrDamaged}, {"zeroed", zeroed, stream.ErrDamaged}, {"cut", good[:len(good)-100], stream.ErrDamaged},
		{"empty", nil, stream.ErrDamaged}, {"other rows", otherRows, stream.ErrContent}, {"as it was", good, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := os.WriteFile(path, c.data, 0o640); err != nil {
				t.Fatal(err)
			}
			err := s.Publish(t.Context(), staged)
			if !errors.Is(err, c.want) || errors.Is(err, stream.ErrDamaged) && errors.Is(err, stream.ErrContent) {
				t.Fatalf("got %v", err)
			}
			var damaged *stream.DamagedError
			if errors.As(err, &damaged) && (damaged.SHA256 != fmt.Sprintf("%x", sha256.Sum256(c.data)) || damaged.Where != staged[0].Target) {
				t.Errorf("it names %s with %s", damaged.Where, damaged.SHA256)
			}
		})
	}
}
