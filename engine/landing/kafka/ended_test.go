package kafka

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"landfall/edge/record"
	"landfall/engine/landing/landingtest"
	"landfall/engine/stream"
)

// hungUp is a connection that the other end closes before it says anything.
type hungUp struct{ net.Conn }

func (hungUp) Read([]byte) (int, error) { return 0, io.EOF }

// TestAConnectionThatEndsIsNotTheEndOfTheLog: a broker that is killed just after it took a
// connection ends it, and a client says io.EOF. A task that took that for the end of the
// log would end its partition permanently.
func TestAConnectionThatEndsIsNotTheEndOfTheLog(t *testing.T) {
	var down atomic.Bool
	var dialled atomic.Int64 // since it is down: the first one asks where the topic lies
	dial := func(ctx context.Context, network, host string) (net.Conn, error) {
		var d net.Dialer
		c, err := d.DialContext(ctx, network, host)
		if err == nil && down.Load() && dialled.Add(1) > 1 {
			c = hungUp{c}
		}
		return c, err
	}
	cfg := Config{Brokers: fake(t).ListenAddrs(), Topic: freshTopic(), Partitions: 1, Replication: 1,
		Client: []kgo.Opt{kgo.Dialer(dial), kgo.RequestRetries(1), kgo.RetryTimeout(time.Second)}}
	l := openLog(t, cfg)
	c := landingtest.Chain{Gateway: "a", Log: record.LogID{1}}
	if err := l.Append(t.Context(), c.Block(1, 10)); err != nil {
		t.Fatal(err)
	}
	first, err := l.Reader(0, stream.Position{})
	if err != nil {
		t.Fatal(err)
	}
	_, at, err := first.Next(t.Context())
	if err := errors.Join(err, first.Close()); err != nil {
		t.Fatal(err)
	}
	at.Hash = "" // so that it is not opened one record before, and asks for the leader's epoch
	down.Store(true)
	r, err := l.Reader(0, at)
	if err == nil {
		defer func() { _ = r.Close() }()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		_, _, err = r.Next(ctx)
	}
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a connection that ended: %v", err)
	}
	if err := (&reader{l: l}).classify(&net.OpError{Op: "read", Err: io.EOF}); errors.Is(err, io.EOF) || !strings.Contains(err.Error(), cfg.Topic) {
		t.Errorf("it is told as %v", err)
	}
}
