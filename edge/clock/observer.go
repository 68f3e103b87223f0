package clock

import "landfall/edge/record"

// maxClocks bounds the clocks remembered of one source.
const maxClocks = 64

// observer is one source, through which clocks are heard.
type observer struct {
	name   string
	live   bool
	clocks []heard

	slot      cluster // of the last judgement
	tight     bool    // it lies within the narrowest spread
	scattered bool    // the seconds of positions lie anywhere: it delays
	echoes    echoes  // what was heard through it
}

// scatterSamples is how many seconds of positions must lie anywhere to show that a
// source delays each line by another time.
const scatterSamples = 20

// heard is one clock.
type heard struct {
	kind  Kind
	clock uint32
	samples
	senders [2]sender // the last two that differ

	// Of the last judgement.
	where  cluster
	lo, hi int64 // the offset it allows
	used   bool  // it had samples enough
}

// sender is when a station was heard last.
type sender struct {
	mmsi uint32
	mono int64
}

// from notes who sent a sample.
func (h *heard) from(mmsi uint32, mono int64) {
	if h.senders[0].mmsi != mmsi {
		h.senders[1] = h.senders[0]
	}
	h.senders[0] = sender{mmsi, mono}
}

// several tells whether more than one station sent what was heard since.
func (h *heard) several(since int64) bool {
	return h.senders[1].mmsi != 0 && h.senders[1].mono >= since
}

// add takes a sample. Of too many clocks the one that was silent longest goes.
func (o *observer) add(v *Evidence, m *delays) {
	s := sample{mono: v.Mono, x: int64(v.UTC) - v.Mono}
	for i := range o.clocks {
		if h := &o.clocks[i]; h.kind == v.Kind && h.clock == v.Clock {
			h.add(s, m.keep)
			h.from(v.Sender, v.Mono)
			return
		}
	}
	at := len(o.clocks)
	if at == maxClocks {
		at = o.stalest()
		o.clocks[at] = heard{}
	} else {
		o.clocks = append(o.clocks, heard{})
	}
	o.clocks[at].kind, o.clocks[at].clock = v.Kind, v.Clock
	o.clocks[at].add(s, m.keep)
	o.clocks[at].from(v.Sender, v.Mono)
}

func (o *observer) stalest() int {
	at, oldest := 0, int64(1<<62)
	for i := range o.clocks {
		if n := o.clocks[i].newest(); n < oldest {
			at, oldest = i, n
		}
	}
	return at
}

// candidate is an offset that is proposed.
type candidate struct {
	kind     Kind // KindCloud, KindHost, or of a source the finest kind
	observer int
	point, u int64
	clocks   int          // that agree on day or hour
	tight    bool         // it hides no delay, as far as it alone can show
	dated    bool         // a date was heard, not taken from the wall clock
	day      bool         // a time of day was heard
	basis    record.Basis // BasisHost or BasisEngine: authenticated
	samples  int
	radio    bool

	tellers []teller // who tells the date
	against int      // clocks with a date, of the same source, that tell another
	kinds   family   // of all that agree

	refused Refusal // by choose
}

// teller is who tells a date: a base station is the same one through whatever
// source it is heard, everybody else is one a source.
type teller struct {
	kind     Kind
	observer int // -1 for base stations
	clock    uint32
}

// contested tells whether as many of its own clocks tell another date.
func (c *candidate) contested() bool { return c.against > 0 && c.against >= len(c.tellers) }

// span is an interval of offsets; lo > hi: none.
type span struct{ lo, hi int64 }

func (s span) and(t span) span { return span{max(s.lo, t.lo), min(s.hi, t.hi)} }
func (s span) empty() bool     { return s.lo > s.hi }

// guess is what settles a tie, and the day where nobody tells it: the wall clock
// and what is held, as offsets.
type guess struct {
	wall, held       int64
	hasWall, hasHeld bool // a wall clock before the floor was never set
}

// nearGuess is how far an offset may lie from a guess that settles a tie.
const nearGuess = 10 * minute

// prefers tells whether a goes before b, which has as much for it: the one that
// the wall clock agrees with, then the one that is held, then the earlier. A later
// time never wins by being later.
func (g *guess) prefers(a, b int64) bool {
	near := func(has bool, at, x int64) bool { return has && max(at-x, x-at) <= nearGuess }
	if wa, wb := near(g.hasWall, g.wall, a), near(g.hasWall, g.wall, b); wa != wb {
		return wa
	}
	if ha, hb := near(g.hasHeld, g.held, a), near(g.hasHeld, g.held, b); ha != hb {
		return ha
	}
	return a < b
}

// opposes tells whether the wall clock was set and says another time.
func (g *guess) opposes(c *candidate) bool {
	return g.hasWall && max(g.wall-c.point, c.point-g.wall) > nearGuess
}

// later tells whether the wall clock is ahead of c by less than a day: what c says may
// be right and long under way.
func (g *guess) later(c *candidate) bool { return g.wall > c.point && g.wall-c.point < day }

// judge adds the offset on which the source's clocks with a date agree, and the one
// that those without allow if the day is that of what is held, or of the wall
// clock.
func (o *observer) judge(to []candidate, number int, mono int64, g *guess, scratch *[]int64) []candidate {
	o.summarise(mono, scratch)
	if r, ok := o.intersect(g); ok {
		c := o.refine(r.at, r.clocks, true)
		c.observer, c.against, c.day = number, o.dated()-r.dated, true
		c.tellers, c.kinds = o.tellers(r.at, number), o.families(r.at, mono)
		to = append(to, c)
	}
	if at, day, ok := o.undated(g); ok {
		c := o.refine(at, 0, false)
		c.observer, c.day = number, day
		to = append(to, c)
	}
	return to
}

// dated counts the clocks in use that tell a date.
func (o *observer) dated() (n int) {
	for i := range o.clocks {
		if h := &o.clocks[i]; h.used && models[h.kind].period == 0 {
			n++
		}
	}
	return n
}

// tellers names who tells a date in a region.
func (o *observer) tellers(at span, number int) (all []teller) {
	for i := range o.clocks {
		h := &o.clocks[i]
		if !h.used || models[h.kind].period != 0 || (span{h.lo, h.hi}).and(at).empty() {
			continue
		}
		t := teller{h.kind, number, h.clock}
		if h.kind == KindBase {
			t.observer = -1
		}
		all = append(all, t)
	}
	return all
}

// families returns the kinds that allow an offset of at. Traffic counts when more
// than one ship makes it.
func (o *observer) families(at span, mono int64) (all family) {
	for i := range o.clocks {
		h := &o.clocks[i]
		m := &models[h.kind]
		switch {
		case !h.used:
		case m.period == 0:
			if !(span{h.lo, h.hi}).and(at).empty() {
				all |= families[h.kind]
			}
		case families[h.kind] == ofTraffic && !h.several(mono-m.lasts):
		case !h.within(at, m.period).empty():
			all |= families[h.kind]
		}
	}
	return all
}

// summarise finds each clock's cluster and the offsets it allows.
func (o *observer) summarise(mono int64, scratch *[]int64) {
	o.slot, o.tight, o.scattered = cluster{}, false, false
	for i := range o.clocks {
		h := &o.clocks[i]
		m := &models[h.kind]
		since := mono - m.lasts
		if h.kind == KindSlot {
			h.where, o.tight, h.used = slotCluster(&h.samples, since, scratch)
			o.slot = h.where
			h.lo, h.hi = h.where.lo+m.early, h.where.hi+m.late
			continue
		}
		c := h.densest(since, m.period, m.spread, scratch)
		h.where = c
		h.used = c.n > 0 && float64(c.n) >= m.share*float64(c.of) && (m.period == 0 || c.n >= 3)
		if m.period == 0 && 2*c.n <= c.of {
			h.used = false // it says two things as often
		}
		o.scattered = o.scattered || h.kind == KindSecond && !h.used && c.of >= scatterSamples
		if h.kind == KindMinute {
			// Of times cut to the minute the latest tells least, the earliest most.
			h.lo, h.hi = c.hi+m.early, c.lo+m.late
			h.used = h.used && h.lo <= h.hi
			continue
		}
		h.lo, h.hi = c.median+m.early, c.median+m.late
	}
}

// slotCluster looks for the narrowest cluster that slots make. In the wider ones
// slots are known no better than the source stamps.
func slotCluster(s *samples, since int64, scratch *[]int64) (c cluster, tight, used bool) {
	for i, level := range slotSpreads {
		c = s.densest(since, minute, level.spread, scratch)
		if c.n >= 5 && float64(c.n) >= level.share*float64(c.of) {
			return c, i == 0, true
		}
	}
	return c, false, false
}

// region is where most clocks of a source agree.
type region struct {
	at            span
	dated, clocks int // clocks with a date; with date or time of day
}

// intersect gives the offsets that most of the clocks allow, those with a date
// each at one place, the others once in each of their periods.
func (o *observer) intersect(g *guess) (best region, ok bool) {
	most := -1
	for i := range o.clocks { // a region that most allow begins where some interval does
		if h := &o.clocks[i]; !h.used || models[h.kind].period != 0 {
			continue
		}
		at, dated, rank := o.allowing(o.clocks[i].lo)
		days, parts := o.periodic(at)
		// Every vote is equal; where votes are, what GNSS disciplines goes before
		// what a computer stamps.
		score := 8*(dated+days+parts) + rank
		if score > most || score == most && g.prefers(at.lo, best.at.lo) {
			most, best, ok = score, region{at, dated, dated + days}, true
		}
	}
	return best, ok
}

// allowing gives the region from lo that all clocks allow which allow lo, how
// many these are, and the rank of the best kind among them.
func (o *observer) allowing(lo int64) (at span, n, rank int) {
	at = span{lo, 1<<63 - 1}
	for i := range o.clocks {
		h := &o.clocks[i]
		if !h.used || models[h.kind].period != 0 || h.lo > lo || lo > h.hi {
			continue
		}
		at.hi = min(at.hi, h.hi)
		n++
		switch h.kind {
		case KindGNSS, KindBase:
			rank = max(rank, 2)
		case KindStamp, KindEnvelope:
			rank = max(rank, 1)
		}
	}
	return at, n, rank
}

// periodic counts the clocks without a date that allow an offset of at: those
// that know the time of day, and those that know a part of a minute.
func (o *observer) periodic(at span) (days, parts int) {
	for i := range o.clocks {
		h := &o.clocks[i]
		m := &models[h.kind]
		if !h.used || m.period == 0 || h.within(at, m.period).empty() {
			continue
		}
		if m.period == day {
			days++
		} else {
			parts++
		}
	}
	return days, parts
}

// within gives what a clock that repeats allows of at, nearest to its middle.
func (h *heard) within(at span, period int64) span {
	middle := at.lo + (at.hi-at.lo)/2
	own := (h.lo + h.hi) / 2
	d := nearest(own, middle, period) - own
	return span{h.lo + d, h.hi + d}.and(at)
}

// wallTrust is how far the wall clock may be from a time of day to be believed
// to have the date right; a clock that was never set agrees by chance once in a
// hundred.
const wallTrust = 10 * minute

// undated takes the date from what is held, else from the wall clock: when it
// agrees with the time of day, or when there is nothing but seconds and slots.
// day says that there was a time of day; ok that there was anything to correct by.
func (o *observer) undated(g *guess) (at span, day, ok bool) {
	guess := g.wall
	if g.hasHeld {
		guess = g.held
	} else if !g.hasWall {
		return span{}, false, false
	}
	at = span{guess - minute/2, guess + minute/2}
	for i := range o.clocks {
		h := &o.clocks[i]
		m := &models[h.kind]
		ok = ok || h.used && m.period == minute
		if !h.used || !m.daytime() {
			continue
		}
		if at = h.within(span{guess - wallTrust, guess + wallTrust}, m.period); at.empty() {
			return span{}, true, false
		}
		day, ok = true, true
	}
	return at, day, ok
}

// refine narrows an offset down, from the coarse kinds to the fine.
func (o *observer) refine(at span, clocks int, dated bool) candidate {
	c := candidate{kind: KindSecond, clocks: clocks, dated: dated}
	typical := at
	for _, k := range [...]Kind{KindSensor, KindStamp, KindEnvelope, KindMinute, KindBase, KindSecond, KindGNSS, KindDaytime} {
		for i := range o.clocks {
			h := &o.clocks[i]
			if h.kind != k || !h.used {
				continue
			}
			m := &models[k]
			in := span{h.lo, h.hi}.and(at)
			if m.period > 0 {
				in = h.within(typical, m.period)
			}
			if in.empty() {
				continue
			}
			c.samples += h.where.n
			c.radio = c.radio || k == KindBase || k == KindMinute || k == KindSecond
			if in = in.and(typical); in.empty() {
				continue
			}
			typical = in
			c.kind, c.point, c.u = k, h.likeliest(typical, m), 0
			c.tight = k == KindGNSS || k == KindDaytime
		}
	}
	if c.samples == 0 {
		c.point = (at.lo + at.hi) / 2
	}
	c.u = max(c.point-typical.lo, typical.hi-c.point, 5*milli)
	o.refineSlot(&c)
	return c
}

// likeliest is the offset by the clock's median and its kind's typical delay,
// as far as others allow it.
func (h *heard) likeliest(in span, m *delays) int64 {
	at := h.where.median + m.typical
	if h.kind == KindMinute {
		at = (h.lo + h.hi) / 2
	}
	return min(max(nearest(at, (in.lo+in.hi)/2, m.period), in.lo), in.hi)
}

// refineSlot takes the slots' word for the part of a minute, where the rest is
// known well enough.
func (o *observer) refineSlot(c *candidate) {
	s := o.slot
	if s.n == 0 {
		return
	}
	for i := range o.clocks {
		if h := &o.clocks[i]; h.kind == KindSlot && !h.used {
			return
		}
	}
	at := nearest(s.median+SlotLatency, c.point, minute)
	if d := at - c.point; d > c.u+2*sec || d < -c.u-2*sec {
		return
	}
	c.kind, c.radio = KindSlot, true
	c.point, c.u, c.tight = at, (s.hi-s.lo)/2+15*milli, o.tight
	c.samples += s.n
}
