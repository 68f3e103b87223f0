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
	"sync/atomic"
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
	return cloudOf(t, func(*embedded.Log) ingest.Published { return nil })
}

// cloudOf is a cloud that tells what is published of its landing log.
func cloudOf(t *testing.T, tells func(*embedded.Log) ingest.Published) string {
	t.Helper()
	log, err := embedded.Open(embedded.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	h, err := ingest.New(ingest.Config{Log: log, Published: tells(log), Identity: ingest.Identity{AllowUnauthenticated: true}})
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
	if s.Forward.AckedOffset != 1001 || s.Log.DurableOffset != 1001 {
		t.Errorf("C1 is at %d, C2 at %d", s.Log.DurableOffset, s.Forward.AckedOffset)
	}
	if s.Forward.Pending != 0 || s.Forward.AckedRecords != 1001 || s.Capture.Records != 1000 || !s.Healthy {
		t.Errorf("%+v", s)
	}
	if s.Log.WrittenPerCaptured < 1 {
		t.Errorf("%v bytes written per captured byte", s.Log.WrittenPerCaptured)
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
	// E16, E12: it is there after the restart, whatever was tuned, and another
	// name for it is refused.
	renamed := c
	renamed.Gateway = "other"
	var fe *config.FieldError
	if _, err := New(renamed, Options{}); !errors.Is(err, forward.ErrRenamed) || !errors.As(err, &fe) || fe.Key != "gateway" {
		t.Errorf("renamed: %v", err)
	}
	c.Forward.URL = cloud(t)
	c.Log.SegmentSize, c.Capture.GroupSize, c.Log.WhenFull = 2<<20, 4<<10, "shed-oldest"
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

func TestDamageTurnsHealthRedAndFlowGoesOn(t *testing.T) {
	c := fileGateway(t, 20_000, "http://127.0.0.1:1")
	c.Capture.GroupSize = 1 << 10
	a, err := New(c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	waitFor(t, func() bool { return a.Status().Forward.Pending == 20_001 })
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	segments, err := filepath.Glob(filepath.Join(c.LogDir(), "*.seg"))
	if err != nil || len(segments) != 1 {
		t.Fatalf("segments %v, %v", segments, err)
	}
	data, err := os.ReadFile(segments[0])
	if err != nil {
		t.Fatal(err)
	}
	data[strings.Index(string(data), "line 500")] ^= 1
	if err := os.WriteFile(segments[0], data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(c.Sources[0].File.Path, []byte(strings.Repeat("more\r\n", 20)), 0o600); err != nil {
		t.Fatal(err)
	}
	c.Forward.URL = cloud(t)
	again, err := New(c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := again.Status()
	if s.Healthy || !strings.Contains(strings.Join(s.Reasons, "\n"), "1 damaged place in the log") {
		t.Errorf("health says nothing: %v", s.Reasons)
	}
	if s.Forward.Pending != 0 || s.Capture.Records != 21 { // and the gap, because the file was cut in place
		t.Errorf("%d pending, %d records captured after the damage", s.Forward.Pending, s.Capture.Records)
	}
}

// reading counts the bytes read from files.
type reading struct {
	durable.OS
	bytes atomic.Int64
}

func (r *reading) Open(name string) (durable.File, error) {
	f, err := r.OS.Open(name)
	return &readFile{f, r}, err
}

func (r *reading) OpenWrite(name string) (durable.File, error) {
	f, err := r.OS.OpenWrite(name)
	return &readFile{f, r}, err
}

type readFile struct {
	durable.File
	r *reading
}

func (f *readFile) ReadAt(p []byte, at int64) (int, error) {
	n, err := f.File.ReadAt(p, at)
	f.r.bytes.Add(int64(n))
	return n, err
}

func (f *readFile) Read(p []byte) (int, error) {
	n, err := f.File.Read(p)
	f.r.bytes.Add(int64(n))
	return n, err
}

func TestOpeningReadsHeadersAndTheNewestSegment(t *testing.T) {
	c := fileGateway(t, 300_000, "http://127.0.0.1:1")
	c.Log.SegmentSize = 256 << 10
	a, err := New(c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	waitFor(t, func() bool { return a.Status().Forward.Pending == 300_001 })
	held := a.Status().Log
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	disk := &reading{}
	again, err := New(c, Options{FS: disk})
	if err != nil {
		t.Fatal(err)
	}
	most := int64(held.Segments)*16<<10 + 3*int64(c.Log.SegmentSize)
	if n := disk.bytes.Load(); n > most || held.Segments < 10 || most > held.Bytes/2 {
		t.Errorf("read %d bytes of %d in %d segments, want at most %d", n, held.Bytes, held.Segments, most)
	}
	ended2, stop := context.WithCancel(t.Context())
	stop()
	if err := again.Run(ended2); err != nil {
		t.Error(err)
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
		s := a.Status()
		return strings.Contains(strings.Join(s.Reasons, "\n"), "source absent is absent") && s.Sources[2].State == "open"
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

// TestLinesAreServedAgain: a client of serve has what the source receives.
func TestLinesAreServedAgain(t *testing.T) {
	c := fileGateway(t, 0, cloud(t))
	in, out := freeAddress(t), freeAddress(t)
	c.Sources = []SourceConfig{{Name: "radio", Serve: out, TCPServer: &TCPServerConfig{Listen: in}}}
	a, err := New(c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	var from, to net.Conn
	waitFor(t, func() bool {
		from, err = net.Dial("tcp", out)
		return err == nil
	})
	defer from.Close()
	waitFor(t, func() bool {
		to, err = net.Dial("tcp", in)
		return err == nil
	})
	defer to.Close()
	got := make(chan byte, 1)
	go func() {
		var b [1]byte
		_, _ = from.Read(b[:])
		got <- b[0]
	}()
	waitFor(t, func() bool { // until the client is known, lines go past it
		_, _ = io.WriteString(to, "$GPZDA\r\n")
		return len(got) > 0
	})
	if b := <-got; b != '$' {
		t.Errorf("got %q", b)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
