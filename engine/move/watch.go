package move

import (
	"context"
	"errors"
	"sync"
	"time"

	"landfall/engine/checkpoint"
	"landfall/engine/landing"
)

// WatchEvery is how often a Watch looks by itself.
const WatchEvery = 5 * time.Second

// confirmPatience is how long a store may take to answer before Confirm goes by what
// was known before.
const confirmPatience = 2 * time.Second

// Watch knows whether a landing log feeds its lake, for an engine that runs on it. A
// lake that has left it never comes back to it (see Replace), and so the Watch does not
// either. What cannot be read changes nothing. Its methods may be called from any
// goroutine.
type Watch struct {
	check func(context.Context) error

	turn sync.Mutex // of looks that were asked for

	mu   sync.Mutex
	left error   // guarded by mu
	next *lookup // asked for and not begun; nil: none; guarded by mu
}

// lookup is a look that several callers wait for.
type lookup struct{ done chan struct{} }

// NewWatch makes a Watch of the landing log of a lake whose store is read; it touches
// nothing.
func NewWatch(store checkpoint.Store, is Landing) *Watch {
	return NewWatchOf(func(ctx context.Context) error { return Check(ctx, store, is) })
}

// NewWatchOf makes a Watch that asks check: landing.ErrMismatch says that the lake has
// left the landing log, any other error that it is not known. What was durable in the
// landing log before a call that returns nil lies there before the lake began to leave.
func NewWatchOf(check func(context.Context) error) *Watch { return &Watch{check: check} }

// Run looks until ctx ends.
func (w *Watch) Run(ctx context.Context) {
	tick := time.NewTicker(WatchEvery)
	defer tick.Stop()
	for {
		w.Look(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Look looks once.
func (w *Watch) Look(ctx context.Context) {
	err := w.check(ctx)
	if !errors.Is(err, landing.ErrMismatch) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.left = err
}

// Left is the error that says that the lake is fed from another landing log, or is
// being moved to one; nil: it is not, by the last look.
func (w *Watch) Left() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.left
}

// Confirm is Left by a look that begins after the call. What was durable in the landing
// log before the call, when Confirm returns nil, lies there before a move began: the
// intent of each move is written before its last drain looks where the log ends, and
// this look would have found it. Of a store that does not answer it is what was known
// before. Callers that wait at the same time share a look.
func (w *Watch) Confirm(ctx context.Context) error {
	w.mu.Lock()
	l, first := w.next, false
	if l == nil {
		l, first = &lookup{done: make(chan struct{})}, true
		w.next = l
	}
	w.mu.Unlock()
	if !first {
		select {
		case <-l.done:
			return w.Left()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	defer close(l.done)
	w.turn.Lock()
	defer w.turn.Unlock()
	w.mu.Lock()
	w.next = nil // who comes from here on waits for another one
	w.mu.Unlock()
	looking, cancel := context.WithTimeout(context.WithoutCancel(ctx), confirmPatience)
	defer cancel()
	w.Look(looking)
	return w.Left()
}
