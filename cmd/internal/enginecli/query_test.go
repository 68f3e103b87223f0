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

// TestTheQueryOfTheGuaranteeFinds what is missing and what is doubled, and
// nothing in a lake that is exact.
func TestTheQueryOfTheGuaranteeFinds(t *testing.T) {
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
