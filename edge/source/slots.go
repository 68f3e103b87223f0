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

	"landfall/edge/turns"
)

// The connections of a listener are bounded, and shared by the hosts that they
// come from: a host has perHost at most, and where all are taken the host that has
// most gives one up for a host that has fewer. One that never sent a byte goes
// first, then the one silent for longest. One that sends is ended only for a host that
// has none, or two fewer, and has asked in vain for long: these wait in turn
// (edge/turns). So silent clients, however many, keep no receiver out, and others none
// for longer than turns.LongestWait.

const (
	// defaultClients is how many connections a listener has at a time.
	defaultClients = 256
	// defaultIdleTimeout ends a connection on which nothing comes. A receiver far
	// from all ships is silent for long, and one that is ended connects again.
	defaultIdleTimeout = time.Hour
	// replaceableAfter is how long a client that has sent something must be silent
	// before another host's takes its place, and how long one that sends has it at
	// least.
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

	began int64 // when it got its place

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
	turns   turns.List         // hosts that ask in vain; guarded by mu
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
	c.began = s.now()
	s.clients[c] = true
	s.hosts[c.host]++
	s.turns.Served(c.host)
}

// take gives a connection a place; ended is the client that lost its own for that,
// nil: none. Error: there is no place, and why.
func (s *slots) take(conn net.Conn) (c, ended *slotConn, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c = s.conn(conn)
	now, n := time.Unix(0, s.now()), s.hosts[c.host]
	ahead := s.turns.Ahead(c.host, s.hosts, now)
	kept := ahead > 0 && s.room(c.host) <= ahead
	why := s.full(c.host)
	if why == nil && kept {
		why = errOthersWait
	}
	if why != nil {
		switch {
		case s.hosts[c.host] >= s.perHost:
			ended = s.silent(c.host)
		case !kept:
			ended = s.replaceable(n, s.turns.Starves(c.host, now))
		}
		if ended == nil {
			if n < s.perHost {
				s.turns.Refused(c.host, now)
			}
			return nil, nil, why
		}
		s.remove(ended)
		ended.out.Store(true)
		_ = ended.Close() // its reader ends
	}
	s.put(c)
	return c, ended, nil
}

// errOthersWait says that a place is free and kept.
var errOthersWait = errors.New("other hosts have waited for a place for longer")

// room returns how many places there are for a host: those that are free, and those of
// other hosts that may have to give way to it. It is called with mu held.
func (s *slots) room(host string) int {
	free, n := s.max-len(s.clients), s.hosts[host]
	for c := range s.clients {
		if c.host != host && (!c.sent.Load() || s.isSilent(c, n) || s.hadItsTurn(c, n)) {
			free++
		}
	}
	return free
}

// isSilent tells whether a client has said nothing for long, and its host has two more
// than one that has n. It is called with mu held.
func (s *slots) isSilent(c *slotConn, n int) bool {
	return s.now()-c.last.Load() >= int64(replaceableAfter) && s.hosts[c.host] > n+1
}

// hadItsTurn tells whether a client has had its place for long, and its host has two
// more than one that has n, or any where that has none. It is called with mu held.
func (s *slots) hadItsTurn(c *slotConn, n int) bool {
	return s.now()-c.began >= int64(replaceableAfter) && (n == 0 || s.hosts[c.host] > n+1)
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
// newcomer's; else, where that starves, any that had its turn. It is called with mu held.
func (s *slots) replaceable(n int, starves bool) *slotConn {
	never := map[string]int{}
	for c := range s.clients {
		if !c.sent.Load() {
			never[c.host]++
		}
	}
	for _, rank := range []func(c *slotConn) int{
		func(c *slotConn) int { return never[c.host] * oneIf(!c.sent.Load()) },
		func(c *slotConn) int { return s.hosts[c.host] * oneIf(s.isSilent(c, n)) },
		func(c *slotConn) int { return s.hosts[c.host] * oneIf(starves && s.hadItsTurn(c, n)) },
	} {
		if found := s.first(rank); found != nil {
			return found
		}
	}
	return nil
}

func oneIf(is bool) int {
	if is {
		return 1
	}
	return 0
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

// networkOf returns whom what a host may use up permanently is counted for: an IPv6 host has
// as many addresses as it likes of its network of 64 bits (RFC 4291, 2.5.1), which all
// count as one, but for those of a link.
func networkOf(host string) string {
	at, err := netip.ParseAddr(host)
	if err != nil || !at.Is6() || at.IsLinkLocalUnicast() || at.IsLoopback() {
		return host
	}
	network, _ := at.Prefix(64) // an IPv6 address has such a prefix
	return network.String()
}
