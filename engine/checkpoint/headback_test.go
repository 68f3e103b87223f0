package checkpoint

import (
	"context"
	"errors"
	"maps"
	"strings"
	"sync/atomic"
	"testing"

	"landfall/engine/stream"
)

// stocked is a sink that has published files of a task.
type stocked struct{ sink }

// Published implements stream.Inventory.
func (*stocked) Published(_ context.Context, _ stream.TaskID, _ stream.Epoch, yield func(stream.Staged) error) error {
	return yield(stream.Staged{Sink: "fake", Target: "record/dt=1/l-0000-7.parquet"})
}

// afterEpochs is a store in which a task committed so many epochs.
func afterEpochs(t *testing.T, n int64) *memory {
	t.Helper()
	store := newMemory()
	c := claim(t, config(store, &sink{}))
	for i := range n {
		if err := commit(t, c, i+1); err != nil {
			t.Fatal(err)
		}
	}
	closed(t, c)
	return store
}

// TestNoClaimFromNothing: a HEAD that is gone while anything of the task is left is
// no new task. What a crash before the first HEAD leaves is none either.
func TestNoClaimFromNothing(t *testing.T) {
	const head = "l-0000/HEAD"
	only := func(part string) func(*memory) {
		return func(m *memory) {
			maps.DeleteFunc(m.objects, func(name string, _ memoryObject) bool { return !strings.Contains(name, part) })
		}
	}
	for what, spoil := range map[string]func(*memory){
		"HEAD is gone":                 func(m *memory) { delete(m.objects, head) },
		"the manifest alone is left":   only("/manifest/"),
		"state alone is left":          only("/state/"),
		"the ledger alone is left":     only("/ledger/"),
		"a manifest of another's name": func(m *memory) { delete(m.objects, head); m.put("l-0000/manifest/what", nil) },
	} {
		store := afterEpochs(t, 2)
		spoil(store)
		before := len(store.objects)
		_, err := Claim(t.Context(), config(store, &sink{}))
		if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "landfall-engine repair") || len(store.objects) != before {
			t.Errorf("%s: %v, %d objects of %d", what, err, len(store.objects), before)
		}
	}
	cfg := config(newMemory(), &sink{})
	cfg.Sinks = []stream.Sink{&stocked{}}
	if _, err := Claim(t.Context(), cfg); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "record/dt=1/l-0000-7.parquet") {
		t.Errorf("files are published: %v", err)
	}
	store := newMemory()
	store.failWith(func(op, _ string) error {
		if op == "swap" {
			return stream.ErrFenced
		}
		return nil
	})
	if _, err := Claim(t.Context(), config(store, &sink{})); !errors.Is(err, stream.ErrFenced) || len(store.objects) != 1 {
		t.Fatalf("%v, %d objects", err, len(store.objects))
	}
	store.failWith(nil)
	closed(t, claim(t, config(store, &sink{})))
}

// TestAnOlderCheckpointPutBack: with its manifest and its state, or HEAD alone;
// beside what was written since. Nobody claims from it, and FindHead finds the
// newest. Where that is damaged, nothing is guessed.
func TestAnOlderCheckpointPutBack(t *testing.T) {
	for what, test := range map[string]struct {
		epochs int64 // after the copy
		claims int   // after the epochs
		alone  bool  // HEAD without what it names
	}{
		"one epoch":                 {1, 0, false},
		"one epoch and a claim":     {1, 1, false},
		"epochs":                    {3, 0, false},
		"HEAD alone":                {1, 0, true},
		"HEAD alone, long ago":      {4, 2, true},
		"HEAD of a claim before":    {0, 1, true},
		"HEAD of two claims before": {0, 2, true},
	} {
		t.Run(what, func(t *testing.T) {
			store, s := afterEpochs(t, 2), &sink{}
			old := maps.Clone(store.objects)
			for range test.claims {
				closed(t, claim(t, config(store, s)))
			}
			if test.epochs > 0 {
				c := claim(t, config(store, s))
				for i := range test.epochs {
					if err := commit(t, c, 3+i); err != nil {
						t.Fatal(err)
					}
				}
				closed(t, c)
			}
			task := stream.TaskID{Landing: "l"}
			newest, err := Load(t.Context(), store, task)
			if err != nil {
				t.Fatal(err)
			}
			for name, o := range old {
				if name == "l-0000/HEAD" || !test.alone {
					store.put(name, o.data)
				}
			}
			objects := len(store.objects)
			if _, err := Claim(t.Context(), config(store, s)); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "landfall-engine repair") || len(store.objects) != objects {
				t.Fatalf("claimed with %v", err)
			}
			if back, err := SetBack(t.Context(), store, task, all); !test.alone && (err != nil || !back) {
				t.Errorf("set back: %v, %v", back, err)
			}
			found, err := FindHead(t.Context(), store, task, all)
			if err != nil || found.Manifest.Claim != newest.Claim || found.Manifest.Epoch != newest.Epoch {
				t.Fatalf("found epoch %s of %s, %v; want epoch %s of %s", found.Manifest.Epoch, found.Manifest.Claim, err, newest.Epoch, newest.Claim)
			}
			state := newest.State[len(newest.State)-1].Name
			whole := store.objects[state]
			delete(store.objects, state)
			if _, err := FindHead(t.Context(), store, task, all); !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrNotExist) {
				t.Errorf("without the newest state: %v", err)
			}
			store.objects[state] = whole
			if err := RestoreHead(t.Context(), store, task, found); err != nil {
				t.Fatal(err)
			}
			closed(t, claim(t, config(store, s)))
		})
	}
}

// all are published, and unseen none.
func all(context.Context, stream.Staged) (bool, error)    { return true, nil }
func unseen(context.Context, stream.Staged) (bool, error) { return false, nil }

// TestAttemptsAreNoEvidence: what commits and claims leave that were killed before
// they moved HEAD, or lost it, is beyond HEAD and hinders nobody.
func TestAttemptsAreNoEvidence(t *testing.T) {
	store := afterEpochs(t, 2)
	for _, last := range []string{"/state/", "/ledger/", "/manifest/", "/HEAD"} {
		c := claim(t, config(store, &sink{}))
		store.failWith(func(op, name string) error {
			if (op == "create" || op == "swap") && strings.Contains(name, last) {
				return stream.ErrFenced
			}
			return nil
		})
		if err := commit(t, c, 3); !errors.Is(err, stream.ErrFenced) {
			t.Fatal(err)
		}
		if _, err := Claim(t.Context(), config(store, &sink{})); (last == "/manifest/" || last == "/HEAD") && !errors.Is(err, stream.ErrFenced) {
			t.Fatal(err)
		}
		store.failWith(nil)
		_ = c.Close(t.Context()) // it has failed
	}
	task := stream.TaskID{Landing: "l"}
	if back, err := SetBack(t.Context(), store, task, unseen); back || err != nil {
		t.Errorf("set back: %v, %v", back, err)
	}
	closed(t, claim(t, config(store, &sink{})))
}

// TestNothingGoesWhileHeadIsSetBack: HEAD of this claim that is older than the
// epoch that was published keeps the landing log and every object.
func TestNothingGoesWhileHeadIsSetBack(t *testing.T) {
	for what, spoil := range map[string]func(store *memory, old []byte){
		"older": func(store *memory, old []byte) { store.replace("l-0000/HEAD", old) },
		"gone": func(store *memory, _ []byte) {
			store.mu.Lock()
			defer store.mu.Unlock()
			delete(store.objects, "l-0000/HEAD")
		},
	} {
		t.Run(what, func(t *testing.T) {
			store, s := newMemory(), &sink{}
			cfg := config(store, s)
			var released atomic.Int64
			cfg.Release = func(_ context.Context, p stream.Position) error { released.Store(p.Offset); return nil }
			gate := make(chan struct{})
			var published atomic.Int64
			s.publish = func() error {
				if published.Add(1) == 3 {
					<-gate
				}
				return nil
			}
			c := claim(t, cfg)
			var history []Manifest
			epochs(t, c, 2, &history)
			old := store.content("l-0000/HEAD")
			if err := commit(t, c, 3); err != nil {
				t.Fatal(err)
			}
			spoil(store, old)
			close(gate)
			if err := c.Close(t.Context()); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "landfall-engine repair") {
				t.Errorf("closed with %v", err)
			}
			if n := released.Load(); n > 2 {
				t.Errorf("released below %d", n)
			}
			if store.content(manifestName(c.cfg.Task, 2, c.ClaimID())) == nil {
				t.Errorf("the manifest that HEAD names was removed: %v", store.names(t))
			}
		})
	}
}

// showing is a sink that can tell what it shows of later epochs.
type showing struct {
	sink
	newest stream.Epoch
	near   []string
	looked func()
}

// PublishedAfter implements stream.Ahead.
func (s *showing) PublishedAfter(_ context.Context, _ stream.TaskID, epoch stream.Epoch, near []string) (string, stream.Epoch, error) {
	s.near = near
	if s.looked != nil {
		s.looked()
	}
	if s.newest > epoch {
		return "log/dt=1/l-0000-newest", s.newest, nil
	}
	return "", 0, nil
}

// TestAllCheckpointsOfAnEarlierTime: the whole store is put back as it was, while what
// was published since stays. Nobody claims from it, nothing is written, published or
// released; with the newest store everything goes on.
func TestAllCheckpointsOfAnEarlierTime(t *testing.T) {
	store, s := newMemory(), &showing{}
	cfg := config(store, &s.sink)
	cfg.Sinks = []stream.Sink{s}
	var released atomic.Int64
	cfg.Release = func(_ context.Context, p stream.Position) error { released.Store(p.Offset); return nil }
	run := func(first int64) {
		c := claim(t, cfg)
		for i := range int64(2) {
			if err := commit(t, c, first+i); err != nil {
				t.Fatal(err)
			}
			s.newest++
		}
		closed(t, c)
	}
	run(1)
	old := maps.Clone(store.objects)
	run(3)
	newest, seen := store.objects, len(s.seen())
	store.objects = maps.Clone(old)
	released.Store(0)
	_, err := Claim(t.Context(), cfg)
	if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "HEAD was set back: the lake holds epoch 4 of l-0000") ||
		!strings.Contains(err.Error(), "ends at epoch 2") ||
		!strings.Contains(err.Error(), "`landfall-engine repair` takes on what the lake holds") {
		t.Fatalf("claimed with %v", err)
	}
	if len(store.objects) != len(old) || len(s.seen()) != seen || released.Load() != 0 {
		t.Errorf("%d objects of %d, %d published of %d, released below %d", len(store.objects), len(old), len(s.seen()), seen, released.Load())
	}
	if len(s.near) == 0 {
		t.Error("the sink was told no outputs of the newest epoch")
	}
	store.objects = newest
	run(5)

	// Another claim commits and publishes an epoch between HEAD and the look.
	s.looked = func() {
		s.looked = nil
		store.replace("l-0000/HEAD", []byte("{}"))
		s.newest++
	}
	if _, err := Claim(t.Context(), cfg); !errors.Is(err, stream.ErrFenced) || errors.Is(err, errSetBack) {
		t.Errorf("HEAD moved meanwhile: %v", err)
	}
}
