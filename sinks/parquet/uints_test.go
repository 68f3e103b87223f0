package parquet

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"landfall/decoders/ais"
	"landfall/edge/record"
	"landfall/engine/table"
	"landfall/sinks/sinktest"
)

// countScript counts, with three readers, the rows of the table log that filters
// on digest leave, and reads the bounds of its column in the footer. Each filter
// is one that a reader who takes the bounds for signed numbers answers wrongly.
const countScript = `
import sys, pyarrow, pyarrow.dataset, pyarrow.parquet, duckdb, polars
path, half = sys.argv[1], 1 << 63
con = duckdb.connect()
for op in (">=", "<"):
    con_n = con.execute(f"SELECT count(*) FROM read_parquet(?) WHERE digest {op} {half}::UBIGINT", [path]).fetchone()[0]
    lazy, field = polars.scan_parquet(path), pyarrow.dataset.field("digest")
    if op == ">=":
        lazy, keep = lazy.filter(polars.col("digest") >= half), field >= pyarrow.scalar(half, pyarrow.uint64())
    else:
        lazy, keep = lazy.filter(polars.col("digest") < half), field < pyarrow.scalar(half, pyarrow.uint64())
    print(con_n, lazy.collect().height, pyarrow.dataset.dataset(path).to_table(filter=keep).num_rows)
print(con.execute("SELECT typeof(digest) FROM read_parquet(?) LIMIT 1", [path]).fetchone()[0], polars.read_parquet(path).schema["digest"], pyarrow.parquet.read_schema(path).field("digest").type)
meta = pyarrow.parquet.ParquetFile(path).metadata
at = meta.schema.names.index("digest")
print(min(meta.row_group(i).column(at).statistics.min for i in range(meta.num_row_groups)), max(meta.row_group(i).column(at).statistics.max for i in range(meta.num_row_groups)))
`

// TestUnsignedNumbersAreInTheirOrder: foreign readers take digests for unsigned
// numbers, their bounds too.
func TestUnsignedNumbersAreInTheirOrder(t *testing.T) {
	for _, tt := range []struct {
		name string
		of   func(i int) record.Digest
	}{
		{"both halves", func(i int) record.Digest { return record.Digest(i+1) * 0x9e3779b97f4a7c15 }},
		{"ascending, page by page", func(i int) record.Digest { return record.Digest(i) * (1 << 51) }},
		{"all beyond 2^63", func(i int) record.Digest { return ^record.Digest(i) }},
		{"one value", func(int) record.Digest { return 1<<63 + 1 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir, s := lake(t)
			b := new(table.Batch)
			var high, low int
			least, most := ^uint64(0), uint64(0)
			for i := range 10_000 {
				d := tt.of(i)
				b.Logs = append(b.Logs, table.LogRow{Gateway: "g", Log: fmt.Sprintf("%032x", i), Digest: ais.Some(d), OpenedAt: record.NoTime, Watermark: record.NoTime})
				if least, most = min(least, uint64(d)), max(most, uint64(d)); d>>63 == 1 {
					high++
				} else {
					low++
				}
			}
			staged := land(t, s, 1, b)
			got := strings.Split(strings.TrimSpace(sinktest.Python(t, countScript, filepath.Join(dir, staged[0].Target))), "\n")
			want := []string{fmt.Sprint(high, high, high), fmt.Sprint(low, low, low), "UBIGINT UInt64 uint64", fmt.Sprint(least, most)}
			if strings.Join(got, "|") != strings.Join(want, "|") {
				t.Errorf("DuckDB, Polars and pyarrow see %q, want %q", got, want)
			}
		})
	}
}
