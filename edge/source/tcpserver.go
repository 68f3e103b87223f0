package source

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// TCPServerConfig configures a TCPServer.
type TCPServerConfig struct {
	Options
	Listen     string // host:port, required; an empty host listens on all addresses
	MaxClients int    // connections at a time; 0: 256
	PerHost    int    // of them from one host; 0: 16 and an eighth of MaxClients
	// IdleTimeout ends a connection on which nothing came for so long; 0: 1 h.
	IdleTimeout time.Duration
}

// Validate names the first field that cannot be used. Error: ErrConfig.
func (c *TCPServerConfig) Validate() error {
	if err := c.validate(); err != nil {
		return err
	}
	return validateListen(c.Name, c.Listen, c.MaxClients, c.PerHost, c.IdleTimeout)
}

func validateListen(name, listen string, maxClients, perHost int, idle time.Duration) error {
	if _, _, err := net.SplitHostPort(listen); err != nil {
		return fmt.Errorf("listen of source %s: want host:port: %w: %w", name, err, ErrConfig)
	}
	if maxClients < 0 {
		return fmt.Errorf("max_clients of source %s: %d is negative: %w", name, maxClients, ErrConfig)
	}
	if perHost < 0 || idle < 0 {
		return fmt.Errorf("max_clients_per_host, idle_timeout of source %s: %d, %v: one is negative: %w", name, perHost, idle, ErrConfig)
	}
	return nil
}

// TCPServer takes lines from any number of clients; each connection is a
// stream.
type TCPServer struct {
	meter
	listener
	cfg TCPServerConfig
}

// NewTCPServer makes a TCPServer. Error: ErrConfig.
func NewTCPServer(cfg TCPServerConfig) (*TCPServer, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &TCPServer{cfg: cfg}
	s.init(&s.cfg.Options, "tcp-server", false)
	s.setup(&s.meter, cfg.Listen, newSlots(cfg.MaxClients, cfg.PerHost), cfg.IdleTimeout)
	return s, nil
}

// Run serves until ctx ends. It returns nil.
func (s *TCPServer) Run(ctx context.Context, sink Sink) error {
	s.serve(ctx, func(ctx context.Context, conn *slotConn) error {
		conn.idle.Store(int64(s.idle))
		return pumpConn(ctx, conn, 0, conn.RemoteAddr().String(), &s.meter, sink)
	})
	return nil
}

// listener accepts connections for TCPServer and Acked.
type listener struct {
	m      *meter
	listen string
	slots  *slots
	idle   time.Duration // silence that ends a client
	// refusal is told to a client that is refused; empty: its protocol has no word
	// for it.
	refusal string
	allow   []netip.Prefix // who may connect; none: everybody

	mu    sync.Mutex
	addr  net.Addr      // guarded by mu
	ready chan struct{} // closed once addr is known
}

func (l *listener) setup(m *meter, listen string, slots *slots, idle time.Duration) {
	if idle == 0 {
		idle = defaultIdleTimeout
	}
	l.m, l.listen, l.slots, l.idle, l.ready = m, listen, slots, idle, make(chan struct{})
}

// Addr waits until the source listens and gives the address it listens on,
// nil when ctx ends before.
func (l *listener) Addr(ctx context.Context) net.Addr {
	select {
	case <-ctx.Done():
		return nil
	case <-l.ready:
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.addr
}

// serve listens, again and again if it must, and runs handle for each
// connection in a goroutine of its own. All have ended when it returns.
func (l *listener) serve(ctx context.Context, handle func(context.Context, *slotConn) error) {
	var clients sync.WaitGroup
	defer l.m.set(StateStopped, "")
	defer clients.Wait()
	var retry backoff
	for ctx.Err() == nil {
		var lc net.ListenConfig
		ln, err := lc.Listen(ctx, "tcp", l.listen)
		if err == nil {
			retry.reset()
			l.announce(ln.Addr())
			err = l.accept(ctx, ln, &clients, handle)
		}
		if ctx.Err() == nil {
			l.m.fault(StateAbsent, err)
			retry.wait(ctx)
		}
	}
}

func (l *listener) announce(addr net.Addr) {
	l.m.set(StateOpen, addr.String())
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.addr == nil {
		close(l.ready)
	}
	l.addr = addr
}

// accept takes connections until ln fails; it closes ln.
func (l *listener) accept(ctx context.Context, ln net.Listener, clients *sync.WaitGroup, handle func(context.Context, *slotConn) error) error {
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	defer stop()
	defer func() { _ = ln.Close() }()
	for {
		conn, err := ln.Accept()
		if err != nil {
			return fmt.Errorf("accept: %w", err)
		}
		if !l.allows(conn) {
			l.turnAway(conn, errNotAllowed)
			continue
		}
		c, ended, err := l.slots.take(conn)
		if err != nil {
			l.turnAway(conn, err)
			continue
		}
		if ended != nil {
			l.m.log(slog.LevelInfo, "a client was ended to make room", "client", ended.RemoteAddr().String(), "for", conn.RemoteAddr().String())
		}
		l.m.connects.Add(1)
		l.m.open.Add(1)
		clients.Go(func() {
			defer l.m.disconnected()
			defer l.slots.leave(c)
			err := handle(ctx, c)
			switch {
			case err == nil || ctx.Err() != nil || errors.Is(err, errStopped):
			case errors.Is(err, errIdle):
				l.m.idled.Add(1)
			default:
				l.m.errors.Add(1)
				l.m.log(slog.LevelInfo, "client ended with an error", "client", conn.RemoteAddr().String(), "error", err)
			}
		})
	}
}

// errNotAllowed says that a client's address is not one of those that may connect.
var errNotAllowed = errors.New("this address may not connect here")

// allows tells whether a client's address may connect.
func (l *listener) allows(conn net.Conn) bool {
	if len(l.allow) == 0 {
		return true
	}
	at, err := netip.ParseAddr(hostOf(conn))
	return err == nil && slices.ContainsFunc(l.allow, func(p netip.Prefix) bool { return p.Contains(at.WithZone("")) })
}

// turnAway ends a connection for which there is no place, says so where it can be
// said, and notes who it was.
func (l *listener) turnAway(conn net.Conn, why error) {
	l.m.refuse(hostOf(conn), why)
	if l.refusal != "" {
		_ = write(conn, l.refusal, why.Error()) // a fresh connection has room for it
	}
	_ = conn.Close()
}
