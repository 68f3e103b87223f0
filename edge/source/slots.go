package source

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// The connections of a listener are bounded, and shared by the hosts that they
// come from: a host has perHost at most, and where all are taken the host that has
// most gives one up for a host that has fewer. One that never sent a byte goes
// first, then the one silent for longest; one that sends is never ended. So silent
// clients, however many, keep no receiver out.

const (
	// defaultClients is how many connections a listener has at a time.
	defaultClients = 256
	// defaultIdleTimeout ends a connection on which nothing comes. A receiver far
	// from all ships is silent for long, and one that is ended connects again.
	defaultIdleTimeout = time.Hour
	// replaceableAfter is how long a client that has sent something must be silent
	// before another host's takes its place.
	replaceableAfter = time.Minute
)

// perHostOf returns how many of max connections one host may have, where the
// configuration does not say.
func perHostOf(max int) int { return min(max, 16+max/8) }

// errIdle says that a client was ended because it was silent.
var errIdle = errors.New("nothing came for too long")

// slotConn is a connection of a listener, in its place.
type slotConn struct {
	net.Conn
	host string

	idle atomic.Int64 // silence that ends it, nanoseconds; 0: the deadline set on Conn holds
	last atomic.Int64 // when a byte came last, or it connected; nanoseconds of the slots' clock
	sent atomic.Bool  // a byte has come
	out  atomic.Bool  // it was ended to make room

	now func() int64
}

// Read implements net.Conn. Error: errIdle.
func (c *slotConn) Read(p []byte) (int, error) {
	if d := c.idle.Load(); d > 0 {
		if err := c.SetReadDeadline(time.Now().Add(time.Duration(d))); err != nil {
			return 0, err
		}
	}
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.last.Store(c.now())
		c.sent.Store(true)
	}
	if c.out.Load() || errors.Is(err, os.ErrDeadlineExceeded) && c.idle.Load() > 0 {
		return n, errIdle
	}
	return n, err
}

// slots are the places of a listener.
type slots struct {
	max, perHost int
	now          func() int64 // nanoseconds, monotonic

	mu      sync.Mutex
	clients map[*slotConn]bool // guarded by mu
	hosts   map[string]int     // connections by host; guarded by mu
}

func newSlots(max, perHost int) *slots {
	if max == 0 {
		max = defaultClients
	}
	if perHost == 0 {
		perHost = perHostOf(max)
	}
	began := time.Now()
	return &slots{
		max: max, perHost: perHost, now: func() int64 { return int64(time.Since(began)) },
		clients: map[*slotConn]bool{}, hosts: map[string]int{},
	}
}

// add gives a connection a place where one is free. Error: none is, and why.
func (s *slots) add(conn net.Conn) (*slotConn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.conn(conn)
	if err := s.full(c.host); err != nil {
		return nil, err
	}
	s.put(c)
	return c, nil
}

func (s *slots) conn(conn net.Conn) *slotConn {
	c := &slotConn{Conn: conn, host: hostOf(conn), now: s.now}
	c.last.Store(s.now())
	return c
}

// full says why there is no free place for a host. It is called with mu held.
func (s *slots) full(host string) error {
	switch n := s.hosts[host]; {
	case n >= s.perHost:
		return fmt.Errorf("%d clients of this host are connected", n)
	case len(s.clients) >= s.max:
		return fmt.Errorf("all %d clients are connected", s.max)
	}
	return nil
}

// put is called with mu held.
func (s *slots) put(c *slotConn) {
	s.clients[c] = true
	s.hosts[c.host]++
}

// take gives a connection a place; ended is the client that lost its own for that,
// nil: none. Error: there is no place, and why.
func (s *slots) take(conn net.Conn) (c, ended *slotConn, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c = s.conn(conn)
	if why := s.full(c.host); why != nil {
		if n := s.hosts[c.host]; n >= s.perHost {
			ended = s.silent(c.host)
		} else {
			ended = s.replaceable(n)
		}
		if ended == nil {
			return nil, nil, why
		}
		s.remove(ended)
		ended.out.Store(true)
		_ = ended.Close() // its reader ends
	}
	s.put(c)
	return c, ended, nil
}

// silent returns the client of a host that connected first and never sent a byte.
func (s *slots) silent(host string) *slotConn {
	return s.first(func(c *slotConn) int {
		if c.host != host || c.sent.Load() {
			return 0
		}
		return 1
	})
}

// replaceable returns the client that gives its place to a host that has n. It is
// one that never sent a byte where there is any, of the host with the most of
// these; else one that is silent, of the host that has most, and more than the
// newcomer's.
func (s *slots) replaceable(n int) *slotConn {
	never := map[string]int{}
	for c := range s.clients {
		if !c.sent.Load() {
			never[c.host]++
		}
	}
	found := s.first(func(c *slotConn) int {
		if c.sent.Load() {
			return 0
		}
		return never[c.host]
	})
	if found != nil {
		return found
	}
	now := s.now()
	return s.first(func(c *slotConn) int {
		silent := now - c.last.Load()
		if silent < int64(replaceableAfter) || s.hosts[c.host] <= n+1 {
			return 0
		}
		return s.hosts[c.host]
	})
}

// first returns the client with the highest rank, of equal ones the one silent for
// longest; nil: all ranks are 0.
func (s *slots) first(rank func(*slotConn) int) (found *slotConn) {
	most := 0
	for c := range s.clients {
		r := rank(c)
		if r > most || r > 0 && r == most && c.last.Load() < found.last.Load() {
			found, most = c, r
		}
	}
	return found
}

// leave gives the place back.
func (s *slots) leave(c *slotConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.clients[c] {
		s.remove(c)
	}
}

// remove is called with mu held.
func (s *slots) remove(c *slotConn) {
	delete(s.clients, c)
	if s.hosts[c.host]--; s.hosts[c.host] == 0 {
		delete(s.hosts, c.host)
	}
}

// hostOf returns the host that a connection comes from; a port costs nothing.
func hostOf(conn net.Conn) string {
	at, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil {
		return conn.RemoteAddr().String()
	}
	return at.Addr().Unmap().String()
}
