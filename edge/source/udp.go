package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"landfall/edge/record"
)

// UDPConfig configures a UDP.
type UDPConfig struct {
	Options
	// Listen is host:port, required. A multicast host (IEC 61162-450:
	// 239.192.0.1 to .16, port 60001 on) is joined; :10110 takes NMEA over IP.
	Listen     string
	Interface  string // on which a multicast group is joined; empty: the system's choice
	MaxSenders int    // senders remembered at a time; 0: 1024
}

// Validate names the first field that cannot be used. Error: ErrConfig.
func (c *UDPConfig) Validate() error {
	if err := c.validate(); err != nil {
		return err
	}
	if _, err := net.ResolveUDPAddr("udp", c.Listen); err != nil || c.Listen == "" {
		return fmt.Errorf("listen of source %s: %q: want host:port: %w", c.Name, c.Listen, ErrConfig)
	}
	if c.MaxSenders < 0 {
		return fmt.Errorf("max_senders of source %s: %d is negative: %w", c.Name, c.MaxSenders, ErrConfig)
	}
	return nil
}

// UDP takes lines from datagrams. Each sender (address and port) is a stream
// and is reassembled by itself: a datagram may hold many lines, or part of one.
// A datagram's end is a line's end where the next datagram of the sender begins
// a sentence, where it comes under the UdPbC header of IEC 61162-450, or where
// nothing more came for udpRestAfter.
type UDP struct {
	meter
	cfg     UDPConfig
	senders map[netip.AddrPort]*udpSender // Run's goroutine only
	pending int                           // senders with part of a line; Run's goroutine only
	buffer  lineBuffer                    // of the datagram that is being taken; Run's goroutine only
	hosts   map[netip.Addr]int            // senders by host; reused by forgetOldest

	mu    sync.Mutex
	addr  net.Addr // guarded by mu
	ready chan struct{}
}

const (
	udpRestAfter = 500 * time.Millisecond
	udpBuffer    = 4 << 20 // asked of the kernel, for bursts and slow disks
)

// udpHeader opens a datagram of sentences in IEC 61162-450.
const udpHeader = "UdPbC\x00"

// udpSender is one sender's stream.
type udpSender struct {
	name  string
	split Splitter
	wall  record.Micros // of its last datagram
	mono  int64
}

// defaultSenders is what UDPConfig.MaxSenders is when it is not said.
const defaultSenders = 1024

// NewUDP makes a UDP. Error: ErrConfig.
func NewUDP(cfg UDPConfig) (*UDP, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.MaxSenders == 0 {
		cfg.MaxSenders = defaultSenders
	}
	u := &UDP{cfg: cfg, senders: map[netip.AddrPort]*udpSender{}, hosts: map[netip.Addr]int{}, ready: make(chan struct{})}
	u.init(&u.cfg.Options, "udp", false)
	return u, nil
}

// Addr waits until the source listens and gives the address it listens on,
// nil when ctx ends before.
func (u *UDP) Addr(ctx context.Context) net.Addr {
	select {
	case <-ctx.Done():
		return nil
	case <-u.ready:
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.addr
}

// Run reads until ctx ends. It returns nil.
func (u *UDP) Run(ctx context.Context, sink Sink) error {
	defer u.set(StateStopped, "")
	var retry backoff
	for ctx.Err() == nil {
		conn, err := u.listen()
		if err == nil {
			retry.reset()
			u.announce(conn.LocalAddr())
			err = u.read(ctx, conn, sink)
		}
		if errors.Is(err, errStopped) || ctx.Err() != nil {
			return nil
		}
		u.fault(StateAbsent, err)
		retry.wait(ctx)
	}
	return nil
}

func (u *UDP) listen() (*net.UDPConn, error) {
	addr, err := net.ResolveUDPAddr("udp", u.cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	var conn *net.UDPConn
	if addr.IP.IsMulticast() {
		var ifi *net.Interface
		if u.cfg.Interface != "" {
			if ifi, err = net.InterfaceByName(u.cfg.Interface); err != nil {
				return nil, fmt.Errorf("join %s on %s: %w", u.cfg.Listen, u.cfg.Interface, err)
			}
		}
		conn, err = net.ListenMulticastUDP("udp", ifi, addr)
	} else {
		conn, err = net.ListenUDP("udp", addr)
	}
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	// Both are best effort: without them bursts are shorter and uncounted.
	_ = conn.SetReadBuffer(udpBuffer)
	_ = askForDrops(conn)
	return conn, nil
}

func (u *UDP) announce(addr net.Addr) {
	u.connects.Add(1)
	u.set(StateOpen, addr.String())
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.addr == nil {
		close(u.ready)
	}
	u.addr = addr
}

// read takes datagrams until the socket fails or ctx ends; it closes conn and
// leaves no part of a line behind.
func (u *UDP) read(ctx context.Context, conn *net.UDPConn, sink Sink) error {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	defer func() { _ = conn.Close() }()
	buf, oob := make([]byte, readBytes), make([]byte, 64)
	var drops uint32 // of this socket, as last reported
	for {
		deadline := time.Time{}
		if u.pending > 0 {
			deadline = time.Now().Add(udpRestAfter)
		}
		if err := conn.SetReadDeadline(deadline); err != nil && ctx.Err() == nil {
			return fmt.Errorf("set read deadline: %w", err)
		}
		n, nOOB, _, from, err := conn.ReadMsgUDPAddrPort(buf, oob)
		wall, mono := u.cfg.Clock.Now()
		if err == nil {
			if d, ok := readDrops(oob[:nOOB]); ok {
				u.lost.Add(uint64(d - drops))
				drops = d
			}
			err = u.datagram(sink, from, buf[:n], wall, mono)
		} else if errors.Is(err, os.ErrDeadlineExceeded) {
			err = nil
		}
		if err != nil {
			return errors.Join(err, u.rest(sink, mono, 0))
		}
		if u.pending > 0 {
			if err := u.rest(sink, mono, udpRestAfter); err != nil {
				return err
			}
		}
	}
}

// datagram takes one datagram.
func (u *UDP) datagram(sink Sink, from netip.AddrPort, p []byte, wall record.Micros, mono int64) error {
	u.received(len(p), wall)
	s := u.senders[from]
	if s == nil {
		if len(u.senders) >= u.cfg.MaxSenders {
			if err := u.forgetOldest(sink); err != nil {
				return err
			}
		}
		s = &udpSender{name: from.String()}
		u.senders[from] = s
		u.open.Store(int64(len(u.senders)))
	}
	had := s.split.Pending() > 0
	rest, whole := bytes.CutPrefix(p, []byte(udpHeader))
	if had && (whole || beginsSentence(s.split.pending, rest)) {
		if err := u.flush(sink, s); err != nil {
			return err
		}
		had = false
	}
	s.wall, s.mono = wall, mono
	s.split.Feed(rest, u.buffer.add)
	if whole {
		s.split.Flush(!hasChecksum(s.split.pending), u.buffer.add)
	}
	u.count(had, s.split.Pending() > 0)
	return u.deliver(sink, s)
}

// count keeps pending right when a sender's state goes from had to has.
func (u *UDP) count(had, has bool) {
	switch {
	case had && !has:
		u.pending--
	case has && !had:
		u.pending++
	}
}

// flush ends a sender's line where its last datagram ended.
func (u *UDP) flush(sink Sink, s *udpSender) error {
	u.count(s.split.Pending() > 0, false)
	s.split.Flush(!hasChecksum(s.split.pending), u.buffer.add)
	return u.deliver(sink, s)
}

func (u *UDP) deliver(sink Sink, s *udpSender) error {
	b := u.buffer.batch(s.name, s.wall, s.mono)
	if b == nil {
		return nil
	}
	u.lines(b)
	if err := sink.Deliver(b); err != nil {
		return fmt.Errorf("%w: %w", errStopped, err)
	}
	return nil
}

// rest flushes the senders from whom nothing came for after.
func (u *UDP) rest(sink Sink, mono int64, after time.Duration) error {
	for _, s := range u.senders {
		if s.split.Pending() > 0 && mono-s.mono >= after.Microseconds() {
			if err := u.flush(sink, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// forgetOldest makes room for a sender: of the host with the most senders the one
// silent the longest goes, so that ports, which cost nothing, push out no other
// host's.
func (u *UDP) forgetOldest(sink Sink) error {
	clear(u.hosts)
	most := 0
	for from := range u.senders {
		u.hosts[from.Addr()]++
		most = max(most, u.hosts[from.Addr()])
	}
	var oldest netip.AddrPort
	var found *udpSender
	for from, s := range u.senders {
		if u.hosts[from.Addr()] == most && (found == nil || s.mono < found.mono) {
			oldest, found = from, s
		}
	}
	delete(u.senders, oldest)
	u.refused.Add(1)
	return u.flush(sink, found)
}
