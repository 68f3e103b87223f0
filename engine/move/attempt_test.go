package move

import (
	"context"
	"errors"
	"strings"
	"testing"

	"landfall/engine/audit"
	"landfall/engine/checkpoint"
	"landfall/engine/landing"
)

// interrupted begins a move that ends before the lake is bound.
func (r *rig) interrupted(old, to landing.Log, is Landing) {
	r.t.Helper()
	broken := &failing{Store: r.store, op: "swap", name: landingName}
	if _, err := Replace(r.t.Context(), Config{Store: broken, Sinks: r.sinks, To: is, New: to, Old: old, Lost: old == nil}); !errors.Is(err, errDown) {
		r.t.Fatalf("the move ended with %v", err)
	}
}

// intend notes a move that is under way, in place of one that is.
func (r *rig) intend(m moving) {
	r.t.Helper()
	_, version, err := r.store.Read(r.t.Context(), movingName)
	if err != nil && !errors.Is(err, checkpoint.ErrNotExist) {
		r.t.Fatal(err)
	}
	data, err := encode(m)
	if err == nil {
		_, err = r.store.Swap(r.t.Context(), movingName, version, data)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// TestAMoveThatHasBegunDoesNotLeadBack: nothing is changed, whoever says that the
// landing log is lost, and the move leads on to where it led, and elsewhere.
func TestAMoveThatHasBegunDoesNotLeadBack(t *testing.T) {
	for _, elsewhere := range []bool{false, true} {
		r := newRig(t, 4)
		a, b, c := r.landing("log-a", 2), r.landing("log-b", 4), r.landing("log-c", 3)
		r.land(a)
		r.run(a, r.is("log-a", 2))
		r.interrupted(a, b, r.is("log-b", 4))
		before := r.objects()
		for _, config := range []Config{
			{To: r.is("log-a", 2), New: a, Lost: true}, {To: r.is("log-a", 2)}, {To: r.is("log-a", 2), DryRun: true},
		} {
			config.Store, config.Sinks = r.store, r.sinks
			if _, err := Replace(t.Context(), config); !errors.Is(err, ErrUnderWay) || !strings.Contains(err.Error(), "with the configuration of landing log log-b") {
				t.Fatalf("back: %v", err)
			}
		}
		if after := r.objects(); after != before {
			t.Errorf("objects were\n%s\nand are\n%s", before, after)
		}
		to, is := b, r.is("log-b", 4)
		if elsewhere {
			to, is = c, r.is("log-c", 3)
		}
		if _, err := r.replace(a, to, is); err != nil {
			t.Fatal(err)
		}
		r.land(to)
		r.run(to, is)
		r.exact(audit.LevelBytes)
	}
}

// TestAnEarlierVersionsMoveBack: an intent that leads back, as an earlier version let
// it, leads on to a fresh landing log, and the lake's history stays.
func TestAnEarlierVersionsMoveBack(t *testing.T) {
	r := newRig(t, 4)
	a, b, c := r.landing("log-a", 2), r.landing("log-b", 4), r.landing("log-c", 3)
	r.land(a)
	r.run(a, r.is("log-a", 2))
	r.interrupted(a, b, r.is("log-b", 4))
	r.intend(moving{Format: 1, Generation: 1, From: r.is("log-a", 2), To: r.is("log-a", 2), Abandoned: []Landing{r.is("log-b", 4), r.is("log-a", 2)}})
	if _, err := r.replace(nil, a, r.is("log-a", 2)); !errors.Is(err, ErrUnderWay) || !strings.Contains(err.Error(), "of a fresh landing log") {
		t.Errorf("back: %v", err)
	}
	if _, err := r.replace(a, b, r.is("log-b", 4)); !errors.Is(err, ErrNotFresh) {
		t.Errorf("to what was given up: %v", err)
	}
	if _, err := r.replace(a, c, r.is("log-c", 3)); err != nil {
		t.Fatal(err)
	}
	r.land(c)
	r.run(c, r.is("log-c", 3))
	r.exact(audit.LevelBytes)
	if names := r.objects(); strings.Contains(names, "log-b") || !strings.Contains(names, "log-a-0001/HEAD") {
		t.Errorf("left:\n%s", names)
	}
}

// TestALandingLogOfBefore is no place to lead a move to that has begun, and what its
// tasks wrote stays, whatever an intent says.
func TestALandingLogOfBefore(t *testing.T) {
	r := newRig(t, 4)
	a, b, c := r.landing("log-a", 2), r.landing("log-b", 4), r.landing("log-c", 3)
	r.land(a)
	r.run(a, r.is("log-a", 2))
	if _, err := r.replace(a, b, r.is("log-b", 4)); err != nil {
		t.Fatal(err)
	}
	r.land(b)
	r.run(b, r.is("log-b", 4))
	r.interrupted(b, c, r.is("log-c", 3))
	older := r.landing("log-a2", 2)
	if _, err := r.replace(b, older, r.is("log-a", 2)); !errors.Is(err, ErrNotFresh) {
		t.Errorf("to an older one: %v", err)
	}
	d := r.landing("log-d", 1)
	r.intend(moving{Format: 1, Generation: 2, From: r.is("log-b", 4), To: r.is("log-a", 2), Abandoned: []Landing{r.is("log-c", 3)}})
	if _, err := r.replace(b, older, r.is("log-a", 2)); !errors.Is(err, ErrNotFresh) {
		t.Errorf("to an older one, as an earlier version let it: %v", err)
	}
	if _, err := r.replace(b, d, r.is("log-d", 1)); err != nil {
		t.Fatal(err)
	}
	r.land(d)
	r.run(d, r.is("log-d", 1))
	r.exact(audit.LevelBytes)
	if names := r.objects(); strings.Contains(names, "log-c") {
		t.Errorf("left:\n%s", names)
	}
}

// watched is a store that calls back after a change, once.
type watched struct {
	checkpoint.Store
	name  string
	after func()
}

func (w *watched) Swap(ctx context.Context, name string, old checkpoint.Version, data []byte) (checkpoint.Version, error) {
	version, err := w.Store.Swap(ctx, name, old, data)
	if do := w.after; name == w.name && do != nil {
		w.after = nil
		do()
	}
	return version, err
}

// held is a store whose swap of _lake/landing waits.
type held struct {
	checkpoint.Store
	arrived chan<- struct{}
	goOn    <-chan struct{}
}

func (h *held) Swap(ctx context.Context, name string, old checkpoint.Version, data []byte) (checkpoint.Version, error) {
	if name == landingName {
		h.arrived <- struct{}{}
		<-h.goOn
	}
	return h.Store.Swap(ctx, name, old, data)
}

// TestTwoMovesAtOnce that lead to two landing logs: one of them happens, and an engine
// that has started on it keeps its tasks, whichever was quicker.
func TestTwoMovesAtOnce(t *testing.T) {
	for name, at := range map[string]string{"the first": movingName, "the second": landingName} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 3)
			a, b, c := r.landing("log-a", 2), r.landing("log-b", 2), r.landing("log-c", 3)
			r.land(a)
			r.run(a, r.is("log-a", 2))
			arrived, goOn, first := make(chan struct{}), make(chan struct{}), make(chan error, 1)
			go func() {
				store := &held{Store: r.store, arrived: arrived, goOn: goOn}
				_, err := Replace(t.Context(), Config{Store: store, Sinks: r.sinks, To: r.is("log-b", 2), New: b, Old: a})
				first <- err
			}()
			<-arrived
			var won error
			store := &watched{Store: r.store, name: at, after: func() {
				close(goOn)
				if won = <-first; won == nil { // and an engine starts
					r.land(b)
					r.run(b, r.is("log-b", 2))
				}
			}}
			_, lost := Replace(t.Context(), Config{Store: store, Sinks: r.sinks, To: r.is("log-c", 3), New: c, Old: a})
			log, is := b, r.is("log-b", 2)
			if at == landingName {
				won, lost, log, is = lost, won, c, r.is("log-c", 3)
			}
			if won != nil || !errors.Is(lost, ErrOvertaken) {
				t.Errorf("one move ended with %v, the other with %v", won, lost)
			}
			r.land(log)
			r.run(log, is)
			r.exact(audit.LevelBytes)
		})
	}
}

// TestAStartBesideAMove does not take the note of that away.
func TestAStartBesideAMove(t *testing.T) {
	r := newRig(t, 2)
	a, b, c := r.landing("log-a", 1), r.landing("log-b", 2), r.landing("log-c", 1)
	r.land(a)
	r.run(a, r.is("log-a", 1))
	if _, err := r.replace(a, b, r.is("log-b", 2)); err != nil {
		t.Fatal(err)
	}
	r.intend(moving{Format: 1, Generation: 1, From: r.is("log-a", 1), To: r.is("log-b", 2), Abandoned: []Landing{}})
	store := &looked{Store: r.store, after: func() { r.interrupted(b, c, r.is("log-c", 1)) }}
	if err := Bind(t.Context(), store, r.is("log-b", 2)); err != nil {
		t.Fatal(err) // it looked before
	}
	if err := Check(t.Context(), r.store, r.is("log-b", 2)); err == nil || !strings.Contains(err.Error(), "being moved") {
		t.Errorf("another start: %v", err)
	}
}

// looked is a store that calls back after _lake/moving was read, once.
type looked struct {
	checkpoint.Store
	after func()
}

func (l *looked) Read(ctx context.Context, name string) ([]byte, checkpoint.Version, error) {
	data, version, err := l.Store.Read(ctx, name)
	if do := l.after; name == movingName && do != nil {
		l.after = nil
		do()
	}
	return data, version, err
}

// TestAnAttemptThatFeedsTheLake: an intent of an earlier version may say of the very
// landing log that feeds the lake, and has no task that was claimed, that it was given up.
func TestAnAttemptThatFeedsTheLake(t *testing.T) {
	r := newRig(t, 3)
	a, b, c := r.landing("log-a", 1), r.landing("log-b", 2), r.landing("log-c", 1)
	r.land(a)
	r.run(a, r.is("log-a", 1))
	if _, err := r.replace(a, b, r.is("log-b", 2)); err != nil {
		t.Fatal(err)
	}
	r.interrupted(b, c, r.is("log-c", 1))
	lake, err := look(t.Context(), r.store, "log-b")
	if err != nil {
		t.Fatal(err)
	}
	made := &replacing{Config: Config{Store: r.store, To: r.is("log-d", 1)}, lake: lake, result: &Result{Generation: 1}}
	made.lake.moving.Abandoned = []Landing{r.is("log-b", 2)}
	if err := made.aim(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if made.leadsTo("log-b") || !made.leadsTo("log-c") || !made.leadsTo("log-d") {
		t.Errorf("the move leads to %v", made.targets)
	}
}

// TestOnlyWhatNobodyClaimedIsRemoved, whatever an intent says was given up.
func TestOnlyWhatNobodyClaimedIsRemoved(t *testing.T) {
	r := newRig(t, 3)
	a, b := r.landing("log-a", 1), r.landing("log-b", 2)
	r.land(a)
	r.run(a, r.is("log-a", 1))
	if _, err := r.replace(a, b, r.is("log-b", 2)); err != nil {
		t.Fatal(err)
	}
	if err := drain(t.Context(), r.task(b, 0)); err != nil { // claimed, and no epoch
		t.Fatal(err)
	}
	made := &replacing{
		Config: Config{Store: r.store, To: r.is("log-c", 1)}, targets: []landing.ID{"log-a", "log-b"}, result: &Result{Generation: 1},
		lake: lake{moving: &moving{Abandoned: []Landing{r.is("log-a", 1), r.is("log-b", 2)}}},
	}
	if err := made.clear(t.Context()); err != nil {
		t.Fatal(err)
	}
	names := r.objects()
	for name, stays := range map[string]bool{"log-a-0000/HEAD": true, "log-b-0000/HEAD": true, "log-b-0001/": false} {
		if strings.Contains(names, name) != stays {
			t.Errorf("%s is there: %v, left:\n%s", name, !stays, names)
		}
	}
}

// TestAnOvertakenMoveMakesNothing: another call leads the move elsewhere before it
// has made the new tasks.
func TestAnOvertakenMoveMakesNothing(t *testing.T) {
	r := newRig(t, 3)
	a, b, c := r.landing("log-a", 1), r.landing("log-b", 2), r.landing("log-c", 1)
	r.land(a)
	r.run(a, r.is("log-a", 1))
	store := &watched{Store: r.store, name: movingName, after: func() {
		if _, err := r.replace(a, c, r.is("log-c", 1)); err != nil {
			t.Fatal(err)
		}
	}}
	if _, err := Replace(t.Context(), Config{Store: store, Sinks: r.sinks, To: r.is("log-b", 2), New: b, Old: a}); !errors.Is(err, ErrOvertaken) {
		t.Errorf("overtaken: %v", err)
	}
	if names := r.objects(); strings.Contains(names, "log-b") {
		t.Errorf("left:\n%s", names)
	}
	r.land(c)
	r.run(c, r.is("log-c", 1))
	r.exact(audit.LevelBytes)
}
