package agent

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"landfall/edge/clock"
)

// TestARefusedClientIsNamed: health says which client was refused and why, for a
// while after it happened, and the metrics count it.
func TestARefusedClientIsNamed(t *testing.T) {
	c := fileGateway(t, 0, cloud(t))
	c.Status = freeAddress(t)
	c.Sources = []SourceConfig{{Name: "roof", TCPServer: &TCPServerConfig{Listen: freeAddress(t), MaxClientsPerHost: 1}}}
	now := &movable{System: clock.NewSystem(clock.BootID{})}
	a := start(t, c, Options{Clock: now})
	waitFor(t, func() bool { return a.Status().Sources[0].State == "open" })
	for range 2 {
		conn, err := net.Dial("tcp", c.Sources[0].TCPServer.Listen)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if _, err := io.WriteString(conn, "hello\r\n"); err != nil {
			t.Fatal(err)
		}
		waitFor(t, func() bool { s := a.Status().Sources[0]; return s.Records == 1 })
	}
	waitFor(t, func() bool { return a.Status().Sources[0].Refused == 1 })
	if _, body := light(t, &c, "/healthz"); !strings.Contains(body, "source roof refuses clients, last at ") || !strings.Contains(body, "127.0.0.1: 1 clients of this host are connected") {
		t.Errorf("healthz %s", body)
	}
	if _, text := get(t, "http://"+c.Status+"/metrics"); !strings.Contains(text, `landfall_edge_source_refused_total{source="roof"} 1`) {
		t.Error("the metric does not count it")
	}
	now.ahead.Store((refusedFor + time.Second).Microseconds())
	if _, body := light(t, &c, "/healthz"); strings.Contains(body, "refuses") {
		t.Errorf("long after: healthz %s", body)
	}
	if s := a.Status().Sources[0]; s.LastRefused == "" || s.LastRefusedAt == "" {
		t.Errorf("status forgets it: %+v", s)
	}
}
