package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// machine is a Debian that was booted in a container by systemd-nspawn.
type machine struct {
	t    *testing.T
	root string // its root directory
	init string // process id of its init, as this machine sees it
}

// absent says that something cannot be had here: a skip, or on CI a failure.
func absent(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// boot makes a root of the packages that a small Debian has, and boots it.
func boot(t *testing.T) *machine {
	t.Helper()
	if os.Getuid() != 0 {
		absent(t, "installing needs root")
	}
	for _, tool := range []string{"mmdebstrap", "systemd-nspawn", "nsenter", "lintian"} {
		if _, err := exec.LookPath(tool); err != nil {
			absent(t, "installing needs %s: %v", tool, err)
		}
	}
	m := &machine{t: t, root: filepath.Join(t.TempDir(), "root")}
	out, err := exec.Command("mmdebstrap", "--variant=minbase", "--include=systemd,systemd-sysv,dbus,init-system-helpers,curl", "bookworm", m.root).CombinedOutput()
	if err != nil {
		absent(t, "no Debian can be made here: %v\n%s", err, tail(out))
	}
	ctx, cancel := context.WithCancel(context.Background())
	var console bytes.Buffer
	c := exec.CommandContext(ctx, "systemd-nspawn", "-q", "-D", m.root, "--boot", "--register=no", "--keep-unit", "--console=pipe", "--private-network")
	c.Stdout, c.Stderr = &console, &console
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	c.WaitDelay = 30 * time.Second
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if m.init != "" {
			_, _ = m.try("systemctl --no-block poweroff")
		}
		ended := time.AfterFunc(20*time.Second, cancel)
		_ = c.Wait() // however it ends
		ended.Stop()
		cancel()
	})
	m.wait("the machine boots", func() bool {
		children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", c.Process.Pid))
		if m.init = strings.TrimSpace(string(children)); err != nil || m.init == "" || strings.Contains(m.init, " ") {
			return false
		}
		state, _ := m.try("systemctl is-system-running")
		return strings.HasPrefix(state, "running") || strings.HasPrefix(state, "degraded")
	})
	return m
}

func tail(out []byte) []byte { return out[max(0, len(out)-2000):] }

// try runs a shell command in the machine and gives what it prints.
func (m *machine) try(command string) (string, error) {
	c := exec.Command("nsenter", "-t", m.init, "-a", "/usr/bin/env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "sh", "-c", command)
	out, err := c.CombinedOutput()
	return string(out), err
}

// do is try for what must succeed.
func (m *machine) do(command string) string {
	m.t.Helper()
	out, err := m.try(command)
	if err != nil {
		journal, _ := m.try("journalctl -n 30 --no-pager")
		m.t.Fatalf("%s: %v\n%s\n%s", command, err, out, journal)
	}
	return strings.TrimSpace(out)
}

// wait waits for a condition and gives up after a minute.
func (m *machine) wait(what string, ok func() bool) {
	m.t.Helper()
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	limit := time.After(time.Minute)
	for !ok() {
		select {
		case <-look.C:
		case <-limit:
			journal, _ := m.try("journalctl -n 60 --no-pager")
			m.t.Fatalf("not within a minute: %s\n%s", what, journal)
		}
	}
}

// put copies a file into the machine.
func (m *machine) put(from, to string) {
	m.t.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(filepath.Join(m.root, to), data, 0o644)
	}
	if err != nil {
		m.t.Fatal(err)
	}
}

// property gives a property of a unit.
func (m *machine) property(unit, name string) string {
	out, _ := m.try("systemctl show -P " + name + " " + unit)
	return strings.TrimSpace(out)
}
