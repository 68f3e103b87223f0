package parquet

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"

	"landfall/decoders/ais"
	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/engine/stream"
	"landfall/engine/table"
	"landfall/sinks/object"
	"landfall/sinks/sinktest"
)

var testTask = stream.TaskID{Landing: "test", Partition: 0}

// lake makes an empty lake and its sink, with small pages and row groups.
func lake(t testing.TB) (string, *Sink) {
	t.Helper()
	dir := t.TempDir()
	files, err := object.OpenLake(durable.OS{}, dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Config{Files: files, Writers: 2})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		e := <-s.encoders
		e.pageRows, e.groupRows = 700, 3000
		s.encoders <- e
	}
	return dir, s
}

// land stages the batches as one epoch and publishes it.
func land(t testing.TB, s *Sink, epoch stream.Epoch, batches ...*table.Batch) []stream.Staged {
	t.Helper()
	stage, err := s.Begin(testTask, "0123456789abcdef0123456789abcdef", epoch)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range batches {
		if err := stage.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	staged, err := stage.Seal(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Publish(context.Background(), staged); err != nil {
		t.Fatal(err)
	}
	return staged
}

// readScript reads, with the reader argv[1], the files argv[2:] given as
// table=path, sorts each table by _offset and _row, and prints the hash of every
// column's canonical text. Bounds are used: the filter on _offset takes every
// row.
const readScript = `
import hashlib, json, struct, sys
import pyarrow, pyarrow.parquet as pp
tables = {}
for arg in sys.argv[2:]:
    name, path = arg.split("=", 1)
    tables.setdefault(name, []).append(path)
def duck(files, at):
    import duckdb
    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'")
    return con.execute(f"SELECT * FROM read_parquet(?, hive_partitioning = false) WHERE {at} >= 0 AND {at} < 1000000000", [files]).to_arrow_table()
def pola(files, at):
    import polars
    return polars.scan_parquet(files, hive_partitioning=False).filter(polars.col(at) >= 0).collect().to_arrow()
def arrow(files, at):
    return pyarrow.concat_tables(pp.read_table(f, partitioning=None, page_checksum_verification=True, filters=[(at, ">=", 0)]) for f in files)
def canonical(v):
    if v is None: return "NULL"
    if isinstance(v, bool): return "1" if v else "0"
    if isinstance(v, float): return struct.pack(">d", v).hex()
    if isinstance(v, bytes): return v.hex()
    return str(v)
out = {}
for table, files in tables.items():
    t = {"duckdb": duck, "polars": pola, "pyarrow": arrow}[sys.argv[1]](files, "next_offset" if table == "log" else "_offset")
    t = t.sort_by([(c, "ascending") for c in ("_offset", "_row", "next_offset") if c in t.column_names])
    out[table] = {}
    for name in t.column_names:
        c = t.column(name)
        if pyarrow.types.is_timestamp(c.type):
            assert c.type.unit == "us" and c.type.tz == "UTC", (name, c.type)
            c = c.cast(pyarrow.int64())
        out[table][name] = hashlib.sha256("\n".join(map(canonical, c.to_pylist())).encode()).hexdigest()
json.dump(out, sys.stdout)
`

// TestForeignReadersSeeTheSame compares every value of every column of every
// table, as DuckDB, pyarrow (with page checksums) and polars read it, with the
// rows that were written, over several epochs, row groups, pages and dates.
func TestForeignReadersSeeTheSame(t *testing.T) {
	dir, s := lake(t)
	all := harbour(1, 9000)
	strange(all)
	var parts []*table.Batch
	for _, cut := range [][2]int{{0, 1}, {1, 5000}, {5000, 9000}} {
		parts = append(parts, slice(all, cut[0], cut[1]))
	}
	rest := *all
	rest.Records, rest.Positions = nil, nil
	land(t, s, 1, parts[0])
	land(t, s, 2, parts[1], &rest)
	land(t, s, 3, parts[2])
	var args []string
	for _, name := range table.Names() {
		files, err := filepath.Glob(filepath.Join(dir, string(name), "dt=*", "*.parquet"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no files of %s: %v", name, err)
		}
		for _, f := range files {
			args = append(args, string(name)+"="+f)
		}
	}
	for _, reader := range []string{"duckdb", "pyarrow", "polars"} {
		var got map[table.Name]map[string]string
		if err := json.Unmarshal([]byte(sinktest.Python(t, readScript, append([]string{reader}, args...)...)), &got); err != nil {
			t.Fatal(err)
		}
		compareDigests(t, reader, all, got)
	}
	counts := sinktest.DuckDB(t, fmt.Sprintf("SELECT count(*), sum(_offset) FROM read_parquet('%s/ais_position/*/*.parquet')", dir))
	if want := [][]string{{"9000", fmt.Sprint(9000 * 8999 / 2)}}; fmt.Sprint(counts) != fmt.Sprint(want) {
		t.Errorf("DuckDB counts %v, want %v", counts, want)
	}
}

func compareDigests(t *testing.T, reader string, all *table.Batch, got map[table.Name]map[string]string) {
	t.Helper()
	for name, rows := range batchTables(all) {
		for _, c := range Schema(name) {
			if want := digest(model(rows, c)); got[name][c.Name] != want {
				t.Errorf("%s reads %s.%s otherwise", reader, name, c.Name)
			}
			delete(got[name], c.Name)
		}
		for extra := range got[name] {
			t.Errorf("%s finds a column %s in %s", reader, extra, name)
		}
	}
}

// slice gives records and positions [from, to) of a batch.
func slice(b *table.Batch, from, to int) *table.Batch {
	return &table.Batch{Records: b.Records[from:to], Positions: b.Positions[from:to]}
}

// strange puts extremes into a batch: NULL times, other dates, columns of
// which a page, a row group or a file is all NULL, empty and long bytes,
// negative zero, every bit.
func strange(b *table.Batch) {
	for i := range b.Records {
		r, p := &b.Records[i], &b.Positions[i]
		switch {
		case i%1000 == 3:
			r.EventTime, p.EventTime = record.NoTime, record.NoTime
		case i%1000 == 4:
			r.EventTime, p.EventTime = -1, -1
		case i%1000 == 5:
			r.EventTime, p.EventTime = 1<<62, 1<<62
		case i%500 == 6:
			r.Raw, r.RejectReason = nil, "payload_short"
		case i%500 == 7:
			r.Raw = make([]byte, 70_000)
		case i%500 == 8:
			r.Flags, r.Source, r.BootID = 0xff, "", ""
		}
		if i > 4000 && i < 8000 {
			p.Altitude = ais.Some(uint16(i))
		}
		if i%3 == 0 {
			p.Lat, p.SOG = ais.Some(-90.0), ais.Some(0.0)
		}
		if i < 3000 {
			p.Station = fmt.Sprint("Å", i)
		}
		if i%5 == 0 {
			p.MMSI ^= uint32(i) << 12 & 0x3fffffff // high bits too; the others stay a ship's long run
		}
	}
}
