package kafka

import (
	"context"
	"errors"
	"testing"
	"time"

	"landfall/edge/record"
	"landfall/engine/landing"
	"landfall/engine/landing/kafkatest"
	"landfall/engine/landing/landingtest"
	"landfall/engine/stream"
)

// TestATopicThatLostItsEnd: a broker confirms blocks, loses them and is written on
// at their offsets. A position behind what is lost is refused, by a reader that was
// reading, too; one before it is as good as ever.
func TestATopicThatLostItsEnd(t *testing.T) {
	cluster := kafkatest.New(t, 1)
	cfg := Config{Brokers: cluster.Addrs(), Topic: "landing", Partitions: 1, Replication: 1, DeliveryTimeout: time.Minute}
	l := openLog(t, cfg)
	c := landingtest.Chain{Gateway: "a", Log: record.LogID{1}}
	running, err := l.Reader(0, stream.Position{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = running.Close() }()
	var at []stream.Position
	for range 8 {
		if err := l.Append(t.Context(), c.Block(1, 10)); err != nil {
			t.Fatal(err)
		}
		_, after, err := running.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		at = append(at, after)
	}
	if at[7].Leader == 0 || at[7].Hash == "" {
		t.Fatalf("a position without what it stands on: %+v", at[7])
	}
	cluster.Broker(0).Kill()
	if err := cluster.Broker(0).CutLog(cfg.Topic, 0, 3); err != nil {
		t.Fatal(err)
	}
	if err := cluster.Broker(0).Start(); err != nil {
		t.Fatal(err)
	}
	if err := cluster.Ready(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	other := landingtest.Chain{Gateway: "b", Log: record.LogID{2}}
	for n := 0; n < 4; {
		if err := l.Append(t.Context(), other.Block(1, 10)); err == nil {
			n++
		} else if t.Context().Err() != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if landed, after, err := running.Next(ctx); !errors.Is(err, landing.ErrCut) {
		t.Errorf("the reader went on to %s of gateway %s, %v", after, landed.Gateway, err)
	}
	if err := l.Release(0, at[7]); !errors.Is(err, landing.ErrCut) {
		t.Errorf("released below what was lost: %v", err)
	}
	if first, _, err := l.Bounds(t.Context(), 0); err != nil || first.Offset != 0 {
		t.Errorf("the topic begins at %s, %v", first, err)
	}
	for i, p := range at {
		bare := stream.Position{Log: p.Log, Offset: p.Offset, Hash: p.Hash} // without the leader's epoch the hash alone tells
		for _, p := range []stream.Position{p, bare} {
			r, err := l.Reader(0, p)
			if cut := i >= 5; errors.Is(err, landing.ErrCut) != cut || !cut && err != nil {
				t.Errorf("after block %d: %v", i, err)
			}
			if err == nil {
				_ = r.Close()
			}
		}
	}
}
