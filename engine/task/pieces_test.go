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
		var others sync.WaitGroup
		wantsTheLane := func() { // as a task with a suspect block, and returns when it waits or had it
			had := make(chan struct{})
			others.Go(func() {
				defer close(had)
				cfg.Lane.mu.Lock()
				runtime.Gosched()
				cfg.Lane.mu.Unlock()
			})
			for cfg.Lane.mu.TryRLock() {
				cfg.Lane.mu.RUnlock()
				select {
				case <-had:
					return
				default:
					runtime.Gosched()
				}
			}
		}
		cfg.Look = func(_ *landing.Landed, b *table.Batch) {
			wantsTheLane()
			mu.Lock()
			defer mu.Unlock()
			sizes = append(sizes, b.Rows())
			seen += len(b.Records)
		}
		ended := make(chan error, 1)
		go func() { ended <- Run(ctx, cfg) }()
		synctest.Wait()
		cancel()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		others.Wait()
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
