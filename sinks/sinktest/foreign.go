package sinktest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
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
// as text. What does not fit in memory goes to at most 4 GB of temporary files, so that a
// query whose plan is bad ends with an error and does not fill the disk.
const duckScript = `
import duckdb, json, sys, tempfile
con = duckdb.connect()
spill = tempfile.TemporaryDirectory()
con.execute("SET temp_directory = '" + spill.name + "'")
con.execute("SET max_temp_directory_size = '4GB'")
con.execute("SET TimeZone = 'UTC'")
con.execute("SET enable_progress_bar = false")
rows = con.execute("SELECT CAST(COLUMNS(*) AS VARCHAR) FROM (" + sys.stdin.read() + ")").fetchall()
json.dump([["NULL" if v is None else v for v in row] for row in rows], sys.stdout)
`

// ErrMissing says that Python or the readers are not to be had here.
var ErrMissing = errors.New("no foreign reader can be run here")

// DuckDB runs one SELECT in DuckDB, from PyPI, and gives its rows, every value
// as text and NULL as "NULL". Where Python or the network is missing the test
// is skipped, and fails when CI=true.
func DuckDB(t testing.TB, sql string) [][]string {
	t.Helper()
	rows, err := Query(t.Context(), sql)
	judge(t, err)
	return rows
}

// Query is DuckDB outside tests. Errors: ErrMissing.
func Query(ctx context.Context, sql string) (rows [][]string, err error) {
	out, err := python(ctx, duckScript, sql)
	if err == nil {
		err = json.Unmarshal(out, &rows)
	}
	return rows, err
}

// Python runs a script in the environment that holds duckdb, pyarrow and
// polars, and gives what it prints, without space around it. It is skipped as
// DuckDB is.
func Python(t testing.TB, script string, args ...string) string {
	t.Helper()
	out, err := python(t.Context(), script, "", args...)
	judge(t, err)
	return strings.TrimSpace(string(out))
}

// judge ends a test that met an error, one for want of something installable
// outside CI as skipped.
func judge(t testing.TB, err error) {
	t.Helper()
	switch {
	case errors.Is(err, ErrMissing) && os.Getenv("CI") != "true":
		t.Skip(err)
	case err != nil:
		t.Fatalf("foreign reader: %v", err)
	}
}

func python(ctx context.Context, script, stdin string, args ...string) ([]byte, error) {
	venv, err := environment()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMissing, err)
	}
	return run(ctx, filepath.Join(venv, "bin", "python"), stdin, append([]string{"-c", script}, args...)...)
}

// environment returns the virtual environment, made if need be; each process looks once.
var environment = sync.OnceValues(func() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no cache directory: %w", err)
	}
	venv := filepath.Join(cache, "landfall-test-venv")
	py, err := exec.LookPath("python3")
	if err != nil {
		return "", fmt.Errorf("no python3: %w", err)
	}
	args := append([]string{"-c", installScript, venv}, strings.Fields(foreignPackages)...)
	_, err = run(context.Background(), py, "", args...)
	return venv, err
})

func run(ctx context.Context, name, stdin string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
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
