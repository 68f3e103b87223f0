package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"landfall/edge/config"
	"landfall/edge/durable"
	"landfall/edge/forward"
	"landfall/edge/wire"
	"landfall/engine/ingest"
	"landfall/engine/landing/embedded"
)

// cloud serves a real ingest over a landing log of its own and gives its URL.
func cloud(t *testing.T) string {
	t.Helper()
	log, err := embedded.Open(embedded.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	h, err := ingest.New(ingest.Config{Log: log, Identity: ingest.Identity{AllowUnauthenticated: true}})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle(wire.Path, h)
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		server.Close()
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	return server.URL
}

func freeAddress(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	return ln.Addr().String()
}

// fileGateway is a gateway that reads a file of n lines once.
func fileGateway(t *testing.T, n int, url string) Config {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "in.nmea")
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "line %d\r\n", i)
	}
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	c := Default()
	c.Gateway, c.DataDir, c.Forward.URL = "ship", filepath.Join(dir, "data"), url
	c.Log.Reserve, c.DrainTimeout = 0, 50*time.Millisecond
	c.Sources = []SourceConfig{{Name: "file", File: &FileConfig{Path: path}}}
	return c
}

func TestEndsByItselfWhenAllIsForwarded(t *testing.T) {
	c := fileGateway(t, 1000, cloud(t))
	a, err := New(c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := a.Status()
	if s.Forward.Pending != 0 || s.Forward.AckedRecords != 1001 || s.Capture.Records != 1000 || !s.Healthy {
		t.Errorf("%+v", s)
	}
	// E11: a restart with nothing pending sends no record.
	again, err := New(c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := again.Status(); s.Forward.BlockBytes != 0 || s.Capture.Records != 0 {
		t.Errorf("sent again: %+v", s.Forward)
	}
}

func TestStopKeepsWhatIsNotForwarded(t *testing.T) {
	c := fileGateway(t, 100, "http://"+freeAddress(t)) // nobody answers
	c.Status = freeAddress(t)
	a, err := New(c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	waitFor(t, func() bool { return a.Status().Forward.Pending == 101 && a.Status().Forward.LastError != "" })
	if code, body := get(t, "http://"+c.Status+"/healthz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "forwarding: ") {
		t.Errorf("healthz: %d %q", code, body)
	}
	var s Status
	if _, body := get(t, "http://"+c.Status+"/status"); json.Unmarshal([]byte(body), &s) != nil || s.Forward.Pending != 101 || s.Forward.OldestAge == "" {
		t.Errorf("status: %q", body)
	}
	if _, body := get(t, "http://"+c.Status+"/metrics"); !strings.Contains(body, "landfall_edge_forward_pending_records 101") {
		t.Errorf("metrics: %q", body)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	// It is there after the restart, and another name for it is refused.
	renamed := c
	renamed.Gateway = "other"
	var fe *config.FieldError
	if _, err := New(renamed, Options{}); !errors.Is(err, forward.ErrRenamed) || !errors.As(err, &fe) || fe.Key != "gateway" {
		t.Errorf("renamed: %v", err)
	}
	c.Forward.URL = cloud(t)
	again, err := New(c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if s := again.Status(); s.Forward.Pending != 101 {
		t.Errorf("%d pending after the restart", s.Forward.Pending)
	}
	if err := again.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := again.Status(); s.Forward.Pending != 0 || s.Forward.AckedRecords != 101 {
		t.Errorf("%+v", s.Forward)
	}
}

func TestOneProcessADirectory(t *testing.T) {
	c := fileGateway(t, 1, "http://127.0.0.1:1")
	a, err := New(c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(c, Options{}); !errors.Is(err, durable.ErrLocked) {
		t.Errorf("second: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.Run(ctx); err != nil {
		t.Error(err)
	}
}

func TestSilenceAndAbsenceAreStates(t *testing.T) {
	c := fileGateway(t, 0, cloud(t))
	c.Sources = append(c.Sources,
		SourceConfig{Name: "absent", Serial: &SerialConfig{Device: "/dev/landfall-is-not-there"}},
		SourceConfig{Name: "silent", TCPServer: &TCPServerConfig{Listen: freeAddress(t)}})
	a, err := New(c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	waitFor(t, func() bool {
		return strings.Contains(strings.Join(a.Status().Reasons, "\n"), "source absent is absent")
	})
	conn, err := net.Dial("tcp", c.Sources[2].TCPServer.Listen)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "hello\r\n"); err != nil {
		t.Fatal(err)
	}
	// S7: a connection on which nothing comes has an age.
	waitFor(t, func() bool {
		s := a.Status().Sources[2]
		return s.Records == 1 && s.SilentFor != "" && s.State == "open"
	})
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// waitFor looks until ok is true: these are real sockets and disks.
func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("not within 20 s")
		}
	}
}
