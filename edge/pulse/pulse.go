// Package pulse tells whether the loops of a daemon still turn, so that a
// watchdog is fed by progress and starves when a loop hangs.
//
// In:  Begin, Beat and End, called by the loops about themselves.
// Out: Alive, asked by whoever feeds the watchdog.
//
// Invariants
//
//  1. A loop that is at work and does not come on between two looks is not
//     alive. One that waits for others (a peer, data, a time) is not at work,
//     and nothing can be said against it.
//  2. Nothing here reads a clock: how long a loop may take is how often
//     somebody looks.
//
// A Pulse may be used from any goroutine, by several workers at once. A nil
// *Pulse counts nothing. A Watcher belongs to one goroutine.
package pulse

import "sync/atomic"

// Pulse counts the turns of one loop, or of one kind of work that several do.
// The zero value is at rest.
type Pulse struct {
	turns atomic.Uint64
	busy  atomic.Int64
}

// Begin says that a worker is at work from now on.
func (p *Pulse) Begin() {
	if p != nil {
		p.turns.Add(1)
		p.busy.Add(1)
	}
}

// Beat says that the work came on.
func (p *Pulse) Beat() {
	if p != nil {
		p.turns.Add(1)
	}
}

// End says that the worker that began is done, or waits for others.
func (p *Pulse) End() {
	if p != nil {
		p.turns.Add(1)
		p.busy.Add(-1)
	}
}

// Named is a Pulse with the name of its loop.
type Named struct {
	Name  string
	Pulse *Pulse
}

// Watcher compares looks at several pulses.
type Watcher struct {
	seen map[string]uint64
}

// Stuck lists the loops that are at work and have not come on since the look
// before. The first look finds none.
func (w *Watcher) Stuck(pulses []Named) []string {
	var stuck []string
	now := make(map[string]uint64, len(pulses))
	for _, n := range pulses {
		turns := n.Pulse.turns.Load()
		before, known := w.seen[n.Name]
		if n.Pulse.busy.Load() > 0 && known && before == turns {
			stuck = append(stuck, n.Name)
		}
		now[n.Name] = turns
	}
	w.seen = now
	return stuck
}
