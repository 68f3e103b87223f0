package server

import (
	"context"
	"fmt"
	"sync"
	"time"

	"landfall/edge/durable"
	"landfall/edge/pulse"
	"landfall/engine/landing"
)

// reserved is a landing log that takes nothing while the lake's disk has less
// than the reserve free: a task could not finish its epoch. A lake in a bucket
// has no such bound, and staging for it takes no disk. Nor does it take anything
// once the lake has moved to another landing log.
type reserved struct {
	landing.Log
	fs    durable.FS
	dir   string // empty: in a bucket
	bytes uint64
	now   func() time.Time
	pulse *pulse.Pulse // of the landing log's commits
	left  func() error // says that the lake has another landing log now; nil: it is not asked

	mu   sync.Mutex
	seen time.Time // of free; guarded by mu
	free uint64    // guarded by mu
}

// freeFor is how long a look at the free space holds.
const freeFor = time.Second

// Append implements landing.Log.
func (r *reserved) Append(ctx context.Context, l landing.Landed) error {
	if r.left != nil {
		if err := r.left(); err != nil {
			return fmt.Errorf("land block: %w", err) // no task would ever read it
		}
	}
	if r.dir != "" {
		free, err := r.look()
		if err != nil {
			return fmt.Errorf("land block: %w", err)
		}
		if free < r.bytes {
			return fmt.Errorf("land block: %d bytes free in %s, reserve is %d: %w", free, r.dir, r.bytes, landing.ErrFull)
		}
	}
	r.pulse.Begin()
	defer r.pulse.End()
	return r.Log.Append(ctx, l)
}

func (r *reserved) look() (uint64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if !r.seen.IsZero() && now.Sub(r.seen) < freeFor && now.After(r.seen.Add(-1)) {
		return r.free, nil
	}
	free, err := r.fs.Free(r.dir)
	if err != nil {
		return 0, err
	}
	r.seen, r.free = now, free
	return free, nil
}
