//go:build failpoint && linux

package crashtest

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"landfall/edge/forward"
	"landfall/edge/record"
	"landfall/edge/seglog"
)

// simGateway is a gateway without sources: a real log, forwarded by the real
// session, in the process of the test.
type simGateway struct {
	t       *testing.T
	name    string
	log     string
	store   *seglog.Store
	session *forward.Session
	stop    func()
}

func newSimGateway(t *testing.T, dir, name, url string) *simGateway {
	t.Helper()
	w := &simGateway{t: t, name: name, log: filepath.Join(dir, "gateways", name, "log")}
	makeDirs(t, w.log)
	var err error
	if w.store, err = seglog.Open(seglog.Config{Dir: w.log, CapturedRecords: true}); err != nil {
		t.Fatal(err)
	}
	w.session, err = forward.New(forward.Config{
		Gateway: name, URL: url, Store: w.store, StatePath: filepath.Join(dir, "gateways", name, "forward.state"),
		Tuning: forward.Tuning{Linger: 100 * time.Millisecond, BackoffMin: 50 * time.Millisecond, BackoffMax: time.Second}, StallTimeout: 10 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = w.session.Run(ctx) // ends with ctx
	}()
	w.stop = sync.OnceFunc(func() {
		cancel()
		<-done
		_ = w.store.Close()
	})
	t.Cleanup(w.stop)
	return w
}

// sentences are positions that decode, of different ships.
var sentences = []string{"!AIVDM,1,1,,A,13u?etPv2;0n:dDPwUM1U1Cb069D,0*24", "!AIVDM,1,1,,B,177KQJ5000G?tO`K>RA1wUbN0TKH,0*5C"}

// capture makes records durable, a group of 100 each 600 ms: so many, and more
// until enough is closed.
func (w *simGateway) capture(records int, enough, stop <-chan struct{}) {
	var b record.Builder
	for n := 0; ; n += 100 {
		select {
		case <-enough:
			if n >= records {
				return
			}
		default:
		}
		b.Reset()
		for i := range 100 {
			now := record.Micros(time.Now().UnixMicro())
			r := record.Record{Kind: record.KindAIS, ReceivedAt: now, EventTime: now, Raw: []byte(sentences[(n+i)%len(sentences)])}
			if err := b.Add(&r); err != nil {
				w.t.Error(err)
				return
			}
		}
		if _, err := w.store.Append(&b); err != nil {
			w.t.Error(err)
			return
		}
		if !pause(stop, 600*time.Millisecond) {
			return
		}
	}
}

// end stops the gateway and gives how many offsets its logs have.
func (w *simGateway) end() int64 {
	n := int64(0)
	for _, l := range w.store.Logs() {
		n += int64(l.End)
	}
	w.stop()
	return n
}

// balancer passes each new connection on to the next of several addresses that
// answers.
type balancer struct {
	listener net.Listener
	to       []string
	next     atomic.Uint64
	running  sync.WaitGroup
	mu       sync.Mutex
	conns    []net.Conn // guarded by mu
}

func newBalancer(t *testing.T, to []string) *balancer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &balancer{listener: l, to: to}
	b.running.Go(b.run)
	return b
}

func (b *balancer) run() {
	for {
		in, err := b.listener.Accept()
		if err != nil {
			return
		}
		out, err := b.dial()
		if err != nil {
			_ = in.Close()
			continue
		}
		b.mu.Lock()
		b.conns = append(b.conns, in, out)
		b.mu.Unlock()
		b.running.Go(func() { pass(in, out) })
		b.running.Go(func() { pass(out, in) })
	}
}

func (b *balancer) dial() (c net.Conn, err error) {
	for range b.to {
		if c, err = net.Dial("tcp", b.to[b.next.Add(1)%uint64(len(b.to))]); err == nil {
			return c, nil
		}
	}
	return nil, fmt.Errorf("no ingest answers: %w", err)
}

func (b *balancer) release() {
	_ = b.listener.Close()
	b.mu.Lock()
	for _, c := range b.conns {
		_ = c.Close()
	}
	b.mu.Unlock()
	b.running.Wait()
}
