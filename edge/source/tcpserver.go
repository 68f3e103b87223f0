package source

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
)

// TCPServerConfig configures a TCPServer.
type TCPServerConfig struct {
	Options
	Listen     string // host:port, required; an empty host listens on all addresses
	MaxClients int    // connections at a time; 0: 256
}

// Validate names the first field that cannot be used. Error: ErrConfig.
func (c *TCPServerConfig) Validate() error {
	if err := c.validate(); err != nil {
		return err
	}
	return validateListen(c.Name, c.Listen, c.MaxClients)
}

func validateListen(name, listen string, maxClients int) error {
	if _, _, err := net.SplitHostPort(listen); err != nil {
		return fmt.Errorf("listen of source %s: want host:port: %w: %w", name, err, ErrConfig)
	}
	if maxClients < 0 {
		return fmt.Errorf("max_clients of source %s: %d is negative: %w", name, maxClients, ErrConfig)
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
	s.setup(&s.meter, cfg.Listen, cfg.MaxClients)
	return s, nil
}

// Run serves until ctx ends. It returns nil.
func (s *TCPServer) Run(ctx context.Context, sink Sink) error {
	s.serve(ctx, func(ctx context.Context, conn net.Conn) error {
		return pumpConn(ctx, conn, 0, conn.RemoteAddr().String(), &s.meter, sink)
	})
	return nil
}

// listener accepts connections for TCPServer and Acked.
type listener struct {
	m      *meter
	listen string
	max    int

	mu    sync.Mutex
	addr  net.Addr      // guarded by mu
	ready chan struct{} // closed once addr is known
}

func (l *listener) setup(m *meter, listen string, max int) {
	if max == 0 {
		max = 256
	}
	l.m, l.listen, l.max, l.ready = m, listen, max, make(chan struct{})
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
func (l *listener) serve(ctx context.Context, handle func(context.Context, net.Conn) error) {
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
func (l *listener) accept(ctx context.Context, ln net.Listener, clients *sync.WaitGroup, handle func(context.Context, net.Conn) error) error {
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	defer stop()
	defer func() { _ = ln.Close() }()
	for {
		conn, err := ln.Accept()
		if err != nil {
			return fmt.Errorf("accept: %w", err)
		}
		if int(l.m.open.Load()) >= l.max {
			l.m.refused.Add(1)
			_ = conn.Close()
			continue
		}
		l.m.connects.Add(1)
		l.m.open.Add(1)
		clients.Go(func() {
			defer l.m.disconnected()
			if err := handle(ctx, conn); err != nil && ctx.Err() == nil && !errors.Is(err, errStopped) {
				l.m.errors.Add(1)
				l.m.log(slog.LevelInfo, "client ended with an error", "client", conn.RemoteAddr().String(), "error", err)
			}
		})
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
