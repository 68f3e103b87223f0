package agent

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"landfall/edge/clock"
	"landfall/edge/record"
)

// movable is the machine's clock, put forward by hand.
type movable struct {
	*clock.System
	ahead atomic.Int64 // microseconds
}

func (m *movable) Now() (record.Micros, int64) {
	wall, mono := m.System.Now()
	return wall + record.Micros(m.ahead.Load()), mono + m.ahead.Load()
}

// light gives a page's answer under a path.
func light(t *testing.T, c *Config, path string) (int, string) {
	t.Helper()
	return get(t, "http://"+c.Status+path)
}

// start runs a gateway until the test ends.
func start(t *testing.T, c Config, o Options) *Agent {
	t.Helper()
	a, err := New(c, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil && c.Log.Reserve == 0 { // without room it says what it had to give up
			t.Error(err)
		}
	})
	return a
}

// TestNotReadyWhileTheLinkIsCut: what waits for long turns readiness red, with how
// long and why; before that a cut is health's alone.
func TestNotReadyWhileTheLinkIsCut(t *testing.T) {
	c := fileGateway(t, 10, "http://"+freeAddress(t))
	c.Status, c.Sources[0].File.Follow = freeAddress(t), true
	now := &movable{System: clock.NewSystem(clock.BootID{})}
	a := start(t, c, Options{Clock: now})
	waitFor(t, func() bool { return a.Status().Forward.Pending == 11 && a.Status().Forward.LastError != "" })
	if code, body := light(t, &c, "/readyz"); code != http.StatusOK {
		t.Errorf("just cut: readyz %d %s", code, body)
	}
	now.ahead.Store((stuckAfter + time.Minute).Microseconds())
	if code, body := light(t, &c, "/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "the oldest of 11 records waits for 11m") || !strings.Contains(body, "connect") {
		t.Errorf("cut for long: readyz %d %s", code, body)
	}
}

// TestNotReadyWhileEverySourceIsSilent: an open port on which nothing comes is not
// data that flows, and one of two is health's alone.
func TestNotReadyWhileEverySourceIsSilent(t *testing.T) {
	c := fileGateway(t, 0, cloud(t))
	c.Status = freeAddress(t)
	c.Sources = []SourceConfig{
		{Name: "roof", TCPServer: &TCPServerConfig{Listen: freeAddress(t)}},
		{Name: "mast", TCPServer: &TCPServerConfig{Listen: freeAddress(t)}},
	}
	now := &movable{System: clock.NewSystem(clock.BootID{})}
	a := start(t, c, Options{Clock: now})
	waitFor(t, func() bool { s := a.Status().Sources; return s[0].State == "open" && s[1].State == "open" })
	if code, body := light(t, &c, "/readyz"); code != http.StatusOK {
		t.Errorf("just opened: readyz %d %s", code, body)
	}
	now.ahead.Store((standardSilence + time.Minute).Microseconds())
	if code, body := light(t, &c, "/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "none of 2 open sources says anything") {
		t.Errorf("silent: readyz %d %s", code, body)
	}
	if _, body := light(t, &c, "/healthz"); !strings.Contains(body, "source roof is open and silent for 16m") {
		t.Errorf("silent: healthz %s", body)
	}
	conn, err := net.Dial("tcp", c.Sources[0].TCPServer.Listen)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "hello\r\n"); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { code, _ := light(t, &c, "/readyz"); return code == http.StatusOK })
	if _, body := light(t, &c, "/healthz"); strings.Contains(body, "roof") || !strings.Contains(body, "source mast is open and silent") {
		t.Errorf("one speaks: healthz %s", body)
	}
}

// TestNotReadyWithoutASource: absent devices only.
func TestNotReadyWithoutASource(t *testing.T) {
	c := fileGateway(t, 0, cloud(t))
	c.Status = freeAddress(t)
	c.Sources = []SourceConfig{{Name: "radio", Serial: &SerialConfig{Device: "/dev/landfall-is-not-there"}}}
	a := start(t, c, Options{})
	waitFor(t, func() bool { return a.Status().Sources[0].State == "absent" })
	if code, body := light(t, &c, "/readyz"); code != http.StatusServiceUnavailable || body != "no source is open\n" {
		t.Errorf("readyz %d %q", code, body)
	}
}

// TestNotReadyWhileNothingIsTaken: a log without room, which names itself.
func TestNotReadyWhileNothingIsTaken(t *testing.T) {
	c := fileGateway(t, 10, cloud(t))
	c.Status, c.Sources[0].File.Follow = freeAddress(t), true
	c.Log.Reserve = 1 << 60 // more than any disk has
	a := start(t, c, Options{})
	waitFor(t, func() bool { return a.Status().Capture.Blocked != "" })
	if code, body := light(t, &c, "/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "the log takes nothing: ") {
		t.Errorf("readyz %d %s", code, body)
	}
	// What a source reads is shown all the same.
	resp, err := http.Get("http://" + c.Status + "/tap?stage=received")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	f, err := os.OpenFile(c.Sources[0].File.Path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if _, err := f.WriteString("seen before the disk\r\n"); err != nil {
		t.Fatal(err)
	}
	seen := make([]byte, 4096)
	n, err := resp.Body.Read(seen)
	if err != nil || !strings.Contains(string(seen[:n]), "seen before the disk") {
		t.Errorf("tap: %q, %v", seen[:n], err)
	}
}
