package server

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"landfall/edge/record"
	"landfall/edge/wire"
)

// remote is a connection of nobody, from an address.
type remote struct {
	net.Conn
	from   string
	closed bool
}

func (r *remote) RemoteAddr() net.Addr {
	at, _ := net.ResolveTCPAddr("tcp", r.from)
	return at
}

func (r *remote) Close() error {
	r.closed = true
	return nil
}

// TestWhichConnectionEnds: all places are taken, and one more comes.
func TestWhichConnectionEnds(t *testing.T) {
	const a, b, c = "10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"
	type held struct {
		from string
		busy bool
		age  int
	}
	for name, x := range map[string]struct {
		held  []held
		comes string
		want  int // index; -1: the one that comes is refused
	}{
		"of the host with most, before an older one": {[]held{{a, false, 9}, {b, false, 1}, {b, false, 2}}, c, 2},
		"one without a request first":                {[]held{{b, true, 9}, {b, false, 1}, {b, true, 8}}, c, 1},
		"one with a request of a host with two more": {[]held{{b, true, 3}, {b, true, 9}, {a, true, 99}}, c, 1},
		"none with a request of a host with one":     {[]held{{a, true, 9}, {b, true, 9}}, c, -1},
		"one without a request of a host with one":   {[]held{{a, true, 9}, {b, false, 1}}, c, 1},
		"its own without a request":                  {[]held{{a, true, 9}, {a, false, 1}}, a, 1},
		"none of a host that has fewer":              {[]held{{a, true, 9}, {a, true, 1}, {b, false, 9}}, a, -1},
		"a network of IPv6 is one host": {
			[]held{{"[2001:db8::1]:1", true, 9}, {"[2001:db8::2]:1", true, 1}, {a, true, 99}}, c, 0},
		"and the same network": {[]held{{"[2001:db8::1]:1", true, 9}, {"[2001:db8::2]:1", true, 1}}, "[2001:db8::3]:1", -1},
	} {
		t.Run(name, func(t *testing.T) {
			all, now := newConns(len(x.held)), time.Now()
			var there []*remote
			for _, h := range x.held {
				r := &remote{from: h.from}
				there = append(there, r)
				n := all.add(r, now.Add(-time.Duration(h.age)*time.Second))
				n.busy = h.busy
			}
			n := all.add(&remote{from: x.comes}, now)
			if (n != nil) != (x.want >= 0) {
				t.Errorf("it is taken: %v", n != nil)
			}
			for i, r := range there {
				if r.closed != (i == x.want) {
					t.Errorf("connection %d ended: %v", i, r.closed)
				}
			}
			total := 0
			for _, k := range all.hosts {
				total += k
			}
			if open, ended, refused := all.counts(); open != len(x.held) || total != open || ended+refused != 1 || (refused == 1) != (x.want < 0) {
				t.Errorf("%d connections, %d by host, %d ended, %d refused", open, total, ended, refused)
			}
		})
	}
}

// served answers gateways until the test ends, and returns where.
func served(t *testing.T, s *Server) string {
	t.Helper()
	listener, local, err := s.listen()
	if err != nil {
		t.Fatal(err)
	}
	web, _ := s.serve(listener)
	t.Cleanup(func() { _ = errors.Join(web.Close(), local.Close()) })
	return listener.Addr().String()
}

// TestSilentConnectionsKeepNobodyOut: one host takes every place with connections that
// say nothing; a gateway of another asks and is answered, and what ends makes room.
func TestSilentConnectionsKeepNobodyOut(t *testing.T) {
	s := aServer(t)
	s.conns.max = 8
	address := served(t, s)
	for range 8 {
		silent, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = silent.Close() }()
	}
	until(t, "all places are taken", func() bool { return s.Status().Ingest.Connections == 8 })
	other := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	c, err := other.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: engine\r\n\r\n", wire.Path); err != nil {
		t.Fatal(err)
	}
	if resp, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("%v, %v", resp, err)
	}
	if in := s.Status().Ingest; in.Connections != 8 || in.ConnectionsEnded != 1 || in.ConnectionsRefused != 0 {
		t.Errorf("%d connections, %d ended, %d refused", in.Connections, in.ConnectionsEnded, in.ConnectionsRefused)
	}
	_ = c.Close()
	until(t, "what has ended counts no more", func() bool { return s.Status().Ingest.Connections == 7 })
}

// TestAConnectionWithARequestIsKnown: the server says when a request runs, also below TLS.
func TestAConnectionWithARequestIsKnown(t *testing.T) {
	all := newConns(1)
	n := all.add(&remote{from: "10.0.0.1:1"}, time.Now())
	all.state(n, http.StateActive)
	if !n.busy {
		t.Error("its request is not known")
	}
	all.state(netConner{n}, http.StateIdle)
	if n.busy {
		t.Error("the end of its request is not known, below TLS")
	}
}

// netConner is a connection around another, as those of TLS are.
type netConner struct{ *conn }

func (n netConner) NetConn() net.Conn { return n.conn }

// TestARunningRequestKeepsItsConnection: both places are taken by one host, the older one
// by a request that runs; the silent one ends for another.
func TestARunningRequestKeepsItsConnection(t *testing.T) {
	s := aServer(t)
	s.conns.max = 2
	address := served(t, s)
	dial := func() net.Conn {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	running := dial()
	head := http.Header{}
	wire.RequestHeader{Gateway: "ada", Log: record.LogID{1}, Request: wire.RequestID{1}}.Write(head, true)
	w := bufio.NewWriter(running)
	_, _ = fmt.Fprintf(w, "POST %s HTTP/1.1\r\nHost: engine\r\nContent-Length: 9\r\n", wire.Path)
	_ = head.Write(w)
	if _, err := fmt.Fprint(w, "\r\nx"); err != nil || w.Flush() != nil { // one byte of nine
		t.Fatal(err)
	}
	busy := func() (n int) {
		s.conns.mu.Lock()
		defer s.conns.mu.Unlock()
		for c := range s.conns.all {
			if c.busy {
				n++
			}
		}
		return n
	}
	until(t, "the request is known", func() bool { return busy() == 1 })
	silent := dial()
	until(t, "both places are taken", func() bool { return s.Status().Ingest.Connections == 2 })
	dial()
	if _, err := silent.Read(make([]byte, 1)); err == nil {
		t.Error("the silent one stays")
	}
	if n := busy(); n != 1 {
		t.Errorf("%d requests run", n)
	}
}
