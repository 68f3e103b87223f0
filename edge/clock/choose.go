package clock

import (
	"math/bits"

	"landfall/edge/record"
)

// agreeSlack is what two that agree may differ by, beside their uncertainties.
const agreeSlack = 200 * milli

// minSamples is what one clock alone must have said to be believed.
const minSamples = 3

// backedFor is how long what strangers agreed on stands against a single one after
// they were heard last.
const backedFor = 15 * minute

// unopposedFor is how long strangers must agree on a time that a machine's clock
// contradicts that was set: so long others have to be heard.
const unopposedFor = minute

// agrees tells whether two say the same time.
func (c *candidate) agrees(other *candidate) bool {
	d := c.point - other.point
	return max(d, -d) <= c.u+other.u+agreeSlack
}

// worthTelling is by how much a time must differ from what is believed to be called
// refused: within seconds sources differ by their delays.
const worthTelling = 10 * sec

// contradicts tells whether two say times that no delay of seconds explains.
func (c *candidate) contradicts(other *candidate) bool {
	d := c.point - other.point
	return max(d, -d) > c.u+other.u+worthTelling
}

// decision is a time that is to be believed, and by what right.
type decision struct {
	candidate
	at      int // of candidates; -1: of none that was heard now
	basis   record.Basis
	quality record.TimeQuality
	lone    bool // one source alone says so
}

// choose decides what to believe. What is authenticated goes before all; then what
// strangers agree on, independent in number and kind; then a single word; then the
// day of what is held, or of the wall clock.
func (e *Estimator) choose(mono int64, g *guess) {
	e.chosen, e.split = -1, false
	if ref, ok := e.authority(mono); ok {
		e.settle(mono, &ref)
		return
	}
	for i := range e.candidates {
		c := &e.candidates[i]
		c.refused = e.vetoed(c, mono)
	}
	if d, ok := e.strangers(g); ok {
		if e.settle(mono, &d); g.opposes(&d.candidate) &&
			(mono-e.since < unopposedFor || d.lone && g.later(&d.candidate)) {
			e.current.Quality = min(e.current.Quality, record.QualityAsserted)
		}
		return
	}
	if e.disown(mono) || e.dayInDoubt() {
		return
	}
	if d, ok := e.undated(); ok {
		e.settle(mono, &d)
		return
	}
	e.doubt(mono)
}

// authority returns the newest authenticated time: of now, where two contradict each
// other the earlier and then it is asserted only; else the last one of this boot,
// which drift has made less certain. What contradicts it is refused.
func (e *Estimator) authority(mono int64) (d decision, ok bool) {
	for i := range e.candidates {
		c := &e.candidates[i]
		switch {
		case !c.basis.Authenticated():
		case !ok:
			d, ok = decision{*c, i, c.basis, record.QualitySynchronised, false}, true
		case d.agrees(c):
			basis := max(d.basis, c.basis)
			if c.u < d.u {
				d.candidate, d.at = *c, i
			}
			d.basis = basis
		default:
			e.split, d.quality = true, record.QualityAsserted
			other := i
			if c.point < d.point {
				other, d.candidate, d.at, d.basis = d.at, *c, i, c.basis
			}
			e.candidates[other].refused = AuthoritiesDisagree
		}
	}
	if ok {
		e.ref = Estimate{Known: true, Mono: mono, Offset: d.point, Uncertainty: d.u, Quality: d.quality, Basis: d.basis}
	} else if e.ref.Known {
		_, u := e.ref.UTC(mono)
		d = decision{candidate{kind: KindHost, observer: Local, point: e.ref.Offset, u: u, tight: true, dated: true},
			-1, e.ref.Basis, e.ref.Quality, false}
		ok = true
	}
	if !ok {
		return d, false
	}
	for i := range e.candidates {
		c := &e.candidates[i]
		switch {
		case c.basis.Authenticated():
		case e.delays(c.observer, mono):
			c.refused = Delays
		case c.dated && c.contradicts(&d.candidate):
			c.refused = AgainstAuthority
		}
	}
	return d, true
}

// vetoed returns why a candidate of strangers is not to be believed, whatever others
// say.
func (e *Estimator) vetoed(c *candidate, mono int64) Refusal {
	if e.delays(c.observer, mono) {
		return Delays
	}
	if c.dated && e.jumped(c.point) {
		return JumpForward
	}
	if c.kind == KindSensor && c.kinds == ofSensors && len(c.tellers) < 2 && !e.unset {
		return SensorsAlone
	}
	return NotRefused
}

// jumped tells whether an offset is days ahead of what the engine says over plain
// HTTP. That is nobody's proof, but no stranger moves the gateway so far beyond it.
func (e *Estimator) jumped(offset int64) bool {
	for i := range e.candidates {
		if p := &e.candidates[i]; p.kind == KindCloud && offset-p.point > day {
			return true
		}
	}
	return false
}

// coalition is who agrees with one candidate.
type coalition struct {
	seed    int
	sources int // that agree, itself among them
	level   record.Basis
}

// coalesce gathers who agrees with candidate i. BasisNone: it is not to be
// believed, for a single base station alone tells the date, and the wall clock does
// not agree.
func (e *Estimator) coalesce(i int, g *guess) coalition {
	c := &e.candidates[i]
	var tellers []teller
	var kinds family
	k := coalition{seed: i}
	for j := range e.candidates {
		m := &e.candidates[j]
		if !m.dated || m.refused != NotRefused || !m.agrees(c) || j != i && m.contested() {
			continue
		}
		if !m.contested() { // whoever contradicts himself has no vote
			k.sources++
		}
		kinds |= m.kinds
		for _, t := range m.tellers {
			tellers = join(tellers, t)
		}
	}
	wall := g.hasWall && !g.opposes(c)
	switch {
	case len(tellers) >= 2 && bits.OnesCount8(uint8(kinds)) >= 2 && !c.contested():
		k.level = record.BasisRadio
	case len(tellers) >= 2 || wall || len(tellers) == 1 && tellers[0].kind != KindBase:
		k.level = record.BasisWord
	}
	return k
}

func join(all []teller, t teller) []teller {
	for _, have := range all {
		if have == t {
			return all
		}
	}
	return append(all, t)
}

// strangers finds what most sources agree on. Sources count, not the clocks in
// them: whoever sends lines can send those of many clocks.
func (e *Estimator) strangers(g *guess) (d decision, ok bool) {
	var all []coalition
	best := -1
	for i := range e.candidates {
		c := &e.candidates[i]
		if !c.dated || c.refused != NotRefused || c.samples < minSamples {
			continue
		}
		k := e.coalesce(i, g)
		if k.level == record.BasisNone {
			c.refused = LoneStation
			continue
		}
		all = append(all, k)
		if best < 0 || e.before(&k, &all[best], g) {
			best = len(all) - 1
		}
	}
	if best < 0 {
		return d, false
	}
	b := &all[best]
	d = decision{e.candidates[b.seed], b.seed, b.level, record.QualityAsserted, b.sources < 2}
	contradicted := false
	for i := range all {
		c := &e.candidates[all[i].seed]
		if c.agrees(&d.candidate) {
			continue
		}
		plain := c.kind == KindCloud && c.contradicts(&d.candidate)
		if c.contradicts(&d.candidate) {
			c.refused = Outvoted
		}
		contradicted = contradicted || plain || all[i].level == b.level && all[i].sources >= b.sources
	}
	if b.level == record.BasisRadio && !contradicted {
		d.quality = record.QualitySynchronised
	}
	return d, true
}

// before tells whether a coalition is to be preferred.
func (e *Estimator) before(a, b *coalition, g *guess) bool {
	ca, cb := &e.candidates[a.seed], &e.candidates[b.seed]
	switch {
	case a.level != b.level:
		return a.level > b.level
	case a.sources != b.sources:
		return a.sources > b.sources
	case ca.agrees(cb):
		return ca.u < cb.u
	}
	return g.prefers(ca.point, cb.point)
}

// disown forgets what is held when it is what a source says of which only now it is
// known that it delays, and tells whether it did: what was gathered goes on from it.
func (e *Estimator) disown(mono int64) bool {
	held := candidate{point: e.current.Offset}
	_, held.u = e.current.UTC(mono)
	for i := range e.candidates {
		if c := &e.candidates[i]; c.refused == Delays && c.dated && c.agrees(&held) {
			e.current = Estimate{}
			return true
		}
	}
	return false
}

// dayInDoubt tells whether a single base station contradicts the day that the wall
// clock alone states: then nobody knows it, and what was taken from the wall clock
// is forgotten.
func (e *Estimator) dayInDoubt() bool {
	if e.current.Known && e.current.Basis > record.BasisNone {
		return false
	}
	for i := range e.candidates {
		if e.candidates[i].refused == LoneStation {
			e.current = Estimate{}
			return true
		}
	}
	return false
}

// undated returns what time of day, seconds and slots say where nobody tells the
// date: that of what is held, with its right, or of the wall clock, with none.
func (e *Estimator) undated() (d decision, ok bool) {
	for i := range e.candidates {
		c := &e.candidates[i]
		if c.dated || c.refused != NotRefused || c.samples < minSamples {
			continue
		}
		if !ok || c.tight && !d.tight || c.tight == d.tight && c.u < d.u {
			d, ok = decision{*c, i, record.BasisNone, record.QualityUnsynchronised, false}, true
		}
	}
	if ok && e.current.Known {
		d.basis, d.quality = e.current.Basis, e.current.Quality
	}
	return d, ok
}

// doubt forgets what strangers said when none of them was heard for long and the
// time of day that is heard now contradicts it.
func (e *Estimator) doubt(mono int64) {
	if !e.current.Known || mono-e.backed < backedFor {
		return
	}
	for i := range e.observers {
		if e.observers[i].daytimes() && !e.delays(i, mono) {
			e.current = Estimate{}
			return
		}
	}
}

// daytimes tells whether a time of day is heard. Called when none led to a
// candidate: then it contradicts.
func (o *observer) daytimes() bool {
	for i := range o.clocks {
		if h := &o.clocks[i]; h.used && models[h.kind].daytime() {
			return true
		}
	}
	return false
}

// settle makes a decision the estimate, as fine as those that agree with it allow,
// unless what is held is finer or stands on firmer ground.
func (e *Estimator) settle(mono int64, d *decision) {
	fine, at := d.candidate, d.at
	for i := range e.candidates {
		c := e.candidates[i]
		if c.refused != NotRefused || c.kind == KindSecond || !c.tight && c.kind != KindSlot || c.samples < minSamples {
			continue
		}
		if !c.dated { // it has the part of a minute only
			c.point = nearest(c.point, d.point, minute)
		}
		if c.u < fine.u && c.agrees(&d.candidate) {
			fine, at = c, i
		}
	}
	next := Estimate{
		Known: true, Mono: mono, Offset: fine.point, Uncertainty: fine.u, Radio: fine.radio, Quality: d.quality,
		Basis: d.basis,
	}
	was := e.current
	if !was.Known {
		e.backed, e.since = mono, mono
	} else {
		held := candidate{point: was.Offset}
		_, held.u = was.UTC(mono)
		agrees := held.agrees(&fine) && held.agrees(&d.candidate)
		since := e.since
		if !agrees {
			since = mono
		}
		if next.Basis < was.Basis && d.dated && !next.Basis.Authenticated() {
			if !agrees && mono-e.backed < backedFor && !e.jumped(was.Offset) {
				return // a lone clock moves nothing that several agreed on
			}
			if agrees {
				next.Basis, next.Quality = was.Basis, was.Quality
			}
		}
		if agrees && held.u < next.Uncertainty { // evidence has become coarser
			next.Mono, next.Offset, next.Uncertainty, next.Radio, at = was.Mono, was.Offset, was.Uncertainty, was.Radio, -1
		}
		if d.dated && next.Basis == d.basis || d.day {
			e.backed = mono
		}
		e.since = since
	}
	e.current, e.chosen = next, at
}
