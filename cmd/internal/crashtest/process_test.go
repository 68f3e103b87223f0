//go:build failpoint && linux

package crashtest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// program is how a daemon is started; every life appends to one log.
type program struct {
	name string // in reports and file names
	path string
	args []string
	dir  string // holds <name>.log and the notes of failpoints
}

// process is one life of a program.
type process struct {
	program
	cmd     *exec.Cmd
	started time.Time
	logFrom int64         // where this life's lines begin in the log
	done    chan struct{} // closed when the process has ended
	ours    bool          // the supervisor killed it
	ended   time.Time     // valid after done, like state
	state   *os.ProcessState
}

func (p program) logName() string { return filepath.Join(p.dir, p.name+".log") }

// start starts a life with additions to the environment. It dies with the test.
func (p program) start(env ...string) (*process, error) {
	log, err := os.OpenFile(p.logName(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	info, err := log.Stat()
	if err != nil {
		return nil, err
	}
	life := &process{program: p, cmd: exec.Command(p.path, p.args...), logFrom: info.Size(), done: make(chan struct{})}
	life.cmd.Env = append(append(os.Environ(), "TMPDIR="+p.dir), env...) // what a killed one leaves goes with the test
	life.cmd.Stdout, life.cmd.Stderr = log, log
	life.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	life.started = time.Now()
	if err := life.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", p.name, err)
	}
	go func() {
		_ = life.cmd.Wait() // its state says it all
		life.ended, life.state = time.Now(), life.cmd.ProcessState
		close(life.done)
	}()
	return life, nil
}

func (p *process) signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

// kill ends the process as a power cut would, as far as it can see.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.done
}

// killed says that SIGKILL ended the process.
func (p *process) killed() bool {
	ws, ok := p.state.Sys().(syscall.WaitStatus)
	return ok && ws.Signaled() && ws.Signal() == syscall.SIGKILL
}

// terminate asks the process to end and gives its exit code, -1 after a signal.
func (p *process) terminate(limit time.Duration) (int, error) {
	p.signal(syscall.SIGTERM)
	if !pause(p.done, limit) {
		return p.state.ExitCode(), nil
	}
	p.signal(syscall.SIGQUIT) // its stacks go to the log
	<-p.done
	return -1, fmt.Errorf("%s did not end within %v of SIGTERM", p.name, limit)
}

// lifeLog gives the last lines of this life.
func (p *process) lifeLog() string {
	data, err := os.ReadFile(p.logName())
	if err != nil || int64(len(data)) < p.logFrom {
		return fmt.Sprintf("(no log: %v)", err)
	}
	lines := strings.Split(strings.TrimSpace(string(data[p.logFrom:])), "\n")
	if len(lines) > 60 {
		lines = append(lines[:30:30], lines[len(lines)-30:]...)
	}
	return strings.Join(lines, "\n")
}

// checkLog fails the test for what no life may print.
func (p program) checkLog(t *testing.T) {
	t.Helper()
	data, err := os.ReadFile(p.logName())
	if err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"panic: ", "fatal error: ", "goroutine 1 [", "a person must look"} {
		if i := bytes.Index(data, []byte(bad)); i >= 0 {
			t.Errorf("%s printed %q:\n%s", p.name, bad, data[i:min(i+3000, len(data))])
		}
	}
}
