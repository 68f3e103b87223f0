package source

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
)

// gate is a sink that takes nothing until it is opened.
type gate struct {
	*testSink
	open   chan struct{}
	closed atomic.Bool // somebody waits
}

func (g *gate) Deliver(b *Batch) error {
	g.closed.Store(true)
	<-g.open
	return g.testSink.Deliver(b)
}

// TestUDPLost: while capture takes nothing the kernel's buffer fills; what it
// had no room for is counted, and lines and losses add up.
func TestUDPLost(t *testing.T) {
	sink := &gate{testSink: newTestSink(), open: make(chan struct{})}
	u := must(NewUDP(UDPConfig{Options: options("u"), Listen: "127.0.0.1:0"}))(t)
	start(t, u.Run, sink)
	conn := must(net.Dial("udp", u.Addr(context.Background()).String()))(t)
	defer conn.Close()
	filler := strings.Repeat("x", 8000)
	fmt.Fprintf(conn, "first\n")
	eventually(t, "blocked", sink.closed.Load)
	const sent = 4000 // 32 MB: beyond any buffer asked for
	for i := range sent {
		fmt.Fprintf(conn, "%d\n%s\n", i, filler)
	}
	close(sink.open)
	eventually(t, "the buffer is drained and the loss reported", func() bool {
		fmt.Fprintf(conn, "more\n")
		return u.Status().Lost > 0
	})
	eventually(t, "all is lines or lost", func() bool {
		numbered := uint64(0)
		for _, l := range sink.lines() {
			if l[0] >= '0' && l[0] <= '9' {
				numbered++
			}
		}
		return numbered < sent && numbered+u.Status().Lost >= sent
	})
}
