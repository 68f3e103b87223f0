package enginecli

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"landfall/sinks/sinktest"
)

// timesScript makes a table record of two boots: of the first one a record was captured
// before anybody knew the time, of the second one all were. It runs the query of argv[2].
const timesScript = `
import os, sys, duckdb
os.makedirs(sys.argv[1] + "/lake/record/dt=2026-06-01")
os.chdir(sys.argv[1])
duckdb.execute("""COPY (SELECT 'ada' AS _gateway, _offset, boot_id, monotonic, quality AS time_quality, source AS time_source,
    make_timestamp(event_time) AS event_time FROM (VALUES
    (0, 'first', 1000000, 'unsynchronised', 'receipt', 7000000),
    (1, 'first', 3000000, 'synchronised', 'radio', 1780000003000000),
    (2, 'first', 4000000, 'synchronised', 'clock', 1780000004000100),
    (3, 'first', 5000000, 'synchronised', 'tag', 1700000000000000),
    (4, 'first', 6000000, 'asserted', 'radio', 1700000000000000),
    (5, 'second', 1000000, 'unsynchronised', 'receipt', 9000000)
    ) AS t(_offset, boot_id, monotonic, quality, source, event_time)) TO 'lake/record/dt=2026-06-01/one.parquet'""")
for row in duckdb.execute("SELECT _offset, epoch_us(event_time) FROM (" + sys.argv[2] + ") ORDER BY ALL").fetchall():
    print(*row)
`

// TestTheRepairOfTimesOfThePage: the query of docs/time.md gives a record that nobody
// knew the time of the one that later records of its boot tell, those alone that rest
// on the corrected clock; a boot of which nobody ever knew it stays as it is.
func TestTheRepairOfTimesOfThePage(t *testing.T) {
	got := sinktest.Python(t, timesScript, t.TempDir(), promise(t, "../../../docs/time.md"))
	if want := "0 1780000001000050"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestTheQuestionOfTheReadme: the first query that a reader is told to ask has rows.
func TestTheQuestionOfTheReadme(t *testing.T) {
	page, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile(`(?m)^    SELECT mmsi, .*\n    FROM '(landfall-demo-1)/lake/.*LIMIT 10$`).FindSubmatch(page)
	if text == nil {
		t.Fatal("the page has no query")
	}
	dir := t.TempDir()
	file := write(t, filepath.Join(dir, "in.nmea"), traffic(t, 3000))
	if code, out, errs := run(context.Background(), Command("landfall-engine", "test"), "replay", file, "--lake",
		filepath.Join(dir, "lake"), "--quiet"); code != 0 {
		t.Fatalf("replay: %d\n%s%s", code, out, errs)
	}
	rows := sinktest.DuckDB(t, strings.ReplaceAll(string(text[0]), string(text[1]), dir))
	if len(rows) != 10 || len(rows[0]) != 3 || len(rows[0][0]) != 9 {
		t.Errorf("rows %v", rows)
	}
}
