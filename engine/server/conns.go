package server

import (
	"net"
	"net/http"
	"sync"
	"time"

	"landfall/engine/ingest"
)

// maxConnections bounds the connections at the ingest at a time. Each takes some 50 KiB
// with TLS.
const maxConnections = 4096

// An ingest of few sessions has fewer: connectionsEach for a session, for those that are
// kept between requests, and leastConnections at least.
const (
	connectionsEach  = 16
	leastConnections = 256
)

// conns are the connections at the ingest. They are bounded before anything is read of
// one, and shared by the hosts that they come from (of IPv6 networks of 64 bits): when
// all are taken, the host with the most gives one up for a host with two fewer, one
// without a request before others; else a host that has no fewer than the one that comes
// gives up one that has no request. A gateway whose connection ends makes another. Its
// methods may be called from any goroutine.
type conns struct {
	max int

	mu             sync.Mutex
	all            map[*conn]bool // guarded by mu
	hosts          map[string]int // connections by host; guarded by mu
	ended, refused uint64         // to make room; because there was none; guarded by mu
}

// conn is one of conns.
type conn struct {
	net.Conn
	of    *conns
	host  string
	busy  bool      // a request runs on it; guarded by of.mu
	since time.Time // when that became so, or it came; guarded by of.mu
}

func newConns(most int) *conns {
	return &conns{max: most, all: map[*conn]bool{}, hosts: map[string]int{}}
}

// bounded accepts the connections of a listener as those of conns.
type bounded struct {
	net.Listener
	conns *conns
}

// Accept implements net.Listener.
func (b bounded) Accept() (net.Conn, error) {
	for {
		raw, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if c := b.conns.add(raw, time.Now()); c != nil {
			return c, nil
		}
		_ = raw.Close()
	}
}

// add takes a connection in; nil: there is no room.
func (c *conns) add(raw net.Conn, now time.Time) *conn {
	host := ingest.HostOf(raw.RemoteAddr().String())
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.all) >= c.max {
		out := c.givesWay(host)
		if out == nil {
			c.refused++
			return nil
		}
		c.ended++
		c.remove(out)
		_ = out.Conn.Close()
	}
	n := &conn{Conn: raw, of: c, host: host, since: now}
	c.all[n] = true
	c.hosts[host]++
	return n
}

// givesWay returns which connection ends for one of a host; nil: none. The caller holds
// mu.
func (c *conns) givesWay(host string) *conn {
	var out *conn
	for n := range c.all {
		more := c.hosts[n.host] - c.hosts[host]
		if more < 0 || n.busy && more < 2 {
			continue
		}
		if out == nil || c.before(n, out) {
			out = n
		}
	}
	return out
}

// before says that a ends rather than b. The caller holds mu.
func (c *conns) before(a, b *conn) bool {
	switch more := c.hosts[a.host] - c.hosts[b.host]; {
	case more != 0:
		return more > 0
	case a.busy != b.busy:
		return b.busy
	}
	return a.since.Before(b.since)
}

// remove forgets a connection. The caller holds mu.
func (c *conns) remove(n *conn) {
	if !c.all[n] {
		return
	}
	delete(c.all, n)
	if c.hosts[n.host]--; c.hosts[n.host] == 0 {
		delete(c.hosts, n.host)
	}
}

// Close implements net.Conn.
func (n *conn) Close() error {
	n.of.mu.Lock()
	n.of.remove(n)
	n.of.mu.Unlock()
	return n.Conn.Close()
}

// state notes what http.Server says of a connection.
func (c *conns) state(of net.Conn, s http.ConnState) {
	if t, ok := of.(interface{ NetConn() net.Conn }); ok { // of TLS
		of = t.NetConn()
	}
	n, ok := of.(*conn)
	if !ok || s != http.StateActive && s != http.StateIdle {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	n.busy, n.since = s == http.StateActive, time.Now()
}

// counts returns how many connections there are, how many ended to make room, and how
// many were refused.
func (c *conns) counts() (now int, ended, refused uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.all), c.ended, c.refused
}
