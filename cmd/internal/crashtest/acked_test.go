//go:build failpoint && linux

package crashtest

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// ackedWindow is how many lines an ackedOutlet has under way.
const ackedWindow = 256

// errProtocol is anything the gateway must not say.
var errProtocol = errors.New("acknowledged protocol broken")

// ackedOutlet is a sender that keeps each line until the gateway acknowledges
// it, and connects again for ever.
type ackedOutlet struct {
	addr, id string
	epoch    string          // of version 2 of the protocol; empty: version 1
	slots    chan struct{}   // one for each line under way
	more     chan struct{}   // a line was added
	stop     <-chan struct{} // closed: nothing new is taken
	quit     chan struct{}
	running  sync.WaitGroup
	sending  sync.Mutex // held by send, and while the outlet rests

	mu      sync.Mutex
	pending []numbered // not acknowledged, in order; guarded by mu
	last    uint64     // newest number given out; guarded by mu
	acked   uint64     // highest number acknowledged; guarded by mu
	broken  error      // the first breach; guarded by mu
	damaged bool       // the gateway's log was damaged: it may have forgotten lines; guarded by mu
}

type numbered struct {
	seq  uint64
	line []byte
}

func newAckedOutlet(addr, id, epoch string, stop <-chan struct{}) *ackedOutlet {
	o := &ackedOutlet{
		addr: addr, id: id, epoch: epoch, stop: stop,
		slots: make(chan struct{}, ackedWindow), more: make(chan struct{}, 1), quit: make(chan struct{}),
	}
	o.running.Go(o.run)
	return o
}

func (o *ackedOutlet) send(lines [][]byte) fate {
	o.sending.Lock()
	defer o.sending.Unlock()
	for _, l := range lines {
		select {
		case o.slots <- struct{}{}:
		case <-o.stop: // a gateway that takes nothing must not hold the test up
			return unsure
		}
		o.mu.Lock()
		o.last += 1 + o.last%2 // gaps are allowed
		o.pending = append(o.pending, numbered{o.last, l})
		o.mu.Unlock()
		select {
		case o.more <- struct{}{}:
		default:
		}
	}
	return sent
}

// rest waits until everything that was taken is acknowledged, and takes nothing new
// before resume is called.
func (o *ackedOutlet) rest(t *testing.T) (resume func()) {
	t.Helper()
	o.sending.Lock()
	until(t, "everything to be acknowledged", 2*time.Minute, func() (bool, string) {
		n := o.waiting()
		return n == 0, fmt.Sprintf("%d lines wait", n)
	})
	return o.sending.Unlock
}

// expectDamage has the next gateway excused for what it has forgotten.
func (o *ackedOutlet) expectDamage() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.damaged = true
}

func (o *ackedOutlet) close() {} // it goes on until everything is acknowledged

// release ends the outlet for good and gives the first breach of the protocol.
func (o *ackedOutlet) release() error {
	close(o.quit)
	o.running.Wait()
	return o.breached()
}

// breached is the first breach of the protocol.
func (o *ackedOutlet) breached() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.broken
}

// waiting is how many lines have no acknowledgement.
func (o *ackedOutlet) waiting() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.pending)
}

// highest is the highest number acknowledged.
func (o *ackedOutlet) highest() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.acked
}

func (o *ackedOutlet) run() {
	for {
		if c, err := net.DialTimeout("tcp", o.addr, streamTimeout); err == nil {
			o.connection(c)
		}
		if !pause(o.quit, tickEvery) {
			return
		}
	}
}

// connection plays one connection to its end.
func (o *ackedOutlet) connection(c net.Conn) {
	gone := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		select {
		case <-o.quit:
		case <-gone:
		}
		_ = c.Close()
	})
	defer writer.Wait()
	defer close(gone)
	hello := o.id
	if o.epoch != "" {
		hello += " 2 " + o.epoch
	}
	if _, err := fmt.Fprintf(c, "HELLO %s\n", hello); err != nil {
		return
	}
	r := bufio.NewReader(c)
	last, err := answer(r, "LAST")
	if err != nil || !o.take(last, true) {
		o.breach(err)
		return
	}
	if o.epoch != "" {
		last = 0 // it acknowledges nothing: all that is not acknowledged goes again
	}
	writer.Go(func() { o.write(c, last, gone) })
	for {
		n, err := answer(r, "ACK")
		if err != nil || !o.take(n, false) {
			o.breach(err)
			return
		}
	}
}

// answer reads one line of the gateway.
func answer(r *bufio.Reader, verb string) (uint64, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return 0, err
	}
	text, ok := strings.CutPrefix(strings.TrimSpace(line), verb+" ")
	text, _, _ = strings.Cut(text, " ") // the window, of version 2
	n, err := strconv.ParseUint(text, 10, 64)
	if !ok || err != nil {
		return 0, fmt.Errorf("%w: %q where %s was due", errProtocol, line, verb)
	}
	return n, nil
}

// take forgets what is acknowledged; false when the gateway takes back an
// acknowledgement or acknowledges what it was never sent.
func (o *ackedOutlet) take(n uint64, hello bool) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if hello && o.damaged {
		n = max(n, o.acked)
	}
	if n < o.acked || n > o.last {
		if o.broken == nil {
			o.broken = fmt.Errorf("%w: sender %s: %d (first answer: %t) after %d was acknowledged and %d sent", errProtocol, o.id, n, hello, o.acked, o.last)
		}
		return false
	}
	if hello && o.epoch != "" {
		return true
	}
	o.acked = n
	for len(o.pending) > 0 && o.pending[0].seq <= n {
		o.pending = o.pending[1:]
		<-o.slots
	}
	return true
}

func (o *ackedOutlet) breach(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.broken == nil && errors.Is(err, errProtocol) {
		o.broken = err
	}
}

// write sends what comes after the number from until the connection is gone.
func (o *ackedOutlet) write(c net.Conn, from uint64, gone <-chan struct{}) {
	for {
		o.mu.Lock()
		var b []byte
		for _, p := range o.pending {
			if p.seq > from {
				b = fmt.Appendf(b, "%d %s\n", p.seq, p.line)
				from = p.seq
			}
		}
		o.mu.Unlock()
		_ = c.SetWriteDeadline(time.Now().Add(10 * time.Second))
		if _, err := c.Write(b); err != nil {
			_ = c.Close()
			return
		}
		select {
		case <-o.more:
		case <-gone:
			return
		}
	}
}
