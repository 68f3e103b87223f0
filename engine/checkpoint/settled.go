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
	for _, e := range []error{stream.ErrFenced, stream.ErrContent, stream.ErrDamaged, ErrVersion, ErrCorrupt,
		ErrIdentity, ErrUnfit, context.Canceled, context.DeadlineExceeded} {
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

// errUnkept says that a store confirmed a write and shows something else. It may
// pass: the write is made again.
var errUnkept = errors.New("the store confirmed a write and does not show it")

// errOtherBytes says that a store confirmed an object and shows other bytes.
var errOtherBytes = errors.New("the store confirmed an object and shows other bytes")

// put creates an object and reads it back, durable on return: what a store
// confirmed and does not have is created again. Its name belongs to one content: it
// holds a claim id with an epoch or, of a ledger entry, with a number; that of a
// fold holds the number of its first entry. So what has the name already is this
// object, from an attempt whose answer was lost, or somebody else's mistake:
// ErrCorrupt. Other bytes where the store confirmed ours are none of these: the
// error may pass, for the next claim uses other names.
func (r *retrier) put(ctx context.Context, store Store, name string, data []byte) error {
	confirmed := false
	err := r.do(ctx, func() error {
		err := store.Create(ctx, name, data)
		confirmed = confirmed || err == nil
		have, _, readErr := store.Read(ctx, name)
		switch {
		case err == nil && errors.Is(readErr, ErrNotExist):
			return fmt.Errorf("%w: %w", errUnkept, readErr)
		case readErr != nil:
			return errors.Join(err, readErr)
		case !bytes.Equal(have, data) && confirmed:
			return errOtherBytes
		case !bytes.Equal(have, data):
			return fmt.Errorf("%w: another object under this name", ErrCorrupt)
		case err != nil:
			return store.Settle(ctx, name)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("put %s: %w", name, err)
	}
	return nil
}

// swapHead moves HEAD from the content that from holds to data, durable on
// return, and reads it back: a swap that the store confirmed and did not do is made
// again. ErrFenced when HEAD is another claim's, errSetBack when it is an older one
// of this claim or gone. After any other error HEAD may have
// moved: the caller stops, and whoever claims next reads what happened.
func (r *retrier) swapHead(ctx context.Context, store Store, task stream.TaskID, from cursor, data []byte) (Version, error) {
	name := headName(task)
	var moved Version
	err := r.do(ctx, func() error {
		_, err := store.Swap(ctx, name, from.version, data)
		at, readErr := readHead(ctx, store, task, err != nil)
		switch {
		case readErr != nil:
			return errors.Join(err, readErr)
		case bytes.Equal(at.data, data):
			moved = at.version
			return nil
		case at.version == from.version && err == nil:
			return fmt.Errorf("%w: HEAD is as it was", errUnkept)
		case at.version == from.version:
			return err // unchanged: the same bytes again
		}
		if back := setBack(task, at.data, data); back != nil {
			return errors.Join(back, err)
		}
		return errors.Join(stream.ErrFenced, err)
	})
	if err != nil {
		return "", fmt.Errorf("swap %s: %w", name, err)
	}
	return moved, nil
}
