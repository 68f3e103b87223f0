//go:build failpoint && linux

package crashtest

import (
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// noisyLine is a serial line between a node in QEMU, which connects to a socket,
// and an edge, which opens a pty. It flips, drops and inserts bytes both ways;
// what is said while nobody listens is gone, as on a wire.
type noisyLine struct {
	pty    *ptyOutlet
	socket string
	listen *net.UnixListener
	quit   chan struct{}
	pumps  sync.WaitGroup

	mu        sync.Mutex
	rng       *rand.Rand // guarded by mu
	noise     float64    // spoiled bytes per byte; guarded by mu
	unplugged bool       // nothing gets through; guarded by mu
	node      net.Conn   // nil: the node is off; guarded by mu
	spoiled   int        // bytes; guarded by mu
}

func newNoisyLine(t *testing.T, dir, name string, rng *rand.Rand, noise float64) *noisyLine {
	t.Helper()
	l := &noisyLine{socket: filepath.Join(dir, name+".line"), quit: make(chan struct{}), rng: rng, noise: noise}
	var err error
	if l.pty, err = newPtyOutlet(); err != nil {
		t.Fatal(err)
	}
	if l.listen, err = net.ListenUnix("unix", &net.UnixAddr{Name: l.socket, Net: "unix"}); err != nil {
		t.Fatal(err)
	}
	l.pumps.Go(l.fromNode)
	l.pumps.Go(l.fromEdge)
	t.Cleanup(l.close)
	return l
}

func (l *noisyLine) close() {
	close(l.quit)
	_ = l.listen.Close()
	l.mu.Lock()
	if l.node != nil {
		_ = l.node.Close()
	}
	l.mu.Unlock()
	l.pumps.Wait()
	l.pty.release()
}

// set changes the line: noise per byte, and whether anything gets through.
func (l *noisyLine) set(noise float64, unplugged bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.noise, l.unplugged = noise, unplugged
}

// share lets the port be opened again after an edge was killed, which leaves it
// marked exclusive.
func (l *noisyLine) share() {
	_ = unix.IoctlSetInt(int(l.pty.slave.Fd()), unix.TIOCNXCL, 0) // the open says whether it helped
}

// fromNode carries what each life of the node says.
func (l *noisyLine) fromNode() {
	for {
		c, err := l.listen.Accept()
		if err != nil {
			return
		}
		l.mu.Lock()
		l.node = c
		l.mu.Unlock()
		buf := make([]byte, 4096)
		for {
			n, err := c.Read(buf)
			if err != nil {
				break
			}
			l.toEdge(l.spoil(buf[:n]))
		}
		l.mu.Lock()
		l.node = nil
		l.mu.Unlock()
		_ = c.Close()
	}
}

// toEdge writes what the pty has room for.
func (l *noisyLine) toEdge(p []byte) {
	fd := []unix.PollFd{{Fd: int32(l.pty.master.Fd()), Events: unix.POLLOUT}}
	for len(p) > 0 {
		if n, err := unix.Poll(fd, 50); n == 0 || err != nil && err != unix.EINTR {
			return // nobody reads
		}
		n, err := unix.Write(int(fd[0].Fd), p[:min(len(p), 64)])
		if err != nil {
			return
		}
		p = p[n:]
	}
}

// fromEdge carries what the edge says.
func (l *noisyLine) fromEdge() {
	fd := []unix.PollFd{{Fd: int32(l.pty.master.Fd()), Events: unix.POLLIN}}
	buf := make([]byte, 4096)
	for {
		select {
		case <-l.quit:
			return
		default:
		}
		if n, err := unix.Poll(fd, 100); n == 0 || err != nil {
			continue
		}
		n, err := unix.Read(int(fd[0].Fd), buf)
		if err != nil {
			return
		}
		p := l.spoil(buf[:n])
		l.mu.Lock()
		if l.node != nil {
			_, _ = l.node.Write(p) // a node that is off hears nothing
		}
		l.mu.Unlock()
	}
}

// spoil gives the bytes as they arrive.
func (l *noisyLine) spoil(p []byte) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.unplugged {
		return nil
	}
	out := make([]byte, 0, len(p))
	for _, b := range p {
		if l.rng.Float64() >= l.noise {
			out = append(out, b)
			continue
		}
		l.spoiled++
		switch l.rng.IntN(4) {
		case 0, 1:
			out = append(out, b^1<<l.rng.IntN(8))
		case 2: // dropped
		default:
			out = append(out, b, byte(l.rng.Uint32()))
		}
	}
	return out
}

func (l *noisyLine) spoiledBytes() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.spoiled
}

// flashFile makes the image of an erased chip of 16 MiB, as the factory gives it.
func flashFile(t *testing.T, name string) {
	t.Helper()
	blank := make([]byte, 16<<20)
	for i := range blank {
		blank[i] = 0xff
	}
	if err := os.WriteFile(name, blank, 0o644); err != nil {
		t.Fatal(err)
	}
}
