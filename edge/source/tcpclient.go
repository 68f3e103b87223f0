package source

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// TCPClientConfig configures a TCPClient.
type TCPClientConfig struct {
	Options
	Address string // host:port, required
	// StaleAfter makes a connection on which nothing came for that long a new
	// one; 0: never. A peer that is gone is found by TCP keep-alive anyhow.
	StaleAfter time.Duration
}

// Validate names the first field that cannot be used. Error: ErrConfig.
func (c *TCPClientConfig) Validate() error {
	if err := c.validate(); err != nil {
		return err
	}
	if _, _, err := net.SplitHostPort(c.Address); err != nil {
		return fmt.Errorf("address of source %s: want host:port: %w: %w", c.Name, err, ErrConfig)
	}
	if c.StaleAfter < 0 {
		return fmt.Errorf("stale_after of source %s: %v is negative: %w", c.Name, c.StaleAfter, ErrConfig)
	}
	return nil
}

// TCPClient reads lines from a TCP server and connects again for ever.
type TCPClient struct {
	meter
	cfg TCPClientConfig
}

// NewTCPClient makes a TCPClient. Error: ErrConfig.
func NewTCPClient(cfg TCPClientConfig) (*TCPClient, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	c := &TCPClient{cfg: cfg}
	c.init(&c.cfg.Options, "tcp-client", false)
	return c, nil
}

// Run reads until ctx ends. It returns nil.
func (c *TCPClient) Run(ctx context.Context, sink Sink) error {
	defer c.set(StateStopped, "")
	dialer := net.Dialer{Timeout: 10 * time.Second}
	var retry backoff
	for ctx.Err() == nil {
		conn, err := dialer.DialContext(ctx, "tcp", c.cfg.Address)
		if err == nil {
			before := c.bytes.Load()
			c.connected(c.cfg.Address)
			err = pumpConn(ctx, conn, c.cfg.StaleAfter, c.cfg.Address, &c.meter, sink)
			c.disconnected()
			if c.bytes.Load() > before {
				retry.reset()
			}
			if err == nil {
				err = errors.New("connection closed by the server")
			}
		}
		if errors.Is(err, errStopped) || ctx.Err() != nil {
			return nil
		}
		c.fault(StateAbsent, err)
		retry.wait(ctx)
	}
	return nil
}

// pumpConn reads a connection to its end and closes it; the end of ctx or a
// silence of stale (0: any) ends it too. Errors are as of pump.
func pumpConn(ctx context.Context, conn net.Conn, stale time.Duration, stream string, m *meter, sink Sink) error {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	defer func() { _ = conn.Close() }()
	return pump(staleConn{conn, stale}, stream, m.o, m, sink)
}

// staleConn gives up reading after a silence.
type staleConn struct {
	net.Conn
	stale time.Duration
}

// Read implements io.Reader.
func (c staleConn) Read(p []byte) (int, error) {
	if c.stale > 0 {
		if err := c.SetReadDeadline(time.Now().Add(c.stale)); err != nil {
			return 0, err
		}
	}
	return c.Conn.Read(p)
}
