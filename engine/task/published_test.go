package task

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"landfall/edge/record"
	"landfall/engine/checkpoint"
	"landfall/engine/published"
)

// TestWhatIsPublishedIsTold: nothing before the claim, then what the checkpoint
// holds, then each epoch once it is visible with the hash at its end; and that
// nothing is known when the task ends. A task that starts again tells all of it.
func TestWhatIsPublishedIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, l := newRig(t), capturedLog(t, 1, 4, 5)
		registry := published.New(published.Config{Landing: r.log.ID(), Partitions: 1})
		cfg := r.config(new(Counters))
		cfg.Published = registry
		of := func() (published.Log, bool) { return registry.Of("gw", l.id) }
		if got, ok := of(); ok {
			t.Errorf("before the claim: %+v", got)
		}
		run := func(blocks int, before record.Offset) {
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- Run(ctx, cfg) }()
			synctest.Wait()
			if got, ok := of(); !ok || got.Next != before {
				t.Errorf("claimed: %+v, %v, want next %d", got, ok, before)
			}
			r.land(t, "gw", l.blocks[blocks-2:blocks]...)
			synctest.Wait()
			if got, ok := of(); !ok || got.Next != before {
				t.Errorf("read, not committed: %+v, %v", got, ok)
			}
			time.Sleep(DefaultEpochInterval)
			synctest.Wait()
			m, err := checkpoint.Load(t.Context(), r.store, cfg.id())
			if err != nil {
				t.Fatal(err)
			}
			got, ok := of()
			if !ok || got.Next != record.Offset(5*blocks) || got.Hash != record.HashBlock(l.blocks[blocks-1]) || got.Ledger != *m.Ledger || got.Task != "m-0000" {
				t.Errorf("published: %+v, %v", got, ok)
			}
			stop()
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			if got, ok := of(); ok {
				t.Errorf("ended: %+v", got)
			}
		}
		run(2, 0)
		run(4, 10)
	})
}
