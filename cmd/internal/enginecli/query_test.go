package enginecli

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"landfall/sinks/sinktest"
)

// query is a fenced block of docs/query.md that says in what it is run.
var query = regexp.MustCompile("(?ms)^```(?:sql|python) (duckdb|polars|spark)\n(.*?)^```")

// TestTheQueriesOfTheDocsRun: each gives rows over a simulated lake, and those
// that look for what is missing or doubled find nothing.
func TestTheQueriesOfTheDocsRun(t *testing.T) {
	page, err := os.ReadFile("../../../docs/query.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var spark []string
	file := write(t, filepath.Join(dir, "in.nmea"), traffic(t, 3000))
	if code, out, errs := run(context.Background(), Command("landfall-engine", "test"), "replay", file, "--lake", filepath.Join(dir, "lake"), "--quiet"); code != 0 {
		t.Fatalf("replay: %d\n%s%s", code, out, errs)
	}
	found := query.FindAllStringSubmatch(string(page), -1)
	if len(found) < 6 {
		t.Fatalf("%d queries found", len(found))
	}
	for _, q := range found {
		engine, text := q[1], q[2]
		var rows string
		if engine == "spark" {
			spark = append(spark, text)
			continue
		}
		if engine == "duckdb" {
			var all []string
			for _, r := range sinktest.DuckDB(t, strings.ReplaceAll(text, "'lake/", "'"+dir+"/lake/")) {
				all = append(all, strings.Join(r, ","))
			}
			rows = strings.Join(all, "\n")
		} else {
			rows = sinktest.Python(t, "import os, sys\nos.chdir(sys.argv[1])\n"+text+"\nprint('\\n'.join(','.join(map(str, r)) for r in result.rows()))", dir)
		}
		if rows == "" {
			t.Errorf("no rows:\n%s", text)
		}
		if strings.Contains(text, "doubled") && !strings.HasSuffix(rows, ",0,0") {
			t.Errorf("missing or doubled:\n%s\n%s", text, rows)
		}
	}
	t.Run("Spark", func(t *testing.T) { runInSpark(t, spark, dir) })
}

// TestTheQueryOfTheGuaranteeFinds what was lost, doubled, moved or changed, also
// the last record of a log and a whole gateway, and nothing in a lake that is exact.
// README has the same query. It runs in the folder that holds the lake. A folder of
// another program beside the tables, of a name that begins like theirs, changes nothing.
func TestTheQueryOfTheGuaranteeFinds(t *testing.T) {
	guarantee, readme := promise(t, "../../../docs/guarantee.md"), promise(t, "../../../README.md")
	if guarantee != readme {
		t.Errorf("README's query is not the one of guarantee.md:\n%s", readme)
	}
	dir := t.TempDir()
	for gateway, records := range map[string]int{"north": 400, "pier": 1000} {
		file := write(t, filepath.Join(dir, gateway+".nmea"), traffic(t, records))
		if code, out, errs := run(context.Background(), Command("landfall-engine", "test"), "replay", file, "--lake", filepath.Join(dir, "lake"), "--gateway", gateway, "--quiet", "--again"); code != 0 { // the one begins as the other
			t.Fatalf("replay: %d\n%s%s", code, out, errs)
		}
	}
	for _, tt := range []struct {
		name, rows string // what record holds, made of the table whole
		want       string // exact of north and of pier
	}{
		{"all", "SELECT * FROM whole", "True True"},
		{"a record deleted", "SELECT * FROM whole WHERE NOT (_gateway = 'pier' AND _offset = 5)", "True False"},
		{"the last record of a log deleted", "SELECT * FROM whole WHERE NOT (_gateway = 'pier' AND _offset = (SELECT max(_offset) FROM whole WHERE _gateway = 'pier'))", "True False"},
		{"a gateway deleted", "SELECT * FROM whole WHERE _gateway <> 'north'", "False True"},
		{"everything deleted", "SELECT * FROM whole WHERE false", "False False"},
		{"a record doubled", "SELECT * FROM whole UNION ALL SELECT * FROM whole WHERE _gateway = 'north' AND _offset = 0", "False True"},
		{"one byte of raw changed", "SELECT * REPLACE (CASE WHEN _gateway = 'pier' AND _offset = 7 THEN raw[:-2] || 'x'::BLOB ELSE raw END AS raw) FROM whole", "True False"},
		{"two records exchanged", "SELECT * REPLACE (CASE WHEN _gateway = 'pier' AND _offset IN (7, 8) THEN 15 - _offset ELSE _offset END AS _offset) FROM whole", "True False"},
		{"a record moved to another log", "SELECT * REPLACE ('north' AS _gateway, (SELECT any_value(_log) FROM whole WHERE _gateway = 'north') AS _log) FROM whole WHERE _gateway = 'pier' AND _offset = 9 UNION ALL SELECT * FROM whole WHERE NOT (_gateway = 'pier' AND _offset = 9)", "False False"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := sinktest.Python(t, tamperScript, dir, t.TempDir(), tt.rows, guarantee); got != tt.want {
				t.Errorf("exact is %s, want %s", got, tt.want)
			}
		})
	}
}

// tamperScript makes a lake of argv[1]'s with other rows in record, in argv[2], and
// runs a query in that folder. It prints the column exact by gateway.
const tamperScript = `
import os, shutil, sys, duckdb
whole, dir, rows, query = sys.argv[1:]
shutil.copytree(os.path.join(whole, "lake", "log"), os.path.join(dir, "lake", "log"))
os.makedirs(os.path.join(dir, "lake", "logbook", "2026")) # another program's, with columns of the same names
duckdb.execute("COPY (SELECT * REPLACE (next_offset + 5 AS next_offset, digest + 1 AS digest) FROM read_parquet('" + whole +
    "/lake/log/*/*.parquet', hive_partitioning = false)) TO '" + dir + "/lake/logbook/2026/one.parquet'")
os.makedirs(os.path.join(dir, "lake", "record", "dt=2026-01-01"))
os.chdir(dir)
duckdb.execute("CREATE TABLE whole AS SELECT * FROM read_parquet('" + whole + "/lake/record/*/*.parquet', hive_partitioning = false)")
duckdb.execute("COPY (" + rows + ") TO 'lake/record/dt=2026-01-01/one.parquet'")
print(*(row[0] for row in duckdb.execute("SELECT exact FROM (" + query + ") ORDER BY _gateway").fetchall()))
`

// promise is the query that begins with WITH in an indented block of a page.
func promise(t *testing.T, name string) string {
	t.Helper()
	page, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile(`(?m)^    WITH (?:.*\n)+?\n`).FindString(string(page))
	if text == "" {
		t.Fatalf("%s has no query", name)
	}
	return text
}

// TestTheCountOfTheGuaranteeFinds what is missing and what is doubled.
func TestTheCountOfTheGuaranteeFinds(t *testing.T) {
	page, err := os.ReadFile("../../../docs/guarantee.md")
	if err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile(`(?m)^    (SELECT .*)\n    FROM ('lake/record/.*') GROUP BY ALL$`).FindSubmatch(page)
	if text == nil {
		t.Fatal("the page has no query")
	}
	dir := t.TempDir()
	file := write(t, filepath.Join(dir, "in.nmea"), traffic(t, 1000))
	if code, out, errs := run(context.Background(), Command("landfall-engine", "test"), "replay", file, "--lake", filepath.Join(dir, "lake"), "--quiet"); code != 0 {
		t.Fatalf("replay: %d\n%s%s", code, out, errs)
	}
	all := "SELECT * FROM " + strings.Replace(string(text[2]), "lake/", dir+"/lake/", 1)
	for rows, want := range map[string]string{
		all:                         "0,0",
		all + " WHERE _offset <> 5": "1,0",
		all + " UNION ALL " + all + " WHERE _offset IN (5, 6)": "0,2",
	} {
		found := sinktest.DuckDB(t, string(text[1])+" FROM ("+rows+") GROUP BY ALL")
		if len(found) != 1 || strings.Join(found[0][2:], ",") != want {
			t.Errorf("%s: %q, want %s", rows, found, want)
		}
	}
}

// runInSpark runs queries in a Spark of their own process: half a gigabyte to
// fetch and a minute to start, and so only where somebody has one.
func runInSpark(t *testing.T, queries []string, dir string) {
	python := os.Getenv("LANDFALL_SPARK")
	if python == "" {
		t.Skip("LANDFALL_SPARK names no Python with PySpark")
	}
	script := "import os, sys\nos.chdir(sys.argv[1])\nfrom pyspark.sql import SparkSession\n" +
		"spark = SparkSession.builder.master('local[2]').config('spark.ui.enabled', 'false').config('spark.sql.session.timeZone', 'UTC').getOrCreate()\n"
	for _, q := range queries {
		script += q + "\nassert result, 'no rows'\nprint('row', *result[0])\n"
	}
	out, err := exec.Command(python, "-c", script, dir).Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	rows := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(queries) < 2 || len(rows) != len(queries) || !strings.HasSuffix(rows[len(rows)-1], " 0 0") {
		t.Errorf("%d queries gave\n%s", len(queries), out)
	}
}
