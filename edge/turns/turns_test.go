package turns

import (
	"fmt"
	"testing"
	"time"
)

// TestAhead: who comes before a client.
func TestAhead(t *testing.T) {
	began := time.Unix(1_700_000_000, 0)
	at := func(seconds int) time.Time { return began.Add(time.Duration(seconds) * time.Second) }
	var l List
	l.Refused("b", at(0))
	l.Refused("a", at(1))
	l.Refused("c", at(1))
	for _, c := range []struct {
		client string
		places map[string]int
		second int
		want   int
	}{
		{"new", nil, 29, 0}, // nobody has waited for long
		{"new", nil, 30, 1},
		{"new", nil, 31, 3},
		{"b", nil, 31, 0},
		{"a", nil, 31, 1},
		{"c", nil, 31, 2},
		{"new", map[string]int{"a": 1, "c": 2}, 31, 1},
		{"rich", map[string]int{"a": 1, "c": 2, "rich": 1}, 31, 2},
		{"new", nil, 120, 3},
		{"new", nil, 121, 2},
		{"new", nil, 122, 0},
	} {
		if n := l.Ahead(c.client, c.places, at(c.second)); n != c.want {
			t.Errorf("%s with %v at %d s: %d ahead, want %d", c.client, c.places, c.second, n, c.want)
		}
	}
	l.Refused("b", at(200)) // it was forgotten: it begins again
	l.Refused("b", at(229))
	if l.Starves("b", at(229)) || !l.Starves("b", at(230)) || l.Starves("c", at(230)) {
		t.Error("who starves is not known")
	}
	if l.Served("b"); l.Starves("b", at(230)) || l.Len() != 0 {
		t.Error("one that is served waits on")
	}
}

// TestBounded: of ever new clients so many are remembered, and those that were first.
func TestBounded(t *testing.T) {
	var l List
	now := time.Unix(1_700_000_000, 0)
	for i := range 2 * Max {
		l.Refused(fmt.Sprint(i), now)
	}
	l.Refused("0", now.Add(Kept))
	if l.Len() != Max || !l.Starves("0", now.Add(Kept)) || l.Starves(fmt.Sprint(Max), now.Add(Kept)) {
		t.Errorf("%d are remembered", l.Len())
	}
	if n := l.Ahead("new", nil, now.Add(Kept+1)); n != 1 || l.Len() != 1 {
		t.Errorf("%d ahead, %d remembered of those that ask no more", n, l.Len())
	}
}

// TestLongestWait: the bounds that docs/security.md states.
func TestLongestWait(t *testing.T) {
	for slice, want := range map[time.Duration]time.Duration{
		10 * time.Second: 13*time.Minute + 20*time.Second,
		time.Minute:      17*time.Minute + 30*time.Second,
	} {
		if got := LongestWait(1024, 256, slice); got != want {
			t.Errorf("with a slice of %s: %s, want %s", slice, got, want)
		}
	}
}
