//go:build linux

package tampertest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	pq "github.com/parquet-go/parquet-go"

	"landfall/cmd/internal/testport"
	"landfall/edge/tips"
	"landfall/engine/table"
)

// programs builds the daemons once.
var programs = sync.OnceValues(func() (string, error) {
	const root = "../../.."
	dir, err := filepath.Abs(filepath.Join(root, "tmp", "tampertest"))
	if err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-trimpath", "-o", dir+"/", "./cmd/landfall-edge", "./cmd/landfall-engine")
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the daemons: %w\n%s", err, out)
	}
	return dir, nil
})

// program returns one of the daemons with arguments, not started.
func program(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	dir, err := programs()
	must(t, err)
	return exec.Command(filepath.Join(dir, name), args...)
}

// daemon starts a program that runs until stop is called; it dies with the test.
func daemon(t *testing.T, name string, args ...string) (stop func()) {
	t.Helper()
	var printed bytes.Buffer // read when the process has ended
	cmd := program(t, name, args...)
	cmd.Stdout, cmd.Stderr = &printed, &printed
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	must(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	end := sync.OnceValue(func() error {
		return errors.Join(cmd.Process.Signal(syscall.SIGTERM), <-ended)
	})
	t.Cleanup(func() {
		if err := end(); err != nil || t.Failed() {
			t.Logf("%s: %v\n%s", name, err, &printed)
		}
	})
	return func() {
		t.Helper()
		must(t, end())
	}
}

// until waits for a condition on real processes and gives up after two minutes.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	limit := time.After(2 * time.Minute)
	for !ok() {
		select {
		case <-look.C:
		case <-limit:
			t.Fatalf("not within two minutes: %s", what)
		}
	}
}

// ship is a real gateway and a real engine that work for each other.
type ship struct {
	t                        *testing.T
	dir, input, edge, engine string // directory, file of sentences, configurations
}

func newShip(t *testing.T) *ship {
	t.Helper()
	dir := t.TempDir()
	s := &ship{t: t, dir: dir, input: filepath.Join(dir, "in.nmea"), edge: filepath.Join(dir, "edge.yaml"), engine: filepath.Join(dir, "engine.yaml")}
	listen := testport.Take(t)
	Write(t, s.input, nil)
	Write(t, s.engine, fmt.Appendf(nil, "listen: %[1]s\nstatus: 127.0.0.1:0\nidentity: {unauthenticated: true}\nlanding: {dir: %[2]s/landing, reserve: 0B}\nlake: {dir: %[2]s/lake}\nepoch: {interval: 100ms}\n", listen, dir))
	Write(t, s.edge, fmt.Appendf(nil, "gateway: ada\ndata_dir: %[1]s/edge\nstatus: 127.0.0.1:0\nlog: {reserve: 0B}\nsources:\n  - {name: file, file: {path: %[1]s/in.nmea, follow: true, poll_interval: 20ms}}\nforward: {url: \"http://%[2]s/\", linger: 0s}\n", dir, listen))
	return s
}

// says appends sentences to what the gateway's source reads.
func (s *ship) says(n int) {
	s.t.Helper()
	f, err := os.OpenFile(s.input, os.O_APPEND|os.O_WRONLY, 0)
	must(s.t, err)
	_, err = f.WriteString(strings.Repeat("!AIVDM,1,1,,A,15MvlfP000G?n@@K>OW`4?vN0<0=,0*5A\r\n", n))
	must(s.t, errors.Join(err, f.Close()))
}

// tips returns the gateway's document, and what it says.
func (s *ship) tips() (file string, body tips.Body) {
	s.t.Helper()
	file = filepath.Join(s.dir, "ada.tips")
	if out, err := program(s.t, "landfall-edge", "tips", "-c", s.edge, "--to", file).CombinedOutput(); err != nil {
		s.t.Fatalf("tips: %v\n%s", err, out)
	}
	doc, err := os.ReadFile(file)
	must(s.t, err)
	body, _, err = tips.Decode(doc)
	must(s.t, err)
	return file, body
}

// published tells whether the gateway was told that some records are published, as
// many as there are.
func (s *ship) published(records uint64) func() bool {
	return func() bool {
		_, body := s.tips()
		return len(body.Logs) == 1 && uint64(body.Logs[0].Acked) == records && len(body.Anchors) == 1
	}
}

// audit runs the audit and returns its exit code and what it prints.
func (s *ship) audit(lake string, args ...string) (code int, text string) {
	s.t.Helper()
	out, err := program(s.t, "landfall-engine", append([]string{"audit", "--lake", lake}, args...)...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	if exit != nil {
		code = exit.ExitCode()
	}
	return code, string(out)
}

// TestForgedLakeOfRealProcesses: a real gateway hears from a real engine what is
// published and which ledger entry says so. Then somebody changes a value and writes
// ledger, manifest and HEAD again so that everything fits: only the gateway's tips
// tell.
func TestForgedLakeOfRealProcesses(t *testing.T) {
	s := newShip(t)
	stopEngine, stopEdge := daemon(t, "landfall-engine", "run", "-c", s.engine), daemon(t, "landfall-edge", "run", "-c", s.edge)
	const batch, batches = 20, 2
	until(t, "the gateway has a book", func() bool { _, err := os.Stat(filepath.Join(s.dir, "edge", "log")); return err == nil })
	for n := range batches {
		s.says(batch)
		until(t, "everything is published", s.published(uint64(1+(n+1)*batch))) // with the opening of the log
	}
	stopEdge() // writes the newest entry down
	stopEngine()
	file, body := s.tips()
	l := &Lake{Dir: filepath.Join(s.dir, "lake")}
	task := TaskNamed(t, body.Anchors[0].Task)
	if n := l.Ledger(t, task); len(n) < batches || body.Anchors[0].Number < batches {
		t.Fatalf("%d entries, and the gateway was told of %d", len(n), body.Anchors[0].Number)
	}
	code, text := s.audit(l.Dir, "--level", "bytes", "--tips", file)
	if want := fmt.Sprintf("entry %d of its ledger", body.Anchors[0].Number); code != 0 || !strings.Contains(text, want) || !strings.Contains(text, "is as it was, byte for byte") {
		t.Fatalf("before: exit %d, want %q in\n%s", code, want, text)
	}

	b := NewBench(t, l)
	v := b.SetValue(table.AISPosition, "is_duplicate", func(v pq.Value) pq.Value { return pq.BooleanValue(!v.Boolean()) })
	if code, text := s.audit(b.Dir, "--level", "bytes"); code != 65 || !strings.Contains(text, v.File) {
		t.Fatalf("a value changed: exit %d\n%s", code, text)
	}
	b.ForgeFile(v.File)
	if code, text := s.audit(b.Dir, "--level", "values"); code != 0 {
		t.Fatalf("the ledger forged, without tips: exit %d\n%s", code, text)
	}
	if code, text := s.audit(b.Dir, "--level", "offsets", "--tips", file); code != 65 || !strings.Contains(text, "and the cloud told ada "+body.Anchors[0].SHA256) {
		t.Errorf("the ledger forged, with tips: exit %d\n%s", code, text)
	}
}
