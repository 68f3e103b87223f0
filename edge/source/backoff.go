package source

import (
	"context"
	"math/rand/v2"
	"time"
)

// The bounds of the time between two attempts to open a transport.
const (
	minBackoff = 250 * time.Millisecond
	maxBackoff = 30 * time.Second
)

// backoff spaces attempts: each wait doubles up to limit (0: maxBackoff) and is then
// shortened by up to half, at random, so that a fleet does not come in step.
type backoff struct{ next, limit time.Duration }

// wait waits before the next attempt and tells whether ctx is still alive.
func (b *backoff) wait(ctx context.Context) bool {
	d := max(b.next, minBackoff)
	limit := b.limit
	if limit == 0 {
		limit = maxBackoff
	}
	b.next = min(2*d, limit)
	return wait(ctx, d-time.Duration(rand.Int64N(int64(d/2))))
}

// reset makes the next wait a short one, after a success.
func (b *backoff) reset() { b.next = 0 }
