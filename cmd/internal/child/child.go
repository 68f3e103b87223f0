// Package child runs our daemons as processes of their own, for the programs
// that show the chain on one machine: landfall demo and the scale demo.
//
// In:  command lines of this very program, which has the daemons as hidden
// verbs.
// Out: processes that are started, asked, killed and stopped.
//
// Invariants
//
//  1. No child outlives the program, where the system has means for it.
//
// A Child belongs to one goroutine at a time.
package child

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"time"

	"landfall/cmd/internal/cli"
)

// Child is one of our daemons in a process of its own, over several lives.
type Child struct {
	Name    string    // in what is said of it
	Args    []string  // of this program
	Log     io.Writer // takes what it prints
	Address string    // host:port of its status page

	cmd  *exec.Cmd
	done chan struct{} // closed when cmd has ended
}

// Start starts a life.
func (c *Child) Start() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	c.cmd = exec.Command(self, c.Args...)
	c.cmd.Stdout, c.cmd.Stderr, c.cmd.SysProcAttr = c.Log, c.Log, dieWithParent()
	if err := c.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", c.Name, err)
	}
	c.done = make(chan struct{})
	go func(cmd *exec.Cmd, done chan struct{}) {
		_ = cmd.Wait() // its ProcessState says it all
		close(done)
	}(c.cmd, c.done)
	return nil
}

// Kill ends the life at once, as a power cut would.
func (c *Child) Kill() {
	if c.cmd != nil {
		_ = c.cmd.Process.Kill()
		<-c.done
	}
}

// Process gives the process id of the life.
func (c *Child) Process() int { return c.cmd.Process.Pid }

// stopLimit bounds how long a child may take to stop.
const stopLimit = 40 * time.Second

// Stop asks the life to end and waits for it.
func (c *Child) Stop(ctx context.Context) error {
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", c.Name, err)
	}
	limit := time.NewTimer(stopLimit)
	defer limit.Stop()
	select {
	case <-c.done:
	case <-limit.C:
		return fmt.Errorf("stop %s: still there after %s", c.Name, stopLimit)
	case <-ctx.Done():
		return ctx.Err()
	}
	if code := c.cmd.ProcessState.ExitCode(); code != cli.ExitOK {
		return fmt.Errorf("stop %s: exit code %d; see its log", c.Name, code)
	}
	return nil
}

// look is the time between two looks at a child.
const look = 50 * time.Millisecond

// Await asks the child's status page until ok says that it is as wanted.
func Await[S any](ctx context.Context, c *Child, limit time.Duration, what string, ok func(*S) bool) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		var s S
		err := cli.Fetch(ctx, HTTPClient(), "http://"+c.Address+"/status", &s)
		if err == nil && ok(&s) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until %s %s: %w", c.Name, what, errors.Join(ctx.Err(), err))
		case <-c.done:
			return fmt.Errorf("wait until %s %s: it ended; see its log", c.Name, what)
		case <-tick.C:
		}
	}
}

// HTTPClient gives a client that keeps no connection to a process that may be
// killed.
func HTTPClient() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
}

// FreePort gives a loopback address that nobody uses now.
func FreePort(network string) (string, error) {
	if network == "udp" {
		conn, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			return "", err
		}
		return conn.LocalAddr().String(), conn.Close()
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return ln.Addr().String(), ln.Close()
}
