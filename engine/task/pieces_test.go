package task

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"

	"landfall/engine/landing"
	"landfall/engine/table"
)

// TestRowsOfABlockAreMadeInPieces: a block of many records is staged in batches of a
// bounded size while it is decoded, also while another task wants the lane alone; each of
// its rows is published once, and whoever looks sees each once.
func TestRowsOfABlockAreMadeInPieces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const records = 3*spillRows + 7
		r := newRig(t)
		l := capturedLog(t, 1, 2, records)
		r.land(t, "g", l.blocks...)
		ctx, cancel := context.WithCancel(t.Context())
		var c Counters
		cfg := r.config(&c)
		cfg.Lane = new(Lane)
		var mu sync.Mutex
		var sizes []int
		seen := 0
		cfg.Look = func(_ *landing.Landed, b *table.Batch) {
			mu.Lock()
			defer mu.Unlock()
			sizes = append(sizes, b.Rows())
			seen += len(b.Records)
		}
		alone := make(chan struct{})
		go func() {
			defer close(alone)
			for range 100 {
				cfg.Lane.mu.Lock() // as a task with a suspect block does
				runtime.Gosched()
				cfg.Lane.mu.Unlock()
			}
		}()
		ended := make(chan error, 1)
		go func() { ended <- Run(ctx, cfg) }()
		synctest.Wait()
		cancel()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		<-alone
		sameRows(t, r.sink.rows(), want("g", l, 2*records))
		if seen != 2*records || len(sizes) != 8 {
			t.Errorf("%d of %d records were seen, in batches of %v rows", seen, 2*records, sizes)
		}
		for _, n := range sizes {
			if n > spillRows {
				t.Errorf("a batch of %d rows", n)
			}
		}
	})
}
