package task

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"landfall/engine/checkpoint"
	"landfall/engine/landing"
	"landfall/engine/landing/landingtest"
	"landfall/engine/stream"
)

// runFor runs a task for a second, which is time enough to take what is landed.
func runFor(t testing.TB, cfg Config) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	return Run(ctx, cfg)
}

// head returns what HEAD's manifest says.
func (r *rig) head(t testing.TB) checkpoint.Manifest {
	t.Helper()
	m, err := checkpoint.Load(t.Context(), r.store, stream.TaskID{Landing: "m"})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// copyOf is a copy of a landing log, without the newest n blocks.
func copyOf(t testing.TB, from *landingtest.Memory, n int) *landingtest.Memory {
	t.Helper()
	other := from.Copy()
	other.Cut(0, n)
	return other
}

// TestWhoeverCannotGoOnLeavesThePartition: a task that cannot read the checkpoint's
// state, or has no landing log, says so and takes nothing from the one that works.
func TestWhoeverCannotGoOnLeavesThePartition(t *testing.T) {
	for what, tt := range map[string]struct {
		spoil func(t *testing.T, r *rig, cfg *Config)
		want  error
	}{
		"the state is damaged": {func(t *testing.T, r *rig, cfg *Config) {
			cfg.Store = spoiling{r.store, "/state/"}
		}, checkpoint.ErrCorrupt},
		"the landing log is closed": {func(t *testing.T, r *rig, cfg *Config) {
			log := copyOf(t, r.log, 0)
			_ = log.Close()
			cfg.Log = log
		}, landing.ErrClosed},
		"other settings": {func(t *testing.T, r *rig, cfg *Config) {
			cfg.Params = map[string]string{"gateway": "other"}
		}, checkpoint.ErrIdentity},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, l := newRig(t), capturedLog(t, 1, 8, 2)
				r.land(t, "g", l.blocks[:4]...)
				ctx, stop := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				cfg := r.config(new(Counters))
				cfg.EpochInterval = time.Second
				go func() { ended <- Run(ctx, cfg) }()
				time.Sleep(2 * time.Second)
				synctest.Wait()
				before := r.head(t)
				other := r.config(new(Counters))
				tt.spoil(t, r, &other)
				if err := runFor(t, other); !errors.Is(err, tt.want) {
					t.Errorf("the other ended with %v", err)
				}
				if m := r.head(t); m.Claim != before.Claim || m.Epoch != before.Epoch {
					t.Errorf("HEAD went from epoch %s of %s to epoch %s of %s", before.Epoch, before.Claim, m.Epoch, m.Claim)
				}
				r.land(t, "g", l.blocks[4:]...)
				time.Sleep(2 * time.Second)
				synctest.Wait()
				stop()
				if err := <-ended; err != nil {
					t.Errorf("whoever had the partition ended with %v", err)
				}
				sameRows(t, r.sink.rows(), want("g", l, 16))
			})
		})
	}
}

// spoiling is a store in which objects of one kind are damaged.
type spoiling struct {
	checkpoint.Store
	kind string
}

func (s spoiling) Read(ctx context.Context, name string) ([]byte, checkpoint.Version, error) {
	data, version, err := s.Store.Read(ctx, name)
	if err == nil && strings.Contains(name, s.kind) {
		data[len(data)/2] ^= 1
	}
	return data, version, err
}

// TestAnOlderCopyTakesOver: a task whose landing log is an older copy goes back to
// its beginning, drops what was taken, and goes on with what lands there; the one
// that had the partition is fenced.
func TestAnOlderCopyTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, l := newRig(t), capturedLog(t, 1, 8, 2)
		r.land(t, "g", l.blocks[:6]...)
		older := copyOf(t, r.log, 3)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		ended := make(chan error, 1)
		cfg := r.config(new(Counters))
		cfg.EpochInterval = time.Second
		go func() { ended <- Run(ctx, cfg) }()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		var c Counters
		other := r.config(&c)
		other.Log = older
		if err := runFor(t, other); err != nil {
			t.Fatal(err)
		}
		if m := r.head(t); c.Rewinds.Load() != 1 || m.Position.Offset != 3 || m.From == nil || m.From.Offset != 0 || c.Duplicates.Load() != 6 {
			t.Errorf("%d rewinds, %d duplicates, position %s read from %v", c.Rewinds.Load(), c.Duplicates.Load(), m.Position, m.From)
		}
		r.land(t, "g", l.blocks[6])
		if err := <-ended; !errors.Is(err, stream.ErrFenced) {
			t.Errorf("whoever had the partition ended with %v", err)
		}
		for _, b := range l.blocks[3:] { // the gateway sends again
			if err := older.Append(t.Context(), landing.Landed{Gateway: "g", LandedAt: 2, Block: b}); err != nil {
				t.Fatal(err)
			}
		}
		if err := runFor(t, other); err != nil {
			t.Fatal(err)
		}
		sameRows(t, r.sink.rows(), want("g", l, 16))
		if c.Rewinds.Load() != 1 {
			t.Errorf("%d rewinds", c.Rewinds.Load())
		}
	})
}

// cuttable is a log whose readers find out that it was cut when it grows, and whose
// Release trusts the caller.
type cuttable struct {
	*landingtest.Memory
	cut atomic.Bool
}

func (c *cuttable) Reader(partition int, from stream.Position) (landing.Reader, error) {
	r, err := c.Memory.Reader(partition, from)
	return &cuttableReader{r, c}, err
}

func (c *cuttable) Release(partition int, below stream.Position) error {
	return c.Memory.Release(partition, place(below))
}

type cuttableReader struct {
	landing.Reader
	log *cuttable
}

func (r *cuttableReader) Next(ctx context.Context) (landing.Landed, stream.Position, error) {
	l, after, err := r.Reader.Next(ctx)
	if r.log.cut.Load() && err == nil {
		err = landing.ErrCut
	}
	return l, after, err
}

// TestWhatTakesThePlaceOfWhatWasCutIsNotReleased: an epoch that waits to be published
// when the landing log is cut is published when the task ends, and lets go of nothing:
// below its position others have landed meanwhile, which nobody has read.
func TestWhatTakesThePlaceOfWhatWasCutIsNotReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, l, other := newRig(t), capturedLog(t, 1, 6, 2), capturedLog(t, 2, 4, 1)
		log, gate := &cuttable{Memory: r.log}, make(chan struct{})
		cfg := r.config(new(Counters))
		cfg.Log, cfg.EpochInterval, r.sink.block = log, time.Second, gate
		r.land(t, "g", l.blocks...)
		ended := make(chan error, 1)
		go func() { ended <- Run(t.Context(), cfg) }()
		settle()
		if m := r.head(t); m.Position.Offset != 6 || r.first(t) != 0 {
			t.Fatalf("position %s, landing log from %d", m.Position, r.first(t))
		}
		r.log.Cut(0, 3)
		log.cut.Store(true)
		r.land(t, "h", other.blocks...)
		synctest.Wait()
		close(gate)
		if err := <-ended; !errors.Is(err, landing.ErrCut) {
			t.Fatalf("ended with %v", err)
		}
		if r.first(t) != 0 {
			t.Errorf("the landing log was released up to %d", r.first(t))
		}
		log.cut.Store(false)
		if err := runFor(t, r.config(new(Counters))); err != nil {
			t.Fatal(err)
		}
		sameRows(t, r.sink.rows(), append(want("g", l, 12), want("h", other, 4)...))
	})
}

// TestABeginningThatNobodyKnows: a lake that has no checkpoint does not begin with a
// landing log whose beginning is gone: another lake may have taken it.
func TestABeginningThatNobodyKnows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, l := newRig(t), capturedLog(t, 1, 4, 2)
		r.land(t, "g", l.blocks...)
		if err := r.log.Release(0, stream.Position{Log: "memory-m", Offset: 2}); err != nil {
			t.Fatal(err)
		}
		err := runFor(t, r.config(new(Counters)))
		if !errors.Is(err, landing.ErrPosition) || errors.Is(err, landing.ErrCut) {
			t.Errorf("ended with %v", err)
		}
		if _, err := checkpoint.Load(t.Context(), r.store, stream.TaskID{Landing: "m"}); !errors.Is(err, checkpoint.ErrNotExist) {
			t.Errorf("a checkpoint: %v", err)
		}
	})
}

// stepping is a store that does something before its n-th call.
type stepping struct {
	checkpoint.Store
	left atomic.Int64 // publishing calls it beside the task
	then func()
}

func (s *stepping) step() {
	if s.left.Add(-1) == 0 {
		s.then()
	}
}

func (s *stepping) Read(ctx context.Context, name string) ([]byte, checkpoint.Version, error) {
	s.step()
	return s.Store.Read(ctx, name)
}

func (s *stepping) Create(ctx context.Context, name string, data []byte) error {
	s.step()
	return s.Store.Create(ctx, name, data)
}

func (s *stepping) Swap(ctx context.Context, name string, old checkpoint.Version, data []byte) (checkpoint.Version, error) {
	s.step()
	return s.Store.Swap(ctx, name, old, data)
}

func (s *stepping) List(ctx context.Context, prefix string) ([]string, error) {
	s.step()
	return s.Store.List(ctx, prefix)
}

func (s *stepping) Delete(ctx context.Context, name string) error {
	s.step()
	return s.Store.Delete(ctx, name)
}

// TestAZombieWokenAtEachStepOfItsClaim: a task stops at some call of its claim,
// another one works meanwhile, and then the first goes on, with an older copy of the
// landing log or with none that can be read. Without one it never takes HEAD; in the
// end every record is there once.
func TestAZombieWokenAtEachStepOfItsClaim(t *testing.T) {
	for _, kind := range []string{"older copy", "closed"} {
		for step, over := 1, false; !over; step++ {
			synctest.Test(t, func(t *testing.T) {
				r, l := newRig(t), capturedLog(t, 1, 12, 2)
				r.land(t, "g", l.blocks[:6]...)
				older := copyOf(t, r.log, 3)
				if err := runFor(t, r.config(new(Counters))); err != nil {
					t.Fatal(err)
				}
				if kind == "closed" {
					_ = older.Close()
				}
				before := r.head(t)
				zombie := r.config(new(Counters))
				claimed := false
				zombie.Log, zombie.Claimed = older, func(Status, func() checkpoint.Stats) { claimed = true }
				store := &stepping{Store: r.store, then: func() {
					r.land(t, "g", l.blocks[6:9]...)
					if err := runFor(t, r.config(new(Counters))); err != nil {
						t.Errorf("step %d: the other ended with %v", step, err)
					}
				}}
				store.left.Store(int64(step))
				zombie.Store = store
				err := runFor(t, zombie)
				if over = store.left.Load() > 0; over {
					if step < 5 {
						t.Errorf("%s: the claim took %d calls", kind, step)
					}
					return
				}
				if kind == "closed" {
					if err == nil || claimed {
						t.Errorf("step %d: a task without a landing log ended with %v", step, err)
					}
					if m := r.head(t); m.Claim == before.Claim || m.Epoch != before.Epoch+1 {
						t.Errorf("step %d: HEAD is at epoch %s of %s", step, m.Epoch, m.Claim)
					}
				}
				r.land(t, "g", l.blocks[9:]...)
				if err := runFor(t, r.config(new(Counters))); err != nil {
					t.Errorf("step %d: %v", step, err)
				}
				sameRows(t, r.sink.rows(), want("g", l, 24))
			})
			if t.Failed() {
				t.Fatalf("%s, step %d", kind, step)
			}
		}
	}
}
