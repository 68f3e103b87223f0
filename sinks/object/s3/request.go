package s3

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"landfall/engine/checkpoint"

	"github.com/minio/minio-go/v7"
)

// ErrNoAnswer says that a request got no answer in its time. What it asked for
// may have happened.
var ErrNoAnswer = errors.New("the object store did not answer in time")

// Codes of S3's errors, see "Error responses" in the Amazon S3 API Reference.
const (
	noSuchKey          = "NoSuchKey"
	noSuchUpload       = "NoSuchUpload"
	preconditionFailed = "PreconditionFailed"
	// A completion names a part that the upload does not have.
	invalidPart = "InvalidPart"
	// A conditional write met another one; it was not done.
	conditionalConflict = "ConditionalRequestConflict"
	notImplemented      = "NotImplemented"
)

// is tells whether the store answered with a code.
func is(err error, code string) bool { return err != nil && minio.ToErrorResponse(err).Code == code }

// slowest is the pace, in bytes a second, that a body is given time for.
const slowest = 256 << 10

// suspect is how long a store that did not answer the last request is waited for
// by the next: without it, publishing many files would wait the full time for
// each, and look like a loop that hangs.
const suspect = 5 * time.Second

// patience is how long the next request may take before its body.
func (b *bucket) patience() time.Duration {
	if b.silent.Load() {
		return min(suspect, b.cfg.Timeout)
	}
	return b.cfg.Timeout
}

// call makes one request with a body of so many bytes, in its own time.
func (b *bucket) call(ctx context.Context, body int, step func(context.Context) error) error {
	once, cancel := context.WithTimeout(ctx, b.patience()+time.Duration(body/slowest)*time.Second)
	defer cancel()
	return b.unanswered(ctx, once, step(once))
}

// watched makes a request that takes as long as it gets on: its time begins anew
// whenever more is called, with the bytes that are awaited.
func (b *bucket) watched(ctx context.Context, step func(ctx context.Context, more func(bytes int64)) error) error {
	once, cancel := context.WithCancel(ctx)
	defer cancel()
	limit := time.AfterFunc(b.patience(), cancel)
	defer limit.Stop()
	err := step(once, func(bytes int64) {
		limit.Reset(b.cfg.Timeout + time.Duration(bytes/slowest)*time.Second)
	})
	if err == nil {
		err = once.Err() // what was cut short may have ended without a word
	}
	return b.unanswered(ctx, once, err)
}

// answered is watched, asked again where the store had an error that may pass. What is
// not answered is not asked again: it has taken its time.
func (b *bucket) answered(ctx context.Context, step func(ctx context.Context, more func(bytes int64)) error) error {
	var silent error
	err := b.repeated(ctx, func() error {
		err := b.watched(ctx, step)
		if errors.Is(err, ErrNoAnswer) || errors.Is(err, checkpoint.ErrCorrupt) {
			silent, err = err, nil
		}
		return err
	})
	return cmp.Or(err, silent)
}

// unanswered tells the end of a request's own time from the end of its
// caller's.
func (b *bucket) unanswered(ctx, once context.Context, err error) error {
	if err == nil || once.Err() == nil || ctx.Err() != nil {
		if ctx.Err() == nil {
			b.silent.Store(false)
		}
		return err
	}
	b.silent.Store(true)
	return fmt.Errorf("%w (%s): %v", ErrNoAnswer, b.Location, err) //nolint:errorlint // its deadline is not the caller's
}

// longest is the longest wait between two attempts.
const longest = 5 * time.Second

// again repeats a step that does no harm the second time, each time with a body
// of so many bytes; not for longer than three requests may take.
func (b *bucket) again(ctx context.Context, body int, step func(context.Context) error) error {
	return b.repeated(ctx, func() error { return b.call(ctx, body, step) })
}

// repeated is again of a step that keeps its own time.
func (b *bucket) repeated(ctx context.Context, step func() error) error {
	began := time.Now()
	for attempt, wait := 1, b.cfg.Backoff; ; attempt, wait = attempt+1, min(2*wait, longest) {
		err := step()
		if err == nil || attempt >= b.cfg.Attempts || final(err) || ctx.Err() != nil || time.Since(began) > 3*b.cfg.Timeout {
			return err
		}
		if !pause(ctx, wait) {
			return errors.Join(ctx.Err(), err)
		}
	}
}

// final tells whether an answer stays the same: what is forbidden, is not there,
// or met another condition. A body that arrived damaged does not, nor what passes.
func final(err error) bool {
	var answer minio.ErrorResponse
	if !errors.As(err, &answer) || Transient(err) {
		return false
	}
	switch answer.StatusCode {
	case http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusPreconditionFailed:
		return true
	}
	return false
}

// conditional makes a conditional write. That it met another one is no answer to
// the condition, only to this attempt, which was not done: it is made again.
// object.ErrUnfit where the store says that it has no such writes.
func (b *bucket) conditional(ctx context.Context, body int, step func(context.Context) error) error {
	for attempt, wait := 1, b.cfg.Backoff; ; attempt, wait = attempt+1, min(2*wait, longest) {
		err := b.call(ctx, body, step)
		if !is(err, conditionalConflict) || attempt >= b.cfg.Attempts || !pause(ctx, wait) {
			return unfit(err)
		}
	}
}

// pause waits, and tells whether ctx is still alive.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// explained returns a better answer than one to a request without a body, which
// has a status and no words: that of the same store to a listing. A listing that
// is answered says nothing.
func (b *bucket) explained(ctx context.Context, err error) error {
	var answer minio.ErrorResponse
	if !errors.As(err, &answer) || answer.StatusCode != http.StatusForbidden && answer.StatusCode != http.StatusBadRequest {
		return err
	}
	if words := b.listOne(ctx); words != nil {
		return words
	}
	return err
}

// listOne lists one object at most.
func (b *bucket) listOne(ctx context.Context) error {
	return b.call(ctx, 0, func(ctx context.Context) error {
		for o := range b.core.Client.ListObjects(ctx, b.Bucket, minio.ListObjectsOptions{Prefix: b.key(""), MaxKeys: 1}) {
			return o.Err
		}
		return ctx.Err()
	})
}
