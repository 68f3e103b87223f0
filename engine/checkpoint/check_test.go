package checkpoint

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"testing"

	"landfall/engine/ledger"
	"landfall/engine/stream"
)

// checking is a config whose Check is f, which is told the epoch that was found, 0
// for none, and how many objects of state can be read.
func checking(store Store, s *sink, f func(found *Manifest, objects int) (Checked, error)) Config {
	cfg := config(store, s)
	cfg.Check = func(_ context.Context, found *Manifest, state iter.Seq2[[]byte, error]) (Checked, error) {
		n := 0
		for _, err := range state {
			if err != nil {
				return Checked{}, err
			}
			n++
		}
		return f(found, n)
	}
	return cfg
}

// TestWhoeverCannotGoOnDoesNotTakeHead: a checkpoint is looked at before HEAD is
// moved; who cannot go on from it leaves no object behind, and whoever has the task
// goes on as if nobody had come.
func TestWhoeverCannotGoOnDoesNotTakeHead(t *testing.T) {
	broken := errors.New("no landing log here")
	for what, tt := range map[string]struct {
		damage func(store *memory, m *Manifest)
		check  func(found *Manifest, objects int) (Checked, error)
		want   error
	}{
		"the landing log cannot be read": {nil, func(*Manifest, int) (Checked, error) { return Checked{}, broken }, broken},
		"state is damaged": {func(store *memory, m *Manifest) { store.replace(m.State[0].Name, []byte("other")) },
			func(*Manifest, int) (Checked, error) { return Checked{}, nil }, ErrCorrupt},
	} {
		t.Run(what, inBubble(func(t *testing.T) {
			store, s := newMemory(), &sink{}
			c := claim(t, config(store, s))
			var history []Manifest
			epochs(t, c, 2, &history)
			m := c.Manifest()
			if tt.damage != nil {
				tt.damage(store, &m)
			}
			before := store.content("l-0000/HEAD")
			if _, err := Claim(t.Context(), checking(store, &sink{}, tt.check)); !errors.Is(err, tt.want) || errors.Is(err, stream.ErrFenced) {
				t.Errorf("claimed: %v", err)
			}
			if !slices.Equal(store.content("l-0000/HEAD"), before) {
				t.Error("HEAD was moved")
			}
			must(t, commit(t, c, 3))
			closed(t, c)
			for _, name := range store.names(t) {
				if strings.Contains(name, "/manifest/") && !strings.Contains(name, string(c.ClaimID())) {
					t.Errorf("%s was left", name)
				}
			}
		}))
	}
}

// TestWhatIsFoundIsLookedAt: the first claim finds nothing, a later one the newest
// epoch with the state that restores it.
func TestWhatIsFoundIsLookedAt(t *testing.T) {
	store, s := newMemory(), &sink{}
	var found []*Manifest
	var objects []int
	look := func(m *Manifest, n int) (Checked, error) {
		found, objects = append(found, m), append(objects, n)
		return Checked{}, nil
	}
	c := claim(t, checking(store, s, look))
	var history []Manifest
	epochs(t, c, 2, &history)
	closed(t, c)
	closed(t, claim(t, checking(store, s, look)))
	if len(found) != 2 || found[0] != nil || objects[0] != 0 || found[1].Epoch != 2 || found[1].Claim != c.ClaimID() || objects[1] != len(history[1].State) {
		t.Errorf("found %+v with %v objects", found, objects)
	}
}

// TestHeadThatMovesWhileItIsLookedAt: what another claim collects meanwhile is not
// damage: this one came too late, and after a repair it may claim again.
func TestHeadThatMovesWhileItIsLookedAt(t *testing.T) {
	for what, repaired := range map[string]bool{"by an epoch": false, "by a repair": true} {
		t.Run(what, inBubble(func(t *testing.T) {
			store, s := newMemory(), &sink{}
			c := claim(t, config(store, s))
			var history []Manifest
			epochs(t, c, 2, &history)
			_, err := Claim(t.Context(), checking(store, &sink{}, func(*Manifest, int) (Checked, error) {
				if repaired {
					must(t, repairWith(t, config(store, s), again("1")))
				} else {
					must(t, commit(t, c, 3))
				}
				return Checked{}, ErrCorrupt
			}))
			if !errors.Is(err, stream.ErrFenced) || errors.Is(err, ErrRepaired) != repaired {
				t.Errorf("claimed: %v", err)
			}
			_ = c.Close(t.Context())
		}))
	}
}

// TestATaskGoesBack: a claim that goes back releases nothing, its first epoch says
// from where it read, in its manifest and in the ledger, and no later one does.
func TestATaskGoesBack(t *testing.T) {
	store, s := newMemory(), &sink{}
	var released []int64
	back := stream.Position{Log: "x", Offset: 1}
	cfg := checking(store, s, func(*Manifest, int) (Checked, error) { return Checked{From: &back}, nil })
	cfg.Release = func(_ context.Context, p stream.Position) error {
		released = append(released, p.Offset)
		return nil
	}
	first := claim(t, config(store, s))
	history := []Manifest{first.Manifest()}
	epochs(t, first, 7, &history)
	closed(t, first)
	for range 2 { // the first of them commits nothing
		c := claim(t, cfg)
		history = append(history, c.Manifest())
		if len(history) == 9 {
			closed(t, c)
			continue
		}
		for _, offset := range []int64{3, 9} {
			must(t, commit(t, c, offset))
			history = append(history, c.Manifest())
		}
		closed(t, c)
	}
	must(t, CheckHistory(history))
	must(t, CheckLedger(t.Context(), store, history))
	if !slices.Equal(released, []int64{3, 9}) {
		t.Errorf("released below %v", released)
	}
	for i, m := range history {
		if from := m.From; (from != nil) != (i == 10) || from != nil && *from != back {
			t.Errorf("manifest %d of epoch %s reads from %v", i, m.Epoch, from)
		}
	}
	for one, err := range ledger.Walk(t.Context(), LedgerOf(store), "l-0000", *history[len(history)-1].Ledger) {
		must(t, err)
		if strings.Contains(one.Note, "was cut") != (one.Epoch == 8) {
			t.Errorf("epoch %s: note %q", one.Epoch, one.Note)
		}
	}
}

// TestTheLandingLogIsHeld: it is released below what an epoch holds back, also by the
// next claim, and below the position once nothing is held.
func TestTheLandingLogIsHeld(t *testing.T) {
	store, s := newMemory(), &sink{}
	var released []int64
	cfg := config(store, s)
	cfg.Release = func(_ context.Context, p stream.Position) error {
		released = append(released, p.Offset)
		return nil
	}
	hold := func(c *Committer, offset int64, hold *stream.Position) {
		t.Helper()
		stages, err := c.Begin()
		must(t, err)
		must(t, c.Commit(t.Context(), Cut{Position: stream.Position{Log: "x", Offset: offset}, Hold: hold, Stages: stages}))
	}
	c := claim(t, cfg)
	hold(c, 10, &stream.Position{Log: "x", Offset: 4})
	closed(t, c)
	c = claim(t, cfg)
	if h := c.Manifest().Hold; h == nil || h.Offset != 4 {
		t.Errorf("a claim holds %v", h)
	}
	hold(c, 20, nil)
	closed(t, c)
	if !slices.Equal(released, []int64{4, 4, 20}) {
		t.Errorf("released below %v", released)
	}
}

// TestAnEpochAfterACutIsMadeAgain from where it was read, not from where the epoch
// before it ended.
func TestAnEpochAfterACutIsMadeAgain(t *testing.T) {
	store, s, r := newMemory(), newContentSink(), &remaker{}
	cfg := contentConfig(store, s, r)
	c := claim(t, cfg)
	must(t, commitContent(t, c, 10))
	must(t, commitContent(t, c, 20))
	closed(t, c)
	back := stream.Position{Log: "x", Offset: 3}
	cfg.Check = func(context.Context, *Manifest, iter.Seq2[[]byte, error]) (Checked, error) {
		return Checked{From: &back}, nil
	}
	s.shows = func(target string) {
		if target == "visible/3a" {
			s.damage("visible/3a")
			s.shows = nil
		}
	}
	c = claim(t, cfg)
	must(t, commitContent(t, c, 12))
	closed(t, c)
	if len(r.asked) != 1 || r.asked[0].Epoch != 3 || r.asked[0].From != back || !r.asked[0].Cut || r.asked[0].To.Offset != 12 || r.state[0] != "20" {
		t.Errorf("made again: %+v with state %q", r.asked, r.state)
	}
}
