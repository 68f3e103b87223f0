package checkpoint

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"landfall/engine/stream"
)

// TestAFenceByARepairIsTold: a claim from which repairs alone have taken the task
// learns it wherever it is refused, and may claim again. Every other fence is as
// it was.
func TestAFenceByARepairIsTold(t *testing.T) {
	repair := func(t *testing.T, store *memory, s *sink, epoch string) {
		t.Helper()
		must(t, repairWith(t, config(store, s), again(epoch)))
	}
	lose := func(t *testing.T, store *memory, s *sink) {
		t.Helper()
		m, err := Load(t.Context(), store, stream.TaskID{Landing: "l"})
		must(t, err)
		must(t, store.Delete(t.Context(), headName(m.TaskID())))
		must(t, store.Delete(t.Context(), manifestName(m.TaskID(), m.Epoch, m.Claim)))
		must(t, Repair(t.Context(), config(store, s), &m, func(context.Context, stream.ClaimID, *Manifest) (Repairing, error) {
			return Repairing{Note: "lost"}, nil
		}))
	}
	for what, tt := range map[string]struct {
		between func(t *testing.T, store *memory, s *sink)
		want    bool
	}{
		"a repair of HEAD and the manifest":              {lose, true},
		"a repair of HEAD and the manifest, and another": {func(t *testing.T, store *memory, s *sink) { lose(t, store, s); repair(t, store, s, "1") }, true},
		"a clone that commits, and a repair of HEAD and the manifest": {func(t *testing.T, store *memory, s *sink) {
			c := claim(t, config(store, s))
			must(t, commit(t, c, 3))
			closed(t, c)
			lose(t, store, s)
		}, false},
		"a repair": {func(t *testing.T, store *memory, s *sink) { repair(t, store, s, "1") }, true},
		"two":      {func(t *testing.T, store *memory, s *sink) { repair(t, store, s, "1"); repair(t, store, s, "2") }, true},
		"a claim":  {func(t *testing.T, store *memory, s *sink) { closed(t, claim(t, config(store, s))) }, false},
		"a clone, then a repair": {func(t *testing.T, store *memory, s *sink) {
			closed(t, claim(t, config(store, s)))
			repair(t, store, s, "1")
		}, false},
		"a clone that collects nothing, then a repair": {func(t *testing.T, store *memory, s *sink) {
			store.failWith(func(op, _ string) error {
				if op == "delete" {
					return errors.New("not now")
				}
				return nil
			})
			closed(t, claim(t, config(store, s)))
			store.failWith(nil)
			repair(t, store, s, "1")
		}, false},
		"a repair, then a clone": {func(t *testing.T, store *memory, s *sink) {
			repair(t, store, s, "1")
			closed(t, claim(t, config(store, s)))
		}, false},
		"a clone between two repairs": {func(t *testing.T, store *memory, s *sink) {
			repair(t, store, s, "1")
			closed(t, claim(t, config(store, s)))
			repair(t, store, s, "2")
		}, false},
		"a repair, then a clone that commits": {func(t *testing.T, store *memory, s *sink) {
			repair(t, store, s, "1")
			c := claim(t, config(store, s))
			must(t, commit(t, c, 3))
			closed(t, c)
		}, false},
		"a repair, and its entry is gone": {func(t *testing.T, store *memory, s *sink) {
			repair(t, store, s, "1")
			m, err := Load(t.Context(), store, stream.TaskID{Landing: "l"})
			must(t, err)
			must(t, store.Delete(t.Context(), m.Ledger.Name))
		}, false},
	} {
		t.Run(what, inBubble(func(t *testing.T) {
			store, s := newMemory(), &sink{}
			c := claim(t, config(store, s))
			var history []Manifest
			epochs(t, c, 2, &history)
			synctest.Wait() // published: nothing beside it looks at HEAD
			tt.between(t, store, s)
			if err := c.CheckHead(t.Context()); !errors.Is(err, stream.ErrFenced) || errors.Is(err, ErrRepaired) != tt.want {
				t.Errorf("looked at HEAD: %v", err)
			}
			err := commit(t, c, 3)
			if !errors.Is(err, stream.ErrFenced) || errors.Is(err, ErrRepaired) != tt.want {
				t.Errorf("committed: %v", err)
			}
			if err := c.Close(t.Context()); errors.Is(err, ErrRepaired) != tt.want {
				t.Errorf("closed: %v", err)
			}
			if tt.want {
				d := claim(t, config(store, s))
				must(t, commit(t, d, 3))
				closed(t, d)
			}
		}))
	}
}

// TestAClaimBesideARepairIsTold: a repair between a claim's look at HEAD and its
// swap does not stop an engine that starts.
func TestAClaimBesideARepairIsTold(t *testing.T) {
	for what, tt := range map[string]struct {
		meanwhile func(t *testing.T, store *memory, s *sink)
		want      bool
	}{
		"a repair": {func(t *testing.T, store *memory, s *sink) { must(t, repairWith(t, config(store, s), again("1"))) }, true},
		"a claim":  {func(t *testing.T, store *memory, s *sink) { closed(t, claim(t, config(store, s))) }, false},
	} {
		t.Run(what, func(t *testing.T) {
			store, s := newMemory(), &sink{}
			c := claim(t, config(store, s))
			must(t, commit(t, c, 1))
			closed(t, c)
			store.failWith(func(op, name string) error {
				if op == "create" && strings.Contains(name, "/manifest/") {
					store.failWith(nil)
					tt.meanwhile(t, store, s)
				}
				return nil
			})
			_, err := Claim(t.Context(), config(store, s))
			if !errors.Is(err, stream.ErrFenced) || errors.Is(err, ErrRepaired) != tt.want {
				t.Errorf("claimed: %v", err)
			}
		})
	}
}

// TestARepairThatIsClaimedIsDone: an engine that claims again at once publishes
// what the repair committed; the repair is not an error for that.
func TestARepairThatIsClaimedIsDone(t *testing.T) {
	store, s := newMemory(), &sink{}
	c := claim(t, config(store, s))
	must(t, commit(t, c, 1))
	closed(t, c)
	slow := &sink{}
	slow.publish = func() error {
		closed(t, claim(t, config(store, s)))
		return errors.New("the staged file is gone")
	}
	if err := repairWith(t, config(store, slow), again("1")); err != nil {
		t.Error(err)
	}
	if got := s.seen(); len(got) == 0 || got[len(got)-1] != "1" {
		t.Errorf("published %v", got)
	}
	slow.publish = func() error { return stream.ErrContent }
	if err := repairWith(t, config(store, slow), again("1")); !errors.Is(err, stream.ErrContent) {
		t.Errorf("nobody claimed it: %v", err)
	}
}

func inBubble(f func(t *testing.T)) func(t *testing.T) {
	return func(t *testing.T) { synctest.Test(t, f) }
}
