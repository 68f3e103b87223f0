package task

import (
	"context"
	"testing"

	"landfall/engine/checkpoint"
	"landfall/engine/landing"
	"landfall/engine/table"
)

// TestAContradictionIsToldUntilItIsAcknowledged: over restarts, and what an operator has
// acknowledged stays so, whatever claims collect.
func TestAContradictionIsToldUntilItIsAcknowledged(t *testing.T) {
	r := newRig(t)
	own, other := capturedLog(t, 1, 3, 4), capturedLog(t, 2, 2, 4)
	blocks := 0
	run := func() *Counters {
		t.Helper()
		var c Counters
		cfg := r.config(&c)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		read := 0
		cfg.Look = func(*landing.Landed, *table.Batch) {
			if read++; read == blocks {
				cancel()
			}
		}
		cfg.Claimed = func(Status, func() checkpoint.Stats) {
			if blocks == 0 {
				cancel()
			}
		}
		if err := Run(ctx, cfg); err != nil {
			t.Fatal(err)
		}
		blocks = 0
		return &c
	}
	r.land(t, "g", own.blocks[0])
	r.land(t, "clone", own.blocks[1], own.blocks[2])
	r.land(t, "h", other.blocks...)
	blocks = 5
	if c := run(); c.Contradictions.Total() != 2 || c.Conflicts.Load() != 2 {
		t.Errorf("%d contradictions, %d conflicts", c.Contradictions.Total(), c.Conflicts.Load())
	}
	cfg := r.config(nil)
	id := cfg.id()
	acknowledged := func(want uint64) {
		t.Helper()
		if n, err := Acknowledged(t.Context(), r.store, id); n != want || err != nil {
			t.Errorf("%d are acknowledged, want %d; %v", n, want, err)
		}
	}
	c := run()
	if newest := c.Contradictions.Newest(1); c.Contradictions.Total() != 2 || c.Conflicts.Load() != 0 || len(newest) != 1 || newest[0].Gateway != "clone" {
		t.Errorf("after a restart: %d, of %+v", c.Contradictions.Total(), newest)
	}
	acknowledged(0)
	for _, n := range []uint64{1, 2, 2} {
		if err := Acknowledge(t.Context(), r.store, id, n); err != nil {
			t.Fatal(err)
		}
		acknowledged(n)
	}
	if names, err := r.store.List(t.Context(), checkpoint.AcknowledgedPrefix(id)); len(names) != 1 || err != nil {
		t.Errorf("notes %q, %v", names, err)
	}
	r.land(t, "clone", own.blocks[1])
	blocks = 1
	if c := run(); c.Contradictions.Total() != 3 {
		t.Errorf("one more: %d", c.Contradictions.Total())
	}
	run()
	acknowledged(2)
}
