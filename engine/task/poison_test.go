package task

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"landfall/decoders/ais"
	"landfall/edge/record"
	"landfall/engine/checkpoint"
	"landfall/engine/landing"
	"landfall/engine/stream"
	"landfall/engine/table"
)

// mortalStore is the store as a process sees it: dead, it does nothing more.
type mortalStore struct {
	checkpoint.Store
	dead atomic.Bool
}

var errDead = errors.New("the process is dead")

func (s *mortalStore) Create(ctx context.Context, name string, data []byte) error {
	if s.dead.Load() {
		return errDead
	}
	return s.Store.Create(ctx, name, data)
}

func (s *mortalStore) Swap(
	ctx context.Context, name string, old checkpoint.Version, data []byte,
) (checkpoint.Version, error) {
	if s.dead.Load() {
		return "", errDead
	}
	return s.Store.Swap(ctx, name, old, data)
}

// life is one process of a task that dies of some blocks. It ends when all has landed
// that it was to take, or with the process, and says which.
type life struct {
	rig     *rig
	kills   func(l *landing.Landed) bool // it dies while it makes rows of such a block
	hurts   func(l *landing.Landed) bool // rows of such a block panic
	process string
	until   int64 // the position at which all was taken
	records int   // Config.EpochRecords; 0: many
	check   func(*Config, *landing.Landed)
	last    Status

	progress func(*Config) // called after each commit; nil disables it
}

func (p *life) live(t *testing.T) (died bool, err error) {
	t.Helper()
	var c Counters
	cfg := p.rig.config(&c)
	store := &mortalStore{Store: p.rig.store}
	ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
	defer cancel()
	cfg.Store, cfg.Process, cfg.EpochInterval, cfg.EpochRecords = store, p.process, time.Second, 1_000_000
	if p.records > 0 {
		cfg.EpochRecords = p.records
	}
	cfg.Lane = new(Lane)
	cfg.Look = func(l *landing.Landed, b *table.Batch) {
		switch {
		case len(b.Records) == 0:
		case p.kills != nil && p.kills(l):
			store.dead.Store(true)
			panic("dead")
		case p.hurts != nil && p.hurts(l):
			panic("hurt")
		}
		if p.check != nil {
			p.check(&cfg, l)
		}
	}
	cfg.Claimed = func(s Status, _ func() checkpoint.Stats) { p.last = s }
	cfg.Progress = func(s Status) {
		if p.progress != nil {
			p.progress(&cfg)
		}
		if p.last = s; s.Position.Offset == p.until {
			cancel()
		}
	}
	err = Run(ctx, cfg)
	return store.dead.Load(), err
}

// is tells whether a landed block is one of a log's.
func is(block []byte) func(*landing.Landed) bool {
	return func(l *landing.Landed) bool { return string(l.Block) == string(block) }
}

// landPair lands the blocks of two gateways in turns, and returns the logs.
func landPair(t *testing.T, r *rig, blocks int) (g, h testLog) {
	t.Helper()
	g, h = capturedLog(t, 1, blocks, 3), capturedLog(t, 2, blocks, 3)
	for i := range blocks {
		r.land(t, "g", g.blocks[i])
		r.land(t, "h", h.blocks[i])
	}
	return g, h
}

// TestABlockThatKillsIsSetAside: each process that makes rows of one block dies of it.
// After an epoch of all blocks, one of 64, one of 8 and three of that block alone it is
// in conflict, whole, and everything else is there once; its log goes on with the
// gateway's digest and chain.
func TestABlockThatKillsIsSetAside(t *testing.T) {
	for _, at := range []int{0, 1, 100, 199} {
		t.Run(fmt.Sprint("block ", at), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				g, h := landPair(t, r, 200)
				p := &life{rig: r, kills: is(g.blocks[at]), until: 400}
				deaths := 0
				for died := true; died; {
					var err error
					if died, err = p.live(t); died {
						deaths++
					} else if err != nil {
						t.Fatal(err)
					}
					if deaths > 12 {
						t.Fatal("the block is not set aside")
					}
				}
				if deaths != 6 {
					t.Errorf("%d processes died, want 6", deaths)
				}
				rows := append(want("h", h, 600), rowName("g", g.id.String(), record.Offset(3*at), "conflict poison"))
				for i := range 600 {
					if i/3 != at {
						rows = append(rows, rowName("g", g.id.String(), record.Offset(i), "record"))
					}
				}
				sameRows(t, r.sink.rows(), rows)
				if a := p.last.Aside; len(a) != 1 || a[0].Gateway != "g" || a[0].Log != g.id.String() ||
					a[0].From != record.Offset(3*at) || a[0].End != record.Offset(3*at+3) || a[0].Deaths != maxDeaths {
					t.Errorf("set aside: %+v", a)
				}
				var last table.LogRow
				for _, rows := range r.sink.logs {
					for _, row := range rows {
						if row.Log == g.id.String() && row.NextOffset >= last.NextOffset {
							last = row
						}
					}
				}
				if last.NextOffset != 600 || last.Digest != ais.Some(g.digest) ||
					last.Chain != record.HashBlock(g.blocks[199]) {
					t.Errorf("the last row of its log is %+v", last)
				}
			})
		})
	}
}

// TestTwoBlocksThatKill: both are set aside, and what was learned of the first makes the
// second no harder to find.
func TestTwoBlocksThatKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		g, h := landPair(t, r, 100)
		one, two := is(g.blocks[20]), is(h.blocks[80])
		p := &life{rig: r, kills: func(l *landing.Landed) bool { return one(l) || two(l) }, until: 200}
		deaths := 0
		for died := true; died && deaths < 20; deaths++ {
			died, _ = p.live(t)
		}
		if len(p.last.Aside) != 2 {
			t.Errorf("%d processes died, and set aside is %+v", deaths-1, p.last.Aside)
		}
		if n := len(r.sink.rows()); n != 600-6+2 {
			t.Errorf("%d rows", n)
		}
	})
}

// TestAnEpochWithABlockSetAsideIsMadeAgain: each epoch gives the same rows, also the one
// that sets the block aside, for the state before it says so.
func TestAnEpochWithABlockSetAsideIsMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		g := capturedLog(t, 1, 4, 2)
		r.land(t, "g", g.blocks...)
		held := r.log.Copy()
		before, state := checkpoint.Manifest{}, func(func([]byte, error) bool) {}
		again := map[string][]string{}
		p := &life{rig: r, kills: is(g.blocks[2]), until: 4}
		p.progress = func(cfg *Config) {
			at := r.head(t)
			stage, err := r.sink.Begin(cfg.id(), "again", at.Epoch)
			if err != nil {
				t.Fatal(err)
			}
			other := *cfg
			other.Log = held
			err = remake(t.Context(), &other, checkpoint.Remaking{Epoch: at.Epoch, From: before.Position, To: at.Position, State: state, Stage: stage})
			if err != nil {
				t.Fatalf("epoch %s: %v", at.Epoch, err)
			}
			again["m-0000-"+at.Epoch.Padded()] = stage.(*memoryStage).lines
			before, state = at, r.stateAt(t, &at)
		}
		for died, n := true, 0; died; n++ {
			if died, _ = p.live(t); n > 12 {
				t.Fatal("not set aside")
			}
		}
		for target, rows := range r.sink.published {
			sameRows(t, slices.Clone(again[target]), slices.Clone(rows))
		}
		if !slices.Contains(r.sink.rows(), rowName("g", g.id.String(), 4, "conflict poison")) {
			t.Error("nothing is set aside")
		}
	})
}

// TestWhatKillsWithoutABlockSetsNothingAside: stops, errors of the store, claims of
// others, kills of a partition that is idle, and kills while what was made is stored.
func TestWhatKillsWithoutABlockSetsNothingAside(t *testing.T) {
	starts := map[string]func(t *testing.T, r *rig){ // each ends before it has committed anything
		"stopped": func(t *testing.T, r *rig) {
			ctx, cancel := context.WithCancel(t.Context())
			cfg := r.config(new(Counters))
			cfg.EpochRecords = 1
			// The commit takes longer than it may: the next one begins where this one did.
			r.sink.sealing = func() { cancel(); <-time.After(time.Minute) }
			cfg.CommitTimeout = time.Second
			_ = Run(ctx, cfg)
			r.sink.sealing = nil
		},
		"store fails": func(t *testing.T, r *rig) {
			store := &mortalStore{Store: r.store}
			cfg := r.config(new(Counters))
			cfg.EpochRecords, cfg.Store, cfg.Process = 1, store, "one"
			r.sink.sealing = func() { store.dead.Store(true) }
			_ = Run(t.Context(), cfg)
			r.sink.sealing = nil
		},
		"killed while it stores": func(t *testing.T, r *rig) {
			store := &crashingStore{Store: r.store}
			store.left.Store(6) // of the claim: manifest, HEAD, note; of the attempt: two notes where care is taken
			cfg := r.config(new(Counters))
			cfg.EpochRecords, cfg.Store = 1, store
			_ = Run(t.Context(), cfg)
		},
	}
	for name, start := range starts {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				g, h := landPair(t, r, 3)
				for range 12 {
					start(t, r)
				}
				switch note := noteOf(t, r); {
				case name == "stopped" && !note.Ended:
					t.Errorf("its end is not noted: %+v", note)
				case name == "killed while it stores" && (note.Blocks == 0 || note.Open):
					t.Errorf("that its rows were made is not noted: %+v", note)
				}
				if died, err := (&life{rig: r, until: 6, process: "one"}).live(t); died || err != nil {
					t.Fatal(err)
				}
				sameRows(t, r.sink.rows(), append(want("g", g, 9), want("h", h, 9)...))
			})
		})
	}
	t.Run("idle", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			for range 12 {
				store := &mortalStore{Store: r.store}
				cfg := r.config(new(Counters))
				cfg.Store = store
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- Run(ctx, cfg) }()
				time.Sleep(time.Minute)
				store.dead.Store(true)
				cancel()
				<-ended
			}
			g, h := landPair(t, r, 3)
			if died, err := (&life{rig: r, until: 6}).live(t); died || err != nil {
				t.Fatal(err)
			}
			sameRows(t, r.sink.rows(), append(want("g", g, 9), want("h", h, 9)...))
		})
	})
}

// noteOf reads the note of the last attempt.
func noteOf(t *testing.T, r *rig) attempt {
	t.Helper()
	cfg := r.config(new(Counters))
	data, _, err := r.store.Read(t.Context(), checkpoint.AttemptName(cfg.id()))
	if err != nil {
		t.Fatal(err)
	}
	a, err := decodeAttempt(data)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestAPanicThatComesBackIsSetAside: what one process survives counts like its death.
func TestAPanicThatComesBackIsSetAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		g, h := landPair(t, r, 20)
		p := &life{rig: r, hurts: is(g.blocks[7]), until: 40, process: "one"}
		panics := 0
		for {
			_, err := p.live(t)
			if err == nil {
				break
			}
			if !errors.Is(err, stream.ErrPanic) {
				t.Fatal(err)
			}
			if panics++; panics > 12 {
				t.Fatal("the block is not set aside")
			}
		}
		if panics != 6 || len(p.last.Aside) != 1 {
			t.Errorf("%d panics, set aside %+v", panics, p.last.Aside)
		}
		if n := len(r.sink.rows()); n != 120-3+1 {
			t.Errorf("%d rows", n)
		}
		_ = h
	})
}

// TestASuspectBlockIsAlone: while rows are made of one, no other task of the process
// makes any, and otherwise none waits.
func TestASuspectBlockIsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		g, _ := landPair(t, r, 10)
		alone, beside := 0, 0
		p := &life{rig: r, kills: is(g.blocks[9]), until: 20}
		p.check = func(cfg *Config, _ *landing.Landed) {
			if cfg.Lane.mu.TryRLock() {
				cfg.Lane.mu.RUnlock()
				beside++
			} else {
				alone++
			}
		}
		for died := true; died; {
			died, _ = p.live(t)
		}
		if alone == 0 || beside == 0 {
			t.Errorf("%d blocks alone, %d beside others", alone, beside)
		}
	})
}

// TestSoManyAreNoChance: a task that would set everything aside stops to, and takes it
// up again when the ones before are old.
func TestSoManyAreNoChance(t *testing.T) {
	p, err := newProcessor(new(Counters), newRig(t).windows)
	if err != nil {
		t.Fatal(err)
	}
	name := func(i int) *suspect {
		return &suspect{Hash: hex.EncodeToString(append(make([]byte, 15), byte(i))), Gateway: "g"}
	}
	now := record.Micros(1_700_000_000_000_000)
	for i := range maxAside {
		if !p.decide(name(i), 3, now) {
			t.Fatalf("%d were set aside, and no more are", i)
		}
	}
	if p.decide(name(maxAside), 3, now) {
		t.Error("one more is set aside")
	}
	if !p.decide(name(0), 3, now) {
		t.Error("what is decided is not")
	}
	if !p.decide(name(maxAside), 3, now+record.Micros(asideWithin.Microseconds())) {
		t.Error("after a week none is set aside any more")
	}
}

// TestAttempts: what counts as a death, and how large the next epoch may be.
func TestAttempts(t *testing.T) {
	s := &suspect{Hash: strings.Repeat("ab", 16)}
	for _, c := range []struct {
		name           string
		note           attempt
		process        string
		found          stream.Epoch
		blocks, deaths int
	}{
		{"first start", attempt{}, "b", 0, 0, 0},
		{"died without care", attempt{Process: "a", Epoch: 7, Open: true}, "b", 7, 64, 0},
		{"committed, then died", attempt{Process: "a", Epoch: 7, Open: true}, "b", 8, 0, 0},
		{"put back", attempt{Process: "a", Epoch: 7, Open: true}, "b", 6, 0, 0},
		{"ended", attempt{Process: "a", Epoch: 7, Open: true, Ended: true}, "b", 7, 0, 0},
		{"itself", attempt{Process: "a", Epoch: 7, Open: true}, "a", 7, 0, 0},
		{"itself, panicked", attempt{Process: "a", Epoch: 7, Open: true, Panicked: true}, "a", 7, 64, 0},
		{"nobody knows", attempt{Epoch: 7, Open: true}, "", 7, 64, 0},
		{"died of 64", attempt{Process: "a", Epoch: 7, Open: true, Blocks: 64}, "b", 7, 8, 0},
		{"died of 8", attempt{Process: "a", Epoch: 7, Open: true, Blocks: 8}, "b", 7, 1, 0},
		{"died of 4", attempt{Process: "a", Epoch: 7, Open: true, Blocks: 4}, "b", 7, 1, 0},
		{"died of one", attempt{Process: "a", Epoch: 7, Open: true, Blocks: 1, Suspect: s, Deaths: 1}, "b", 7, 1, 2},
		{"killed between epochs", attempt{Process: "a", Epoch: 7, Blocks: 1, Suspect: s, Deaths: 1}, "b", 7, 1, 0},
		{"ended between epochs", attempt{Process: "a", Epoch: 7, Blocks: 1, Suspect: s, Deaths: 1, Ended: true}, "b", 7, 1, 1},
		{"no block yet", attempt{Process: "a", Epoch: 7, Open: true, Blocks: 1}, "b", 7, 1, 0},
		{"came through", attempt{Process: "a", Epoch: 7, Open: true, Blocks: 1, Suspect: s, Deaths: 1}, "b", 8, 1, 0},
	} {
		got := c.note.resume(c.process, c.found)
		if got.Blocks != c.blocks || got.Deaths != c.deaths || got.Open || got.Ended {
			t.Errorf("%s: %+v, want %d blocks and %d deaths", c.name, got, c.blocks, c.deaths)
		}
	}
	a := attempt{Blocks: 1}
	var sizes []int
	for over := false; !over; {
		sizes = append(sizes, a.Blocks)
		over = a.came()
	}
	if len(sizes) != 6*calmEpochs || sizes[16] != 4 || sizes[95] != 1024 || a.Blocks != 0 {
		t.Errorf("%d epochs, %v", len(sizes), sizes)
	}
	a = attempt{Blocks: 1, Suspect: s, Deaths: 2}
	if a.suspects(*s); a.Deaths != 2 {
		t.Error("the same block is forgiven")
	}
	if a.suspects(suspect{Hash: strings.Repeat("cd", 16)}); a.Deaths != 0 {
		t.Error("another block inherits deaths")
	}
}

// TestNotesAreRead: those of format 1, as they were written, and nothing else.
func TestNotesAreRead(t *testing.T) {
	const frozen = `{"format":1,"claim":"0102","process":"p","epoch":7,"blocks":1,"calm":3,"open":true,` +
		`"suspect":{"hash":"abababababababababababababababab","gateway":"g","log":"01","from":10,"end":20},"deaths":2}` + "\n"
	a, err := decodeAttempt([]byte(frozen))
	if err != nil || a.Deaths != 2 || a.Suspect == nil || a.Suspect.End != 20 || !a.Open {
		t.Fatalf("%+v, %v", a, err)
	}
	if again, err := a.encode(); err != nil || string(again) != frozen {
		t.Errorf("%s, %v", again, err)
	}
	for _, c := range []struct {
		text string
		want error
	}{
		{"", checkpoint.ErrCorrupt}, {"{}x", checkpoint.ErrCorrupt}, {strings.Replace(frozen, "1", "2", 1), checkpoint.ErrVersion},
		{strings.Replace(frozen, "calm", "clam", 1), checkpoint.ErrCorrupt}, {strings.Replace(frozen, "abab", "ab", 1), checkpoint.ErrCorrupt},
		{strings.Replace(frozen, `"blocks":1`, `"blocks":-1`, 1), checkpoint.ErrCorrupt},
	} {
		if _, err := decodeAttempt([]byte(c.text)); !errors.Is(err, c.want) {
			t.Errorf("%q: %v", c.text, err)
		}
	}
	// One that cannot be read costs the care, not the start.
	r := newRig(t)
	l := capturedLog(t, 1, 2, 1)
	name := checkpoint.AttemptName(stream.TaskID{Landing: "m"})
	for until := range int64(2) {
		r.land(t, "g", l.blocks[until])
		if died, err := (&life{rig: r, until: until + 1, records: 1}).live(t); died || err != nil {
			t.Fatal(err)
		}
		_, version, err := r.store.Read(t.Context(), name)
		if err == nil {
			_, err = r.store.Swap(t.Context(), name, version, []byte("{"))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestBlocksSetAsideAreRead: those of version 1 of the state's table, as they were written.
func TestBlocksSetAsideAreRead(t *testing.T) {
	v := aside{Gateway: "g", Log: "ab", From: 300, End: 310, At: 1_700_000_000_000_000, Deaths: 3, Taken: true}
	const frozen = "0167" + "026162" + "ac02b602" + "8080f28183898506" + "03" + "01"
	got := hex.EncodeToString(asideCodec{}.AppendValue(nil, v))
	if got != frozen {
		t.Errorf("written %s, want %s", got, frozen)
	}
	data, err := hex.DecodeString(frozen)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := (asideCodec{}).DecodeValue(1, data); err != nil || again != v {
		t.Errorf("%+v, %v", again, err)
	}
	for i := range len(data) {
		if _, err := (asideCodec{}).DecodeValue(1, data[:i]); !errors.Is(err, record.ErrCorrupt) {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
}

// stoppingStore ends a context when the note of the last attempt is read or written.
type stoppingStore struct {
	checkpoint.Store
	cancel context.CancelFunc
	writes bool
}

func (s *stoppingStore) Read(ctx context.Context, name string) ([]byte, checkpoint.Version, error) {
	if !s.writes && strings.HasSuffix(name, "/attempt") {
		s.cancel()
		return nil, "", ctx.Err()
	}
	return s.Store.Read(ctx, name)
}

func (s *stoppingStore) Swap(
	ctx context.Context, name string, old checkpoint.Version, data []byte,
) (checkpoint.Version, error) {
	if s.writes && strings.Contains(string(data), `"open":true`) && strings.HasSuffix(name, "/attempt") {
		s.cancel()
		return "", ctx.Err()
	}
	return s.Store.Swap(ctx, name, old, data)
}

// TestAStopWhileANoteIsMadeIsAStop: what a stop interrupts there has read nothing yet,
// so it is no error.
func TestAStopWhileANoteIsMadeIsAStop(t *testing.T) {
	for _, writes := range []bool{false, true} {
		t.Run(fmt.Sprint("writes ", writes), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				g, _ := landPair(t, r, 3)
				if writes {
					p := &life{rig: r, kills: is(g.blocks[0]), until: 6}
					if died, err := p.live(t); !died {
						t.Fatal(err)
					}
				}
				var c Counters
				cfg := r.config(&c)
				ctx, cancel := context.WithCancel(t.Context())
				cfg.Store = &stoppingStore{Store: r.store, cancel: cancel, writes: writes}
				if err := Run(ctx, cfg); err != nil || ctx.Err() == nil {
					t.Errorf("%v, stopped: %v", err, ctx.Err())
				}
			})
		})
	}
}

// TestAKillerSetsNothingAside: processes that are killed at one moment after their start,
// which is while the first block of their epoch is made, until one is left alone.
func TestAKillerSetsNothingAside(t *testing.T) {
	for _, after := range []time.Duration{10 * time.Millisecond, 30 * time.Millisecond, 250 * time.Millisecond} {
		t.Run(fmt.Sprint("after ", after), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				g, h := landPair(t, r, 20)
				var c Counters
				run := func(until func(cancel func(), store *mortalStore)) Status {
					cfg := r.config(&c)
					store := &mortalStore{Store: r.store}
					ctx, cancel := context.WithCancel(t.Context())
					cfg.Store, cfg.EpochInterval, cfg.EpochRecords = store, time.Second, 1_000_000
					var last Status
					cfg.Look = func(*landing.Landed, *table.Batch) { time.Sleep(20 * time.Millisecond) }
					cfg.Progress = func(s Status) {
						if last = s; s.Position.Offset == 40 {
							cancel()
						}
					}
					cfg.Claimed = func(s Status, _ func() checkpoint.Stats) { cfg.Progress(s) }
					until(cancel, store)
					err := Run(ctx, cfg)
					if !store.dead.Load() && err != nil {
						t.Fatal(err)
					}
					return last
				}
				for range 100 {
					run(func(cancel func(), store *mortalStore) {
						time.AfterFunc(after, func() { store.dead.Store(true); cancel() })
					})
				}
				last := run(func(func(), *mortalStore) {})
				sameRows(t, r.sink.rows(), append(want("h", h, 60), want("g", g, 60)...))
				if len(last.Aside) > 0 || c.Deaths.Load() < 3 {
					t.Errorf("set aside %+v after %d deaths", last.Aside, c.Deaths.Load())
				}
			})
		})
	}
}

// TestAKillBeforeABlockIsTriedBlamesNone: what was struck before counts no more when a
// process is killed that takes care and makes no epoch.
func TestAKillBeforeABlockIsTriedBlamesNone(t *testing.T) {
	a := attempt{Blocks: 1, Process: "one", Epoch: 7, Suspect: &suspect{Hash: "ab"}, Deaths: 2}
	if next := a.resume("two", 7); next.Deaths != 0 || next.Suspect != nil || next.Blocks != 1 {
		t.Errorf("killed while it waited: %+v", next)
	}
	a.Ended = true
	if next := a.resume("two", 7); next.Deaths != 2 {
		t.Errorf("stopped while it waited: %+v", next)
	}
	if a.Ended = false; a.resume("one", 7).Deaths != 2 {
		t.Error("its own task, once more")
	}
	a.Open = true
	if next := a.resume("two", 7); next.Deaths != 3 {
		t.Errorf("died of it: %+v", next)
	}
}
