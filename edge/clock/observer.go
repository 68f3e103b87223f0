package clock

import "landfall/edge/record"

// maxClocks bounds the clocks remembered of one source.
const maxClocks = 64

// observer is one source, through which clocks are heard.
type observer struct {
	name   string
	live   bool
	clocks []heard

	slot  cluster // of the last judgement
	tight bool    // it lies within the narrowest spread
}

// heard is one clock.
type heard struct {
	kind  Kind
	clock uint32
	samples

	// Of the last judgement.
	where  cluster
	lo, hi int64 // the offset it allows
	used   bool  // it had samples enough
}

// add takes a sample. Of too many clocks the one that was silent longest goes.
func (o *observer) add(v *Evidence, m *delays) {
	s := sample{mono: v.Mono, x: int64(v.UTC) - v.Mono}
	for i := range o.clocks {
		if h := &o.clocks[i]; h.kind == v.Kind && h.clock == v.Clock {
			h.add(s, m.keep)
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
	clocks   int  // that agree on it
	tight    bool // it hides no delay
	dated    bool // a date was heard, not taken from the wall clock
	samples  int
	radio    bool

	supporters, tightSupporters int // by choose
}

// span is an interval of offsets; lo > hi: none.
type span struct{ lo, hi int64 }

func (s span) and(t span) span { return span{max(s.lo, t.lo), min(s.hi, t.hi)} }
func (s span) empty() bool     { return s.lo > s.hi }

// judge finds the offset that the source's clocks agree on.
func (o *observer) judge(mono int64, wall, floor record.Micros, scratch *[]int64) (candidate, bool) {
	o.summarise(mono, scratch)
	at, clocks, dated := o.intersect()
	if !dated {
		var ok bool
		if at, ok = o.undated(mono, wall, floor); !ok {
			return candidate{}, false
		}
	}
	return o.refine(at, clocks, dated), true
}

// summarise finds each clock's cluster and the offsets it allows.
func (o *observer) summarise(mono int64, scratch *[]int64) {
	o.slot, o.tight = cluster{}, false
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

// intersect gives the offsets that most of the clocks allow, those with a date
// each at one place, the others once in each of their periods; and how many
// agree there on the day or the hour.
func (o *observer) intersect() (best span, clocks int, ok bool) {
	most := -1
	for i := range o.clocks { // a region that most allow begins where some interval does
		if h := &o.clocks[i]; !h.used || models[h.kind].period != 0 {
			continue
		}
		at, dated, rank := o.allowing(o.clocks[i].lo)
		days, parts := o.periodic(at)
		// Every vote is equal; where votes are, what GNSS disciplines goes before
		// what a computer stamps, and the later first, for a way can only delay.
		score := 8*(dated+days+parts) + rank
		if score > most || score == most && at.lo > best.lo {
			most, best, clocks, ok = score, at, dated+days, true
		}
	}
	return best, clocks, ok
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

// undated takes the date from the wall clock: when it agrees with the time of
// day, or when there is nothing but seconds and slots, and it is not a clock
// that was never set. any says that there is something to correct it by.
func (o *observer) undated(mono int64, wall, floor record.Micros) (at span, any bool) {
	if wall == record.NoTime || wall < floor || wall < 0 {
		return span{}, false
	}
	guess := int64(wall) - mono
	at = span{guess - minute/2, guess + minute/2}
	for i := range o.clocks {
		h := &o.clocks[i]
		m := &models[h.kind]
		any = any || h.used && m.period == minute
		if !h.used || m.period != day {
			continue
		}
		if at = h.within(span{guess - wallTrust, guess + wallTrust}, day); at.empty() {
			return span{}, false
		}
		any = true
	}
	return at, any
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
