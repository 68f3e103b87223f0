package capture

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"landfall/edge/clock"
	"landfall/edge/record"
	"landfall/edge/source"
)

// note is an operator's wish to forget, and what capture made of it.
type note struct {
	mu      sync.Mutex
	there   bool
	fails   bool
	removed int
	marks   int // blocks durable when it was removed
}

// set changes the note, as an operator does.
func (n *note) set(there, fails bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.there, n.fails = there, fails
}

// is tells whether the note is there, how often it was removed and after how many blocks.
func (n *note) is() (there bool, removed, marks int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.there, n.removed, n.marks
}

// remove takes the note away, as capture has it.
func (n *note) remove(blocks int) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.fails {
		return errors.New("read only")
	}
	n.there, n.removed, n.marks = false, n.removed+1, blocks
	return nil
}

// TestTheClockIsForgotten: on an operator's wish what is believed and what is kept is
// dropped, once; the wish is removed after the block that says so is durable, and a
// process that ends before forgets again.
func TestTheClockIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, in, n := &memLog{marks: map[string][]byte{}}, make(chan *source.Batch), &note{}
		begin := func() (*Live, func() error) {
			l, err := NewLive(LiveConfig{
				Log: log, Clock: bubbleClock{}, Sources: []Source{feeder("a", in)},
				ForgetClock: func() bool {
					there, _, _ := n.is()
					return there
				},
				ClockForgotten: func() error { return n.remove(len(log.all())) },
			})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- l.Run(ctx) }()
			return l, func() error { cancel(); return <-done }
		}
		l, stop := begin()
		const year = 365 * 86_400_000_000
		wrong := func() {
			wall, mono := bubbleClock{}.Now()
			l.Tell(clock.Evidence{Kind: clock.KindCloud, Observer: clock.Local, UTC: wall + year, Mono: mono, Before: mono - 100_000, Trusted: true})
			pass(2 * time.Second)
			in <- batch("one")
			pass(2 * time.Second)
		}
		wrong()
		kept, err := record.DecodeKept(log.marks[ClockMark])
		if err != nil || kept.Proven == 0 || len(kept.Anchors) != 1 || kept.Anchors[0].Basis != record.BasisEngine {
			t.Fatalf("kept %+v, %v", kept, err)
		}
		n.set(true, true)
		pass(3 * time.Second)
		if r := l.Clock(); r.Estimate.Known || r.Proven != 0 || len(l.Anchors()) != 0 {
			t.Errorf("it still believes %+v, %v", r.Estimate, l.Anchors())
		}
		if _, removed, _ := n.is(); removed != 0 {
			t.Error("the note is removed before anything is durable")
		}
		wall, mono := bubbleClock{}.Now()
		l.Tell(clock.Evidence{Kind: clock.KindCloud, Observer: clock.Local, UTC: wall, Mono: mono, Before: mono - 100_000, Trusted: true})
		pass(2 * time.Second)
		if e := l.Clock().Estimate; !e.Known {
			t.Error("it forgets again and again while the note is there")
		}
		in <- batch("two")
		pass(time.Second)
		if there, removed, _ := n.is(); removed != 0 || !there {
			t.Error("a note that could not be removed is gone")
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		n.set(true, false) // the next process finds the note
		l, stop = begin()
		pass(2 * time.Second)
		if e := l.Clock().Estimate; e.Known {
			t.Errorf("the next process believes %+v", e)
		}
		blocks := len(log.all())
		in <- batch("three")
		pass(time.Second)
		if _, removed, marks := n.is(); removed != 1 || marks != blocks+1 {
			t.Errorf("the note was removed %d times, after %d blocks of %d", removed, marks, blocks)
		}
		if kept, err = record.DecodeKept(log.marks[ClockMark]); err != nil || kept.Proven != 0 || len(kept.Anchors) != 0 {
			t.Errorf("kept %+v, %v", kept, err)
		}
		wrong()
		if e := l.Clock().Estimate; !e.Known {
			t.Errorf("afterwards it learns no more: %+v", e)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}
