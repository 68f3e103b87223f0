package sinktest

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"landfall/engine/stream"
	"landfall/engine/table"
)

// twice publishes and collects again and again.
func twice(t *testing.T, w World) {
	e, s := new(engine), w.Start(t)
	for i := range 3 {
		if err := e.run(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		all(t, w, fmt.Sprintf("round %d", i))
	}
	if err := w.Start(t).Publish(t.Context(), e.committed); err != nil {
		t.Errorf("another process publishes the same: %v", err)
	}
	all(t, w, "at the end")
}

// backlog publishes epochs that were committed while the outside world was
// away, all in one call, which must bring them in order and may be repeated.
func backlog(t *testing.T, w World) {
	ctx, s := t.Context(), w.Start(t)
	defer end(s)
	e := new(engine)
	for e.epoch < epochs {
		staged, err := stage(ctx, s, claim(0), e.epoch+1)
		if err != nil {
			t.Fatal(err)
		}
		e.committed, e.epoch = append(e.committed, staged...), e.epoch+1
	}
	if err := whole(w, 0, t); err != nil {
		t.Fatalf("before the backlog is published: %v", err)
	}
	for range 2 {
		if err := s.Publish(ctx, e.committed); err != nil {
			t.Fatal(err)
		}
		all(t, w, "after the backlog")
	}
}

// collection checks what Collect touches and what it does not.
func collection(t *testing.T, w World) {
	ctx, s := t.Context(), w.Start(t)
	keep, err := stage(ctx, s, claim(0), 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stage(ctx, s, claim(0), 2); err != nil {
		t.Fatal(err)
	}
	other, err := s.Begin(stream.TaskID{Landing: "suite", Partition: 4}, claim(0), 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Write(rowsOf(1)); err != nil {
		t.Fatal(err)
	}
	others, err := other.Seal(ctx)
	if err != nil {
		t.Fatal(err)
	}
	before := w.Staged(t)
	s = w.Start(t)
	err = s.Collect(ctx, task(), nil, func() error { return stream.ErrFenced })
	if !errors.Is(err, stream.ErrFenced) || !slices.Equal(w.Staged(t), before) {
		t.Fatalf("a fenced collection: error %v, staged %v before, %v after", err, before, w.Staged(t))
	}
	e := &engine{committed: keep, epoch: 1}
	if err := s.Collect(ctx, task(), e.keep(), func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	left := w.Staged(t)
	for _, f := range append(keep, others...) {
		if !slices.Contains(left, f.Name) {
			t.Errorf("%s is gone", f.Name)
		}
	}
	if len(left) != len(keep)+len(others) {
		t.Errorf("left staged: %v", left)
	}
	if err := e.run(ctx, s); err != nil {
		t.Fatal(err)
	}
	all(t, w, "after collection")
}

// stageKeepsItsOwn checks what Stage promises to its caller.
func stageKeepsItsOwn(t *testing.T, w World) {
	ctx, s := t.Context(), w.Start(t)
	st, err := s.Begin(task(), claim(0), 1)
	if err != nil {
		t.Fatal(err)
	}
	b := rowsOf(1)
	if err := st.Write(b); err != nil {
		t.Fatal(err)
	}
	if st.Rows() != 2*epochRows || st.Bytes() <= 0 {
		t.Errorf("rows %d, bytes %d", st.Rows(), st.Bytes())
	}
	for i := range b.Records { // the batch is the caller's again
		clear(b.Records[i].Raw)
		b.Records[i] = table.RecordRow{Lineage: table.Lineage{Offset: 1 << 40}}
	}
	if _, err := st.Seal(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := st.Seal(ctx); err == nil {
		t.Error("a stage was sealed twice")
	}
	// An epoch whose commit failed is staged again, by the same claim, before
	// anything was collected.
	staged, err := stage(ctx, s, claim(0), 1)
	if err != nil {
		t.Fatalf("the same epoch staged again: %v", err)
	}
	if err := st.Write(rowsOf(2)); err == nil {
		t.Error("a sealed stage took rows")
	}
	if err := once(w, 0, t); err != nil {
		t.Errorf("before it is published: %v", err)
	}
	e := &engine{committed: staged, epoch: 1}
	if err := e.run(ctx, s); err != nil {
		t.Fatal(err)
	}
	all(t, w, "after the batch was overwritten")
	empty, err := s.Begin(task(), claim(0), epochs+1)
	if err != nil {
		t.Fatal(err)
	}
	if staged, err := empty.Seal(ctx); err != nil || len(staged) != 0 {
		t.Errorf("a stage without rows gave %v, %v", staged, err)
	}
	gone, err := s.Begin(task(), claim(0), epochs+1)
	if err != nil {
		t.Fatal(err)
	}
	gone.Abandon()
	gone.Abandon()
	if _, err := gone.Seal(ctx); err == nil {
		t.Error("an abandoned stage was sealed")
	}
}

// publishNothing publishes what is neither staged nor visible.
func publishNothing(t *testing.T, w World) {
	ctx, s := t.Context(), w.Start(t)
	staged, err := stage(ctx, s, claim(0), 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Collect(ctx, task(), nil, func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	if err := s.Publish(ctx, staged); err == nil {
		t.Error("what was collected was published")
	}
	e := new(engine)
	if err := e.run(ctx, s); err != nil {
		t.Fatal(err)
	}
	wrong := slices.Clone(e.committed)
	for i := range wrong {
		wrong[i].SHA256 = fmt.Sprintf("%064x", i)
	}
	if err := s.Publish(ctx, wrong); err == nil {
		t.Error("other content was published over what is visible")
	}
	all(t, w, "after both")
}
