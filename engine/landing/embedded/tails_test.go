package embedded

import (
	"fmt"
	"sync"
	"testing"

	"landfall/edge/durable/faultfs"
	"landfall/edge/record"
	"landfall/engine/landing"
	"landfall/engine/landing/landingtest"
	"landfall/engine/stream"
)

// TestTailsOfMoreGatewaysThanAHeaderHolds: a partition took some 60,000 gateways,
// whose tails then no segment's header had room for, and nothing landed any more.
// However many there are, blocks land, and after a loss of power each tail is there.
func TestTailsOfMoreGatewaysThanAHeaderHolds(t *testing.T) {
	const gateways, writers = 140_000, 64
	fs := faultfs.New()
	cfg := Config{FS: fs, Dir: "landing", SegmentBytes: 1 << 20}
	want := make([]landing.Tail, gateways)
	name := func(i int) string { return fmt.Sprintf("gateway-%06d.example", i) }
	l := open(t, cfg)
	land := func(from, to int) {
		t.Helper()
		var all sync.WaitGroup
		for w := range writers {
			all.Go(func() {
				for i := from + w; i < to; i += writers {
					c := &landingtest.Chain{Gateway: name(i), Log: record.LogID{byte(i), byte(i >> 8), byte(i >> 16), 1}}
					if err := l.Append(t.Context(), c.Block(1, 10)); err != nil {
						t.Error(err)
						return
					}
					want[i], _ = l.Tail(name(i))
				}
			})
		}
		all.Wait()
		_, end, err := l.Bounds(t.Context(), 0)
		if err == nil {
			err = l.Release(0, end)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	check := func(n int) {
		t.Helper()
		for i := range n {
			if tail, ok := l.Tail(name(i)); !ok || tail != want[i] || tail.Next == 0 {
				t.Fatalf("tail of %s: %+v, %v; want %+v", name(i), tail, ok, want[i])
			}
		}
	}
	for from := 0; from < gateways && !t.Failed(); from += gateways / 4 {
		land(from, from+gateways/4)
		check(from + gateways/4)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		fs.Crash(faultfs.LoseAll, 0)
		l = open(t, cfg)
		check(from + gateways/4)
		st := l.StoreStats(0)
		if st.MarkFileBytes > 4*st.MarkBytes {
			t.Fatalf("%d bytes of files for %d of tails", st.MarkFileBytes, st.MarkBytes)
		}
		t.Logf("%d gateways: %d bytes of tails", st.Marks, st.MarkBytes)
	}
	if st := l.StoreStats(0); st.MarkBytes < 2*4<<20 {
		t.Fatalf("%d bytes of tails prove nothing", st.MarkBytes)
	}
	if behind, err := l.Behind(0, stream.Position{}); err == nil {
		t.Errorf("%d blocks behind a beginning that was released", behind)
	}
}
