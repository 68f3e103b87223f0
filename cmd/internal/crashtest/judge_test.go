//go:build failpoint && linux

package crashtest

import (
	_ "embed"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/template"
	"time"

	"landfall/edge/record"
	"landfall/engine/table"
	"landfall/sinks/sinktest"
)

//go:embed judge.sql
var judgeSQL string

// tolerance is how much earlier or later than the declared interval a line may
// have been sent that is missing: what lies between a sender's write and the
// edge's read is not the gateway's to declare.
const tolerance = 100 * time.Millisecond

// evidence is what one verdict is made of.
type evidence struct {
	t    *testing.T
	dir  string // where sent-*.csv lie
	lake string
}

// source gives a table's files, or an empty relation when there are none.
func (e evidence) source(name table.Name, otherwise string) string {
	glob := filepath.Join(e.lake, string(name), "dt=*", "*.parquet")
	if files, _ := filepath.Glob(glob); len(files) == 0 {
		return "(" + otherwise + " LIMIT 0)"
	}
	return fmt.Sprintf("read_parquet('%s', hive_partitioning = false)", glob)
}

func (e evidence) record() string { return e.source(table.Record, noRecord) }

func (e evidence) typed() string {
	var parts []string
	for _, name := range table.TypedNames() {
		mmsi := "mmsi"
		if name == table.SensorReading {
			mmsi = "0 AS mmsi"
		}
		parts = append(parts, fmt.Sprintf("  SELECT '%s' AS tbl, _gateway AS gateway, _log AS log, _offset AS off, _row, _rows, %s FROM %s", name, mmsi,
			e.source(name, noTyped)))
	}
	return strings.Join(parts, "\n  UNION ALL\n")
}

// openings writes the openings of all logs in the lake to a CSV file.
func (e evidence) openings() string {
	rows := sinktest.DuckDB(e.t, fmt.Sprintf("SELECT _gateway, _log, hex(raw) FROM %s WHERE kind = 'log_open'", e.record()))
	ends := map[string]int64{}
	var b strings.Builder
	b.WriteString("gateway,log,prev,prev_end,last_at,opened_at,cut\n")
	var all []record.Opening
	for _, r := range rows {
		raw, err := hex.DecodeString(r[2])
		if err != nil {
			e.t.Fatal(err)
		}
		o, err := record.DecodeOpening(raw)
		if err != nil {
			e.t.Fatal(err)
		}
		all = append(all, o)
		ends[r[1]] = int64(o.OpenedAt)
	}
	for i, o := range all {
		from := int64(o.PrevLastAt)
		if o.PrevLastAt == record.NoTime {
			from = ends[o.Prev.String()] // nothing but its opening; 0 before the first log
		}
		fmt.Fprintf(&b, "%s,%s,%s,%d,%d,%d,%d\n", rows[i][0], rows[i][1], o.Prev, o.PrevEnd, from, o.OpenedAt, o.CutTailBytes)
	}
	name := filepath.Join(e.dir, "openings.csv")
	writeText(e.t, name, b.String())
	return name
}

// verdict is the judge's answer: violations and figures by name.
type verdict map[string]int64

// judge compares what was sent with what the lake holds; violations fail the
// test, unless allowed names them.
func (e evidence) judge(allowed ...string) verdict {
	e.t.Helper()
	return e.verdict(e.ask(), allowed...)
}

// verdict prints the figures among a judge's answers and fails the test for the
// violations.
func (e evidence) verdict(rows [][]string, allowed ...string) verdict {
	e.t.Helper()
	v := verdict{}
	for _, row := range rows {
		n, err := strconv.ParseInt(row[1], 10, 64)
		if err != nil {
			e.t.Fatal(err)
		}
		v[row[0]] = n
		switch {
		case strings.HasPrefix(row[0], "#"):
			fmt.Printf("  %-44s %9d %s\n", row[0][2:], n, strings.ReplaceAll(row[2], "NULL", ""))
		case n != 0 && !slices.Contains(allowed, row[0]):
			e.t.Errorf("%s: %d, for example %s", row[0], n, row[2])
		}
	}
	return v
}

// ask has DuckDB answer the judge's question: rows of name, number, example.
func (e evidence) ask() [][]string {
	e.t.Helper()
	var sql strings.Builder
	err := template.Must(template.New("judge").Parse(judgeSQL)).Execute(&sql, map[string]any{
		"Sent": filepath.Join(e.dir, "sent-*.csv"), "Openings": e.openings(), "Tolerance": tolerance.Microseconds(),
		"Record": e.record(), "Typed": e.typed(),
		"Loss": e.source(table.Loss, noLoss), "Log": e.source(table.Log, noLog), "Conflict": e.source(table.Conflict, "SELECT 1"),
	})
	if err != nil {
		e.t.Fatal(err)
	}
	writeText(e.t, filepath.Join(e.dir, "judge.sql"), sql.String())
	return sinktest.DuckDB(e.t, sql.String())
}

// What stands in for a table that has no files.
const (
	noRecord = "SELECT '' AS _gateway, '' AS _log, 0 AS _offset, 0 AS _row, 0 AS _rows, '' AS kind, '' AS source, ''::BLOB AS raw, 0 AS rows, '' AS reject_reason"
	noTyped  = "SELECT '' AS _gateway, '' AS _log, 0 AS _offset, 0 AS _row, 0 AS _rows, 0 AS mmsi"
	noLoss   = "SELECT '' AS _gateway, '' AS _log, 0::BIGINT AS _offset, 0::BIGINT AS count, 0::UBIGINT AS digest"
	noLog    = "SELECT '' AS _gateway, '' AS _log, 0::BIGINT AS next_offset, 0::BIGINT AS epoch, 0::UBIGINT AS digest"
)

// newestVisible gives the time of the newest file that became visible in the
// lake's record table.
func newestVisible(lake string) time.Time {
	var newest time.Time
	dirs, _ := filepath.Glob(filepath.Join(lake, string(table.Record), "dt=*"))
	for _, d := range dirs {
		if info, err := os.Stat(d); err == nil && info.ModTime().After(newest) {
			newest = info.ModTime()
		}
	}
	return newest
}
