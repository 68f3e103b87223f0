package task

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"landfall/edge/durable"
	"landfall/engine/checkpoint"
	"landfall/engine/stream"
	"landfall/sinks/object"
)

// idle runs a task over one block and then nothing, and calls then once the
// epoch is committed; it returns why the task ended, and how long after that.
func idle(t *testing.T, cfg Config, then func()) (time.Duration, error) {
	t.Helper()
	committed := make(chan struct{})
	cfg.EpochInterval = time.Second
	cfg.Progress = func(Status) { close(committed) }
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, cfg) }()
	<-committed
	synctest.Wait() // published too, or waiting to be tried again
	then()
	since := time.Now()
	err := <-ended
	return time.Since(since), err
}

// TestPublishingThatFailsEndsAnIdleTask: at once, not with the next block.
func TestPublishingThatFailsEndsAnIdleTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.land(t, "g", capturedLog(t, 1, 1, 3).blocks...)
		r.sink.failing = errors.New("no space left")
		took, err := idle(t, r.config(new(Counters)), func() {})
		if err == nil || !strings.Contains(err.Error(), "no space left") {
			t.Errorf("ended with %v", err)
		}
		if took > 5*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// headOf reads a task's HEAD.
func headOf(t *testing.T, store checkpoint.Store) ([]byte, checkpoint.Version) {
	t.Helper()
	data, version, err := store.Read(t.Context(), "m-0000/HEAD")
	if err != nil {
		t.Fatal(err)
	}
	return data, version
}

// TestIdleTaskLooksAtHead: it stops when HEAD is not its own any more, whoever
// did that, and goes on when HEAD cannot be read.
func TestIdleTaskLooksAtHead(t *testing.T) {
	for what, test := range map[string]struct {
		then func(t *testing.T, r *rig, first []byte)
		want error
	}{
		"an older HEAD is put back": {func(t *testing.T, r *rig, first []byte) {
			_, version := headOf(t, r.store)
			if _, err := r.store.Swap(t.Context(), "m-0000/HEAD", version, first); err != nil {
				t.Fatal(err)
			}
		}, checkpoint.ErrCorrupt},
		"HEAD is removed": {func(t *testing.T, r *rig, _ []byte) {
			if err := r.store.Delete(t.Context(), "m-0000/HEAD"); err != nil {
				t.Fatal(err)
			}
		}, checkpoint.ErrCorrupt},
		"another claim": {func(t *testing.T, r *rig, _ []byte) {
			l := &loop{cfg: r.config(nil).withDefaults()}
			defer l.close()
			c, err := l.claim(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
		}, stream.ErrFenced},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.land(t, "g", capturedLog(t, 1, 1, 3).blocks...)
				var first []byte
				cfg := r.config(new(Counters))
				cfg.Claimed = func(Status, func() checkpoint.Stats) { first, _ = headOf(t, r.store) }
				took, err := idle(t, cfg, func() { test.then(t, r, first) })
				if !errors.Is(err, test.want) {
					t.Errorf("ended with %v, want %v", err, test.want)
				}
				if took > DefaultHeadInterval {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// TestUnreadableHeadStopsNothing: what cannot be read says nothing.
func TestUnreadableHeadStopsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		store, err := object.OpenDir(durable.OS{}, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		unreadable := &unreadableStore{Store: store}
		r.store = unreadable
		r.land(t, "g", capturedLog(t, 1, 1, 3).blocks...)
		took, err := idle(t, r.config(new(Counters)), func() { unreadable.refuse.Store(true) })
		if err != nil || took < 59*time.Minute { // idle's own end
			t.Errorf("ended with %v after %v", err, took)
		}
		if n := unreadable.refused.Load(); n < 100 {
			t.Errorf("looked %d times in an hour", n)
		}
	})
}

// unreadableStore cannot be read once refuse is set.
type unreadableStore struct {
	checkpoint.Store
	refuse  atomic.Bool
	refused atomic.Int64
}

func (s *unreadableStore) Read(ctx context.Context, name string) ([]byte, checkpoint.Version, error) {
	if s.refuse.Load() {
		s.refused.Add(1)
		return nil, "", errors.New("no answer")
	}
	return s.Store.Read(ctx, name)
}
