package move

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"

	"landfall/engine/audit"
	"landfall/engine/checkpoint"
	"landfall/engine/landing"
)

// before is a store that calls back before the first swap of an object.
type before struct {
	checkpoint.Store
	name string
	do   func()
}

func (b *before) Swap(ctx context.Context, name string, old checkpoint.Version, data []byte) (checkpoint.Version, error) {
	if do := b.do; name == b.name && do != nil {
		b.do = nil
		do()
	}
	return b.Store.Swap(ctx, name, old, data)
}

// TestWhatLandsBeforeTheIntentIsPublished: nobody sends it again, for it was
// acknowledged to gateways that let go of it.
func TestWhatLandsBeforeTheIntentIsPublished(t *testing.T) {
	r := newRig(t, 4)
	a, b := r.landing("log-a", 2), r.landing("log-b", 3)
	r.land(a)
	r.run(a, r.is("log-a", 2))
	r.land(a)
	watch := NewWatch(r.store, r.is("log-a", 2))
	var confirmed error
	store := &before{Store: r.store, name: movingName, do: func() {
		r.land(a)
		confirmed = watch.Confirm(t.Context())
	}}
	result, err := Replace(t.Context(), Config{Store: store, Sinks: r.sinks, To: r.is("log-b", 3), New: b, Old: a})
	if err != nil || confirmed != nil {
		t.Fatal(err, confirmed)
	}
	unread := int64(0)
	for _, o := range result.Old {
		unread += o.Unread
	}
	if unread != 8 || len(result.Notes) != 0 {
		t.Errorf("%d blocks were read, %q", unread, result.Notes)
	}
	r.exact(audit.LevelBytes)
	if err := watch.Confirm(t.Context()); !errors.Is(err, watch.Left()) || err == nil || !strings.Contains(err.Error(), "log-b") {
		t.Errorf("after the move: %v", err)
	}
}

// waiting is a store whose first read of the intent waits before it answers.
type waiting struct {
	checkpoint.Store
	once       sync.Once
	read, goOn chan struct{}
}

func (w *waiting) Read(ctx context.Context, name string) ([]byte, checkpoint.Version, error) {
	data, version, err := w.Store.Read(ctx, name)
	if name == movingName {
		w.once.Do(func() {
			close(w.read)
			<-w.goOn
		})
	}
	return data, version, err
}

// TestALookBeginsAfterItIsAskedFor: one that is on its way may have missed a move.
func TestALookBeginsAfterItIsAskedFor(t *testing.T) {
	r := newRig(t, 1)
	a, b := r.landing("log-a", 1), r.landing("log-b", 1)
	if err := Bind(t.Context(), r.store, r.is("log-a", 1)); err != nil {
		t.Fatal(err)
	}
	store := &waiting{Store: r.store, read: make(chan struct{}), goOn: make(chan struct{})}
	w := NewWatch(store, r.is("log-a", 1))
	first, second := make(chan error, 1), make(chan error, 1)
	go func() { first <- w.Confirm(t.Context()) }()
	<-store.read
	r.interrupted(a, b, r.is("log-b", 1))
	go func() { second <- w.Confirm(t.Context()) }()
	for asked := false; !asked; runtime.Gosched() {
		w.mu.Lock()
		asked = w.next != nil || len(second) > 0
		w.mu.Unlock()
	}
	close(store.goOn)
	if err := <-first; err != nil && !strings.Contains(err.Error(), "being moved") {
		t.Error(err)
	}
	if err := <-second; err == nil || !strings.Contains(err.Error(), "being moved") {
		t.Errorf("a look that began before: %v", err)
	}
}

// marked is a landing log that calls back when it is told that its lake leaves it.
type marked struct {
	landing.Log
	leave func(to string) error
}

func (m marked) Leave(_ context.Context, to string) error { return m.leave(to) }

// TestWhatLandsBeforeTheMarkIsPublished: an ingest that knows no lake acknowledged it. A
// mark that cannot be written stops the move, and the same call does the rest.
func TestWhatLandsBeforeTheMarkIsPublished(t *testing.T) {
	r := newRig(t, 4)
	a, b := r.landing("log-a", 2), r.landing("log-b", 3)
	r.land(a)
	r.run(a, r.is("log-a", 2))
	failing, marks := errors.New("no broker"), 0
	old := marked{a, func(to string) error {
		if marks++; marks == 1 {
			return failing
		}
		if !strings.Contains(to, "log-b") || Check(t.Context(), r.store, r.is("log-a", 2)) == nil {
			t.Errorf("marked for %s before the intent is there", to)
		}
		r.land(a)
		return nil
	}}
	c := Config{Store: r.store, Sinks: r.sinks, To: r.is("log-b", 3), New: b, Old: old}
	if _, err := Replace(t.Context(), c); !errors.Is(err, failing) {
		t.Fatalf("it goes on without a mark: %v", err)
	}
	if _, err := Replace(t.Context(), c); err != nil || marks != 2 {
		t.Fatal(err, marks)
	}
	r.exact(audit.LevelBytes)
}

// TestAStoreThatDoesNotAnswer changes nothing of what was known.
func TestAStoreThatDoesNotAnswer(t *testing.T) {
	r := newRig(t, 1)
	if err := Bind(t.Context(), r.store, r.is("log-a", 1)); err != nil {
		t.Fatal(err)
	}
	down := &crashing{Store: r.store}
	for id, left := range map[string]bool{"log-a": false, "log-x": true} {
		w := NewWatch(r.store, r.is(id, 1))
		w.Look(t.Context())
		w.check = NewWatch(down, r.is(id, 1)).check
		if w.Look(t.Context()); (w.Left() != nil) != left || (w.Confirm(t.Context()) != nil) != left {
			t.Errorf("%s: %v", id, w.Left())
		}
	}
}
