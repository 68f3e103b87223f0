package page

import (
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// MaxConnections bounds the connections to a page at a time.
const MaxConnections = 128

// places is a page's listener with a bounded number of connections. Where all are
// taken, a new one takes the place of that on which nothing has been asked for the
// longest; where on each something is being asked, it is answered 503. So whoever opens
// connections and says nothing keeps nobody from asking for health.
type places struct {
	net.Listener
	max     int
	refused *atomic.Uint64

	mu    sync.Mutex
	quiet map[net.Conn]time.Time // on which nothing is being asked, and since when; guarded by mu
	all   map[net.Conn]bool      // guarded by mu
}

func newPlaces(ln net.Listener, max int, refused *atomic.Uint64) *places {
	return &places{Listener: ln, max: max, refused: refused, quiet: map[net.Conn]time.Time{}, all: map[net.Conn]bool{}}
}

// Accept implements net.Listener.
func (p *places) Accept() (net.Conn, error) {
	for {
		conn, err := p.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if p.take(conn) {
			return conn, nil
		}
		p.refused.Add(1)
		_ = conn.SetWriteDeadline(time.Now().Add(timeout)) // a fresh connection has room for it
		_, _ = conn.Write([]byte("HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"))
		_ = conn.Close()
	}
}

// take returns a connection a place; false: there is none.
func (p *places) take(conn net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.all) >= p.max {
		oldest := net.Conn(nil)
		for c, since := range p.quiet {
			if oldest == nil || since.Before(p.quiet[oldest]) {
				oldest = c
			}
		}
		if oldest == nil {
			return false
		}
		p.leave(oldest)
		_ = oldest.Close()
	}
	p.all[conn], p.quiet[conn] = true, time.Now()
	return true
}

// leave is called with mu held.
func (p *places) leave(conn net.Conn) {
	delete(p.all, conn)
	delete(p.quiet, conn)
}

// state is http.Server's ConnState.
func (p *places) state(conn net.Conn, state http.ConnState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case !p.all[conn]: // it lost its place
	case state == http.StateActive:
		delete(p.quiet, conn)
	case state == http.StateIdle:
		p.quiet[conn] = time.Now()
	case state == http.StateClosed || state == http.StateHijacked:
		p.leave(conn)
	}
}
