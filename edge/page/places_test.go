package page

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
)

// TestConnectionsAreBounded: whoever holds connections and says nothing keeps nobody from
// asking for health, and memory is bounded; while each asks, the next is told 503.
func TestConnectionsAreBounded(t *testing.T) {
	const few = 8
	asking, answer := make(chan bool), make(chan bool)
	c := Config{
		Address: freeAddress(t), Reasons: func() []string { return nil },
		Status: func() any { asking <- true; <-answer; return 1 }, connections: few,
	}
	c.Access = NewAccess(c.Address)
	p, err := Serve(c)
	if err != nil {
		t.Fatal(err)
	}
	dial := func(says string) net.Conn {
		t.Helper()
		conn, err := net.Dial("tcp", c.Address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		if _, err := fmt.Fprint(conn, says); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	for range 3 * few {
		dial("")
	}
	if code, body := get(t, "http://"+c.Address+"/healthz"); code != http.StatusOK || body != "ok\n" {
		t.Errorf("health beside silent connections: %d %q", code, body)
	}
	http.DefaultClient.CloseIdleConnections()
	answers, refused := make(chan int, few+1), uint64(0)
	ask := func() {
		conn := dial("GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n")
		go func() {
			code := 0
			if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err == nil {
				code = resp.StatusCode
			}
			answers <- code
		}()
	}
	for asked := 0; asked < few; {
		ask()
		select {
		case <-asking:
			asked++
		case code := <-answers: // who asked for health has not left yet
			if refused++; code != http.StatusServiceUnavailable {
				t.Fatalf("while others ask: %d", code)
			}
		}
	}
	ask()
	if code := <-answers; code != http.StatusServiceUnavailable {
		t.Fatalf("one more: %d", code)
	}
	if n := c.Access.Counts(); n != (Counts{RefusedConnections: refused + 1}) {
		t.Errorf("counted %+v", n)
	}
	for range few {
		answer <- true
	}
	for range few {
		// 0: it waited for longer than the page gives a request.
		if code := <-answers; code != http.StatusOK && code != 0 {
			t.Fatalf("who asked: %d", code)
		}
	}
	if code, _ := get(t, "http://"+c.Address+"/healthz"); code != http.StatusOK {
		t.Errorf("health afterwards: %d", code)
	}
	http.DefaultClient.CloseIdleConnections()
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

// TestPlacesAreGivenBack: of connections that come and go none is remembered.
func TestPlacesAreGivenBack(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	p := newPlaces(ln, 2, new(atomic.Uint64))
	var conns []net.Conn
	for range 3 {
		c, _ := net.Pipe()
		conns = append(conns, c)
	}
	if !p.take(conns[0]) || !p.take(conns[1]) {
		t.Fatal("no place")
	}
	p.state(conns[0], http.StateActive)
	p.state(conns[1], http.StateActive)
	if p.take(conns[2]) {
		t.Error("a place that is taken was given")
	}
	p.state(conns[1], http.StateIdle)
	if !p.take(conns[2]) || p.all[conns[1]] {
		t.Error("the idle one kept its place")
	}
	p.state(conns[1], http.StateActive) // too late
	p.state(conns[0], http.StateClosed)
	p.state(conns[2], http.StateClosed)
	if len(p.all)+len(p.quiet) != 0 {
		t.Errorf("%d and %d are remembered", len(p.all), len(p.quiet))
	}
}
