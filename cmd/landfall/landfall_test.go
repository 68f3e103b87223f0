package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"landfall/cmd/internal/cli"
)

// TestMain lets the test binary be the daemons that demo starts, and answer a
// shell that completes, as the real binary does.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == edgeVerb || os.Args[1] == engineVerb || os.Args[1] == certVerb ||
		os.Args[1] == cobra.ShellCompRequestCmd) {
		main()
	}
	os.Exit(m.Run())
}

func run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = cli.Run(t.Context(), command(), args, &out, &errs)
	return code, out.String(), errs.String()
}

func TestDemoKillsAndProves(t *testing.T) {
	dir := t.TempDir()
	code, out, errs := run(t, "demo", "--dir", dir, "--duration", "5s")
	if code != 0 {
		for _, name := range []string{"engine", "north", "pilot"} {
			log, _ := os.ReadFile(filepath.Join(dir, "landfall-demo-1", name+".log"))
			t.Logf("%s.log:\n%s", name, log)
		}
		t.Fatalf("exit %d\n%s\n%s", code, out, errs)
	}
	for want, n := range map[string]int{
		"killed engine (SIGKILL)": 1, "killed gateway north (SIGKILL)": 1, "EXACT": 1, "exactly once": 6, "at most once": 3, "duckdb -c": 1, "60 ships, 4 receivers": 1,
	} {
		if got := strings.Count(out, want); got != n {
			t.Errorf("%q stands there %d times, want %d\n%s", want, got, n, out)
		}
	}
	if files, err := filepath.Glob(filepath.Join(dir, "landfall-demo-1", "lake", "ais_position", "*", "*.parquet")); err != nil || len(files) == 0 {
		t.Errorf("no Parquet files: %v", err)
	}
}

func TestDemoInterruptedLeavesNothingRunning(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs bytes.Buffer
	if code := cli.Run(ctx, command(), []string{"demo", "--dir", t.TempDir()}, &out, &errs); code == 0 {
		t.Errorf("exit 0\n%s", out.String())
	}
}

func TestSimulateIsRepeatableAndKeepsTheTruth(t *testing.T) {
	dir := t.TempDir()
	first, second, truthName := filepath.Join(dir, "a.nmea"), filepath.Join(dir, "b.nmea"), filepath.Join(dir, "truth.jsonl")
	for _, name := range []string{first, second} {
		args := []string{"simulate", "--to", name, "--lines", "5000", "--seed", "9", "--lost", "0.1", "--unique"}
		if name == second {
			args = append(args, "--truth", truthName)
		}
		if code, _, errs := run(t, args...); code != 0 {
			t.Fatal(errs)
		}
	}
	a, _ := os.ReadFile(first)
	b, _ := os.ReadFile(second)
	if !bytes.Equal(a, b) || bytes.Count(a, []byte("\r\n")) != 5000 {
		t.Errorf("%d and %d bytes, %d lines", len(a), len(b), bytes.Count(a, []byte("\r\n")))
	}
	file, err := os.Open(truthName)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	fates := map[string]int{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var l truth
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			t.Fatal(err)
		}
		fates[string(l.Fate)]++
	}
	if fates["sent"] != 5000 || fates["lost"] == 0 || len(fates) != 2 {
		t.Errorf("fates %v", fates)
	}
	if code, _, _ := run(t, "simulate", "--to", first); code == 0 {
		t.Error("an existing file was overwritten")
	}
}

func TestSimulateSendsDatagrams(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if code, _, errs := run(t, "simulate", "--to", "udp://"+conn.LocalAddr().String(), "--lines", "20", "--rate", "2000"); code != 0 {
		t.Fatal(errs)
	}
	buf := make([]byte, 2000)
	for range 20 {
		if n, _, err := conn.ReadFrom(buf); err != nil || !bytes.HasSuffix(buf[:n], []byte("\r\n")) {
			t.Fatalf("%q, %v", buf[:n], err)
		}
	}
}

func TestUsageErrors(t *testing.T) {
	for _, args := range [][]string{
		{"simulate", "--tag", "x"}, {"simulate", "--start", "yesterday"}, {"simulate", "--to", "ftp://x"}, {"simulate", "--ships", "0"},
		{"simulate", "--to", "tcp://127.0.0.1:1", "--start", "2026-01-01T00:00:00Z"}, {"demo", "x"}, {"demo", "--duration", "1ms"}, {"nothing"}, {"simulate", "--noise", "2"},
	} {
		if code, _, errs := run(t, args...); code != cli.ExitUsage || errs == "" {
			t.Errorf("%v: exit %d, %q", args, code, errs)
		}
	}
}
