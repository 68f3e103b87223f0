package goduckdb

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	_ "github.com/marcboeker/go-duckdb" // the driver
)

// landfall runs one of the product's commands from its own module.
func landfall(t *testing.T, command string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command("go", append([]string{"run", "./cmd/" + command}, args...)...)
	cmd.Dir = "../../.."
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %v: %v", command, args, err)
	}
	return out
}

// counts is what the audit says of a lake's logs, as far as it is compared.
type counts struct {
	Exact bool
	Logs  []struct {
		Recorded, Rejected int64
		TypedExpected      int64 `json:"typed_expected"`
		TypedFound         int64 `json:"typed_found"`
	}
}

func TestDuckDBThroughGoCountsTheSame(t *testing.T) {
	dir := t.TempDir()
	feed, lake := filepath.Join(dir, "harbour.nmea"), filepath.Join(dir, "lake")
	landfall(t, "landfall", "simulate", "--to", feed, "--lines", "30000", "--ships", "100", "--rate", "200", "--noise", "0.02")
	landfall(t, "landfall-engine", "replay", feed, "--lake", lake, "--epoch-records", "9000", "--quiet")
	var audit counts
	if err := json.Unmarshal(landfall(t, "landfall-engine", "audit", "--lake", lake, "--json"), &audit); err != nil {
		t.Fatal(err)
	}
	if !audit.Exact || len(audit.Logs) != 1 || audit.Logs[0].Recorded < 25_000 || audit.Logs[0].Rejected == 0 {
		t.Fatalf("audit: %+v", audit)
	}
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	count := func(query, table string) (n int64) {
		t.Helper()
		from := fmt.Sprintf("read_parquet('%s/%s/*/*.parquet', hive_partitioning = true)", lake, table)
		if err := db.QueryRow(fmt.Sprintf("SELECT %s FROM %s", query, from)).Scan(&n); err != nil {
			t.Fatalf("%s of %s: %v", query, table, err)
		}
		return n
	}
	log := audit.Logs[0]
	for query, want := range map[string]int64{
		"count(*)": log.Recorded, "count(DISTINCT (_gateway, _log, _offset))": log.Recorded, "max(_offset) + 1": log.Recorded,
		"count(reject_reason)": log.Rejected, "CAST(sum(_rows) AS BIGINT)": log.TypedExpected,
	} {
		if got := count(query, "record"); got != want {
			t.Errorf("%s of record: %d in DuckDB, %d in the audit", query, got, want)
		}
	}
	if typed := count("count(DISTINCT (_gateway, _log, _offset, _row))", "ais_*"); typed != log.TypedFound {
		t.Errorf("typed rows: %d in DuckDB, %d in the audit", typed, log.TypedFound)
	}
}
