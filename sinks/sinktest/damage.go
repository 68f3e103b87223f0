package sinktest

import (
	"errors"
	"slices"
	"testing"

	"landfall/edge/record"
	"landfall/engine/stream"
)

// damaged changes a bit of one output of an epoch: readers never see it, or
// Verify finds it; the others are published as far as the sink publishes parts
// of an epoch; and made again by another claim it comes right.
func damaged(t *testing.T, w World) {
	ctx, s := t.Context(), w.Start(t)
	defer func() { end(s) }()
	first, err := stage(ctx, s, claim(0), 1)
	if err != nil {
		t.Fatal(err)
	}
	read := w.Damage(t, first[0])
	end(s)
	s = w.Start(t)
	var hash string
	for range 2 {
		err := s.Publish(ctx, first)
		if read {
			damagedOutput(t, err, first[0], first[0].Name)
			if seen := w.Visible(t, first[0].Table); len(seen) > 0 {
				t.Fatalf("%d rows of a damaged output are visible", len(seen))
			}
			continue
		}
		if err != nil && !errors.Is(err, stream.ErrDamaged) {
			t.Fatal(err)
		}
		hash = damagedOutput(t, s.Verify(ctx, first), first[0], first[0].Target).SHA256
	}
	for _, f := range first[1:] {
		if rows := len(w.Visible(t, f.Table)); w.Whole() == (rows > 0) {
			t.Errorf("%d rows of %s are visible beside the damaged output", rows, f.Table)
		}
	}
	again, err := stage(ctx, s, claim(1), 1)
	if err != nil {
		t.Fatal(err)
	}
	if r, ok := s.(stream.Replacer); ok {
		for range 2 {
			if err := r.Replace(ctx, again[0], hash); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 2 {
		if err := errors.Join(s.Publish(ctx, again), s.Verify(ctx, again)); err != nil {
			t.Fatalf("made again: %v", err)
		}
	}
	for _, name := range seen {
		rows := slices.Sorted(slices.Values(w.Visible(t, name)))
		if len(rows) != epochRows || rows[0] != 0 || rows[epochRows-1] != record.Offset(epochRows-1) {
			t.Errorf("%d rows of %s are visible", len(rows), name)
		}
	}
}

// damagedOutput holds that an error names an output, and where it was read.
func damagedOutput(t *testing.T, err error, f stream.Staged, where string) *stream.DamagedError {
	t.Helper()
	var d *stream.DamagedError
	if !errors.As(err, &d) {
		t.Fatalf("got %v, want a DamagedError of %s", err, where)
	}
	if d.Where != where || d.Staged.Target != f.Target {
		t.Fatalf("it names %s for %s, want %s for %s", d.Where, d.Staged.Target, where, f.Target)
	}
	return d
}
