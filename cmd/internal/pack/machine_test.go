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
	needs(t, "mmdebstrap", "systemd-nspawn", "nsenter")
	if os.Getuid() != 0 {
		t.Skip("a Debian is booted by root only")
	}
	m := &machine{t: t, root: filepath.Join(t.TempDir(), "root")}
	if err := os.Mkdir(m.root, 0o755); err != nil {
		t.Fatal(err)
	}
	must(t, exec.Command("tar", "--extract", "--preserve-permissions", "--file", debian(t), "--directory", m.root))
	// Root within a container may not be allowed to; nothing of ours is tried here.
	if out, err := exec.Command("systemd-nspawn", "-q", "-D", m.root, "--register=no", "--keep-unit", "--private-network", "/bin/true").CombinedOutput(); err != nil {
		t.Skipf("systemd-nspawn runs nothing here: %v\n%s", err, tail(out))
	}
	m.start()
	return m
}

// debianAge is how old the Debian that is kept may be.
const debianAge = 7 * 24 * time.Hour

// debian gives an archive of the packages that a small Debian has. It is kept
// in the user's cache, for making it needs a mirror and twenty seconds.
func debian(t *testing.T) string {
	t.Helper()
	const suite, include = "bookworm", "systemd,systemd-sysv,dbus,init-system-helpers,curl"
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	dir := filepath.Join(cache, "landfall")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, suite+"-"+strings.ReplaceAll(include, ",", "-")+".tar")
	if info, err := os.Stat(name); err == nil && time.Since(info.ModTime()) < debianAge {
		return name
	}
	half := filepath.Join(t.TempDir(), "half.tar")
	if out, err := exec.Command("mmdebstrap", "--variant=minbase", "--include="+include, suite, half).CombinedOutput(); err != nil {
		absent(t, "no Debian can be made here: %v\n%s", err, tail(out))
	}
	if err := os.Rename(half, name); err != nil { // another file system
		return half
	}
	return name
}

// needs skips where one of the tools is not there.
func needs(t *testing.T, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			absent(t, "needs %s: %v", tool, err)
		}
	}
}

// start boots the machine, until the test ends.
func (m *machine) start() {
	t := m.t
	t.Helper()
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
