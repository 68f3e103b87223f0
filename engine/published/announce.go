package published

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"landfall/engine/checkpoint"
	"landfall/engine/stream"
)

// Announcer writes down what a Registry knows of one task of this engine, for the
// ingests of other engines.
type Announcer struct {
	Registry *Registry
	Store    checkpoint.Store
	Task     stream.TaskID
	Claim    stream.ClaimID // of this engine's claim
	// Alive is nil while HEAD is of Claim, stream.ErrFenced when it is not, and
	// any other error when that is not known. It is called from Run's goroutine.
	Alive func(context.Context) error
	// Backoff is the wait after a failure, doubled up to a minute. 0: a second.
	Backoff time.Duration
	Logger  *slog.Logger // nil: silence
}

const (
	lastBackoff = time.Minute     // the longest wait between two attempts
	lastWrite   = 2 * time.Second // how long the last write may take
)

// Run writes whenever something changes, until ctx ends, and then once more, or until
// another claim has the task. What cannot be written is tried again: nothing waits for it,
// and gateways only keep their records longer.
func (a *Announcer) Run(ctx context.Context) {
	changed, stop := a.Registry.watch(a.Task)
	defer stop()
	logger := a.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	wait := a.Backoff
	for {
		err := a.write(ctx)
		var again <-chan time.Time
		switch {
		case errors.Is(err, stream.ErrFenced):
			return
		case err == nil:
			wait = a.Backoff
		case ctx.Err() == nil:
			logger.Warn("the progress of a task could not be written; it is tried again", "task", a.Task.String(),
				"error", err)
			wait = min(max(2*wait, time.Second), lastBackoff)
			again = time.After(wait)
		}
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWrite)
			defer cancel()
			_ = a.write(last) // the next claim tells it, too
			return
		case <-changed:
		case <-again:
		}
	}
}

// write puts the task's progress beside its HEAD, unless it stands there already.
// Steps; a crash after any but the last leaves the progress as it was:
//
//  1. read the progress that is there, with its version.
//  2. read HEAD: whoever has lost the task writes nothing (ErrFenced).
//  3. swap the progress from the version of step 1. Where it has changed since, all
//     begins again.
//
// Step 2 lies between the two because of a process that wakes late. Let it have
// lost the task. If the newer claim wrote its progress before step 1, step 2 sees
// that claim in HEAD, which moved before. If it wrote between 1 and 3, the swap
// fails. If it writes after 3, it writes over this, for it swaps from what it read
// or begins again. So the newest claim's progress is the last one, and what an
// older one may leave for a while is true, only older; see Follower.look. A claim
// tells what it knows at its beginning, so there is always a newest one to come.
func (a *Announcer) write(ctx context.Context) error {
	name := checkpoint.ProgressName(a.Task)
	for {
		p, ok := a.Registry.progress(a.Task, a.Claim)
		if !ok {
			return nil // not claimed yet, or lost
		}
		data, err := p.Encode()
		if err != nil {
			return err
		}
		have, version, err := a.Store.Read(ctx, name)
		if err != nil && !errors.Is(err, checkpoint.ErrNotExist) {
			return fmt.Errorf("read %s: %w", name, err)
		}
		if bytes.Equal(have, data) {
			return nil
		}
		if err := a.Alive(ctx); err != nil {
			return err
		}
		_, err = a.Store.Swap(ctx, name, version, data)
		if errors.Is(err, checkpoint.ErrChanged) {
			continue
		}
		if err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		return nil
	}
}
