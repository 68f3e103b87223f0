package bench

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// auditing measures the audit of a lake at each of its levels, in rows of all
// tables a second of CPU time and in memory, beside DuckDB, which sums up the
// same digests and reads every column of the same files. It also measures what
// hashing each published byte twice, before and after it becomes visible, is of
// the CPU time that made the lake.
func auditing(ctx context.Context, cfg Config) ([]row, error) {
	path, lake := filepath.Join(cfg.Dir, "harbour.nmea"), filepath.Join(cfg.Dir, "lake")
	if _, err := simulate(path, cfg.Sentences); err != nil {
		return nil, err
	}
	_, made, err := run(ctx, append(cfg.Engine, "replay", path, "--lake", lake, "--gateway", "bench"))
	if err != nil {
		return nil, err
	}
	hashing, err := hashingTwice(lake)
	if err != nil {
		return nil, err
	}
	rows := []row{{
		what: "hashing what is published before and after, of the CPU time of a replay", ours: fmt.Sprintf("%.2f s", hashing.Seconds()),
		limit: fmt.Sprintf("%.1f s the replay", made.cpu.Seconds()), ratio: fmt.Sprintf("%.1f%%", 100*hashing.Seconds()/made.cpu.Seconds()), aim: "2%",
	}}
	peer, err := duckScan(ctx, lake)
	if err != nil {
		return nil, err
	}
	for _, level := range []string{"offsets", "files", "bytes", "values"} {
		var speed, memory []float64
		for range max(3, cfg.Rounds/2) {
			n, used, err := auditOnce(ctx, cfg, lake, level)
			if err != nil {
				return nil, err
			}
			speed, memory = append(speed, float64(n)/used.cpu.Seconds()), append(memory, used.memory)
		}
		r := row{
			what: "audit of that lake, level " + level + ", a core; memory", ours: fmt.Sprintf("%s, %.0f MiB", rate(median(speed), "rows"), median(memory)),
			limit: noDuckDB,
		}
		if peer.rows > 0 {
			scan := float64(peer.rows) / peer.cpu.Seconds()
			r.limit = fmt.Sprintf("%s, %.0f MiB DuckDB: digests and every column", rate(scan, "rows"), peer.memory)
			r.ratio = fmt.Sprintf("%.2f x", median(speed)/scan)
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// auditOnce audits the lake and returns how many rows it accounted for. A lake
// that is not exact is an error.
func auditOnce(ctx context.Context, cfg Config, lake, level string) (uint64, usage, error) {
	out, used, err := run(ctx, append(cfg.Engine, "audit", "--lake", lake, "--level", level, "--json"))
	if err != nil {
		return 0, used, err
	}
	var result struct {
		Logs []struct {
			Recorded uint64 `json:"recorded"`
			Typed    uint64 `json:"typed_found"`
		} `json:"logs"`
	}
	if err := json.Unmarshal(out, &result); err != nil {
		return 0, used, fmt.Errorf("read the audit's result: %w", err)
	}
	n := uint64(0)
	for _, l := range result.Logs {
		n += l.Recorded + l.Typed
	}
	if n == 0 {
		return 0, used, errors.New("the audit found no rows")
	}
	return n, used, nil
}

// hashingTwice measures the CPU time it takes to hash as many bytes as the lake's
// files have, twice.
func hashingTwice(lake string) (time.Duration, error) {
	n, err := treeBytes(lake)
	if err != nil {
		return 0, err
	}
	p, h := make([]byte, 256<<10), sha256.New()
	begin := ownCPU()
	for left := 2 * n; left > 0; left -= int64(len(p)) {
		_, _ = h.Write(p) // never fails
	}
	return ownCPU() - begin, nil
}

const noDuckDB = "DuckDB for Python is not installed"

// duckProgram sums up the digests of record and hashes every column of the other
// tables, on one core, and prints how many rows it read and, in microseconds,
// the CPU time that took.
const duckProgram = `
import glob, os, sys, time
import duckdb
lake = sys.argv[1]
con = duckdb.connect()
con.execute("SET threads = 1")
begin, rows = time.process_time(), 0
for name in sorted(os.listdir(lake)):
    files = os.path.join(lake, name, "*", "*.parquet")
    if name.startswith("_") or not glob.glob(files):
        continue
    what = "count(*), bit_xor(hash(t))"
    if name == "record":
        what = "count(*), sum(('0x' || left(sha256(encode(_log || ':' || _offset || ':') || raw), 16))::UBIGINT)"
    rows += con.execute(f"SELECT {what} FROM read_parquet('{files}') t").fetchone()[0]
print(rows, int((time.process_time() - begin) * 1e6))
`

// duckUsage is what DuckDB took; no rows: it is not installed.
type duckUsage struct {
	usage
	rows uint64
}

// duckScan has DuckDB read the lake, in the Python of the path or in that of the
// tests.
func duckScan(ctx context.Context, lake string) (duckUsage, error) {
	pythons := []string{"python3"}
	if cache, err := os.UserCacheDir(); err == nil {
		pythons = append(pythons, filepath.Join(cache, "landfall-test-venv", "bin", "python"))
	}
	for _, python := range pythons {
		if exec.CommandContext(ctx, python, "-c", "import duckdb").Run() != nil {
			continue
		}
		out, used, err := run(ctx, []string{python, "-c", duckProgram, lake})
		if err != nil {
			return duckUsage{}, err
		}
		rows, micros, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
		n, err := strconv.ParseUint(rows, 10, 64)
		m, err2 := strconv.ParseUint(micros, 10, 64)
		if err := errors.Join(err, err2); err != nil {
			return duckUsage{}, fmt.Errorf("read what DuckDB printed: %w", err)
		}
		used.cpu = time.Duration(m) * time.Microsecond
		return duckUsage{used, n}, nil
	}
	return duckUsage{}, nil
}
