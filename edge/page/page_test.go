package page

import (
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

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

func freeAddress(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	return ln.Addr().String()
}

func TestPageShowsWhatItIsGiven(t *testing.T) {
	var sick atomic.Bool
	c := Config{
		Address: freeAddress(t), Prefix: "x_",
		Status: func() any { return map[string]int{"a": 1} },
		Reasons: func() []string {
			if sick.Load() {
				return []string{"one", "two"}
			}
			return nil
		},
		Metrics: func(m *Metrics) {
			m.Count("records_total", "Records.", 7, "source", "roof")
			m.Gauge("healthy", "Healthy.", 1)
		},
	}
	p, err := Serve(c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Serve(c); err == nil {
		t.Error("two pages on one address")
	}
	root := "http://" + c.Address
	if code, body := get(t, root+"/status"); code != 200 || body != "{\"a\":1}\n" {
		t.Errorf("status: %d %q", code, body)
	}
	if code, body := get(t, root+"/"); code != 200 || !strings.Contains(body, "<title>Landfall</title>") {
		t.Errorf("page: %d %.100q", code, body)
	}
	if code, _ := get(t, root+"/nowhere"); code != 404 {
		t.Errorf("a page that is not there: %d", code)
	}
	if code, body := get(t, root+"/metrics"); code != 200 || !strings.Contains(body, "x_records_total{source=\"roof\"} 7") || !strings.Contains(body, "x_healthy 1") {
		t.Errorf("metrics: %d %q", code, body)
	}
	if code, body := get(t, root+"/healthz"); code != 200 || body != "ok\n" {
		t.Errorf("healthz: %d %q", code, body)
	}
	sick.Store(true)
	if code, body := get(t, root+"/readyz"); code != 503 || body != "one\ntwo\n" {
		t.Errorf("readyz: %d %q", code, body)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if _, err := http.Get(root + "/status"); err == nil {
		t.Error("the page is there after Close")
	}
}

func TestNoAddressNoPage(t *testing.T) {
	p, err := Serve(Config{})
	if err != nil || p.Close() != nil {
		t.Error(err)
	}
}

// TestAStreamDoesNotHoldUpTheEnd: a tap has no end of its own, and the end of the
// page is no error for it.
func TestAStreamDoesNotHoldUpTheEnd(t *testing.T) {
	streaming := make(chan struct{})
	c := Config{Address: freeAddress(t), Tap: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		close(streaming)
		<-r.Context().Done()
	})}
	p, err := Serve(c)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Get("http://" + c.Address + "/tap")
	if err != nil {
		t.Fatal(err)
	}
	<-streaming
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Error(err)
	}
}
