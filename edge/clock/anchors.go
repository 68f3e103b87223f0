package clock

import (
	"fmt"

	"landfall/edge/record"
)

// Anchors are the boots of a gateway of which the time is known, the newest
// last. It belongs to one goroutine.
type Anchors struct {
	boot BootID // that runs now
	all  []record.Anchor
}

// NewAnchors starts with what an earlier process kept, which may be nothing.
// Errors: record.ErrCorrupt, record.ErrVersion; then nothing is known.
func NewAnchors(boot BootID, kept []byte) (*Anchors, error) {
	a := &Anchors{boot: boot}
	all, err := record.DecodeAnchors(kept)
	if err != nil {
		return a, fmt.Errorf("read what is known of boots: %w", err)
	}
	a.all = all
	return a, nil
}

// Note takes an estimate of the boot that runs, and tells whether what is
// remembered of it became notably better: by a tenth, measured where the time
// first became known, for it is the records before that which need it.
func (a *Anchors) Note(e Estimate) bool {
	if !e.Known || e.Quality < record.QualityAsserted || a.boot == (BootID{}) {
		return false
	}
	next := record.Anchor{
		Boot: a.boot, Begin: e.Mono, Mono: e.Mono, UTC: record.Micros(e.Mono + e.Offset), Uncertainty: e.Uncertainty,
		Quality: e.Quality, Radio: e.Radio,
	}
	if n := len(a.all); n > 0 && a.all[n-1].Boot == a.boot {
		was := &a.all[n-1]
		next.Begin = was.Begin
		at, now := a.cost(was), a.cost(&next)
		d := next.Offset() - was.Offset()
		contradicts := max(d, -d) > now+at+agreeSlack
		if !contradicts && (next.Quality < was.Quality || next.Quality == was.Quality && now > at-at/10) {
			return false
		}
		*was = next
		return true
	}
	a.all = append(a.all, next)
	if len(a.all) > record.MaxAnchors {
		a.all = a.all[1:]
	}
	return true
}

// cost is how uncertain an anchor is where the boot's time became known.
func (a *Anchors) cost(x *record.Anchor) int64 { return x.Uncertainty + record.Drift(x.Mono-x.Begin) }

// All gives the anchors. The slice is the caller's.
func (a *Anchors) All() []record.Anchor { return append([]record.Anchor(nil), a.all...) }

// Of gives the anchor of the boot that runs.
func (a *Anchors) Of() (record.Anchor, bool) {
	if n := len(a.all); n > 0 && a.all[n-1].Boot == a.boot {
		return a.all[n-1], true
	}
	return record.Anchor{}, false
}

// Latest is the latest time that is known to be past.
func (a *Anchors) Latest() record.Micros {
	at := record.NoTime
	for i := range a.all {
		if a.all[i].Quality >= record.QualitySynchronised {
			at = max(at, a.all[i].UTC)
		}
	}
	return at
}
