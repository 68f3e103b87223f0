package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"landfall/cmd/internal/cli"
)

// TestMain lets the test binary be the demo and its daemons.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && !strings.HasPrefix(os.Args[1], "-test.") {
		main()
	}
	os.Exit(m.Run())
}

// demo runs the demo in a process of its own.
func demo(t *testing.T, env []string, args ...string) (code int, out string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, args...)
	var text bytes.Buffer
	cmd.Env, cmd.Stdout, cmd.Stderr = env, &text, &text
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), text.String()
}

// TestWithoutJavaTheDemoSaysSo.
func TestWithoutJavaTheDemoSaysSo(t *testing.T) {
	code, out := demo(t, []string{"PATH=" + t.TempDir(), "HOME=" + t.TempDir()}, "--dir", t.TempDir())
	if code != cli.ExitUnavailable || !strings.Contains(out, "needs Java 17 and Maven") {
		t.Errorf("exit %d\n%s", code, out)
	}
}

// TestScaleDemo runs it whole, which takes a minute of both cores.
func TestScaleDemo(t *testing.T) {
	if os.Getenv("LANDFALL_SOAK") == "" {
		t.Skip("takes a minute; LANDFALL_SOAK=1 runs it")
	}
	dir := t.TempDir()
	code, out := demo(t, os.Environ(), "--dir", dir, "--duration", "5s")
	if code != cli.ExitOK {
		t.Fatalf("exit %d\n%s", code, out)
	}
	for want, n := range map[string]int{"SIGKILL": 1, "EXACT": 2, "was committed again, by others": 1, "records, ": 1} {
		if got := strings.Count(out, want); got != n {
			t.Errorf("%q stands there %d times, want %d\n%s", want, got, n, out)
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}
