//go:build linux

package lifetest

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
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
		if i == 7 {
			input.WriteString("\n\r\n") // nothing to send
		}
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

// TestTheSenderOfTheDocsEnds: with 0, too, when its input ends after the last line was
// acknowledged, where no further answer comes that would wake it; and with 1 and the
// reason when it is refused while its input goes on.
func TestTheSenderOfTheDocsEnds(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatal(err)
	} else if err != nil {
		t.Skipf("python: %v", err)
	}
	play := func(t *testing.T, answers ...string) (end func() (int, string)) {
		gateway, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = gateway.Close() })
		host, port, _ := net.SplitHostPort(gateway.Addr().String())
		sender := exec.CommandContext(t.Context(), python, filepath.Join(root, "docs", "acked_sender.py"), host, port, "x")
		var said bytes.Buffer
		sender.Stdout, sender.Stderr = &said, &said
		input, err := sender.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := sender.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := input.Write([]byte("a\n")); err != nil {
			t.Fatal(err)
		}
		conn, err := gateway.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		r := bufio.NewReader(conn)
		for i, want := range []string{"HELLO x 2 ", "1 a\n"}[:len(answers)] {
			if line, _ := r.ReadString('\n'); !strings.HasPrefix(line, want) {
				t.Fatalf("it sends %q", line)
			}
			if _, err := conn.Write([]byte(answers[i])); err != nil {
				t.Fatal(err)
			}
		}
		return func() (int, string) {
			if len(answers) == 2 {
				if err := input.Close(); err != nil {
					t.Fatal(err)
				}
			}
			_ = sender.Wait() // its code says it
			return sender.ProcessState.ExitCode(), said.String()
		}
	}
	t.Run("acknowledged", func(t *testing.T) {
		// Behind the acknowledgement the beginning of another, of more than fits between
		// them: when it is written, the first was taken, and it waits for the end of the
		// second.
		end := play(t, "LAST 0 256\n", "ACK 1\nACK "+strings.Repeat("0", 64<<20))
		if code, said := end(); code != 0 {
			t.Fatalf("it ended with %d:\n%s", code, said)
		}
	})
	t.Run("refused", func(t *testing.T) {
		end := play(t, "ERR too many senders\n")
		if code, said := end(); code != 1 || said != "the gateway says: too many senders\n" {
			t.Fatalf("it ended with %d:\n%s", code, said)
		}
	})
}

// TestTheSenderOfTheDocsIsNotHeldUp: a gateway that takes its connection and then says
// nothing, before it greets or instead of an acknowledgement, is left, and the line is sent
// again to the one that answers.
func TestTheSenderOfTheDocsIsNotHeldUp(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatal(err)
	} else if err != nil {
		t.Skipf("python: %v", err)
	}
	gateway, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = gateway.Close() })
	host, port, _ := net.SplitHostPort(gateway.Addr().String())
	sender := exec.CommandContext(t.Context(), python, filepath.Join(root, "docs", "acked_sender.py"), host, port, "x")
	sender.Env = append(os.Environ(), "ACKED_TIMEOUT=0.5")
	var said bytes.Buffer
	sender.Stdin, sender.Stdout, sender.Stderr = strings.NewReader("a\n"), &said, &said
	if err := sender.Start(); err != nil {
		t.Fatal(err)
	}
	for i, answers := range [][]string{nil, {"LAST 0 256\n"}, {"LAST 0 256\n", "ACK 1\n"}} {
		if err := gateway.(*net.TCPListener).SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		conn, err := gateway.Accept()
		if err != nil {
			t.Fatalf("connection %d does not come: %v", i, err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		r := bufio.NewReader(conn)
		for j, want := range []string{"HELLO x 2 ", "1 a\n"}[:min(len(answers)+1, 2)] {
			if line, _ := r.ReadString('\n'); !strings.HasPrefix(line, want) {
				t.Fatalf("connection %d sends %q", i, line)
			}
			if j < len(answers) {
				if _, err := conn.Write([]byte(answers[j])); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if err := sender.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
}
