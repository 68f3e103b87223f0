package clock

import "landfall/edge/record"

// maxLag is how late a source that is not tight may be and still support an
// offset.
const maxLag = 60 * minute

// agreeSlack is what two that agree may differ by, beside their uncertainties.
const agreeSlack = 200 * milli

// minSamples is what one clock alone must have said to be believed.
const minSamples = 3

// supports tells whether c agrees that the offset is that of other.
func (c *candidate) supports(other *candidate) bool {
	d, slack := other.point-c.point, c.u+other.u+agreeSlack
	if c.tight {
		return d <= slack && -d <= slack
	}
	return d >= -slack && d <= slack+maxLag
}

// strong tells whether more than one clock, or an authenticated one, stands
// behind it.
func (c *candidate) strong() bool { return c.dated && c.clocks >= 2 }

// choose takes the candidate with the most support, and the finest of those
// that agree with it.
func (e *Estimator) choose(mono int64) {
	e.chosen = -1
	anyStrong := false
	for i := range e.candidates {
		c := &e.candidates[i]
		c.supporters, c.tightSupporters = 0, 0
		for j := range e.candidates {
			if e.candidates[j].dated && e.candidates[j].supports(c) {
				c.supporters++
				if e.candidates[j].tight {
					c.tightSupporters++
				}
			}
		}
		anyStrong = anyStrong || c.strong()
	}
	best := -1
	for i := range e.candidates {
		c := &e.candidates[i]
		if c.samples < minSamples || anyStrong && !c.strong() || c.kind == KindSensor && !c.strong() && !e.unset {
			continue
		}
		if best < 0 || c.before(&e.candidates[best]) {
			best = i
		}
	}
	if best < 0 {
		return
	}
	e.adopt(mono, best)
}

// before tells whether c is to be preferred.
func (c *candidate) before(d *candidate) bool {
	switch {
	case c.dated != d.dated:
		return c.dated
	case c.supporters != d.supporters:
		return c.supporters > d.supporters
	case c.tightSupporters != d.tightSupporters:
		return c.tightSupporters > d.tightSupporters
	case c.clocks != d.clocks:
		return c.clocks > d.clocks
	}
	return c.point > d.point
}

// adopt makes a candidate the estimate, as fine as those that agree allow, unless
// what is held is better or stands on firmer ground.
func (e *Estimator) adopt(mono int64, best int) {
	b := e.candidates[best]
	fine, at := b, best
	for i := range e.candidates {
		c := e.candidates[i]
		if !c.dated { // it has the part of a minute only
			c.point = nearest(c.point, b.point, minute)
		}
		if c.kind != KindSecond && (c.tight || c.kind == KindSlot) && c.u < fine.u && c.supports(&b) && c.samples >= minSamples {
			fine, at = c, i
		}
	}
	next := Estimate{Known: true, Mono: mono, Offset: fine.point, Uncertainty: fine.u, Radio: fine.radio, Quality: record.QualityAsserted}
	switch {
	case !b.dated: // a day that only the wall clock states is nobody's word
		next.Quality = record.QualityUnsynchronised
	case b.strong() || b.supporters > 1:
		next.Quality = record.QualitySynchronised
	}
	strong := next.Quality == record.QualitySynchronised
	if e.current.Known {
		_, held := e.current.UTC(mono)
		d := next.Offset - e.current.Offset
		agrees := max(d, -d) <= next.Uncertainty+held+agreeSlack
		if agrees && !b.dated { // it goes on from a date that was known
			next.Quality, strong = max(next.Quality, e.current.Quality), e.strong
		}
		switch {
		case e.strong && !strong && (!agrees || held < next.Uncertainty):
			return // a lone clock moves nothing that several agreed on
		case agrees && held < next.Uncertainty && (e.strong || !strong):
			return // evidence has become coarser
		}
	}
	e.current, e.strong, e.chosen = next, strong, at
}
