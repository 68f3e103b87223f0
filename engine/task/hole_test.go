package task

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"landfall/edge/record"
	"landfall/engine/checkpoint"
	"landfall/engine/landing"
	"landfall/engine/published"
)

// landKept lands blocks of a gateway that keeps them until they are published.
func (r *rig) landKept(t testing.TB, gateway string, blocks ...[]byte) {
	t.Helper()
	for _, b := range blocks {
		if err := r.log.Append(t.Context(), landing.Landed{Gateway: gateway, LandedAt: record.Micros(time.Now().UnixMicro()), Keeps: true, Block: b}); err != nil {
			t.Fatal(err)
		}
	}
}

// first is where what the landing log holds begins.
func (r *rig) first(t testing.TB) int64 {
	t.Helper()
	first, _, err := r.log.Bounds(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return first.Offset
}

// asked is a config whose gateways are asked through a registry.
func (r *rig) asked(c *Counters) (Config, *published.Registry) {
	cfg := r.config(c)
	cfg.EpochInterval = time.Second
	cfg.Published = published.New(published.Config{Landing: r.log.ID(), Partitions: 1})
	return cfg, cfg.Published
}

// working runs a task until stop is called, which returns how it ended.
func working(t testing.TB, cfg Config) (stop func() error) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, cfg) }()
	return func() error { cancel(); return <-ended }
}

// settle waits until what is landed is committed and published.
func settle() {
	<-time.After(2 * time.Second)
	synctest.Wait()
}

// TestAHoleIsAskedForAndFilled: what follows a hole is passed over, the gateway is
// asked once, and again by the next claim; the landing log is kept from the first
// block that was passed over. When it has come again everything is there once, nothing
// is in conflict, and the landing log is let go.
func TestAHoleIsAskedForAndFilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, l, other := newRig(t), capturedLog(t, 1, 9, 2), capturedLog(t, 2, 3, 1)
		var c Counters
		cfg, registry := r.asked(&c)
		stop := working(t, cfg)
		r.landKept(t, "g", l.blocks[:3]...)
		r.landKept(t, "g", l.blocks[4:6]...) // block 3 is not there
		r.landKept(t, "h", other.blocks...)
		settle()
		sameRows(t, r.sink.rows(), append(want("g", l, 6), want("h", other, 3)...))
		if from, ok := registry.Wanted("g", l.id); !ok || from != 6 || c.PassedOver.Load() != 4 || c.Asked.Load() != 1 {
			t.Errorf("wanted from %d, %v; %d passed over, asked %d times", from, ok, c.PassedOver.Load(), c.Asked.Load())
		}
		if m := r.head(t); m.Position.Offset != 8 || m.Hold == nil || m.Hold.Offset != 3 || r.first(t) != 3 {
			t.Errorf("position %s, held from %v, landing log from %d", m.Position, m.Hold, r.first(t))
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		stop = working(t, cfg)
		synctest.Wait()
		if from, ok := registry.Wanted("g", l.id); !ok || from != 6 || r.first(t) != 3 {
			t.Errorf("after a restart: wanted from %d, %v; landing log from %d", from, ok, r.first(t))
		}
		r.landKept(t, "g", l.blocks[3]) // the hole itself: what follows it is in the landing log alone
		settle()
		if from, ok := registry.Wanted("g", l.id); !ok || from != 6 || r.first(t) != 3 { // until what follows has come, too
			t.Errorf("half filled: wanted from %d, %v; landing log from %d", from, ok, r.first(t))
		}
		r.landKept(t, "g", l.blocks[4:]...)
		settle()
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		sameRows(t, r.sink.rows(), append(want("g", l, 18), want("h", other, 3)...))
		if m := r.head(t); m.Hold != nil || r.first(t) != 14 || c.Conflicts.Load() != 0 {
			t.Errorf("held from %v, landing log from %d, %d conflicts", m.Hold, r.first(t), c.Conflicts.Load())
		}
	})
}

// TestTheLandingLogIsKeptFromTheFirstBlockPassedOver: also where another log's hole was
// found before, of which a block was passed over later.
func TestTheLandingLogIsKeptFromTheFirstBlockPassedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, a, b, other := newRig(t), writeLog(t, 1), writeLog(t, 2), capturedLog(t, 3, 4, 2)
		cfg, _ := r.asked(new(Counters))
		cfg.Hold = time.Hour
		first := [][]byte{a.open(record.Opening{OpenedAt: 7}), a.texts(2), a.texts(2), a.texts(1)}
		r.landKept(t, "g", first[0])
		r.landKept(t, "g", b.open(record.Opening{Prev: a.id, PrevEnd: a.next, OpenedAt: 8})) // the end of a is missing
		r.landKept(t, "h", other.blocks[0], other.blocks[2])                                 // the latter is passed over
		stop := working(t, cfg)
		settle()
		<-time.After(cfg.Hold / 2)
		r.landKept(t, "g", first[2]) // and so is this
		settle()
		if m := r.head(t); m.Hold == nil || m.Hold.Offset != 3 || r.first(t) != 3 {
			t.Errorf("held from %v, landing log from %d", m.Hold, r.first(t))
		}
		<-time.After(cfg.Hold / 2) // the first is overdue, the other is not
		settle()
		<-time.After(2 * DefaultHeadInterval)
		synctest.Wait()
		if m := r.head(t); m.Hold == nil || m.Hold.Offset != 4 || r.first(t) != 4 {
			t.Errorf("one is given up: held from %v, landing log from %d", m.Hold, r.first(t))
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestHolesOfOneDamageAreGivenUpTogether: not one by one, each time with all that is held
// back read again; what was found later is held back for its own time.
func TestHolesOfOneDamageAreGivenUpTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		var c Counters
		cfg, registry := r.asked(&c)
		cfg.Hold = time.Hour
		claims := 0
		cfg.Claimed = func(Status, func() checkpoint.Stats) { claims++ }
		restarting := func() (stop func()) {
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				for ctx.Err() == nil {
					if err := Run(ctx, cfg); err != nil && !errors.Is(err, errHoldOver) {
						t.Error(err)
						return
					}
				}
			}()
			return func() { cancel(); <-ended }
		}
		stop := restarting()
		var rows []string
		for i := range 9 {
			l, gateway := capturedLog(t, byte(i+1), 3, 1), fmt.Sprint("g", i)
			r.landKept(t, gateway, l.blocks[0], l.blocks[2])
			rows = append(rows, rowName(gateway, l.id.String(), 0, "record"), rowName(gateway, l.id.String(), 2, "conflict gap"))
			<-time.After(givenUpWithin / 10)
		}
		<-time.After(givenUpWithin)
		late := capturedLog(t, 77, 3, 1)
		r.landKept(t, "late", late.blocks[0], late.blocks[2])
		settle()
		<-time.After(cfg.Hold - givenUpWithin) // the first is overdue, the last is not
		<-time.After(DefaultHeadInterval)
		settle()
		if claims != 2 || registry.Holes(cfg.id()) == nil {
			t.Errorf("%d claims, holes %v", claims, registry.Holes(cfg.id()))
		}
		if m := r.head(t); m.Hold == nil || m.Hold.Offset != 19 {
			t.Errorf("held from %v", m.Hold)
		}
		stop()
		sameRows(t, r.sink.rows(), append(rows, rowName("late", late.id.String(), 0, "record")))
	})
}

// TestSinceWhenSomethingIsMissingIsTold: since the block that shows it has landed, also
// after a restart; what the landing log's promise alone shows, since it was asked for.
func TestSinceWhenSomethingIsMissingIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, a, b, l, other := newRig(t), writeLog(t, 1), writeLog(t, 2), capturedLog(t, 3, 3, 2), capturedLog(t, 4, 2, 2)
		cfg, _ := r.asked(new(Counters))
		var last Status
		cfg.Progress = func(s Status) { last = s }
		cfg.Claimed = func(s Status, _ func() checkpoint.Stats) { last = s }
		stop := working(t, cfg)
		r.landKept(t, "g", a.open(record.Opening{OpenedAt: 7}))
		landed := record.Micros(time.Now().UnixMicro())
		r.landKept(t, "g", b.open(record.Opening{Prev: a.id, PrevEnd: 9, OpenedAt: 8}))
		r.landKept(t, "h", l.blocks...)
		r.log.Damage(0, 4)
		<-time.After(DefaultHeadInterval)
		settle()
		asked := record.Micros(time.Now().UnixMicro())
		<-time.After(time.Hour)
		r.landKept(t, "i", other.blocks[0])
		settle()
		if since := last.Lacking[l.id]; len(last.Lacking) != 2 || last.Lacking[a.id] != landed || since < landed || since > asked {
			t.Errorf("%v, want %s since %d, %s since %d to %d", last.Lacking, a.id, landed, l.id, landed, asked)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		stop = working(t, cfg)
		settle()
		if last.Lacking[a.id] != landed {
			t.Errorf("after a restart: %v", last.Lacking)
		}
		r.landKept(t, "i", other.blocks[1])
		r.landKept(t, "h", l.blocks[2])
		settle()
		if len(last.Lacking) != 1 {
			t.Errorf("one has come: %v", last.Lacking)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestWhoDoesNotKeepIsNotAsked: blocks of a gateway that let go of what came before
// them go to conflict, and so does what ingest has refused.
func TestWhoDoesNotKeepIsNotAsked(t *testing.T) {
	for what, landed := range map[string]landing.Landed{
		"it does not keep": {Gateway: "g", LandedAt: 1}, "ingest refused it": {Gateway: "g", LandedAt: 1, Keeps: true, Conflict: true},
	} {
		synctest.Test(t, func(t *testing.T) {
			r, l, unknown := newRig(t), capturedLog(t, 1, 4, 2), capturedLog(t, 2, 4, 2)
			cfg, registry := r.asked(new(Counters))
			r.land(t, "g", l.blocks[0])
			for _, b := range [][]byte{l.blocks[2], unknown.blocks[1]} {
				landed.Block = b
				if err := r.log.Append(t.Context(), landed); err != nil {
					t.Fatal(err)
				}
			}
			if err := runFor(t, cfg); err != nil {
				t.Fatal(err)
			}
			sameRows(t, r.sink.rows(), append(want("g", l, 2), rowName("g", l.id.String(), 4, "conflict gap"), rowName("g", unknown.id.String(), 2, "conflict unknown_log")))
			if holes := registry.Holes(cfg.id()); len(holes) != 0 || r.first(t) != 3 {
				t.Errorf("%s: asked for %v, landing log from %d", what, holes, r.first(t))
			}
		})
	}
}

// TestALogWithoutItsBeginning is asked for from its beginning, and so is the end of a
// log that a newer one has followed; neither is taken for two machines.
func TestALogWithoutItsBeginning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, a, b := newRig(t), writeLog(t, 1), writeLog(t, 2)
		var c Counters
		cfg, registry := r.asked(&c)
		stop := working(t, cfg)
		first := [][]byte{a.open(record.Opening{OpenedAt: 7}), a.texts(2), a.texts(2), a.texts(1)}
		second := [][]byte{b.open(record.Opening{Prev: a.id, PrevEnd: a.next, OpenedAt: 8}), b.texts(3), b.texts(1)}
		r.landKept(t, "g", first[:2]...)
		r.landKept(t, "g", second[0])
		settle()
		if holes := registry.Holes(cfg.id()); !slices.Equal(holes, []published.Hole{{Gateway: "g", Log: a.id, From: 3}}) || r.head(t).Hold != nil {
			t.Errorf("the end of the first log: %v, held from %v", holes, r.head(t).Hold)
		}
		r.landKept(t, "g", first[2:]...)
		r.landKept(t, "g", second[1])
		alone := writeLog(t, 3)
		_, rest := alone.texts(2), alone.texts(2)
		r.landKept(t, "h", rest)
		settle()
		if holes := registry.Holes(cfg.id()); !slices.Equal(holes, []published.Hole{{Gateway: "h", Log: alone.id, From: 0}}) {
			t.Errorf("a log without its beginning: %v", holes)
		}
		again := writeLog(t, 3)
		r.landKept(t, "h", again.texts(2), again.texts(2))
		r.landKept(t, "g", second[2])
		settle()
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		var rows []string
		for _, l := range []struct {
			gateway string
			log     *writtenLog
		}{{"g", a}, {"g", b}, {"h", again}} {
			for o := range l.log.next {
				rows = append(rows, rowName(l.gateway, l.log.id.String(), o, "record"))
			}
		}
		sameRows(t, r.sink.rows(), rows)
		if holes := registry.Holes(cfg.id()); len(holes) != 0 || c.Alternations.Load() != 0 || c.Conflicts.Load() != 0 {
			t.Errorf("holes %v, %d alternations, %d conflicts", holes, c.Alternations.Load(), c.Conflicts.Load())
		}
	})
}

// TestTwoGatewaysWithOneLog: what the second one sends of a log whose beginning the first
// is asked for is a conflict; the log is that of whoever brings the beginning, and the
// other is asked for it no more.
func TestTwoGatewaysWithOneLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, l := newRig(t), capturedLog(t, 1, 4, 2)
		var c Counters
		cfg, registry := r.asked(&c)
		stop := working(t, cfg)
		r.landKept(t, "g", l.blocks[2])
		r.landKept(t, "h", l.blocks[3])
		settle()
		if holes := registry.Holes(cfg.id()); !slices.Equal(holes, []published.Hole{{Gateway: "g", Log: l.id, From: 0}}) {
			t.Errorf("holes %v", holes)
		}
		r.landKept(t, "h", l.blocks...)
		settle()
		if holes := registry.Holes(cfg.id()); len(holes) != 0 || r.head(t).Hold != nil {
			t.Errorf("holes %v, held from %v", holes, r.head(t).Hold)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		sameRows(t, r.sink.rows(), append(want("h", l, 8), rowName("h", l.id.String(), 6, "conflict gateway")))
	})
}

// stateAt reads the state of a checkpoint, which a later one may collect.
func (r *rig) stateAt(t testing.TB, m *checkpoint.Manifest) iter.Seq2[[]byte, error] {
	t.Helper()
	var all [][]byte
	for data, err := range checkpoint.StateOf(t.Context(), r.store, m) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, data)
	}
	return func(yield func([]byte, error) bool) {
		for _, data := range all {
			if !yield(data, nil) {
				return
			}
		}
	}
}

// TestAnEpochWithHolesIsMadeAgain: an epoch that passed blocks over, and one that read
// a landing log again from its beginning, give the same rows when they are made again.
func TestAnEpochWithHolesIsMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, l := newRig(t), capturedLog(t, 1, 8, 2)
		cfg, _ := r.asked(new(Counters))
		r.landKept(t, "g", l.blocks[0])
		older := copyOf(t, r.log, 0)
		if err := runFor(t, cfg); err != nil {
			t.Fatal(err)
		}
		// made runs an epoch and makes it again from a copy of the landing log as it was.
		made := func(what string) checkpoint.Manifest {
			t.Helper()
			before := r.head(t)
			state, held := r.stateAt(t, &before), r.log.Copy()
			if err := runFor(t, cfg); err != nil {
				t.Fatal(err)
			}
			at := r.head(t)
			again := checkpoint.Remaking{Epoch: at.Epoch, From: before.Position, To: at.Position, State: state}
			if at.From != nil {
				again.From, again.Cut = *at.From, true
			}
			stage, err := r.sink.Begin(cfg.id(), "again", at.Epoch)
			if err != nil {
				t.Fatal(err)
			}
			again.Stage = stage
			other := cfg
			other.Log = held
			if err := remake(t.Context(), &other, again); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			sameRows(t, slices.Clone(stage.(*memoryStage).lines), slices.Clone(r.sink.published["m-0000-"+at.Epoch.Padded()]))
			return at
		}
		r.landKept(t, "g", l.blocks[1], l.blocks[3], l.blocks[4])
		if m := made("with a hole"); m.Hold == nil || m.From != nil {
			t.Errorf("held from %v, read from %v", m.Hold, m.From)
		}
		r.log, cfg.Log = older, older // an older copy is put back, and the gateway sends again
		r.landKept(t, "g", l.blocks[1:4]...)
		r.landKept(t, "g", l.blocks[5])
		if m := made("after a cut, with a hole"); m.Hold == nil || m.From == nil {
			t.Errorf("held from %v, read from %v", m.Hold, m.From)
		}
		r.landKept(t, "g", l.blocks[4:]...)
		if m := made("filled"); m.Hold != nil || m.From != nil {
			t.Errorf("held from %v, read from %v", m.Hold, m.From)
		}
		sameRows(t, r.sink.rows(), want("g", l, 16))
	})
}

// TestHolesAnywhere lands what two gateways send with pieces missing, copies and
// gateways that send again when they are asked, and crashes the task at random calls
// of its store. Every record is published once and nothing is in conflict.
func TestHolesAnywhere(t *testing.T) {
	for seed := range uint64(5) {
		rng := rand.New(rand.NewPCG(seed, 7))
		r := newRig(t)
		logs := map[string]testLog{"g": capturedLog(t, 1, 30, 3), "h": capturedLog(t, 2, 30, 3)}
		at := map[string]int{}
		for at["g"] < 30 || at["h"] < 30 || rng.IntN(4) > 0 {
			for range rng.IntN(8) {
				g := []string{"g", "h"}[rng.IntN(2)]
				switch {
				case at[g] > 0 && rng.IntN(20) == 0:
					at[g] = rng.IntN(at[g]) // it is told to send again
				case at[g] < 30 && rng.IntN(6) == 0:
					at[g] += 1 + rng.IntN(2) // lost from the landing log
				case at[g] < 30:
					r.landKept(t, g, logs[g].blocks[at[g]])
					at[g]++
				}
			}
			crash(t, r, rng)
		}
		for g, l := range logs { // at last everything comes again
			r.landKept(t, g, l.blocks...)
		}
		var c Counters
		cfg := r.config(&c)
		ctx, cancel := context.WithCancel(t.Context())
		cfg.EpochInterval = time.Millisecond
		end := r.landed(t)
		cfg.Progress = func(s Status) {
			if s.Position.Offset == end {
				cancel()
			}
		}
		if err := Run(ctx, cfg); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		cancel()
		sameRows(t, r.sink.rows(), append(want("g", logs["g"], 90), want("h", logs["h"], 90)...))
		if m := r.head(t); m.Hold != nil {
			t.Errorf("seed %d: held from %s", seed, m.Hold)
		}
	}
}

// TestWhatIsPromisedIsAskedFor: where the landing log says to hold more of a log than
// can be read of it, the gateway is asked without any later block that shows the hole:
// for the end of a log, and for a log of which nothing can be read.
func TestWhatIsPromisedIsAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, l, silent := newRig(t), capturedLog(t, 1, 5, 2), capturedLog(t, 2, 1, 3)
		var c Counters
		cfg, registry := r.asked(&c)
		r.landKept(t, "g", l.blocks[:3]...)
		r.landKept(t, "h", silent.blocks...)
		r.log.Damage(0, 2)
		r.log.Damage(0, 3)
		cfg.Unreadable = func() uint64 { return 2 }
		stop := working(t, cfg)
		settle()
		missing := []published.Hole{{Gateway: "g", Log: l.id, From: 4}, {Gateway: "h", Log: silent.id, From: 0}}
		if holes := registry.Holes(cfg.id()); !slices.Equal(holes, missing) || c.Asked.Load() != 2 || r.head(t).Hold != nil {
			t.Errorf("holes %v, asked %d times, held from %v", holes, c.Asked.Load(), r.head(t).Hold)
		}
		<-time.After(3 * DefaultHeadInterval)
		if c.Asked.Load() != 2 || c.Recovered.Load() != 0 {
			t.Errorf("asked %d times, %d recovered", c.Asked.Load(), c.Recovered.Load())
		}
		r.landKept(t, "h", silent.blocks...)
		r.landKept(t, "g", l.blocks[2:]...)
		settle()
		if holes := registry.Holes(cfg.id()); len(holes) != 0 {
			t.Errorf("holes %v", holes)
		}
		<-time.After(DefaultHeadInterval)
		if c.Recovered.Load() != 2 {
			t.Errorf("all has come: %d recovered", c.Recovered.Load())
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		sameRows(t, r.sink.rows(), append(want("g", l, 10), want("h", silent, 3)...))
	})
}

// TestDamageIsMadeUpForWhenNothingIsMissing: no log has a hole, and each has come as far
// as the next one says; a partition without any log lacks nothing.
func TestDamageIsMadeUpForWhenNothingIsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, a, b, other := newRig(t), writeLog(t, 1), writeLog(t, 2), capturedLog(t, 3, 3, 2)
		var c Counters
		var unreadable atomic.Uint64
		cfg, _ := r.asked(&c)
		cfg.Unreadable = unreadable.Load
		stop := working(t, cfg)
		expect := func(what string, want uint64) {
			t.Helper()
			<-time.After(2 * DefaultHeadInterval)
			synctest.Wait()
			if got := c.Recovered.Load(); got != want {
				t.Errorf("%s: %d recovered, want %d", what, got, want)
			}
		}
		unreadable.Store(1)
		expect("nothing has landed", 1)
		first := [][]byte{a.open(record.Opening{OpenedAt: 7}), a.texts(2)}
		unreadable.Store(3) // both of them
		r.landKept(t, "g", b.open(record.Opening{Prev: a.id, PrevEnd: a.next, OpenedAt: 8}))
		expect("the log before is not there", 1)
		r.landKept(t, "g", first...)
		expect("it has come", 3)
		unreadable.Store(4)
		r.landKept(t, "h", other.blocks[0], other.blocks[2])
		expect("a log has a hole", 3)
		r.landKept(t, "h", other.blocks[1:]...)
		expect("it is filled", 4)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestWhatWasPromisedIsAskedForUntilAllHasCome: a part of it is not enough, also in a
// shared log, whose promise is compared once a claim.
func TestWhatWasPromisedIsAskedForUntilAllHasCome(t *testing.T) {
	for _, shared := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r, l := newRig(t), capturedLog(t, 1, 6, 2)
			var c Counters
			cfg, registry := r.asked(&c)
			view := r.log.View()
			if shared {
				cfg.Log = view
			}
			land := func(blocks ...[]byte) {
				for _, b := range blocks {
					if err := view.Append(t.Context(), landing.Landed{Gateway: "g", LandedAt: record.Micros(time.Now().UnixMicro()), Keeps: true, Block: b}); err != nil {
						t.Fatal(err)
					}
				}
			}
			land(l.blocks...)
			for block := 2; block < 6; block++ {
				r.log.Damage(0, block)
			}
			stop := working(t, cfg)
			settle()
			missing := []published.Hole{{Gateway: "g", Log: l.id, From: 4}}
			if holes := registry.Holes(cfg.id()); !shared && !slices.Equal(holes, missing) {
				t.Fatalf("holes %v", holes)
			} else if shared && len(holes) == 0 {
				land(l.blocks[1]) // a copy: the end of the log is passed, and compared
				settle()
			}
			land(l.blocks[2:4]...)
			settle()
			if holes := registry.Holes(cfg.id()); !slices.Equal(holes, missing) {
				t.Errorf("shared %v: half of it has come; holes %v", shared, holes)
			}
			land(l.blocks[4:]...)
			settle()
			if holes := registry.Holes(cfg.id()); len(holes) != 0 {
				t.Errorf("shared %v: all has come; holes %v", shared, holes)
			}
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			sameRows(t, r.sink.rows(), want("g", l, 12))
		})
	}
}

// TestNothingIsAskedForThatComes: whatever lands while a task reads, and however far
// it is behind, nothing is asked for that is there.
func TestNothingIsAskedForThatComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, l, other := newRig(t), capturedLog(t, 1, 40, 1), capturedLog(t, 2, 40, 1)
		var c Counters
		cfg, _ := r.asked(&c)
		cfg.HeadInterval, cfg.EpochInterval, cfg.EpochRecords = time.Millisecond, 7*time.Millisecond, 5
		r.landKept(t, "g", l.blocks[:20]...)
		stop := working(t, cfg)
		for i := range 20 {
			r.landKept(t, "g", l.blocks[20+i])
			r.landKept(t, "h", other.blocks[2*i:2*i+2]...)
			<-time.After(time.Duration(i%4) * 400 * time.Microsecond)
		}
		settle()
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		sameRows(t, r.sink.rows(), append(want("g", l, 40), want("h", other, 40)...))
		if c.Asked.Load() != 0 {
			t.Errorf("asked %d times", c.Asked.Load())
		}
	})
}

// TestWhatDoesNotComeIsGivenUp: what was passed over goes to conflict when what is
// missing before it has not come for Config.Hold, or when the landing log is full, and
// the landing log is let go; the gateway is asked still, and when it sends all of it
// again the log goes on.
func TestWhatDoesNotComeIsGivenUp(t *testing.T) {
	for what, full := range map[string]bool{"in time": false, "while there is room": true} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, l, other := newRig(t), capturedLog(t, 1, 9, 2), capturedLog(t, 2, 4, 1)
				var c Counters
				cfg, registry := r.asked(&c)
				var crowded atomic.Bool
				cfg.Hold, cfg.Crowded = time.Hour, func() bool { return crowded.Swap(false) } // one refusal is told once
				at := record.Micros(time.Now().UnixMicro())
				land := func(gateway string, blocks ...[]byte) {
					for _, b := range blocks {
						if err := r.log.Append(t.Context(), landing.Landed{Gateway: gateway, LandedAt: at, Keeps: true, Block: b}); err != nil {
							t.Fatal(err)
						}
					}
				}
				land("g", l.blocks[0])
				land("g", l.blocks[2:4]...)
				land("h", other.blocks[:2]...)
				stop := working(t, cfg)
				settle()
				if m := r.head(t); m.Hold == nil || r.first(t) != 1 {
					t.Fatalf("held from %v, landing log from %d", m.Hold, r.first(t))
				}
				before, held := r.head(t), r.log.Copy()
				state := r.stateAt(t, &before)
				if crowded.Store(full); !full {
					<-time.After(2 * time.Hour)
				}
				<-time.After(2 * DefaultHeadInterval)
				synctest.Wait()
				given := append(want("g", l, 2), want("h", other, 2)...)
				for _, o := range []record.Offset{4, 6} {
					given = append(given, rowName("g", l.id.String(), o, "conflict gap"))
				}
				sameRows(t, r.sink.rows(), slices.Clone(given))
				m := r.head(t)
				if m.Hold != nil || !m.GivenUp || m.From.Offset != 1 || r.first(t) != 5 {
					t.Errorf("held from %v, given up %v from %v, landing log from %d", m.Hold, m.GivenUp, m.From, r.first(t))
				}
				stage, err := r.sink.Begin(cfg.id(), "again", m.Epoch)
				if err != nil {
					t.Fatal(err)
				}
				again := cfg
				again.Log = held
				if err := remake(t.Context(), &again, checkpoint.Remaking{Epoch: m.Epoch, From: *m.From, GivenUp: true, To: m.Position, State: state, Stage: stage}); err != nil {
					t.Fatal(err)
				}
				sameRows(t, slices.Clone(stage.(*memoryStage).lines), slices.Clone(r.sink.published["m-0000-"+m.Epoch.Padded()]))
				if from, ok := registry.Wanted("g", l.id); !ok || from != 2 {
					t.Errorf("wanted from %d, %v", from, ok)
				}
				land("g", l.blocks[1:]...)
				land("h", other.blocks[2:]...)
				settle()
				if err := stop(); err != nil {
					t.Fatal(err)
				}
				given = append(given, want("g", l, 18)[2:]...)
				sameRows(t, r.sink.rows(), append(given, want("h", other, 4)[2:]...))
				if len(registry.Holes(cfg.id())) != 0 || r.head(t).GivenUp {
					t.Errorf("holes %v", registry.Holes(cfg.id()))
				}
			})
		})
	}
}
