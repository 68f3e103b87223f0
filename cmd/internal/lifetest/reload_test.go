//go:build linux

package lifetest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestAReloadIsAllOrNothing: SIGHUP with a configuration that cannot be read, that is
// refused, and that cannot be started; each time the old one runs on in the same
// process, the page says why with file and line, and lines go through as before.
// A good one is taken up, and the complaint is gone. Of the gateway and of the engine.
func TestAReloadIsAllOrNothing(t *testing.T) {
	work, listen, taken := t.TempDir(), freePort(t), freePort(t)
	put(t, work+"/in.nmea", "")
	put(t, work+"/file", "") // no directory
	engineText := engineConfig(listen, work)
	edgeText := fmt.Sprintf("gateway: ada\ndata_dir: %[1]s/edge\nstatus: STATUS\nlog: {reserve: 0B}\nsources:\n  - {name: file, file: {path: %[1]s/in.nmea, follow: true, poll_interval: 20ms}}\nforward: {url: \"http://%[2]s/\", linger: 0s}\n", work, listen)
	engine, edge := run(t, "landfall-engine", engineText), run(t, "landfall-edge", edgeText)
	flows := func(what string) {
		t.Helper()
		before := engine.engine().Ingest.Records
		until(t, what+": lines go through", func() bool { appendLine(t, work+"/in.nmea"); return engine.engine().Ingest.Records > before })
	}
	flows("at first")
	other := run(t, "landfall-engine", engineConfig(taken, t.TempDir())) // has the port
	for _, c := range []struct {
		name, text, good string
		d                *daemon
		bad              []struct{ what, old, new, says string }
	}{
		{"gateway", edgeText, edgeText + "drain_timeout: 7s\n", edge, []struct{ what, old, new, says string }{
			{"a key nobody knows", "sources:", "surces:", "landfall-edge.yaml:5: surces"},
			{"a value that is refused", "gateway: ada", "gateway: a b", "landfall-edge.yaml:1: gateway"},
			{"a directory that cannot be made", "/edge\n", "/file/edge\n", "data_dir"},
			{"another directory", "/edge\n", "/other\n", "landfall-edge.yaml:2: data_dir"},
			{"an address that is taken", "STATUS", other.status, "status"},
		}},
		{"engine", engineText, strings.Replace(engineText, "100ms", "150ms", 1), engine, []struct{ what, old, new, says string }{
			{"a key nobody knows", "epoch:", "epoc:", "landfall-engine.yaml:6: epoc"},
			{"a value that is refused", "100ms", "-1s", "landfall-engine.yaml:6: epoch.interval"},
			{"a directory that cannot be made", "/landing,", "/file/landing,", "landing.dir"},
			{"an address that is taken", listen, taken, "listen"},
			{"another lake", "/lake}", "/lake2}", "lake.dir"},
			{"other checkpoints", "epoch:", "checkpoint: {dir: " + work + "/checkpoints}\nepoch:", "checkpoint.dir"},
		}},
	} {
		pid := c.d.cmd.Process.Pid
		for _, bad := range c.bad {
			c.d.configure(strings.Replace(c.text, bad.old, bad.new, 1))
			c.d.signal(syscall.SIGHUP)
			what := c.name + ", " + bad.what
			until(t, what+": the page says why", func() bool {
				said := c.d.ask("/healthz")
				return strings.Contains(said, "reload refused, the old configuration runs") && strings.Contains(said, bad.says)
			})
			flows(what)
		}
		c.d.configure(c.good)
		c.d.signal(syscall.SIGHUP)
		until(t, c.name+": nothing is complained of", func() bool { said := c.d.ask("/healthz"); return said != "" && !strings.Contains(said, "reload") })
		flows(c.name + ", a good one")
		if now, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); err != nil || filepath.Base(now) != c.d.name {
			t.Errorf("%s: process %d is gone: %v", c.name, pid, err)
		}
	}
	for _, d := range []*daemon{edge, engine} {
		if code := d.stop(); code != 0 {
			t.Errorf("%s ended with %d", d.name, code)
		}
	}
	if out, err := tool(t, "landfall-engine", "audit", "--lake", work+"/lake", "--edge-log", work+"/edge/log"); err != nil {
		t.Errorf("audit: %v\n%s", err, out)
	}
}
