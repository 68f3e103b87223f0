//go:build failpoint && linux

package crashtest

import (
	"testing"
	"time"
)

// pollEvery is how often a condition on real processes is looked at.
const pollEvery = 25 * time.Millisecond

// until waits for a condition on real processes; detail says what it saw last.
func until(t *testing.T, what string, limit time.Duration, holds func() (ok bool, detail string)) {
	t.Helper()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for deadline := time.Now().Add(limit); ; <-tick.C {
		ok, detail := holds()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited %v for %s: %s", limit, what, detail)
		}
	}
}

// pause lets d pass, or less when stop is closed; it tells whether d passed.
func pause(stop <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-stop:
		return false
	case <-timer.C:
		return true
	}
}

// await waits for a moment, but not beyond stop, nor for longer than limit.
func await(moment, stop <-chan struct{}, limit time.Duration) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-moment:
	case <-stop:
	case <-timer.C:
	}
}
