package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"landfall/edge/record"
	"landfall/engine/landing"
	"landfall/engine/landing/kafkatest"
	"landfall/engine/landing/landingtest"
	"landfall/engine/stream"
)

// readAll reads a partition of a quiet log to its end.
func readAll(t *testing.T, l *Log, partition int) []landing.Landed {
	t.Helper()
	end, err := l.bound(t.Context(), l.admin.ListEndOffsets, partition)
	if err != nil {
		t.Fatal(err)
	}
	r, err := l.Reader(partition, stream.Position{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	var out []landing.Landed
	for range end {
		b, _, err := r.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, b)
	}
	return out
}

// TestOneAppendIsOneRecord: the broker says an error after it appended, some
// times over; the producer asks again, and the record is there once.
func TestOneAppendIsOneRecord(t *testing.T) {
	for _, answer := range []*kerr.Error{kerr.RequestTimedOut, kerr.NotEnoughReplicasAfterAppend, kerr.NotLeaderForPartition} {
		c := fake(t)
		l := openLog(t, Config{Brokers: c.ListenAddrs(), Topic: "landing", Partitions: 1, Replication: 1})
		chain := landingtest.Chain{Gateway: "a", Log: record.LogID{1}}
		for i := range 4 {
			fault := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "landing", Err: answer, Count: i})
			if i == 0 {
				fault.Remove()
			}
			if err := l.Append(t.Context(), chain.Block(1, 1)); err != nil {
				t.Fatalf("%v, %d times: %v", answer, i, err)
			}
		}
		if got := readAll(t, l, 0); len(got) != 4 {
			t.Errorf("%v: %d records of 4 appends", answer, len(got))
		}
		if n := l.replaced.Load(); n != 0 {
			t.Errorf("%v: %d producers replaced", answer, n)
		}
	}
}

// TestAPromiseThatIsNotKept fails the Append, whether the record landed or not;
// the producer is replaced, and what follows lands once.
func TestAPromiseThatIsNotKept(t *testing.T) {
	for _, answer := range []*kerr.Error{kerr.RequestTimedOut, kerr.TopicAuthorizationFailed, kerr.OutOfOrderSequenceNumber, kerr.InvalidRecord} {
		c := fake(t)
		l := openLog(t, Config{Brokers: c.ListenAddrs(), Topic: "landing", Partitions: 1, Replication: 1, DeliveryTimeout: 2 * time.Second})
		chain := landingtest.Chain{Gateway: "a", Log: record.LogID{1}}
		first, lost, next := chain.Block(1, 1), chain.Block(1, 1), chain.Block(1, 1)
		if err := l.Append(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		before, _ := l.Tail("a")
		fault := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "landing", Err: answer, Count: -1})
		if err := l.Append(t.Context(), lost); err == nil {
			t.Errorf("%v: appended", answer)
		}
		fault.Remove()
		if after, ok := l.Tail("a"); !ok || after != before {
			t.Errorf("%v: a promise that was not kept moved the tail", answer)
		}
		if l.replaced.Load() != 1 {
			t.Errorf("%v: %d producers replaced", answer, l.replaced.Load())
		}
		for _, b := range []landing.Landed{lost, next} { // as a gateway does: from the acknowledged offset
			if err := l.Append(t.Context(), b); err != nil {
				t.Fatalf("%v: after it: %v", answer, err)
			}
		}
		count := map[string]int{}
		for _, b := range readAll(t, l, 0) {
			count[string(b.Block)]++
		}
		if n := count[string(lost.Block)]; count[string(first.Block)] != 1 || count[string(next.Block)] != 1 || n < 1 || n > 2 {
			t.Errorf("%v: %d, %d, %d records", answer, count[string(first.Block)], n, count[string(next.Block)])
		}
	}
}

// TestAppendEnds: with nobody to answer an Append ends with its time or its
// context's.
func TestAppendEnds(t *testing.T) {
	c := fake(t)
	l := openLog(t, Config{Brokers: c.ListenAddrs(), Topic: "landing", Partitions: 1, Replication: 1, DeliveryTimeout: time.Second})
	chain := landingtest.Chain{Gateway: "a", Log: record.LogID{1}}
	if err := l.Append(t.Context(), chain.Block(1, 1)); err != nil {
		t.Fatal(err)
	}
	c.Close()
	if err := l.Append(t.Context(), chain.Block(1, 1)); err == nil {
		t.Error("appended to nobody")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := l.Append(ctx, chain.Block(1, 1)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("cancelled: %v", err)
	}
	until(t, "the silence is told", func() bool { return len(l.Problems()) > 0 })
}

// TestABrokerDies: under load from many gateways a leader is killed and another
// paused. What was acknowledged is there, each once, in order, whatever failed.
func TestABrokerDies(t *testing.T) {
	const gateways, rounds, p = 8, 60, 3
	cluster := kafkatest.New(t, 3)
	l := openLog(t, Config{Brokers: cluster.Addrs(), Topic: "landing", Partitions: p, Client: cluster.Options(), DeliveryTimeout: 10 * time.Second})
	reached := make(chan struct{}, gateways*rounds) // a token a landed block
	var all sync.WaitGroup
	sent := map[string][]landing.Landed{}
	for i := range gateways {
		c := landingtest.Chain{Gateway: fmt.Sprintf("gw-%d", i), Log: record.LogID{byte(i + 1)}}
		var blocks []landing.Landed
		for range rounds {
			blocks = append(blocks, c.Block(2, 100))
		}
		sent[c.Gateway] = blocks
		all.Go(func() {
			for _, b := range blocks {
				for l.Append(t.Context(), b) != nil { // as a gateway does: again, until it is acknowledged
					if t.Context().Err() != nil {
						return
					}
				}
				reached <- struct{}{}
			}
		})
	}
	pass := func(n int) {
		for range n {
			<-reached
		}
	}
	pass(gateways * rounds / 4)
	cluster.Broker(0).Kill()
	pass(gateways * rounds / 4)
	if err := errors.Join(cluster.Broker(0).Start(), cluster.Ready(t.Context(), 3), cluster.Broker(1).Pause()); err != nil {
		t.Fatal(err)
	}
	pass(gateways * rounds / 4)
	if err := cluster.Broker(1).Resume(); err != nil {
		t.Fatal(err)
	}
	all.Wait()
	repeats := 0
	next := map[string]int{}
	for n := range p {
		for _, b := range readAll(t, l, n) {
			want := sent[b.Gateway]
			switch at := next[b.Gateway]; {
			case at < len(want) && bytes.Equal(b.Block, want[at].Block):
				next[b.Gateway]++
			default:
				repeats++ // of one whose promise was not kept
				if h, err := record.ParseHeader(b.Block); err != nil || int(h.First)/2 >= at {
					t.Fatalf("%s: block %d where %d is next, %v", b.Gateway, h.First/2, at, err)
				}
			}
		}
	}
	for gw := range sent {
		if next[gw] != rounds {
			t.Errorf("%s: %d of %d blocks", gw, next[gw], rounds)
		}
	}
	if failed := l.Stats().Failed; repeats > int(failed) {
		t.Errorf("%d blocks landed again, and %d appends failed", repeats, failed)
	}
	t.Logf("%d appends failed, %d of their blocks landed all the same, %d producers replaced", l.Stats().Failed, repeats, l.replaced.Load())
}
