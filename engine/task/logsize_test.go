package task

import (
	"runtime"
	"slices"
	"testing"

	"landfall/edge/record"
	"landfall/engine/landing"
	"landfall/engine/stream"
)

// TestWhatALogTakes: what a task keeps of each log for ever is less than 500 bytes of
// memory.
func TestWhatALogTakes(t *testing.T) {
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	f := newFeeder(t)
	before := heap()
	const logs = 20_000
	for i := range logs {
		var b record.Builder
		if err := b.Add(&record.Record{Kind: record.KindText, Raw: []byte("x")}); err != nil {
			t.Fatal(err)
		}
		block := slices.Clone(b.Seal(record.LogID{byte(i), byte(i >> 8), 1}, 0, record.Hash{}))
		f.out.Reset()
		if err := f.p.block(&landing.Landed{Gateway: "gw", LandedAt: 1, Block: block}, stream.Position{Offset: int64(i)}, &f.out); err != nil {
			t.Fatal(err)
		}
		if i%1000 == 999 {
			f.p.state.Snapshot()
			f.end(1)
		}
	}
	if n := (heap() - before) / logs; n > 500 || f.p.logs.Len() != logs {
		t.Errorf("%d bytes a log, of %d", n, f.p.logs.Len())
	} else {
		t.Logf("%d bytes a log", n)
	}
}
