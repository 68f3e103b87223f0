package tampertest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	pq "github.com/parquet-go/parquet-go"

	"landfall/engine/audit"
	"landfall/engine/table"
	"landfall/sinks/sinktest"
)

// TestLakeIsGood: every table but conflict has rows, on several days, of two
// gateways with three logs each; its audit is exact, and made twice it is the
// same.
func TestLakeIsGood(t *testing.T) {
	l, other := shared.good(t, 6_000), Make(t, t.TempDir(), Config{Records: 6_000})
	for _, name := range table.Names() {
		files := Files(t, l.Dir, string(name)+"/dt=*/*.parquet")
		if rare := name == table.Conflict || name == table.Loss; rare != (len(files) == 0) {
			t.Errorf("table %s has %d files", name, len(files))
		}
		for _, f := range files {
			if same(t, filepath.Join(l.Dir, f), filepath.Join(other.Dir, f)) {
				continue
			}
			t.Errorf("%s is not the same twice", f)
		}
	}
	for _, gateway := range Gateways() {
		if n := len(Files(t, l.EdgeLogs[gateway], "*.seg")); n < LogsPerGateway {
			t.Errorf("%d segments of %s", n, gateway)
		}
	}
	for task := range partitions {
		for _, e := range l.Ledger(t, Task(task)) {
			for _, log := range e.Logs {
				if log.Digest == "" || log.Chain == "" {
					t.Errorf("entry %d does not know the digest of %s", e.Number, log.Log)
				}
			}
		}
		if n := len(l.Ledger(t, Task(task))); n < epochsPerTask/2 {
			t.Errorf("%d epochs of %s", n, Task(task))
		}
	}
	if o := audited(t, l, audit.LevelBytes); !o.exact {
		t.Errorf("not exact: %+v", o.findings)
	}
}

func same(t testing.TB, a, b string) bool {
	t.Helper()
	x, err := os.ReadFile(a)
	must(t, err)
	y, err := os.ReadFile(b)
	must(t, err)
	return bytes.Equal(x, y)
}

// TestRewritingKeepsTheRest: one value is another one, every other value, the
// schema and the number of bytes are as before, also for DuckDB.
func TestRewritingKeepsTheRest(t *testing.T) {
	l := shared.good(t, 6_000)
	b := NewBench(t, l)
	name := b.Large(table.AISPosition)
	before := b.size(name)
	b.SetValue(table.AISPosition, "lat", func(pq.Value) pq.Value { return pq.DoubleValue(12.5) })
	if after := b.size(name); after != before {
		t.Errorf("%d bytes became %d", before, after)
	}
	if !same(t, filepath.Join(l.Dir, name), filepath.Join(l.Dir, name)) || same(t, filepath.Join(l.Dir, name), b.Path(name)) {
		t.Error("the copy shares its bytes with the lake")
	}
	query := "SELECT count(*), count(DISTINCT COLUMNS(*)) FROM (SELECT * REPLACE (0 AS lat) FROM '%[1]s' UNION ALL SELECT * REPLACE (0 AS lat) FROM '%[2]s')"
	one := sinktest.DuckDB(t, fmt.Sprintf(query, filepath.Join(l.Dir, name), filepath.Join(l.Dir, name)))
	two := sinktest.DuckDB(t, fmt.Sprintf(query, filepath.Join(l.Dir, name), b.Path(name)))
	changed := sinktest.DuckDB(t, fmt.Sprintf("SELECT count(*) FROM '%s' WHERE lat = 12.5", b.Path(name)))
	if fmt.Sprint(one) != fmt.Sprint(two) || fmt.Sprint(changed) != "[[1]]" {
		t.Errorf("%v, want %v; %v rows changed", two, one, changed)
	}
}
