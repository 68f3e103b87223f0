package parquet

import (
	"path/filepath"
	"strings"
	"testing"

	"landfall/decoders/ais"
	"landfall/edge/record"
	"landfall/engine/table"
	"landfall/sinks/sinktest"
)

// mixedScript counts, with three readers, rows, rows of which is_duplicate is
// false, and rows of which it is NULL, over files in the order given.
const mixedScript = `
import sys, duckdb, polars, pyarrow.compute as pc, pyarrow.dataset
files = sys.argv[1:]
print(*duckdb.execute("SELECT count(*), count(*) FILTER (NOT is_duplicate), count(*) FILTER (is_duplicate IS NULL) FROM read_parquet(?)", [files]).fetchone())
c = polars.col("is_duplicate")
print(*polars.scan_parquet(files).select(polars.len().alias("n"), (~c).sum().alias("f"), c.is_null().sum().alias("null")).collect().row(0))
t = pyarrow.dataset.dataset(files).to_table()
print(t.num_rows, pc.sum(pc.invert(t["is_duplicate"])).as_py(), t["is_duplicate"].null_count)
`

// TestOlderFilesAreReadBesideNewOnes: a file of schema 4, where is_duplicate may be
// NULL, and one of today, where it may not, are one table, whichever a reader sees
// first.
func TestOlderFilesAreReadBesideNewOnes(t *testing.T) {
	dir, s := lake(t)
	b := new(table.Batch)
	for i := range record.Offset(4) {
		b.Positions = append(b.Positions, table.PositionRow{
			Lineage: table.Lineage{Gateway: "pier", Log: strings.Repeat("a", 32), Offset: i, Rows: 1}, Times: table.Times{EventTime: 1, ReceivedAt: 1},
			Reception: table.Reception{IsDuplicate: i == 3, DupLog: map[bool]string{true: "x"}[i == 3]}, Position: ais.Position{Header: ais.Header{MsgType: 1, MMSI: 1}},
		})
	}
	staged := land(t, s, 1, b)
	files := []string{"testdata/formats/ais_position-schema4.parquet", filepath.Join(dir, staged[0].Target)}
	for range 2 {
		got := strings.Split(strings.TrimSpace(sinktest.Python(t, mixedScript, files...)), "\n")
		if want := "7 3 3|7 3 3|7 3 3"; strings.Join(got, "|") != want {
			t.Errorf("%q: DuckDB, Polars and pyarrow count %q, want %s", files, got, want)
		}
		files[0], files[1] = files[1], files[0]
	}
}
