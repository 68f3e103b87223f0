package traffic

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"time"
)

// ackedWindow bounds the lines that wait for acknowledgement; Send waits beyond
// it.
const ackedWindow = 20_000

// acked is the sender of version 2 of the acknowledged line protocol (edge/source,
// acked.go): it keeps each line until the gateway said that it is durable. Its numbers
// begin at 1, and its epoch is its own.
type acked struct {
	address, id string
	epoch       string
	cancel      context.CancelFunc
	done        sync.WaitGroup
	wake        chan struct{} // a line was added

	mu      sync.Mutex
	room    *sync.Cond    // on mu: lines were acknowledged, or the end came
	lines   [][]byte      // not acknowledged yet; guarded by mu
	first   uint64        // number of lines[0]; guarded by mu
	sent    int           // of lines, on the present connection; guarded by mu
	window  int           // of lines, how many may be on the way; guarded by mu
	ended   bool          // guarded by mu
	refused error         // what the gateway refused; guarded by mu
	drained chan struct{} // closed when ended and nothing is left
}

// DialAcked gives an Output that sends lines as id and keeps each until it is
// acknowledged, over as many connections as it takes.
func DialAcked(address, id string) Output {
	ctx, cancel := context.WithCancel(context.Background())
	o := &acked{
		address: address, id: id, epoch: fmt.Sprintf("%016x", rand.Uint64()), first: 1,
		cancel: cancel, wake: make(chan struct{}, 1), drained: make(chan struct{}),
	}
	o.room = sync.NewCond(&o.mu)
	o.done.Go(func() { o.run(ctx) })
	return o
}

// Send implements Output.
func (o *acked) Send(ctx context.Context, line []byte) error {
	stop := context.AfterFunc(ctx, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.room.Broadcast()
	})
	defer stop()
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.lines) >= ackedWindow && o.refused == nil && ctx.Err() == nil {
		o.room.Wait()
	}
	if err := errors.Join(o.refused, ctx.Err()); err != nil {
		return err
	}
	o.lines = append(o.lines, bytes.Clone(line))
	o.signal()
	return nil
}

// signal wakes the sender.
func (o *acked) signal() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// Close implements Output: it waits until every line is acknowledged.
func (o *acked) Close(ctx context.Context) error {
	o.mu.Lock()
	o.ended = true
	o.checkDrained()
	o.mu.Unlock()
	var err error
	select {
	case <-o.drained:
	case <-ctx.Done():
		err = ctx.Err()
	}
	o.cancel()
	o.done.Wait()
	o.mu.Lock()
	defer o.mu.Unlock()
	if left := len(o.lines); left > 0 {
		return fmt.Errorf("send %d lines to %s: not acknowledged: %w", left, o.address, errors.Join(o.refused, err))
	}
	return nil
}

// checkDrained is called with mu held.
func (o *acked) checkDrained() {
	if o.ended && (len(o.lines) == 0 || o.refused != nil) {
		select {
		case <-o.drained:
		default:
			close(o.drained)
		}
	}
}

// run keeps a connection until ctx ends.
func (o *acked) run(ctx context.Context) {
	for ctx.Err() == nil {
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, "tcp", o.address)
		if err == nil {
			o.session(ctx, conn)
		}
		waitUntil(ctx, time.Now().Add(redialAfter))
	}
}

// session speaks on one connection until it ends.
func (o *acked) session(ctx context.Context, conn net.Conn) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	var reader sync.WaitGroup
	ready := make(chan struct{})
	reader.Go(func() {
		defer cancel()
		o.read(conn, ready)
	})
	if _, err := fmt.Fprintf(conn, "HELLO %s 2 %s\n", o.id, o.epoch); err == nil {
		select {
		case <-ready:
			o.write(ctx, conn)
		case <-ctx.Done():
		}
	}
	cancel()
	reader.Wait()
}

// write sends what was not sent on this connection yet, as it comes.
func (o *acked) write(ctx context.Context, conn net.Conn) {
	var buf []byte
	for ctx.Err() == nil {
		buf = o.next(buf[:0])
		if len(buf) == 0 {
			select {
			case <-o.wake:
			case <-ctx.Done():
			}
			continue
		}
		if _, err := conn.Write(buf); err != nil {
			return
		}
	}
}

// next gives the frames of the lines that were not sent, some at a time.
func (o *acked) next(buf []byte) []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.sent < min(len(o.lines), o.window) && len(buf) < 32<<10 {
		buf = strconv.AppendUint(buf, o.first+uint64(o.sent), 10)
		buf = append(append(append(buf, ' '), o.lines[o.sent]...), '\n')
		o.sent++
	}
	return buf
}

// read takes LAST and acknowledgements; ready is closed after LAST.
func (o *acked) read(conn net.Conn, ready chan struct{}) {
	lines := bufio.NewScanner(conn)
	greeted := false
	for lines.Scan() {
		word, rest, _ := bytes.Cut(lines.Bytes(), []byte(" "))
		_, window, _ := bytes.Cut(rest, []byte(" ")) // what is durable is acknowledged when it comes again
		most, bad := strconv.Atoi(string(window))
		n, err := strconv.ParseUint(string(rest), 10, 63)
		switch {
		case string(word) == "LAST" && bad == nil && most > 0 && !greeted:
			o.greet(most)
			greeted = true
			close(ready)
		case string(word) == "ACK" && err == nil && greeted:
			o.acknowledge(n)
		case string(word) == "ERR":
			o.refuse(fmt.Errorf("gateway refused %s: %s", o.id, rest))
			return
		default:
			return
		}
	}
}

// greet begins a connection on which so many lines may be on the way: all that is not
// acknowledged goes again.
func (o *acked) greet(window int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sent, o.window = 0, window
	o.signal()
}

func (o *acked) acknowledge(n uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.drop(n)
}

// drop forgets the lines up to number n; mu is held.
func (o *acked) drop(n uint64) {
	if n < o.first {
		return
	}
	k := int(min(n-o.first+1, uint64(len(o.lines))))
	o.lines, o.first, o.sent = o.lines[k:], o.first+uint64(k), max(0, o.sent-k)
	o.signal()
	o.room.Broadcast()
	o.checkDrained()
}

func (o *acked) refuse(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.refused = err
	o.room.Broadcast()
	o.checkDrained()
}
