//go:build linux

package lifetest

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// manager is a service manager that hears what a daemon says
// (sd_notify(3)).
type manager struct {
	socket *net.UnixConn
	path   string
}

func newManager(t *testing.T) *manager {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &manager{c, path}
}

// hears waits for what the daemon says next and is what is asked for.
func (m *manager) hears(t *testing.T, want string) {
	t.Helper()
	buf := make([]byte, 4096)
	if err := m.socket.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	for {
		n, err := m.socket.Read(buf)
		if err != nil {
			t.Fatalf("waiting for %s: %v", want, err)
		}
		if strings.Contains(string(buf[:n]), want) {
			return
		}
	}
}

// silent drops what was said before, and then fails for any food within the time
// in which a daemon that lives is fed several times.
func (m *manager) silent(t *testing.T) {
	t.Helper()
	buf := make([]byte, 4096)
	for _, patience := range []time.Duration{drain, watchdog} {
		if err := m.socket.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		for {
			n, err := m.socket.Read(buf)
			if err != nil {
				break
			}
			if patience == watchdog && strings.Contains(string(buf[:n]), "WATCHDOG=1") {
				t.Error("a daemon that hangs feeds the watchdog")
			}
		}
	}
}

const (
	watchdog = time.Second           // WatchdogSec= of these tests
	drain    = 20 * time.Millisecond // in which what was said is read
)

// TestAHungLoopStarvesTheWatchdog: each loop of the two daemons is made to hang
// at one step of its work, while all others go on. While nothing hangs, and
// while nothing is to be done, the watchdog is fed; after, it never is again.
func TestAHungLoopStarvesTheWatchdog(t *testing.T) {
	for _, c := range []struct{ daemon, step, loop string }{
		{"landfall-edge", "c1.before-write", "capture"},
		{"landfall-edge", "forward.after-ack", "forward"},
		{"landfall-engine", "c2.after-append", "landing"},
		{"landfall-engine", "c4.before-swap", "task 0"},
		{"landfall-engine", "c5.after-rename", "task 0"},
	} {
		t.Run(c.loop+" at "+c.step, func(t *testing.T) {
			t.Parallel()
			m, work, listen := newManager(t), t.TempDir(), freePort(t)
			put(t, work+"/in.nmea", "")
			env := []string{"LANDFALL_FAILPOINT_ACT=hang", "LANDFALL_FAILPOINT_LOG=" + work + "/hung", "LANDFALL_FAILPOINT=" + c.step + "=2",
				"NOTIFY_SOCKET=" + m.path, fmt.Sprintf("WATCHDOG_USEC=%d", watchdog.Microseconds())}
			var engineEnv, edgeEnv []string
			if c.daemon == "landfall-edge" {
				edgeEnv = env
			} else {
				engineEnv = env
			}
			engine := run(t, "landfall-engine", engineConfig(listen, work), engineEnv...)
			edge := run(t, "landfall-edge", fmt.Sprintf("gateway: ada\ndata_dir: %[1]s/edge\nstatus: STATUS\nlog: {reserve: 0B}\nsources:\n  - {name: file, file: {path: %[1]s/in.nmea, follow: true, poll_interval: 20ms}}\nforward: {url: \"http://%[2]s/\", linger: 0s}\n", work, listen), edgeEnv...)
			d := map[string]*daemon{"landfall-edge": edge, "landfall-engine": engine}[c.daemon]
			m.hears(t, "READY=1")
			m.hears(t, "WATCHDOG=1") // at rest
			reached := func() bool { text, err := os.ReadFile(work + "/hung"); return err == nil && len(text) > 0 }
			until(t, "it hangs", func() bool { appendLine(t, work+"/in.nmea"); return reached() })
			// On a busy machine a loop may have seemed to hang before.
			hung := fmt.Sprintf("loops=%q", "["+c.loop+"]")
			if !strings.Contains(c.loop, " ") {
				hung = "loops=[" + c.loop + "]"
			}
			before := strings.Count(d.printed(), hung)
			until(t, "it is not fed, and it is said which loop hangs", func() bool { return strings.Count(d.printed(), hung) > before })
			m.silent(t)
		})
	}
}

func engineConfig(listen, work string) string {
	return fmt.Sprintf("listen: %[1]s\nstatus: STATUS\nidentity: {unauthenticated: true}\nlanding: {dir: %[2]s/landing, reserve: 0B}\nlake: {dir: %[2]s/lake}\nepoch: {interval: 100ms}\n", listen, work)
}
