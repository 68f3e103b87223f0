//go:build failpoint && linux

package crashtest

import (
	"net"
	"os"
	"sync"
	"time"
)

// fileOutlet appends to a file, every few messages in two writes that cut a
// line.
type fileOutlet struct {
	f *os.File
	n int
}

func newFileOutlet(name string) (*fileOutlet, error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	return &fileOutlet{f: f}, err
}

func (o *fileOutlet) send(lines [][]byte) fate {
	b := joined(lines)
	if o.n++; o.n%7 == 0 {
		cut := o.n % len(b)
		if _, err := o.f.Write(b[:cut]); err != nil {
			return unsure
		}
		b = b[cut:]
	}
	if _, err := o.f.Write(b); err != nil {
		return unsure
	}
	return sent
}

func (o *fileOutlet) close() { _ = o.f.Close() }

// streamTimeout bounds connecting and writing, so that a sender keeps pace.
const streamTimeout = 200 * time.Millisecond

// write sends b over c as a radio would: once.
func write(c net.Conn, b []byte) fate {
	_ = c.SetWriteDeadline(time.Now().Add(streamTimeout))
	n, err := c.Write(b)
	switch {
	case err == nil:
		return sent
	case n == 0:
		return unsent
	}
	return unsure
}

// dialOutlet connects to an edge that listens.
type dialOutlet struct {
	addr string
	conn net.Conn
}

func (o *dialOutlet) send(lines [][]byte) fate {
	if o.conn == nil {
		c, err := net.DialTimeout("tcp", o.addr, streamTimeout)
		if err != nil {
			return unsent
		}
		o.conn = c
	}
	f := write(o.conn, joined(lines))
	if f != sent {
		o.close()
	}
	return f
}

func (o *dialOutlet) close() {
	if o.conn != nil {
		_ = o.conn.Close()
		o.conn = nil
	}
}

// listenOutlet serves the newest connection of an edge that connects.
type listenOutlet struct {
	l       net.Listener
	serving sync.WaitGroup
	mu      sync.Mutex
	conn    net.Conn // guarded by mu
}

func newListenOutlet() (*listenOutlet, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	o := &listenOutlet{l: l}
	o.serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			o.replace(c)
		}
	})
	return o, nil
}

func (o *listenOutlet) replace(c net.Conn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.conn != nil {
		_ = o.conn.Close()
	}
	o.conn = c
}

func (o *listenOutlet) send(lines [][]byte) fate {
	o.mu.Lock()
	c := o.conn
	o.mu.Unlock()
	if c == nil {
		return unsent
	}
	f := write(c, joined(lines))
	if f != sent {
		_ = c.Close()
		o.mu.Lock()
		if o.conn == c {
			o.conn = nil
		}
		o.mu.Unlock()
	}
	return f
}

func (o *listenOutlet) close() {
	_ = o.l.Close()
	o.serving.Wait()
	o.replace(nil)
}

// udpOutlet sends a datagram a message. The socket is not connected, so that
// nothing tells it whether anybody listens.
type udpOutlet struct {
	c  net.PacketConn
	to net.Addr
}

func newUDPOutlet(to string) (*udpOutlet, error) {
	addr, err := net.ResolveUDPAddr("udp", to)
	if err != nil {
		return nil, err
	}
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	return &udpOutlet{c: c, to: addr}, err
}

func (o *udpOutlet) send(lines [][]byte) fate {
	if _, err := o.c.WriteTo(joined(lines), o.to); err != nil {
		return unsent
	}
	return sent
}

func (o *udpOutlet) close() { _ = o.c.Close() }
