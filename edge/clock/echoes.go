package clock

import "slices"

// The same transmission that comes through two sources tells which of them
// delays: what a source alone says of itself hides a constant delay, however fine
// its slots lie.
const (
	// echoesKept is how many transmissions are remembered of a source, each so long
	// as echoLasts.
	echoesKept = 2048
	echoLasts  = 60 * minute
	// lagsKept is how many comparisons are kept, lagSamples are needed.
	lagsKept   = 32
	lagSamples = 5
	lagLasts   = 15 * minute
	// KnownDelay is how much later than another source one must hear the same
	// transmissions, by the median, to be known to delay. In microseconds. What is
	// less is added to what the source says.
	KnownDelay = 2 * sec
)

// echoes are the transmissions of a source and how much later than others it
// brought those that others brought too.
type echoes struct {
	at   map[uint64]int64 // when each was heard, monotonic
	ring []uint64         // the same, oldest at next once it is full
	next int
	lags samples // x: how much later than the first to hear it
}

// add notes a transmission that was heard at mono. One that comes again through the
// same source keeps its first time.
func (e *echoes) add(id uint64, mono int64) {
	if e.at == nil {
		e.at = map[uint64]int64{}
	}
	if _, ok := e.at[id]; ok {
		return
	}
	if len(e.ring) < echoesKept {
		e.ring = append(e.ring, id)
	} else {
		delete(e.at, e.ring[e.next])
		e.ring[e.next] = id
		e.next = (e.next + 1) % echoesKept
	}
	e.at[id] = mono
}

// lag is the median of how much later it was than others; false: they have too
// little in common.
func (e *echoes) lag(mono int64, scratch *[]int64) (int64, bool) {
	xs := (*scratch)[:0]
	for _, v := range e.lags.all {
		if v.mono >= mono-lagLasts {
			xs = append(xs, v.x)
		}
	}
	*scratch = xs
	if len(xs) < lagSamples {
		return 0, false
	}
	slices.Sort(xs)
	return xs[len(xs)/2], true
}

// Compares tells whether there are sources to compare.
func (e *Estimator) Compares() bool { return len(e.observers) > 1 }

// Transmission takes that a source brought a transmission. id is a hash of its
// bytes, mono when it was heard. Only those that name their second or slot, and so
// hardly come twice, should be given.
func (e *Estimator) Transmission(observer int, id uint64, mono int64) {
	if observer < 0 || observer >= len(e.observers) || !e.Compares() || !e.observers[observer].live {
		return
	}
	own := &e.observers[observer].echoes
	if _, again := own.at[id]; again {
		return
	}
	first, by := mono, -1
	for i := range e.observers {
		if at, ok := e.observers[i].echoes.at[id]; ok && mono-at <= echoLasts && at <= first && i != observer {
			first, by = at, i
		}
	}
	own.add(id, mono)
	if by >= 0 {
		own.lags.add(sample{mono, mono - first}, lagsKept)
		e.observers[by].echoes.lags.add(sample{mono, 0}, lagsKept)
	}
}

// undelay moves what a source says by how much later than others it brings the same.
func (e *Estimator) undelay(c *candidate, mono int64) {
	lag, ok := e.observers[c.observer].echoes.lag(mono, &e.scratch)
	if ok && lag > 0 && lag < KnownDelay {
		c.point, c.u = c.point+lag, c.u+lag/2
		c.tight = c.tight && lag < agreeSlack
	}
}

// delays tells whether a source is known to delay: it brings what others bring too
// much later than they, or the seconds in it lie anywhere.
func (e *Estimator) delays(observer int, mono int64) bool {
	if observer < 0 {
		return false
	}
	o := &e.observers[observer]
	lag, ok := o.echoes.lag(mono, &e.scratch)
	return o.scattered || ok && lag >= KnownDelay
}
