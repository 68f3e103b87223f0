package clock

import (
	"fmt"
	"slices"

	"landfall/edge/record"
)

// Anchors are the boots of a gateway of which the time is known, the newest
// last. It belongs to one goroutine.
type Anchors struct {
	boot   BootID // that runs now
	all    []record.Anchor
	proven record.Micros
	heard  bool // this process noted the anchor of the boot that runs
}

// NewAnchors starts with what an earlier process kept, which may be nothing. What
// strangers told that one is asserted at most, for nobody heard them since.
// Errors: record.ErrCorrupt, record.ErrVersion; then nothing is known.
func NewAnchors(boot BootID, kept []byte) (*Anchors, error) {
	a := &Anchors{boot: boot}
	k, err := record.DecodeKept(kept)
	if err != nil {
		return a, fmt.Errorf("read what is known of boots: %w", err)
	}
	a.all, a.proven = k.Anchors, k.Proven
	for i := range a.all {
		if x := &a.all[i]; !x.Basis.Authenticated() {
			x.Quality = min(x.Quality, record.QualityAsserted)
		}
	}
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

// Kept returns what the next process is to have.
func (a *Anchors) Kept() []byte {
	return record.EncodeKept(&record.KeptClock{Proven: a.proven, Anchors: a.all})
}

// Forget drops all boots, and what was proven.
func (a *Anchors) Forget() { a.all, a.proven, a.heard = nil, 0, false }

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

// Note takes an estimate of the boot that runs, and tells whether what is to be kept
// changed. An authenticated anchor gives way to none of a lower basis. One of strangers
// lasts no longer than they are believed: it follows the estimate wherever that goes,
// is worth no more than it, and is withdrawn when it ends; so is one of another boot
// that an authenticated time shows to lie in the future. Else the anchor changes when
// it becomes notably better: by a tenth, measured where the time first became known,
// for it is the records before that which need it.
func (a *Anchors) Note(e Estimate) bool {
	if a.boot == (BootID{}) {
		return false
	}
	if !e.Known || e.Quality < record.QualityAsserted {
		return a.end()
	}
	next := record.Anchor{
		Boot: a.boot, Begin: e.Mono, Mono: e.Mono, UTC: record.Micros(e.Mono + e.Offset), Uncertainty: e.Uncertainty,
		Quality: e.Quality, Radio: e.Radio, Basis: e.Basis,
	}
	changed := false
	a.all, changed = withoutFuture(a.all, &next)
	n := len(a.all)
	if n == 0 || a.all[n-1].Boot != a.boot {
		a.all, a.heard = append(a.all, next), true
		if len(a.all) > record.MaxAnchors {
			a.all = a.all[1:]
		}
		return true
	}
	was := &a.all[n-1]
	next.Begin = was.Begin
	at, now := a.cost(was), a.cost(&next)
	d := next.Offset() - was.Offset()
	contradicts := max(d, -d) > now+at+agreeSlack
	better := next.Basis > was.Basis || next.Basis == was.Basis &&
		(next.Quality > was.Quality || next.Quality == was.Quality && now <= at-at/10)
	switch {
	case contradicts && next.Basis < was.Basis && was.Basis.Authenticated():
		return changed
	case contradicts || better:
		*was, a.heard = next, true
	case !was.Basis.Authenticated() && next.Quality < was.Quality:
		was.Quality, a.heard = next.Quality, true
	default:
		a.heard = true
		return changed
	}
	return true
}

// end withdraws what strangers told this process of the boot that runs, for it is
// believed no more, and tells whether there was such.
func (a *Anchors) end() bool {
	if x, ok := a.Of(); !ok || !a.heard || x.Basis.Authenticated() {
		return false
	}
	a.all, a.heard = a.all[:len(a.all)-1], false
	return true
}

// withoutFuture leaves out what strangers said of other boots, if it was not yet by an
// authenticated time of the boot that runs; it tells whether there was such.
func withoutFuture(all []record.Anchor, now *record.Anchor) ([]record.Anchor, bool) {
	if !now.Basis.Authenticated() || now.Quality < record.QualitySynchronised {
		return all, false
	}
	n := len(all)
	all = slices.DeleteFunc(all, func(x record.Anchor) bool {
		return x.Boot != now.Boot && !x.Basis.Authenticated() &&
			x.UTC > now.UTC+record.Micros(x.Uncertainty+now.Uncertainty+worthTelling)
	})
	return all, len(all) != n
}

// Heed returns anchors as the ingest's newest word leaves them that no estimator has
// judged yet: what goes along with a request that follows an answer must not say what
// that answer refutes. A word that is proven stands for what strangers said of the boot.
// A plain one makes what contradicts it asserted, and leaves nothing that lies more
// than a day ahead of it. all is changed.
func Heed(all []record.Anchor, boot BootID, floor record.Micros, v *Evidence) []record.Anchor {
	if v.Kind != KindCloud || v.UTC < floor || boot == (BootID{}) {
		return all
	}
	c := exchange(v, v.Mono, record.BasisWord)
	if v.Trusted {
		c.basis = record.BasisEngine
	}
	word := record.Anchor{
		Boot: boot, Begin: v.Mono, Mono: v.Mono, UTC: record.Micros(v.Mono + c.point), Uncertainty: c.u,
		Quality: record.QualitySynchronised, Basis: c.basis,
	}
	all, _ = withoutFuture(all, &word)
	n := len(all)
	if n == 0 || all[n-1].Boot != boot || all[n-1].Basis.Authenticated() {
		return all
	}
	x := &all[n-1]
	switch d := x.Offset() - c.point; {
	case v.Trusted:
		word.Begin = x.Begin
		*x = word
	case d > day:
		return all[:n-1]
	case max(d, -d) > x.Uncertainty+c.u+worthTelling:
		x.Quality = min(x.Quality, record.QualityAsserted)
	}
	return all
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
