// Package turns says who comes next where more clients ask for a place than there are
// places: of those that ask again and again the one that asks most often would get the
// next one. So one that has asked in vain for StarvedAfter waits in turn. For each that
// waits for longer and has no more places than the one that comes, a place is left: one
// that is free, or that would have to give way. Those are served when they ask, or are
// forgotten when they do not for Kept.
//
// In:  who asks in vain, who is served, and how many places each has, with the time.
// Out: how many come before a client. LongestWait is the bound that follows.
//
// A List belongs to whoever shares the places, under his lock. It has no clock.
package turns

import "time"

const (
	// StarvedAfter is how long a client has to have asked in vain to wait in turn.
	StarvedAfter = 30 * time.Second
	// Kept is how long a turn is kept after its client asked last: longer than a gateway
	// lets pass between two tries (forward.retry_max, 1m).
	Kept = 2 * time.Minute
	// Max bounds the clients that are remembered to wait.
	Max = 1024
)

// asked is when a client asked in vain first, and last.
type asked struct{ first, last time.Time }

// List is the clients that wait, by name. The zero value is ready.
type List struct{ waits map[string]asked }

// Len returns how many clients are remembered.
func (l *List) Len() int { return len(l.waits) }

// Refused notes that a client asked in vain.
func (l *List) Refused(client string, now time.Time) {
	if l.waits == nil {
		l.waits = map[string]asked{}
	}
	a, waits := l.waits[client]
	if !waits || now.Sub(a.last) > Kept {
		a.first = now
	}
	if a.last = now; waits || len(l.waits) < Max {
		l.waits[client] = a
	}
}

// Served notes that a client got a place.
func (l *List) Served(client string) { delete(l.waits, client) }

// Starves tells whether a client has asked in vain for long.
func (l *List) Starves(client string, now time.Time) bool {
	a, waits := l.waits[client]
	return waits && a.starves(now)
}

func (a asked) starves(now time.Time) bool { return now.Sub(a.first) >= StarvedAfter }

// Ahead returns how many other clients have waited for long, and longer than this one,
// and have no more places than it has. It forgets those that ask no more.
func (l *List) Ahead(client string, places map[string]int, now time.Time) (n int) {
	own, waits := l.waits[client]
	for name, a := range l.waits {
		switch {
		case now.Sub(a.last) > Kept:
			delete(l.waits, name)
		case name == client || !a.starves(now) || places[name] > places[client]:
		case !waits || a.first.Before(own.first) || a.first.Equal(own.first) && name < client:
			n++
		}
	}
	return n
}

// LongestWait is how long a client that holds no place, and asks each Kept at least, waits
// for one when some others, Max at most, ask beside it. slice is how long a place is kept
// at least. It waits until it has its turn, and then for as many rounds as it takes until
// those that wait for longer had a place each, or were forgotten: in a round each place
// can be had, for its slice is over. Then it asks.
func LongestWait(others, places int, slice time.Duration) time.Duration {
	rounds := (others + places) / places // those ahead and itself, rounded up
	return StarvedAfter + time.Duration(rounds)*(slice+Kept) + Kept
}
