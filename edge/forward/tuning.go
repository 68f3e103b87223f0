package forward

import (
	"time"

	"landfall/edge/durable/failpoint"
)

// maxAttempt bounds the doublings of a backoff.
const maxAttempt = 20

// Tuning is how requests are sized and spaced. Zero fields take their default.
type Tuning struct {
	// MinRequestBytes of blocks, before compression, are sent at once whatever
	// the link; less than that waits for Linger. Default 64 KiB.
	MinRequestBytes int64
	// MaxRequestBytes bounds a request, before compression. Default 64 MiB.
	MaxRequestBytes int64
	// RoundTrips is how many round trips a transfer should last, so that waiting
	// for its answer costs little: 20 keep the link busy for 95 % of the time.
	// Default 20.
	RoundTrips int
	// MinTransfer is how long a transfer should last at least. Default 2 s.
	MinTransfer time.Duration
	// Linger is the least time between two requests of a small backlog: each
	// costs some 700 bytes of headers. Default 1 s; negative: none.
	Linger time.Duration
	// BackoffMin and BackoffMax bound the wait after a failure, doubled from one
	// to the other. Default 500 ms and 60 s.
	BackoffMin, BackoffMax time.Duration
	// RedMin and RedRetry bound how long a red log rests before it is asked about
	// again; it doubles from one to the other while the log stays red. Default 10 s
	// and 5 min.
	RedMin, RedRetry time.Duration
	// HearMin and HearMax bound the time between two questions whether what has
	// landed of a log is published, where the cloud does not say when there may be
	// news. It doubles from one to the other while the answers stay the same.
	// Default 1 min and 10 min. In a build that tests kill HearMin is 2 s, because a
	// question that nobody answered is asked again so much later.
	HearMin, HearMax time.Duration
}

func (t Tuning) withDefaults() Tuning {
	set := func(d *time.Duration, to time.Duration) {
		if *d == 0 {
			*d = to
		}
	}
	if t.MinRequestBytes <= 0 {
		t.MinRequestBytes = 64 << 10
	}
	if t.MaxRequestBytes <= 0 {
		t.MaxRequestBytes = 64 << 20
	}
	t.MaxRequestBytes = max(t.MaxRequestBytes, t.MinRequestBytes)
	if t.RoundTrips <= 0 {
		t.RoundTrips = 20
	}
	set(&t.MinTransfer, 2*time.Second)
	set(&t.Linger, time.Second)
	set(&t.BackoffMin, 500*time.Millisecond)
	set(&t.BackoffMax, time.Minute)
	set(&t.RedMin, 10*time.Second)
	set(&t.RedRetry, 5*time.Minute)
	t.RedMin = min(t.RedMin, t.RedRetry)
	set(&t.HearMin, time.Duration(failpoint.Often(60, 2))*time.Second)
	set(&t.HearMax, 10*time.Minute)
	t.BackoffMax, t.HearMax = max(t.BackoffMax, t.BackoffMin), max(t.HearMax, t.HearMin)
	return t
}

// Backoff is the wait after the attempt-th failure in a row, from 0: half of
// it sure, half of it drawn, so that a fleet does not come back as one.
func (t Tuning) Backoff(attempt int, rnd float64) time.Duration {
	d := t.BackoffMax
	if attempt < maxAttempt && t.BackoffMin < t.BackoffMax>>attempt {
		d = t.BackoffMin << attempt
	}
	return d/2 + time.Duration(rnd*float64(d)/2)
}
