package source

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
)

// TestRelayIsBoundedInBytes: a client that reads nothing has no more waiting than the
// bound, however large the batches are.
func TestRelayIsBoundedInBytes(t *testing.T) {
	r := must(NewRelay(options("radio"), "127.0.0.1:0"))(t)
	out := make(chan []byte, relayQueue)
	r.outs[out] = new(atomic.Int64)
	b := &Batch{Lines: []Line{{Data: make([]byte, 60_000)}}}
	for r.Dropped() == 0 && len(out) < relayQueue {
		r.send(b)
	}
	if n := len(out) * 60_002; n > relayBytes || n < relayBytes/2 {
		t.Errorf("%d bytes wait", n)
	}
}

// TestRelay: clients get the lines as received; one that reads nothing misses
// some, which is counted, and neither capture nor the others wait for it.
func TestRelay(t *testing.T) {
	r, err := NewRelay(options("radio"), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); r.Run(ctx) }()
	dial := func(clients int) net.Conn {
		c, err := net.Dial("tcp", r.Addr(ctx).String())
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "a client", func() bool { return r.Clients() == clients })
		return c
	}
	good, lazy := dial(1), dial(2)
	defer lazy.Close()
	sink := newTestSink()
	through := r.Sink(sink)
	lines := bufio.NewReader(good)
	long := strings.Repeat("x", 4000)
	n := 0
	for ; r.Dropped() == 0; n++ {
		line := fmt.Sprintf("%d %s", n, long)
		if err := through.Deliver(&Batch{Lines: []Line{{Data: []byte(line)}, {Data: []byte("report"), Reading: true}}}); err != nil {
			t.Fatal(err)
		}
		if got, err := lines.ReadString('\n'); err != nil || got != line+"\r\n" {
			t.Fatalf("line %d: %.20q, %v", n, got, err)
		}
		if n > 20_000 {
			t.Fatal("nothing was dropped for a client that reads nothing")
		}
	}
	if len(sink.lines()) != 2*n {
		t.Errorf("%d lines captured of %d", len(sink.lines()), 2*n)
	}
	_ = good.Close()
	eventually(t, "the client is gone", func() bool { return r.Clients() == 1 })
	cancel()
	<-done
	if _, err := NewRelay(options("radio"), "nowhere"); err == nil {
		t.Error("an address without a port was taken")
	}
}
