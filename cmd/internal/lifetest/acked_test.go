//go:build linux

package lifetest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestTheSenderOfTheDocs: the sender that the docs show, over a gateway that is killed at
// its commit points, right before and right after lines are on its disk and before they
// are acknowledged. Each line is captured once, and a stranger who uses the sender's name
// changes nothing.
func TestTheSenderOfTheDocs(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatal(err)
	} else if err != nil {
		t.Skipf("python: %v", err)
	}
	work, listen := t.TempDir(), freePort(t)
	config := fmt.Sprintf(`gateway: ada
data_dir: %s/edge
status: STATUS
drain_timeout: 0s
log: {reserve: 0B}
sources:
  - name: shore
    acked: {listen: %q, min_version: 2, allow: [127.0.0.0/8], token_file: %[1]s/token}
forward: {url: "http://%[3]s/"}
`, work, listen, freePort(t))
	put(t, work+"/token", "let-me-in\n")
	host, port, _ := strings.Cut(listen, ":")
	const lines = 5000
	var input bytes.Buffer
	for i := range lines {
		fmt.Fprintf(&input, "line %d\n", i)
	}
	sender := exec.Command(python, filepath.Join(root, "docs", "acked_sender.py"), host, port, "shore-7", "let-me-in")
	var said bytes.Buffer
	sender.Stdin, sender.Stdout, sender.Stderr = &input, &said, &said
	if err := sender.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sender.Process.Kill() })
	for i, point := range []string{"c1.after-sync=4", "c1.after-sync=3", "c1.before-write=5", "c1.after-write=3", "c1.after-sync=5"} {
		edge := begin(t, "landfall-edge", config, "LANDFALL_FAILPOINT="+point)
		<-edge.ended
		if code := edge.cmd.ProcessState.ExitCode(); code != -1 {
			t.Fatalf("life %d was not killed, but ended with %d:\n%s", i, code, edge.printed())
		}
	}
	edge := run(t, "landfall-edge", config)
	if err := sender.Wait(); err != nil {
		t.Fatalf("the sender: %v\n%s", err, said.String())
	}
	wrong := exec.Command(python, filepath.Join(root, "docs", "acked_sender.py"), host, port, "shore-7", "guess")
	wrong.Stdin = strings.NewReader("9 stolen\n")
	if out, err := wrong.CombinedOutput(); err == nil || !strings.Contains(string(out), "the gateway says: the token is missing or wrong") {
		t.Errorf("a stranger is told %q, %v", out, err)
	}
	if code := edge.stop(); code != 0 {
		t.Errorf("it ended with %d", code)
	}
	segments, err := filepath.Glob(work + "/edge/log/*.seg")
	if err != nil || len(segments) == 0 {
		t.Fatalf("no segments: %v", err)
	}
	out, err := tool(t, "landfall-edge", append([]string{"inspect", "--records"}, segments...)...)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for line := range strings.Lines(out) {
		if _, raw, ok := strings.Cut(strings.TrimSuffix(line, "\"\n"), "] \""); ok {
			seen[raw]++
		}
	}
	for i := range lines {
		if n := seen[fmt.Sprintf("line %d", i)]; n != 1 {
			t.Fatalf("line %d is there %d times", i, n)
		}
	}
	if len(seen) != lines {
		t.Errorf("%d lines were captured", len(seen))
	}
}
