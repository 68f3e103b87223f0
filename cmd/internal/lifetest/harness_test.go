//go:build linux

package lifetest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"landfall/cmd/internal/testport"
)

// root is the module's folder, seen from here.
const root = "../../.."

// programs builds the daemons once.
var programs = sync.OnceValues(func() (string, error) {
	dir, err := filepath.Abs(filepath.Join(root, "tmp", "lifetest"))
	if err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-trimpath", "-tags", "failpoint", "-o", dir+"/", "./cmd/landfall-edge", "./cmd/landfall-engine")
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build with failpoints: %w\n%s", err, out)
	}
	return dir, nil
})

// daemon is one process with its configuration.
type daemon struct {
	t      *testing.T
	name   string // landfall-edge or landfall-engine
	file   string // its configuration
	status string // address of its page
	cmd    *exec.Cmd
	ended  chan struct{}

	mu  sync.Mutex
	log bytes.Buffer // guarded by mu
}

// Write implements io.Writer for what the process prints.
func (d *daemon) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.log.Write(p)
}

func (d *daemon) printed() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.log.String()
}

// run starts a daemon with additions to its environment, and waits until it
// works. STATUS in the configuration becomes the address of its page.
func run(t *testing.T, name, config string, env ...string) *daemon {
	t.Helper()
	d := begin(t, name, config, env...)
	until(t, name+" works", func() bool { return d.ask("/status") != "" })
	return d
}

// begin starts a daemon as run does, and does not wait.
func begin(t *testing.T, name, config string, env ...string) *daemon {
	t.Helper()
	return beginIn(t, nil, name, config, env...)
}

// beginIn starts a daemon in a control group, so that it finds itself there; nil: in none.
func beginIn(t *testing.T, in *group, name, config string, env ...string) *daemon {
	t.Helper()
	dir, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	d := &daemon{t: t, name: name, file: filepath.Join(t.TempDir(), name+".yaml"), status: freePort(t), ended: make(chan struct{})}
	d.configure(config)
	d.cmd = exec.Command(filepath.Join(dir, name), "run", "--config", d.file)
	if in != nil {
		d.cmd = exec.Command("/bin/sh", "-c", `echo $$ > "$0" && exec "$@"`, filepath.Join(in.dir, "cgroup.procs"), filepath.Join(dir, name), "run", "--config", d.file)
	}
	d.cmd.Env = append(os.Environ(), env...)
	d.cmd.Stdout, d.cmd.Stderr = d, d
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = d.cmd.Wait() // its state says it all
		close(d.ended)
	}()
	t.Cleanup(func() {
		_ = d.cmd.Process.Kill()
		<-d.ended
		if t.Failed() {
			t.Logf("%s printed:\n%s", d.name, d.printed())
		}
	})
	return d
}

// configure writes the configuration.
func (d *daemon) configure(text string) {
	d.t.Helper()
	put(d.t, d.file, strings.ReplaceAll(text, "STATUS", d.status))
}

func put(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// ask gives what the page says; nothing while nobody answers.
func (d *daemon) ask(path string) string {
	resp, err := http.Get("http://" + d.status + path)
	if err != nil {
		return ""
	}
	text, err := io.ReadAll(resp.Body)
	if errors.Join(err, resp.Body.Close()) != nil {
		return ""
	}
	return string(text)
}

// says tells whether the page has a text.
func (d *daemon) says(path, text string) func() bool {
	return func() bool { return strings.Contains(d.ask(path), text) }
}

// edgeStatus is what these tests read of an edge's status.
type edgeStatus struct {
	Reasons []string `json:"reasons"`
	Sources []struct {
		State string `json:"state"`
		Certs struct {
			NotAfter string `json:"not_after"`
		} `json:"certs"`
	} `json:"sources"`
	Log     mended `json:"log"`
	Forward struct {
		Pending uint64 `json:"pending"`
		Acked   uint64 `json:"acked_records"`
		Error   string `json:"last_error"`
	} `json:"forward"`
}

// mended counts what opening a gateway's log found to mend.
type mended struct {
	CorruptBlocks uint64 `json:"corrupt_blocks"`
	CutTails      uint64 `json:"cut_tails"`
	Truncated     uint64 `json:"truncated"`
	Beheaded      uint64 `json:"beheaded"`
}

func (d *daemon) edge() edgeStatus {
	var s edgeStatus
	_ = json.Unmarshal([]byte(d.ask("/status")), &s) // nothing while nobody answers
	return s
}

func (d *daemon) signal(s syscall.Signal) {
	d.t.Helper()
	if err := d.cmd.Process.Signal(s); err != nil {
		d.t.Fatal(err)
	}
}

// stop asks the process to end and gives its exit code.
func (d *daemon) stop() int {
	d.t.Helper()
	d.signal(syscall.SIGTERM)
	select {
	case <-d.ended:
	case <-time.After(time.Minute):
		d.signal(syscall.SIGQUIT) // its stacks go to the log
		<-d.ended
		d.t.Fatalf("%s did not end within a minute of SIGTERM", d.name)
	}
	return d.cmd.ProcessState.ExitCode()
}

// tool runs one of the programs to its end.
func tool(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	dir, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(filepath.Join(dir, name), args...).CombinedOutput()
	return string(out), err
}

// until waits for a condition on real processes and gives up after a minute.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	limit := time.After(time.Minute)
	for !ok() {
		select {
		case <-look.C:
		case <-limit:
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// freePort gives a loopback address nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	return testport.Take(t)
}
