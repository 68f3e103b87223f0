package clock

import (
	"fmt"

	"landfall/edge/record"
)

// Anchors are the boots of a gateway of which the time is known, the newest
// last. It belongs to one goroutine.
type Anchors struct {
	boot   BootID // that runs now
	all    []record.Anchor
	proven record.Micros
}

// NewAnchors starts with what an earlier process kept, which may be nothing.
// Errors: record.ErrCorrupt, record.ErrVersion; then nothing is known.
func NewAnchors(boot BootID, kept []byte) (*Anchors, error) {
	a := &Anchors{boot: boot}
	k, err := record.DecodeKept(kept)
	if err != nil {
		return a, fmt.Errorf("read what is known of boots: %w", err)
	}
	a.all, a.proven = k.Anchors, k.Proven
	return a, nil
}

// Begin makes what a process of a boot starts with, at the monotonic time mono, from
// what the last one kept: the boots of which the time is known, and an estimator
// that goes on from what was authenticated in this boot. Errors: those of
// NewAnchors; then it starts from nothing, and what it gives can be used.
func Begin(boot BootID, kept []byte, mono int64, cfg EstimatorConfig) (*Anchors, *Estimator, error) {
	anchors, err := NewAnchors(boot, kept)
	cfg.Proven = anchors.Proven()
	e := NewEstimator(cfg)
	if a, ok := anchors.Of(); ok && a.Mono <= mono {
		e.Resume(a)
	}
	return anchors, e, err
}

// Kept gives what the next process is to have.
func (a *Anchors) Kept() []byte {
	return record.EncodeKept(&record.KeptClock{Proven: a.proven, Anchors: a.all})
}

// Forget drops all boots, and what was proven.
func (a *Anchors) Forget() { a.all, a.proven = nil, 0 }

// provenStep is by how much what the engine proved must differ to be kept again.
const provenStep = record.Micros(60 * minute)

// Prove takes the last time that the engine proved, and tells whether to keep it.
// It may go back: the engine's clock was wrong before.
func (a *Anchors) Prove(at record.Micros) bool {
	if at == 0 || max(at-a.proven, a.proven-at) < provenStep {
		return false
	}
	a.proven = at
	return true
}

// Proven is the last time that the engine proved; 0: it never did.
func (a *Anchors) Proven() record.Micros { return a.proven }

// Note takes an estimate of the boot that runs, and tells whether what is
// remembered of it became notably better: by a tenth, measured where the time
// first became known, for it is the records before that which need it.
func (a *Anchors) Note(e Estimate) bool {
	if !e.Known || e.Quality < record.QualityAsserted || a.boot == (BootID{}) {
		return false
	}
	next := record.Anchor{
		Boot: a.boot, Begin: e.Mono, Mono: e.Mono, UTC: record.Micros(e.Mono + e.Offset), Uncertainty: e.Uncertainty,
		Quality: e.Quality, Radio: e.Radio, Basis: e.Basis,
	}
	if n := len(a.all); n > 0 && a.all[n-1].Boot == a.boot {
		was := &a.all[n-1]
		next.Begin = was.Begin
		at, now := a.cost(was), a.cost(&next)
		d := next.Offset() - was.Offset()
		contradicts := max(d, -d) > now+at+agreeSlack
		better := next.Basis > was.Basis || next.Basis == was.Basis && (next.Quality > was.Quality || next.Quality == was.Quality && now <= at-at/10)
		if !contradicts && !better || contradicts && next.Basis < was.Basis {
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
