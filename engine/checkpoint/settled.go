package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"landfall/engine/stream"
)

// retrier repeats steps whose outcome is not known.
type retrier struct {
	attempts int
	backoff  time.Duration
	retried  func() // counts
}

// definite tells whether an error is an answer, which trying again would not
// change.
func definite(err error) bool {
	for _, e := range []error{stream.ErrFenced, stream.ErrContent, stream.ErrDamaged, ErrVersion, ErrCorrupt, ErrIdentity, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// do calls step until it succeeds, answers definitely, or the attempts or ctx
// end.
func (r *retrier) do(ctx context.Context, step func() error) error {
	wait := r.backoff
	for attempt := 1; ; attempt++ {
		err := step()
		if err == nil || definite(err) {
			return err
		}
		if attempt >= r.attempts {
			return fmt.Errorf("after %d attempts: %w", attempt, err)
		}
		r.retried()
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		}
		wait *= 2
	}
}

// put creates an object, durable on return. Its name belongs to one content: it
// holds a claim id with an epoch or, of a ledger entry, with a number; that of a
// fold holds the number of its first entry. So what has the name already is this
// object, from an attempt whose answer was lost, or somebody else's mistake.
func (r *retrier) put(ctx context.Context, store Store, name string, data []byte) error {
	err := r.do(ctx, func() error {
		err := store.Create(ctx, name, data)
		if err == nil {
			return nil
		}
		have, _, readErr := store.Read(ctx, name)
		if readErr != nil {
			return errors.Join(err, readErr)
		}
		if !bytes.Equal(have, data) {
			return fmt.Errorf("%w: another object under this name", ErrCorrupt)
		}
		return store.Settle(ctx, name)
	})
	if err != nil {
		return fmt.Errorf("put %s: %w", name, err)
	}
	return nil
}

// swapHead moves HEAD from the content that from holds to data, durable on
// return. ErrFenced when HEAD is neither. After any other error HEAD may have
// moved: the caller stops, and whoever claims next reads what happened.
func (r *retrier) swapHead(ctx context.Context, store Store, task stream.TaskID, from cursor, data []byte) (Version, error) {
	name := headName(task)
	var moved Version
	err := r.do(ctx, func() error {
		version, err := store.Swap(ctx, name, from.version, data)
		if err == nil {
			moved = version
			return nil
		}
		at, readErr := readHead(ctx, store, task, true)
		switch {
		case readErr != nil:
			return errors.Join(err, readErr)
		case bytes.Equal(at.data, data):
			moved = at.version
			return nil
		case at.version == from.version:
			return err // unchanged: the same bytes again
		default:
			return fmt.Errorf("%w: %w", stream.ErrFenced, err)
		}
	})
	if err != nil {
		return "", fmt.Errorf("swap %s: %w", name, err)
	}
	return moved, nil
}
