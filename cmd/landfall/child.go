package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"landfall/cmd/internal/cli"
)

// child is one of our daemons in a process of its own, over several lives.
type child struct {
	name    string
	verb    string
	config  string
	log     io.Writer
	cmd     *exec.Cmd
	done    chan struct{} // closed when cmd has ended
	address string        // of its status page
}

// start starts a life.
func (c *child) start() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	c.cmd = exec.Command(self, c.verb, "run", "--config", c.config)
	c.cmd.Stdout, c.cmd.Stderr, c.cmd.SysProcAttr = c.log, c.log, dieWithParent()
	if err := c.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", c.name, err)
	}
	c.done = make(chan struct{})
	go func(cmd *exec.Cmd, done chan struct{}) {
		_ = cmd.Wait() // its ProcessState says it all
		close(done)
	}(c.cmd, c.done)
	return nil
}

// kill ends the life at once, as a power cut would.
func (c *child) kill() {
	if c.cmd != nil {
		_ = c.cmd.Process.Kill()
		<-c.done
	}
}

// stopLimit bounds how long a child may take to stop.
const stopLimit = 40 * time.Second

// stop asks the life to end and waits for it.
func (c *child) stop(ctx context.Context) error {
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", c.name, err)
	}
	limit := time.NewTimer(stopLimit)
	defer limit.Stop()
	select {
	case <-c.done:
	case <-limit.C:
		return fmt.Errorf("stop %s: still there after %s", c.name, stopLimit)
	case <-ctx.Done():
		return ctx.Err()
	}
	if code := c.cmd.ProcessState.ExitCode(); code != cli.ExitOK {
		return fmt.Errorf("stop %s: exit code %d; see its log", c.name, code)
	}
	return nil
}

// look is the time between two looks at a child.
const look = 50 * time.Millisecond

// await asks the child's status page until ok says that it is as wanted.
func await[S any](ctx context.Context, c *child, limit time.Duration, what string, ok func(*S) bool) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		var s S
		err := cli.Fetch(ctx, httpClient(), "http://"+c.address+"/status", &s)
		if err == nil && ok(&s) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until %s %s: %w", c.name, what, errors.Join(ctx.Err(), err))
		case <-c.done:
			return fmt.Errorf("wait until %s %s: it ended; see its log", c.name, what)
		case <-tick.C:
		}
	}
}
