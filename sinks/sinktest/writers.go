package sinktest

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"landfall/engine/stream"
)

// zombieAtEveryStep lets a writer that was paused, and lost its claim, go on
// before each operation of the one that took over: it publishes what it had
// committed, and stages an epoch that is never committed. The other one may
// get errors, as from a broker that takes the newest writer for the right one,
// and tries again.
func zombieAtEveryStep(t *testing.T, stride int, open func(t testing.TB) World) {
	ops := operations(t, open(t))
	line, woken := tally{what: "a zombie publishes first"}, 0
	for n := 1; n <= ops; n += stride {
		woke, err := oneZombie(t, open(t), n, &line)
		if err != nil {
			line.wrong++
			t.Errorf("operation %d: %v", n, err)
		}
		if woke {
			woken++
		}
	}
	if woken == 0 {
		t.Error("the zombie never woke")
	}
	report(t, ops, []tally{line})
}

// oneZombie wakes the zombie before operation n.
func oneZombie(t *testing.T, w World, n int, line *tally) (woke bool, err error) {
	ctx := t.Context()
	w.Arm(0, Failed)
	zombie := w.Start(t)
	defer end(zombie)
	dead := new(engine)
	for dead.epoch < 2 { // the first published, the second not
		staged, err := stage(ctx, zombie, claim(0), dead.epoch+1)
		if err != nil {
			return false, err
		}
		dead.committed, dead.epoch = append(dead.committed, staged...), dead.epoch+1
		if dead.epoch == 1 {
			if err := zombie.Publish(ctx, staged); err != nil {
				return false, err
			}
		}
	}
	e := dead.takenOver()
	s := w.Start(t)
	defer end(s)
	w.Arm(0, Failed)
	w.Before(n, func() {
		woke = true
		_ = zombie.Publish(ctx, dead.committed) // it may be told that it is too late
		_, _ = stage(ctx, zombie, claim(0), dead.epoch+1)
	})
	err = e.run(ctx, s)
	w.Arm(0, Failed)
	if !woke {
		return false, nil // the run has fewer operations
	}
	line.tried++
	if err == nil {
		line.went++
	} else {
		line.errs++
	}
	if err := once(w, e.epoch, t); err != nil {
		return true, fmt.Errorf("when the zombie had published: %w", err)
	}
	if err := e.run(ctx, s); err != nil {
		return true, fmt.Errorf("tried again: %w", err)
	}
	if err := whole(w, epochs, t); err != nil {
		return true, err
	}
	_ = zombie.Publish(ctx, dead.committed)
	return true, whole(w, epochs, t)
}

// twoAtOnce lets two processes publish the same epochs beside each other, as a
// new claim does while the old one has not noticed. Each tries until it is
// told that all is done; afterwards both are right.
func twoAtOnce(t *testing.T, open func(t testing.TB) World) {
	const rounds, attempts = 5, 20
	for range rounds {
		w := open(t)
		w.Arm(0, Failed)
		a, b := w.Start(t), w.Start(t)
		e := new(engine)
		for e.epoch < epochs {
			staged, err := stage(t.Context(), a, claim(0), e.epoch+1)
			if err != nil {
				t.Fatal(err)
			}
			e.committed, e.epoch = append(e.committed, staged...), e.epoch+1
		}
		var wg sync.WaitGroup
		failed := make(chan error, 2)
		for _, s := range []stream.Sink{a, b} {
			wg.Go(func() {
				var errs []error
				for range attempts {
					err := s.Publish(t.Context(), e.committed)
					if err == nil {
						return
					}
					errs = append(errs, err)
				}
				failed <- errors.Join(errs...)
			})
		}
		wg.Wait()
		close(failed)
		for err := range failed {
			t.Errorf("after %d attempts: %v", attempts, err)
		}
		all(t, w, "after two published at once")
		end(a)
		end(b)
	}
}

// twoClaims lets an earlier claim go on with an epoch that a later one
// committed.
func twoClaims(t *testing.T, w World) {
	old, s := w.Start(t), w.Start(t)
	defer end(old)
	defer end(s)
	ctx := t.Context()
	stale, err := stage(ctx, old, claim(0), 1)
	if err != nil {
		t.Fatal(err)
	}
	e := &engine{claim: 1}
	staged, err := stage(ctx, s, claim(1), 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range stale {
		for _, b := range staged {
			if a.Name == b.Name {
				t.Fatalf("two claims stage under one name: %s", a.Name)
			}
		}
	}
	e.committed, e.epoch = staged, 1
	if err := e.run(ctx, s); err != nil {
		t.Fatal(err)
	}
	all(t, w, "with a stale claim staged")
	// The stale claim's outputs may equal what is visible; that is no harm.
	_ = old.Publish(ctx, stale)
	all(t, w, "after the stale claim published")
	if _, err := stage(ctx, old, claim(0), epochs+1); err != nil {
		t.Fatal(err)
	}
	all(t, w, "after the stale claim staged more")
}
