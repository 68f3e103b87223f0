package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// root is the module's folder, seen from here.
const root = "../../.."

// released makes the packages of version 0.1.0 once, as a release has them.
var released = sync.OnceValues(func() (string, error) {
	dir, err := filepath.Abs(filepath.Join(root, "tmp", "pack"))
	if err == nil {
		err = os.RemoveAll(dir)
	}
	if err != nil {
		return "", err
	}
	return dir, packages(root, dir, "0.1.0", "xz")
})

// packages makes the packages for amd64 at a version, from the sources in a
// folder.
func packages(sources, dir, version, compression string) error {
	c := exec.Command("go", "run", "./cmd/internal/pack", "-arch", "amd64", "-version", version, "-compression", compression, "-out", dir)
	c.Dir, c.Env = sources, append(os.Environ(), "SOURCE_DATE_EPOCH=1767225600")
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("make packages: %w\n%s", err, tail(out))
	}
	return nil
}

const edgeConfig = `gateway: pier
data_dir: /var/lib/landfall/edge
status: 127.0.0.1:8471
log: {reserve: 0B, quota: 64MiB}
sources:
  - {name: sim, udp: {listen: "127.0.0.1:10110"}}
forward: {url: "http://127.0.0.1:8470/"}
`

const engineConfig = `listen: 127.0.0.1:8470
status: 127.0.0.1:8481
identity: {unauthenticated: true}
landing: {dir: /var/lib/landfall/landing, reserve: 0B}
lake: {dir: /var/lib/landfall/lake}
epoch: {interval: 500ms}
`

// TestInstall takes the packages through their life on a booted Debian:
// installed, configured, started, killed, hung, reloaded, upgraded, removed,
// purged; with data flowing from a socket into Parquet.
func TestInstall(t *testing.T) {
	m := boot(t)
	new := t.TempDir()
	old, err := released()
	if err := errors.Join(err, packages(root, new, "0.2.0", "gzip")); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []struct{ from, to string }{{old, "/old"}, {new, "/new"}} {
		if err := os.Mkdir(filepath.Join(m.root, dir.to), 0o755); err != nil {
			t.Fatal(err)
		}
		files, _ := filepath.Glob(dir.from + "/*.deb")
		for _, f := range files {
			m.put(f, filepath.Join(dir.to, filepath.Base(f)))
		}
	}
	for _, stage := range []struct {
		name string
		do   func()
	}{{"install", m.install}, {"kill", m.killed}, {"hang", m.hung}, {"reload", m.reloaded}, {"upgrade", m.upgraded}, {"remove", m.removed}} {
		begin := time.Now()
		stage.do()
		t.Logf("%s: %v", stage.name, time.Since(begin).Round(100*time.Millisecond))
	}
}

// install: an empty configuration does not start and says what to do; a filled
// one starts, and data flows from the socket into a table.
func (m *machine) install() {
	out := m.do("dpkg -i /old/*.deb")
	if !strings.Contains(out, "starts once /etc/landfall/edge.yaml is filled in") {
		m.t.Errorf("installing says nothing of what to do next:\n%s", out)
	}
	for unit, tenths := range map[string]int{"landfall-edge": 13, "landfall-engine": 11} { // as docs/security.md says
		file := "/usr/lib/systemd/system/" + unit + ".service"
		m.do("systemd-analyze verify --man=no " + file)
		score := m.do(fmt.Sprintf("systemd-analyze security --no-pager --offline=true --threshold=%d %s", tenths, file))
		m.t.Logf("%s", score[strings.LastIndex(score, "\n")+1:])
	}
	if out, err := m.try("systemctl start landfall-edge"); err == nil {
		m.t.Errorf("started without a configuration: %s", out)
	}
	if s := m.property("landfall-edge", "SubState"); s != "failed" {
		m.t.Errorf("a configuration that cannot be used is tried again: %s", s)
	}
	if log := m.do("journalctl -u landfall-edge -n 20 --no-pager"); !strings.Contains(log, "/etc/landfall/edge.yaml") || !strings.Contains(log, "gateway") {
		m.t.Errorf("the journal does not name the file and the key:\n%s", log)
	}
	m.do("landfall-edge setup --gateway pier --url http://127.0.0.1:8470/ --listen 0s --write /etc/landfall/edge.yaml")
	m.do("landfall-edge check") // as root, as people do
	m.do("systemctl reset-failed; systemctl start landfall-edge; systemctl stop landfall-edge")
	m.write("/etc/landfall/edge.yaml", edgeConfig)
	m.write("/etc/landfall/engine.yaml", engineConfig)
	m.do("landfall-engine check && landfall-edge check")
	m.do("systemctl reset-failed; systemctl start landfall-engine landfall-edge")
	m.flows(300)
	if owner := m.do("stat -c %U:%G /var/lib/landfall/edge/log"); owner != "landfall:landfall" {
		m.t.Errorf("the log belongs to %s", owner)
	}
	if mode := m.do("stat -c %a:%U:%G /etc/landfall/edge.yaml"); mode != "640:root:landfall" {
		m.t.Errorf("the configuration is %s", mode)
	}
	for _, file := range []string{"/usr/share/man/man1/landfall-edge-run.1.gz", "/usr/share/bash-completion/completions/landfall-engine", "/usr/share/man/man1/landfall-demo.1.gz"} {
		m.do("test -s " + file)
	}
}

func (m *machine) write(name, text string) {
	m.t.Helper()
	if err := os.WriteFile(filepath.Join(m.root, name), []byte(text), 0o640); err != nil {
		m.t.Fatal(err)
	}
}

// flows sends lines and waits until they are rows; the audit judges them.
func (m *machine) flows(lines int) {
	m.t.Helper()
	m.wait("the gateway is healthy", func() bool { _, err := m.try("curl -sf http://127.0.0.1:8471/healthz"); return err == nil })
	before := m.files()
	m.do(fmt.Sprintf("landfall simulate --to udp://127.0.0.1:10110 --lines %d --rate 300", lines))
	m.wait("lines are rows", func() bool { return m.files() > before })
	m.wait("the lake is exact", func() bool { _, err := m.try("landfall-engine audit --lake /var/lib/landfall/lake"); return err == nil })
}

// files counts the files of the table record.
func (m *machine) files() int {
	out, _ := m.try("find /var/lib/landfall/lake/record -name '*.parquet'")
	return strings.Count(out, ".parquet")
}

// killed: SIGKILL costs a second, not the service.
func (m *machine) killed() {
	for _, unit := range []string{"landfall-edge", "landfall-engine"} {
		before := m.property(unit, "MainPID")
		m.do("kill -KILL " + before)
		m.wait(unit+" runs again", func() bool {
			now := m.property(unit, "MainPID")
			return now != before && now != "0" && m.property(unit, "ActiveState") == "active"
		})
	}
	m.flows(100)
}

// hung: a process that makes no progress is killed by the watchdog and started
// again; one that is idle is not.
func (m *machine) hung() {
	m.do("mkdir -p /etc/systemd/system/landfall-edge.service.d && printf '[Service]\\nWatchdogSec=2s\\n' > /etc/systemd/system/landfall-edge.service.d/test.conf && systemctl daemon-reload && systemctl restart landfall-edge")
	idle := m.property("landfall-edge", "MainPID")
	begin := time.Now()
	m.wait("an idle gateway outlives its watchdog twice", func() bool { return time.Since(begin) > 4*time.Second })
	if now := m.property("landfall-edge", "MainPID"); now != idle {
		m.t.Errorf("the watchdog ended a gateway that had nothing to do: %s became %s", idle, now)
	}
	m.do("kill -STOP " + idle)
	m.wait("the watchdog ends a process that is stopped", func() bool {
		now := m.property("landfall-edge", "MainPID")
		return now != idle && now != "0" && m.property("landfall-edge", "ActiveState") == "active"
	})
	if log := m.do("journalctl -u landfall-edge --no-pager"); !strings.Contains(log, "Watchdog timeout") {
		m.t.Errorf("no watchdog timeout in the journal:\n%s", log)
	}
	m.do("rm -r /etc/systemd/system/landfall-edge.service.d && systemctl daemon-reload && systemctl restart landfall-edge")
	m.flows(100)
}

// reloaded: a bad configuration is refused and the old one runs on; a good one
// is taken up by the same process.
func (m *machine) reloaded() {
	pid := m.property("landfall-edge", "MainPID")
	m.write("/etc/landfall/edge.yaml", strings.Replace(edgeConfig, "udp:", "upd:", 1))
	if out, err := m.try("systemctl reload landfall-edge"); err == nil {
		m.t.Errorf("a bad configuration was reloaded: %s", out)
	}
	m.do("kill -HUP " + pid) // past the check of the unit
	m.wait("the status says why the reload was refused", func() bool {
		out, _ := m.try("curl -s http://127.0.0.1:8471/healthz")
		return strings.Contains(out, "reload refused") && strings.Contains(out, "edge.yaml:6")
	})
	m.write("/etc/landfall/edge.yaml", strings.Replace(edgeConfig, "gateway: pier", "gateway: pier # as before", 1)+"drain_timeout: 1s\n")
	m.do("systemctl reload landfall-edge")
	m.flows(100)
	if now := m.property("landfall-edge", "MainPID"); now != pid {
		m.t.Errorf("process %s became %s over a reload", pid, now)
	}
	m.write("/etc/landfall/edge.yaml", strings.Replace(edgeConfig, "10110", "10111", 1))
	m.do("systemctl reload landfall-edge")
	m.wait("the new source listens", func() bool {
		out, _ := m.try("landfall-edge status --json")
		return strings.Contains(out, "10111")
	})
	m.write("/etc/landfall/edge.yaml", edgeConfig)
	m.do("systemctl reload landfall-edge")
	m.flows(100)
}

// upgraded: dpkg takes the newer version, the services restart, nothing is lost.
func (m *machine) upgraded() {
	m.do("dpkg -i /new/*.deb")
	if v := m.do("landfall-edge --version"); !strings.Contains(v, "0.2.0") {
		m.t.Errorf("after the upgrade: %s", v)
	}
	m.wait("the new version runs", func() bool { out, _ := m.try("landfall-edge status"); return strings.Contains(out, "0.2.0") })
	if got := m.do("cat /etc/landfall/edge.yaml"); got != strings.TrimSpace(edgeConfig) {
		m.t.Errorf("the upgrade changed the configuration:\n%s", got)
	}
	m.flows(100)
}

// removed: the services end in order; the data stays, also over a purge.
func (m *machine) removed() {
	m.do("systemctl stop landfall-edge landfall-engine")
	for _, unit := range []string{"landfall-edge", "landfall-engine"} {
		if r := m.property(unit, "Result"); r != "success" {
			m.t.Errorf("%s ended with %s", unit, r)
		}
	}
	m.do("landfall-engine audit --lake /var/lib/landfall/lake --edge-log /var/lib/landfall/edge/log")
	m.do("dpkg -r landfall-edge landfall-engine landfall")
	m.do("test -e /etc/landfall/edge.yaml && test -d /var/lib/landfall/lake/record && ! test -e /usr/bin/landfall-edge")
	m.do("dpkg -P landfall-edge landfall-engine landfall")
	m.do("! test -e /etc/landfall/edge.yaml && ! systemctl cat landfall-edge 2>/dev/null && test -d /var/lib/landfall/lake/record")
}

// TestPackages: lintian finds neither error nor warning, and the same sources
// give the same bytes, also in another folder, under another user's mask and in
// another part of the world.
func TestPackages(t *testing.T) {
	needs(t, "lintian", "git")
	one, err := released()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(one + "/*.deb")
	if err != nil || len(files) != len(parts()) {
		t.Fatalf("%d packages, %v", len(files), err)
	}
	if out, err := exec.Command("lintian", append([]string{"--fail-on", "error,warning", "--allow-root"}, files...)...).CombinedOutput(); err != nil {
		t.Errorf("lintian: %v\n%s", err, out)
	}
	t.Setenv("TZ", "Pacific/Kiritimati")
	was := syscall.Umask(0o077)
	defer syscall.Umask(was)
	two := t.TempDir()
	if err := packages(sources(t), two, "0.1.0", "xz"); err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		a, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(two, filepath.Base(f)))
		if err != nil || !bytes.Equal(a, b) {
			t.Errorf("%s: other bytes the second time: %v", filepath.Base(f), err)
		}
	}
}

// sources copies what belongs to the tree into another folder.
func sources(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	c := exec.Command("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z")
	c.Dir = root
	for name := range strings.SplitSeq(strings.TrimSuffix(string(must(t, c)), "\x00"), "\x00") {
		data, err := os.ReadFile(filepath.Join(root, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted and not yet committed
		}
		to := filepath.Join(dir, name)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(to), 0o755)
		}
		if err == nil {
			err = os.WriteFile(to, data, 0o666)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
