package published

import (
	"bytes"
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"landfall/edge/record"
	"landfall/engine/checkpoint"
	"landfall/engine/stream"
)

type offsets = map[record.LogID]record.Offset

// TestAFollowerTellsWhatIsPublished: epoch after epoch, and to whoever comes late;
// what is committed and not published is not told.
func TestAFollowerTellsWhatIsPublished(t *testing.T) {
	w := newWorld(t)
	w.expect("no task yet", logA, 0, false)
	c := w.claim()
	if err := c.announce(); err != nil {
		t.Fatal(err)
	}
	w.expect("claimed", logA, 0, false)
	c.commit(offsets{logA: 10})
	c.published()
	w.expect("the first epoch", logA, 10, true)
	if got, _ := w.registry.Of("g", logA); !got.Passes {
		t.Error("a program that writes a progress passes over nothing")
	}
	w.sink.hold()
	c.commit(offsets{logA: 20, logB: 5})
	w.expect("committed, not published", logA, 10, true)
	w.expect("nor its other log", logB, 0, false)
	late, f := w.fresh()
	f.Look(t.Context())
	w.known("late", late, logA, 10, true)
	w.known("late", late, logB, 0, false)
	if got, _ := late.Of("g", logA); got.Ledger.Number != 1 || got.Closed {
		t.Errorf("%+v", got)
	}
	c.commit(offsets{logB: 7})
	w.sink.open()
	c.published()
	w.expect("published", logA, 20, true)
	w.expect("and the next", logB, 7, true)
	f.Look(t.Context())
	w.known("late", late, logA, 20, true)
	got, _ := late.Of("g", logA)
	if m := c.Manifest(); got.Ledger != *m.Ledger || !got.Closed || got.Task != "land-0000" {
		t.Errorf("%+v, want tip %+v", got, m.Ledger)
	}
	late, f = w.fresh()
	f.Look(t.Context())
	w.known("later", late, logA, 20, true)
	if p := f.Problems(); len(p) != 0 {
		t.Error(p)
	}
	c.die()
}

// TestWithoutProgressHeadTells: of a task of an older version, up to what its
// manifest knows to be published.
func TestWithoutProgressHeadTells(t *testing.T) {
	w := newWorld(t)
	c := w.claim()
	c.commit(offsets{logA: 10})
	w.until("published", func() bool { return c.Stats().Backlog == 0 })
	w.expect("its own epoch is not known to be published", logA, 0, false)
	c.commit(offsets{logA: 20})
	w.until("published", func() bool { return c.Stats().Backlog == 0 })
	w.expect("the one before is", logA, 10, true)
	c.die()
	w.claim().die()
	w.expect("a claim that found it unpublished says no more", logA, 10, true)
	c = w.claim()
	c.commit(offsets{logA: 30})
	w.expect("until it goes on", logA, 20, true)
	c.die()
}

// TestWhoPassesOverBlocks: every program that writes the manifest of HEAD so, whether
// or not its claim has told anything.
func TestWhoPassesOverBlocks(t *testing.T) {
	for format, want := range map[int]bool{1: false, 2: false, 3: false, 4: true} {
		if got := passesOver(&checkpoint.Manifest{Format: format}); got != want {
			t.Errorf("format %d: %v", format, got)
		}
	}
	if !passesOver(&checkpoint.Manifest{Format: checkpoint.Format}) {
		t.Error("this program passes over nothing")
	}
}

// TestAProgressCountsInTheChainOfHead: one of another history, or ahead of HEAD,
// tells nothing; what was told stands.
func TestAProgressCountsInTheChainOfHead(t *testing.T) {
	w := newWorld(t)
	c := w.claim()
	c.commit(offsets{logA: 10})
	c.published()
	w.expect("published", logA, 10, true)
	w.sink.hold()
	c.commit(offsets{logA: 20})
	good := c.Manifest().Ledger
	for what, change := range map[string]func(*Progress){
		"another entry of that number": func(p *Progress) { p.Ledger.SHA256 = strings.Repeat("e", 64) },
		"ahead of HEAD":                func(p *Progress) { p.Ledger.Number++ },
		"of another task":              func(p *Progress) { p.Task = "land-0001" },
		"of nothing":                   func(p *Progress) { p.Ledger = nil },
	} {
		tip := *good
		p := Progress{Format: Format, Task: "land-0000", Claim: c.ClaimID(), Ledger: &tip}
		change(&p)
		data, err := p.Encode()
		if err != nil {
			t.Fatal(err)
		}
		w.put(checkpoint.ProgressName(w.id), data)
		w.expect(what, logA, 10, true)
		late, f := w.fresh()
		f.Look(t.Context())
		w.known(what+", late", late, logA, 10, true) // which HEAD's manifest knows to be published
	}
	if err := c.announce(); err != nil {
		t.Fatal(err)
	}
	w.expect("right again", logA, 10, true)
	w.put(checkpoint.ProgressName(w.id), []byte("{}"))
	for n := range graceLooks {
		if p := w.follower.Problems(); len(p) != 0 {
			t.Errorf("after %d looks: %v", n, p)
		}
		w.expect("damaged", logA, 10, true)
	}
	if p := w.follower.Problems(); len(p) != 1 || !strings.Contains(p[0], "land-0000") {
		t.Errorf("%q", p)
	}
	w.sink.open()
	c.published()
	w.expect("mended", logA, 20, true)
	if p := w.follower.Problems(); len(p) != 0 {
		t.Error(p)
	}
	c.die()
}

// TestAnOlderCheckpointPutBack: what is told then is what that holds.
func TestAnOlderCheckpointPutBack(t *testing.T) {
	w := newWorld(t)
	c := w.claim()
	c.commit(offsets{logA: 10})
	c.published()
	m := c.Manifest()
	head := w.copyOf("land-0000/HEAD")
	names, err := w.store.List(t.Context(), "land-0000/")
	if err != nil {
		t.Fatal(err)
	}
	old := map[string][]byte{}
	for _, name := range names {
		old[name] = w.copyOf(name)
	}
	c.commit(offsets{logA: 20})
	c.published()
	w.expect("published", logA, 20, true)
	progress := w.copyOf(checkpoint.ProgressName(w.id))
	c.die()
	if err := os.RemoveAll(w.file("land-0000")); err != nil {
		t.Fatal(err)
	}
	for name, data := range old {
		w.put(name, data)
	}
	w.put("land-0000/HEAD", head)
	w.put(checkpoint.ProgressName(w.id), progress)
	w.follower.tasks[0].skipped = headEvery
	late, f := w.fresh()
	f.Look(t.Context())
	w.known("late", late, logA, 0, false) // the manifest does not know its own epoch to be published, the progress is ahead
	w.logs[logA] = at("g", logA, 10, hashAt(logA, 10).String())
	c = w.claim()
	if err := c.announce(); err != nil {
		t.Fatal(err)
	}
	w.expect("put back and claimed", logA, 10, true)
	if c.Manifest().Epoch != m.Epoch {
		t.Errorf("epoch %s", c.Manifest().Epoch)
	}
	c.die()
}

// TestHolesAreThoseOfTheClaimThatHasTheTask.
func TestHolesAreThoseOfTheClaimThatHasTheTask(t *testing.T) {
	w := newWorld(t)
	c := w.claim()
	c.commit(offsets{logA: 10})
	c.published()
	w.own.Want(w.id, "g", logA, 10)
	w.own.Want(w.id, "g", logB, 0)
	if err := c.announce(); err != nil {
		t.Fatal(err)
	}
	w.expect("asked for", logA, 10, true)
	if got := w.registry.Holes(w.id); !slices.Equal(got, []Hole{{"g", logA, 10}, {"g", logB, 0}}) {
		t.Errorf("%v", got)
	}
	w.own.Filled(w.id, "g", logA)
	if err := c.announce(); err != nil {
		t.Fatal(err)
	}
	w.expect("filled", logA, 10, true)
	if got := w.registry.Holes(w.id); !slices.Equal(got, []Hole{{"g", logB, 0}}) {
		t.Errorf("%v", got)
	}
	stale := w.copyOf(checkpoint.ProgressName(w.id))
	c.die()
	c = w.claim()
	if got := w.copyOf(checkpoint.ProgressName(w.id)); !bytes.Equal(got, stale) {
		t.Errorf("a claim collects no progress: %s", got)
	}
	w.follower.tasks[0].skipped = headEvery
	w.expect("another claim has the task", logA, 10, true)
	if got, _ := w.registry.Of("g", logA); !got.Passes {
		t.Error("a claim that has told nothing yet, and may hang, passes over nothing")
	}
	if got := w.registry.Holes(w.id); len(got) != 0 {
		t.Errorf("%v", got)
	}
	c.die()
}

// TestOwnTasksAreNotFollowed: what a task of this engine tells goes before, and when
// it is gone the follower tells all again.
func TestOwnTasksAreNotFollowed(t *testing.T) {
	w := newWorld(t)
	c := w.claim()
	c.commit(offsets{logA: 10})
	c.published()
	w.expect("another engine's", logA, 10, true)
	w.registry.Lost(w.id)
	w.known("it is not this engine's to lose", w.registry, logA, 10, true)
	w.registry.Published(w.id, nil, tip(99))
	w.registry.Want(w.id, "g", logA, 10)
	if got, _ := w.registry.Of("g", logA); got.Ledger.Number != 1 || len(w.registry.Holes(w.id)) != 0 {
		t.Errorf("nor to tell of: %+v", got)
	}
	w.registry.Claimed(w.id, w.all(), c.Manifest().Ledger)
	c.commit(offsets{logA: 20})
	c.published()
	w.expect("its own now", logA, 10, true)
	if w.registry.follow(w.id, newKnown(nil, nil), nil, nil, nil, true) { // it was looked at before the claim
		t.Error("what was read goes before what the task told")
	}
	w.known("its own still", w.registry, logA, 10, true)
	w.registry.Lost(w.id)
	w.known("lost", w.registry, logA, -1, false)
	w.expect("another's again", logA, 20, true)
	c.die()
}

// TestATaskThatIsThisEnginesForAMoment: it is claimed while a look reads it, and lost
// before the next one, which tells all of it.
func TestATaskThatIsThisEnginesForAMoment(t *testing.T) {
	w := newWorld(t)
	c := w.claim()
	c.commit(offsets{logA: 10})
	c.published()
	w.follower.cfg.Store = &reading{Store: w.store, then: func() { w.registry.Claimed(w.id, nil, nil) }}
	w.follower.Look(t.Context())
	w.registry.Lost(w.id)
	w.follower.cfg.Store = w.store
	w.expect("another engine's", logA, 10, true)
	c.die()
}

// reading is a store after each of whose reads something happens.
type reading struct {
	checkpoint.Store
	then func()
}

func (r *reading) Read(ctx context.Context, name string) ([]byte, checkpoint.Version, error) {
	defer r.then()
	return r.Store.Read(ctx, name)
}

// TestAStoreThatDoesNotAnswer: what was told stands.
func TestAStoreThatDoesNotAnswer(t *testing.T) {
	w := newWorld(t)
	c := w.claim()
	c.commit(offsets{logA: 10})
	c.published()
	w.expect("published", logA, 10, true)
	c.commit(offsets{logA: 20})
	c.published()
	down := &unreadable{Store: w.store, err: errDown}
	w.follower.cfg.Store = down
	for range graceLooks {
		w.expect("the store is down", logA, 10, true)
	}
	if p := w.follower.Problems(); len(p) != 1 || !strings.Contains(p[0], errDown.Error()) {
		t.Errorf("%q", p)
	}
	down.err = nil
	w.expect("it is back", logA, 20, true)
	if p := w.follower.Problems(); len(p) != 0 {
		t.Errorf("%q", p)
	}
	c.die()
}

// unreadable is a store whose reads fail.
type unreadable struct {
	checkpoint.Store
	err error
}

func (u *unreadable) Read(ctx context.Context, name string) ([]byte, checkpoint.Version, error) {
	if u.err != nil {
		return nil, "", u.err
	}
	return u.Store.Read(ctx, name)
}

// TestAProcessThatWakesLate: it has lost the task between any two of its steps, and
// the newest claim's progress is the last.
func TestAProcessThatWakesLate(t *testing.T) {
	for _, when := range []string{"before it begins", "before its swap, and the newer one has told", "before its swap, and the newer one tells later"} {
		t.Run(when, func(t *testing.T) {
			w := newWorld(t)
			zombie := w.claim()
			zombie.commit(offsets{logA: 10})
			zombie.published()
			w.own.Want(w.id, "g", logA, 10) // the zombie has this to tell
			zombie.announcer.Registry = frozen(w.own, w.id)
			var newer *claimed
			take := func() {
				w.own.Lost(w.id)
				newer = w.claim()
				newer.commit(offsets{logA: 20})
			}
			asleep := when != "before it begins"
			zombie.announcer.Alive = func(ctx context.Context) error {
				err := zombie.Alive(ctx)
				if asleep {
					asleep = false
					take()
					if strings.HasSuffix(when, "has told") {
						newer.published()
					}
				}
				return err
			}
			if !asleep {
				take()
			}
			err := zombie.announce()
			if late := strings.HasSuffix(when, "tells later"); late != (err == nil) || err != nil && !errors.Is(err, stream.ErrFenced) {
				t.Errorf("the late one: %v", err)
			}
			if strings.HasSuffix(when, "tells later") {
				w.expect("what the late one left is true, and older", logA, 10, true)
				if got := w.registry.Holes(w.id); len(got) != 0 {
					t.Errorf("%v", got)
				}
			}
			newer.published()
			if err := zombie.announce(); !errors.Is(err, stream.ErrFenced) {
				t.Errorf("once more: %v", err)
			}
			w.expect("the newer one", logA, 20, true)
			p, err := DecodeProgress(w.copyOf(checkpoint.ProgressName(w.id)))
			if err != nil || p.Claim != newer.ClaimID() || len(p.Wanted) != 0 {
				t.Errorf("%+v, %v", p, err)
			}
			newer.die()
		})
	}
}

// frozen is what a registry knew of a task, as a process that sleeps knows it.
func frozen(r *Registry, id stream.TaskID) *Registry {
	f := New(r.cfg)
	r.mu.Lock()
	defer r.mu.Unlock()
	k := *r.tasks[id]
	f.tasks[id] = &k
	return f
}
