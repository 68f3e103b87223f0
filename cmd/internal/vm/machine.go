package vm

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Config says what a Machine has.
type Config struct {
	// Packages are Debian packages beside systemd and a kernel, joined by commas.
	Packages string
	// MemoryMiB is its memory; 0: 768.
	MemoryMiB int
	// Lines are its serial lines: USB adapters, not plugged in at first, by names
	// of letters; see Plug and Line.
	Lines []string
	// UART is the name of a line at a 16550 UART, its /dev/ttyS1; empty: none.
	UART string
}

// Machine is a Debian that runs in QEMU.
type Machine struct {
	t       testing.TB
	cfg     Config
	dir     string
	shell   net.Conn
	said    *bufio.Reader // of shell
	monitor *monitor
	console bytes.Buffer  // valid once ended is closed
	ended   chan struct{} // closed when QEMU has ended
}

// limit bounds each wait. A machine that is busy with other work emulates slowly.
const limit = 10 * time.Minute

// Boot makes a machine and boots it. It ends with the test.
func Boot(t testing.TB, cfg Config) *Machine {
	t.Helper()
	need(t)
	if cfg.MemoryMiB == 0 {
		cfg.MemoryMiB = 768
	}
	m := &Machine{t: t, cfg: cfg, dir: t.TempDir(), ended: make(chan struct{})}
	if err := os.Mkdir(m.Share(), 0o755); err != nil {
		t.Fatal(err)
	}
	kernel, initrd, disk := buildDisk(t, m.dir, cfg.Packages)
	ctx, stop := context.WithCancel(context.Background())
	c := exec.CommandContext(ctx, "qemu-system-x86_64", m.arguments(kernel, initrd, disk)...)
	c.Stdout, c.Stderr = &m.console, &m.console
	if err := c.Start(); err != nil {
		stop()
		t.Fatal(err)
	}
	go func() {
		defer close(m.ended)
		_ = c.Wait() // it is killed at the end
	}()
	t.Cleanup(func() {
		stop()
		<-m.ended
	})
	m.connect()
	return m
}

// arguments are QEMU's.
func (m *Machine) arguments(kernel, initrd, disk string) []string {
	args := []string{
		"-nodefaults", "-no-reboot", "-display", "none", "-accel", "tcg", "-cpu", "max", "-smp", "2", "-m", strconv.Itoa(m.cfg.MemoryMiB),
		"-kernel", kernel, "-initrd", initrd, "-append", "root=/dev/vda rw console=ttyS0 quiet mitigations=off",
		"-drive", "file=" + disk + ",format=raw,if=virtio,cache=unsafe", "-serial", "stdio",
		"-device", "virtio-serial", "-chardev", m.socket("shell"), "-device", "virtserialport,chardev=shell,name=shell",
		"-netdev", "user,id=net", "-device", "virtio-net,netdev=net,romfile=",
		"-virtfs", "local,path=" + m.Share() + ",mount_tag=share,security_model=none",
		"-device", "qemu-xhci,id=usb", "-qmp", "unix:" + m.path("qmp") + ",server=on,wait=off",
	}
	for _, line := range m.cfg.Lines {
		args = append(args, "-chardev", m.socket(line))
	}
	if m.cfg.UART != "" {
		args = append(args, "-chardev", m.socket(m.cfg.UART), "-device", "isa-serial,chardev="+m.cfg.UART+",index=1")
	}
	return args
}

func (m *Machine) path(name string) string { return filepath.Join(m.dir, name+".sock") }

func (m *Machine) socket(name string) string {
	return "socket,id=" + name + ",path=" + m.path(name) + ",server=on,wait=off"
}

// connect waits until QEMU listens and the machine's shell answers.
func (m *Machine) connect() {
	m.t.Helper()
	m.shell = m.dial("shell")
	m.said = bufio.NewReader(m.shell)
	var err error
	if m.monitor, err = newMonitor(m.dial("qmp")); err != nil {
		m.t.Fatalf("QEMU's monitor: %v", err)
	}
	// A shell that began before this end was there has ended, and begins anew.
	m.Wait("the machine boots", func() bool {
		state, _ := m.Try("systemctl is-system-running")
		return strings.HasPrefix(state, "running") || strings.HasPrefix(state, "degraded")
	})
}

// dial connects to one of QEMU's sockets.
func (m *Machine) dial(name string) net.Conn {
	m.t.Helper()
	var conn net.Conn
	m.Wait("QEMU listens", func() (ok bool) {
		var err error
		conn, err = net.Dial("unix", m.path(name))
		return err == nil
	})
	m.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// Share is a folder that the machine sees as /share.
func (m *Machine) Share() string { return filepath.Join(m.dir, "share") }

// Try runs a shell command in the machine and gives what it prints. Its error
// says that it did not end with 0, or not within limit.
func (m *Machine) Try(command string) (string, error) {
	const mark = "\x01"
	if err := m.shell.SetDeadline(time.Now().Add(limit)); err != nil {
		return "", err
	}
	if _, err := fmt.Fprintf(m.shell, "{ %s\n} </dev/null 2>&1; printf '\\001%%d\\001' $?\n", command); err != nil {
		return "", fmt.Errorf("give a command: %w", err)
	}
	out, err := m.said.ReadString(mark[0])
	code := ""
	if err == nil {
		code, err = m.said.ReadString(mark[0])
	}
	out = strings.TrimSuffix(out, mark)
	switch {
	case err != nil:
		return out, fmt.Errorf("no answer to %q: %w", command, err)
	case code != "0"+mark:
		return out, fmt.Errorf("exit code %s", strings.TrimSuffix(code, mark))
	}
	return out, nil
}

// Do is Try for what must succeed.
func (m *Machine) Do(command string) string {
	m.t.Helper()
	out, err := m.Try(command)
	if err != nil {
		m.t.Fatalf("%s: %v\n%s\n%s", command, err, out, m.journal())
	}
	return strings.TrimSpace(out)
}

// Wait waits for a condition, and fails the test after limit, with the end of
// the machine's journal, or with the machine's end.
func (m *Machine) Wait(what string, ok func() bool) {
	m.t.Helper()
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	late := time.After(limit)
	for !ok() {
		select {
		case <-look.C:
		case <-m.ended:
			m.t.Fatalf("the machine ended before: %s\n%s", what, m.console.String())
		case <-late:
			m.t.Fatalf("not within %v: %s\n%s", limit, what, m.journal())
		}
	}
}

// Property gives a property of a unit.
func (m *Machine) Property(unit, name string) string {
	out, _ := m.Try("systemctl show -P " + name + " " + unit)
	return strings.TrimSpace(out)
}

// Put copies a file into Share.
func (m *Machine) Put(from string) {
	m.t.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(filepath.Join(m.Share(), filepath.Base(from)), data, 0o755)
	}
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *Machine) journal() string {
	if m.shell == nil {
		return ""
	}
	out, err := m.Try("journalctl -n 60 --no-pager")
	if err != nil && !errors.Is(err, io.EOF) {
		out += err.Error()
	}
	return out
}
