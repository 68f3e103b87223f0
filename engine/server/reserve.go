package server

import (
	"context"
	"errors"
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
	own   string       // directory of the landing log; empty: a topic

	mu   sync.Mutex
	full map[int]uint64 // appends refused for want of room of their partition; guarded by mu
	disk uint64         // and for want of room on the landing log's disk; guarded by mu
	seen time.Time      // of free; guarded by mu
	free uint64         // guarded by mu
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
			r.refused(l.Gateway, true)
			return fmt.Errorf("land block: %d bytes free in %s, reserve is %d: %w", free, r.dir, r.bytes, landing.ErrFull)
		}
	}
	r.pulse.Begin()
	defer r.pulse.End()
	err := r.Log.Append(ctx, l)
	if errors.Is(err, landing.ErrFull) {
		r.refused(l.Gateway, false)
	}
	return err
}

// refused counts what was refused for want of room. Where the landing log's disk has
// none, every partition may make some; otherwise that of the gateway may, by its quota,
// but for a lake that is full on a disk of its own.
func (r *reserved) refused(gateway string, byLake bool) {
	if r.own == "" {
		return
	}
	free, err := r.fs.Free(r.own)
	full := err == nil && free < r.bytes
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case full:
		r.disk++
	case !byLake:
		if r.full == nil {
			r.full = map[int]uint64{}
		}
		r.full[landing.Partition(gateway, r.Partitions())]++
	}
}

// crowded returns what tells the task of a partition that appends were refused since
// it was asked last, for want of room that the partition may make.
func (r *reserved) crowded(partition int) func() bool {
	refusals := func() uint64 {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.disk + r.full[partition]
	}
	last := refusals()
	return func() bool {
		before := last
		last = refusals()
		return last > before
	}
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
