package sinktest

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The foreign readers, pinned. Changing one makes a new environment.
const foreignPackages = "duckdb==2.0.0 pyarrow==26.0.1 polars==2.1.0"

// installScript makes the virtual environment argv[1] with the packages
// argv[2:], once, whichever processes ask at a time.
const installScript = `
import fcntl, os, subprocess, sys
venv, packages = sys.argv[1], sys.argv[2:]
os.makedirs(os.path.dirname(venv), exist_ok=True)
with open(venv + ".lock", "w") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    stamp = os.path.join(venv, "installed")
    if not os.path.exists(stamp) or open(stamp).read() != " ".join(packages):
        subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True)
        subprocess.run([os.path.join(venv, "bin", "pip"), "install", "-q", "--disable-pip-version-check"] + packages, check=True)
        open(stamp, "w").write(" ".join(packages))
`

// duckScript runs the query on stdin and prints its rows as JSON, every value
// as text.
const duckScript = `
import duckdb, json, sys
con = duckdb.connect()
con.execute("SET TimeZone = 'UTC'")
con.execute("SET enable_progress_bar = false")
rows = con.execute("SELECT CAST(COLUMNS(*) AS VARCHAR) FROM (" + sys.stdin.read() + ")").fetchall()
json.dump([["NULL" if v is None else v for v in row] for row in rows], sys.stdout)
`

// DuckDB runs one SELECT in DuckDB, from PyPI, and gives its rows, every value
// as text and NULL as "NULL". Where Python or the network is missing the test
// is skipped, and fails when CI=true.
func DuckDB(t testing.TB, sql string) [][]string {
	t.Helper()
	var rows [][]string
	if err := json.Unmarshal(python(t, duckScript, sql), &rows); err != nil {
		t.Fatalf("read DuckDB's answer: %v", err)
	}
	return rows
}

// Python runs a script in the environment that holds duckdb, pyarrow and
// polars, and gives what it prints, without space around it. It is skipped as
// DuckDB is.
func Python(t testing.TB, script string, args ...string) string {
	t.Helper()
	return strings.TrimSpace(string(python(t, script, "", args...)))
}

func python(t testing.TB, script, stdin string, args ...string) []byte {
	t.Helper()
	out, err := run(t, filepath.Join(environment(t), "bin", "python"), stdin, append([]string{"-c", script}, args...)...)
	if err != nil {
		t.Fatalf("foreign reader: %v", err)
	}
	return out
}

// environment gives the virtual environment, made if need be.
func environment(t testing.TB) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		missing(t, "no cache directory for the foreign readers: %v", err)
	}
	venv := filepath.Join(cache, "landfall-test-venv")
	py, err := exec.LookPath("python3")
	if err != nil {
		missing(t, "no python3 for the foreign readers: %v", err)
	}
	args := append([]string{"-c", installScript, venv}, strings.Fields(foreignPackages)...)
	if _, err := run(t, py, "", args...); err != nil {
		missing(t, "install the foreign readers: %v", err)
	}
	return venv
}

// missing ends a test for want of something installable.
func missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

func run(t testing.TB, name, stdin string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return nil, &foreignError{err, strings.TrimSpace(errs.String())}
	}
	return out.Bytes(), nil
}

// foreignError is a foreign program's end with what it said.
type foreignError struct {
	err  error
	said string
}

// Error implements error.
func (e *foreignError) Error() string { return e.err.Error() + ": " + e.said }

// Unwrap implements errors.
func (e *foreignError) Unwrap() error { return e.err }
