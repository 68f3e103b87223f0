package agent

import (
	"slices"
	"testing"
	"time"

	"landfall/edge/forward"
)

// TestTwoEnginesAreAReason: what a gateway alone can see of two engines that do not share
// a landing log turns its health red.
func TestTwoEnginesAreAReason(t *testing.T) {
	var s Status
	linkReasons(&s, &forward.Status{TwoEngines: "two engines answer under this address"}, time.Now())
	if !slices.Equal(s.Reasons, []string{"forwarding: two engines answer under this address"}) {
		t.Errorf("%q", s.Reasons)
	}
	s = Status{}
	if linkReasons(&s, &forward.Status{}, time.Now()); len(s.Reasons) != 0 {
		t.Errorf("of one engine: %q", s.Reasons)
	}
}

// TestAnErrorOfTheLinkSaysOfWhenItIs: the engine may be back since, and a gateway that
// waits does not know it.
func TestAnErrorOfTheLinkSaysOfWhenItIs(t *testing.T) {
	at := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		next time.Time
		want string
	}{
		{at.Add(43 * time.Second), "forwarding: last error, at 2026-06-01T12:00:00Z: connection refused; next try in 23s"},
		{at.Add(20*time.Second + time.Millisecond), "forwarding: last error, at 2026-06-01T12:00:00Z: connection refused; next try in 1s"},
		{at.Add(time.Second), "forwarding: last error, at 2026-06-01T12:00:00Z: connection refused; tried again now"},
		{time.Time{}, "forwarding: last error, at 2026-06-01T12:00:00Z: connection refused"},
	} {
		var s Status
		linkReasons(&s, &forward.Status{LastError: "connection refused", LastErrorAt: at, NextTryAt: c.next}, at.Add(20*time.Second))
		if !slices.Equal(s.Reasons, []string{c.want}) {
			t.Errorf("%q, want %q", s.Reasons, c.want)
		}
	}
}
