package move

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"landfall/engine/audit"
	"landfall/engine/checkpoint"
)

// errCrashed is an answer that nobody asks for again.
var errCrashed = fmt.Errorf("crashed: %w", context.Canceled)

// crashing is a store whose process crashes with one of its changes: that one
// happens or not, and none after it does.
type crashing struct {
	checkpoint.Store
	stored bool

	mu   sync.Mutex
	left int // changes until the crash; negative: it never comes; guarded by mu
	seen int // guarded by mu
}

// change carries a change out, unless the process has crashed.
func (c *crashing) change(do func() error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen++
	switch {
	case c.left < 0:
		return do()
	case c.left == 0:
		return errCrashed
	}
	if c.left--; c.left == 0 {
		if c.stored {
			_ = do()
		}
		return errCrashed
	}
	return do()
}

func (c *crashing) Create(ctx context.Context, name string, data []byte) error {
	return c.change(func() error { return c.Store.Create(ctx, name, data) })
}

func (c *crashing) Swap(ctx context.Context, name string, old checkpoint.Version, data []byte) (version checkpoint.Version, err error) {
	err = c.change(func() error { version, err = c.Store.Swap(ctx, name, old, data); return err })
	return version, err
}

func (c *crashing) Delete(ctx context.Context, name string) error {
	return c.change(func() error { return c.Store.Delete(ctx, name) })
}

// Read implements checkpoint.Store: what has crashed reads nothing.
func (c *crashing) Read(ctx context.Context, name string) ([]byte, checkpoint.Version, error) {
	if c.crashed() {
		return nil, "", errCrashed
	}
	return c.Store.Read(ctx, name)
}

func (c *crashing) crashed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.left == 0
}

// crashedMove moves a lake with landed blocks that are not published, crashes with
// one change of the store, and moves it again. lost takes away what says which landing
// log feeds the lake before that, and makes it again. It tells how many changes there
// were.
func crashedMove(t *testing.T, at int, stored, lost bool) (changes int) {
	r := newRig(t, 2)
	a := r.landing("log-a", 1)
	r.land(a)
	r.run(a, r.is("log-a", 1))
	r.land(a)
	b := r.landing("log-b", 2)
	store := &crashing{Store: r.store, left: at, stored: stored}
	c := Config{Store: store, Sinks: r.sinks, To: r.is("log-b", 2), New: b, Old: a}
	if _, err := Replace(t.Context(), c); err == nil && store.crashed() && store.seen > at {
		t.Error("nothing failed")
	}
	if lost {
		r.restored()
	}
	if store.crashed() {
		// Between the crash and the next attempt an engine of either landing log is
		// refused, or is the one that feeds the lake.
		oldFits, newFits := Check(t.Context(), r.store, r.is("log-a", 1)) == nil, Check(t.Context(), r.store, r.is("log-b", 2)) == nil
		if oldFits && newFits {
			t.Error("both landing logs feed the lake")
		}
		c.Store = r.store
		if _, err := Replace(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	if err := Check(t.Context(), r.store, r.is("log-a", 1)); err == nil {
		t.Error("the old landing log feeds the lake")
	}
	r.land(b)
	for _, g := range r.gateways { // what was landed in the old log comes again
		r.append(b, g.name, g.blocks[1])
	}
	r.run(b, r.is("log-b", 2))
	r.exact(audit.LevelFiles)
	if err := errors.Join(a.Close(), b.Close()); err != nil {
		t.Error(err)
	}
	return store.seen
}

// TestAMoveSurvivesCrashes with each change of the store, whether or not that
// happened: the same call does the rest, and the lake is exact.
func TestAMoveSurvivesCrashes(t *testing.T) {
	changes := crashedMove(t, -1, false, false)
	if changes < 15 {
		t.Fatalf("%d changes", changes)
	}
	for at := 1; at <= changes; at++ {
		for _, c := range []struct{ stored, lost bool }{{false, false}, {true, false}, {true, true}} {
			t.Run(fmt.Sprintf("%d of %d, stored %t, lost %t", at, changes, c.stored, c.lost), func(t *testing.T) {
				crashedMove(t, at, c.stored, c.lost)
			})
		}
	}
}
