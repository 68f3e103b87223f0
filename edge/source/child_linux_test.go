package source

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// childEnv tells a process of this test binary what it is to run, and is nothing
// in the process that tests.
const childEnv = "LANDFALL_SOURCE_CHILD"

// child is a source in a process of its own, which can be killed.
type child struct {
	cmd *exec.Cmd

	mu    sync.Mutex
	said  []string // guarded by mu
	ended chan struct{}
}

// startChild runs TestChild in a process: "serial <device>" or "mqtt <url>". As
// root it gives up its rights first when it is told to.
func startChild(t *testing.T, what string, unprivileged bool) *child {
	t.Helper()
	c := &child{cmd: exec.Command("/proc/self/exe", "-test.run=^TestChild$", "-test.v=false"), ended: make(chan struct{})}
	c.cmd.Env = append(os.Environ(), childEnv+"="+what)
	c.cmd.Dir = "/"
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if unprivileged && os.Getuid() == 0 {
		c.cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(c.ended)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			c.mu.Lock()
			c.said = append(c.said, lines.Text())
			c.mu.Unlock()
		}
	}()
	t.Cleanup(c.kill)
	return c
}

// kill ends the process as a power cut would.
func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	<-c.ended
	_ = c.cmd.Wait() // it was killed
}

// says tells whether it printed something that begins so.
func (c *child) says(prefix string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, line := range c.said {
		if strings.HasPrefix(line, prefix) {
			return true
		}
	}
	return false
}

// nobody is the user and group of Debian that may nothing.
const nobody = 65534

// printSink prints what it takes and makes it durable.
type printSink struct{}

func (printSink) Deliver(b *Batch) error {
	for _, l := range b.Lines {
		fmt.Printf("line %s\n", l.Data)
	}
	if b.Durable != nil {
		b.Durable()
	}
	return nil
}

func (printSink) Position(string) []byte { return nil }

func (printSink) Marks(string) []string { return nil }

// TestChild is the other process.
func TestChild(t *testing.T) {
	kind, where, ok := strings.Cut(os.Getenv(childEnv), " ")
	if !ok {
		return // this is the process that tests
	}
	o := options("child")
	var source interface {
		Run(context.Context, Sink) error
		Status() Status
	}
	if kind == "serial" {
		source = must(NewSerial(SerialConfig{Options: o, Device: where}))(t)
	} else {
		source = must(NewMQTT(MQTTConfig{Options: o, QoS: 1, Broker: BrokerConfig{URL: where, ClientID: "child", StatusTopic: "gw/child"}, Topics: []MQTTTopic{{Filter: "plant/#"}}}))(t)
	}
	go func() {
		for look, last := time.NewTicker(10*time.Millisecond), ""; ; <-look.C {
			st := source.Status()
			if now := fmt.Sprintf("%s %s", st.State, st.Detail); now != last {
				fmt.Println(now)
				last = now
			}
		}
	}()
	_ = source.Run(t.Context(), printSink{}) // until it is killed
}

// TestSerialAfterKill: a port whose reader was killed can be opened again by a user
// who is not root, though the port is a pseudo-terminal, which keeps the mark of
// an exclusive reader. Marked by somebody else it is not opened, this is said, and
// it is opened once the mark is gone. Two gateways do not share one.
func TestSerialAfterKill(t *testing.T) {
	master, slave := openPTY(t)
	defer master.Close()
	// This end stays open, as with socat's ptys: else the mark would go with the last close.
	held, err := os.OpenFile(slave, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if os.Getuid() == 0 {
		if err := os.Chown(slave, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	say := func(text string) {
		t.Helper()
		if _, err := master.WriteString(text + "\n"); err != nil {
			t.Fatal(err)
		}
	}
	first := startChild(t, "serial "+slave, true)
	eventually(t, "open", func() bool { return first.says("open") })
	second := startChild(t, "serial "+slave, true)
	eventually(t, "the second is told of the first", func() bool {
		return second.says("absent serial port " + slave + ": open: locked by another process")
	})
	say("one")
	eventually(t, "a line", func() bool { return first.says("line one") })
	first.kill()
	eventually(t, "open after the kill", func() bool { return second.says("open") })
	say("two")
	eventually(t, "a line after the kill", func() bool { return second.says("line two") })
	second.kill()

	if err := unix.IoctlSetInt(int(held.Fd()), unix.TIOCEXCL, 0); err != nil {
		t.Fatal(err)
	}
	third := startChild(t, "serial "+slave, true)
	eventually(t, "the mark is told of", func() bool {
		return third.says("absent serial port "+slave+": open: Serial port busy: another process has it; or one that was killed") ||
			os.Getuid() != 0 && third.says("absent") // some systems let the owner in
	})
	if err := unix.IoctlSetInt(int(held.Fd()), unix.TIOCNXCL, 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, "open without the mark", func() bool { return third.says("open") })
	say("three")
	eventually(t, "a line without the mark", func() bool { return third.says("line three") })
}
