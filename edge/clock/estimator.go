package clock

import (
	"time"

	"landfall/edge/record"
)

// EstimatorConfig bounds what is believed.
type EstimatorConfig struct {
	// Floor is a time that is past for sure: when the program was made. What says
	// less is wrong, or has rolled over.
	Floor record.Micros
	// Proven is the last time that the engine proved in an earlier run; 0: none.
	// Strangers who say less are wrong too; the engine and NTP may.
	Proven record.Micros
	// Interval is how often evidence is judged, at most. 0: 1 s.
	Interval time.Duration
}

// Estimate is what UTC is believed to be: Mono + Offset at the monotonic time
// Mono, give or take Uncertainty.
type Estimate struct {
	Known       bool
	Mono        int64
	Offset      int64 // microseconds
	Uncertainty int64 // microseconds
	Quality     record.TimeQuality
	Radio       bool         // AIS traffic settled it
	Basis       record.Basis // what it rests on
}

// UTC gives the time at a monotonic time, and how uncertain it is by then.
func (e *Estimate) UTC(mono int64) (record.Micros, int64) {
	return record.Micros(mono + e.Offset), e.Uncertainty + record.Drift(mono-e.Mono)
}

// Estimator finds out what UTC is, from evidence of which any may be wrong. It
// works on monotonic time, so that steps of the wall clock do not exist for it.
//
// Two things go wrong, and they are told apart. A clock lies: it may be any time
// off, but it is one. A way delays: everything that comes through it is late,
// and never early. So:
//
//  1. Of each clock (a base station, the TAG blocks of a source, …) the samples
//     of the last minutes are kept, as UTC - Mono. Where most of them lie
//     (cluster) gives an interval for the offset, by the delays of its kind.
//  2. In each source its clocks are intersected: the offset that most intervals
//     contain wins (K. Marzullo, S. Owicki, Maintaining the Time in a Distributed
//     System, 1983; NTP does so with servers: RFC 5905, section 11.2.1). Clocks
//     without a date, which repeat every minute or day, vote too. Slots then
//     give the millisecond: a source whose slots cluster within 80 ms hides no
//     delay, and is called tight.
//  3. The ingest's answers over TLS and a clock that the host keeps go before all
//     strangers. Where they speak, or spoke in this boot, strangers refine the
//     estimate within its uncertainty and do no more.
//  4. Else sources vote, each once. Strangers that agree settle the time when at
//     least two tell the date and a third, of another kind, agrees; a single word is
//     nobody's proof, and a single base station's none at all. Ties go to the wall
//     clock, to what is held, to the earlier, and are asserted only.
//  5. A source that is known to delay, because others bring the same transmissions
//     earlier or because its seconds lie anywhere, has no voice.
//  6. What was found before is held, growing uncertain by record.MaxDrift, until
//     evidence is better or contradicts with a better right.
//
// docs/time.md has the model, and the table test goes through it.
//
// An Estimator is pure and belongs to one goroutine. The same calls give the
// same estimates.
type Estimator struct {
	cfg       EstimatorConfig
	interval  int64
	observers []observer
	cloud     Evidence
	host      Evidence
	hasCloud  bool
	hasHost   bool

	current    Estimate
	ref        Estimate      // the last authenticated time of this boot, untouched by strangers
	proven     record.Micros // the last time the engine proved, in this run or an earlier one
	floor      record.Micros // strangers who say less are refused
	backed     int64         // when what current rests on was heard last
	since      int64         // since when the same is believed
	split      bool          // the engine and the machine's keeper contradict each other
	judged     int64
	began      bool
	unset      bool        // the wall clock says a time before the floor
	candidates []candidate // of the last judgement, for Report
	chosen     int         // of candidates; -1: the current estimate is held
	scratch    []int64
	rolled     uint64
	refused    [refusals]uint64
}

// NewEstimator starts without evidence.
func NewEstimator(cfg EstimatorConfig) *Estimator {
	e := &Estimator{cfg: cfg, interval: cfg.Interval.Microseconds(), chosen: -1, proven: cfg.Proven,
		floor: max(cfg.Floor, cfg.Proven)}
	if e.interval <= 0 {
		e.interval = sec
	}
	return e
}

// AddObserver makes a source known and gives its number. live says that what it
// brings was heard just now; of one that resends a backlog nothing can be
// learned about the clock.
func (e *Estimator) AddObserver(name string, live bool) int {
	e.observers = append(e.observers, observer{name: name, live: live})
	return len(e.observers) - 1
}

// Observe takes one piece of evidence. It costs a few nanoseconds; Update
// judges.
func (e *Estimator) Observe(v Evidence) {
	m := &models[v.Kind]
	floor := e.floor
	if v.Kind == KindHost || v.Kind == KindCloud && v.Trusted {
		floor = e.cfg.Floor
	}
	if m.period == 0 && v.UTC < floor {
		if v.Kind != KindGNSS || !e.unroll(&v) {
			e.refused[BeforeFloor]++
			return
		}
	}
	switch v.Kind {
	case KindCloud:
		e.cloud, e.hasCloud = v, true
		if v.Trusted {
			e.proven = v.UTC
		}
	case KindHost:
		e.host, e.hasHost = v, true
	}
	if (v.Kind == KindHost || v.Trusted) && v.UTC < e.floor {
		e.floor = e.cfg.Floor // the engine's clock was wrong when it raised it
	}
	if v.Observer < 0 || v.Observer >= len(e.observers) {
		return
	}
	if o := &e.observers[v.Observer]; o.live {
		o.add(&v, m)
	}
}

// maxUnrolled is how long after the floor a date that was moved may lie: one just
// below the floor is wrong and has not rolled over.
const maxUnrolled = rollover / 2

// unroll moves a date of a receiver that counts weeks with ten bits into the
// 1,024 weeks that begin at the floor.
func (e *Estimator) unroll(v *Evidence) bool {
	const gpsEpoch = 315_964_800_000_000 // 1980-01-06
	if e.floor <= 0 || v.UTC < gpsEpoch {
		return false
	}
	at := v.UTC
	for at < e.floor {
		at += rollover
	}
	if at-e.floor >= maxUnrolled {
		return false
	}
	v.UTC = at
	e.rolled++
	return true
}

// Current gives the estimate as of the last Update.
func (e *Estimator) Current() Estimate { return e.current }

// Proven is the last time that the engine proved; 0: it never did.
func (e *Estimator) Proven() record.Micros { return e.proven }

// Due tells whether Update would judge.
func (e *Estimator) Due(mono int64) bool { return !e.began || mono-e.judged >= e.interval }

// Update judges the evidence as of mono, when the interval is over. wall is the
// wall clock then; it gives the date where nothing else ever did.
func (e *Estimator) Update(mono int64, wall record.Micros) Estimate {
	if !e.Due(mono) {
		return e.current
	}
	e.began, e.judged, e.unset = true, mono, wall < e.cfg.Floor
	g := e.guess(mono, wall)
	e.gather(mono, &g)
	e.choose(mono, &g)
	for i := range e.candidates {
		if c := &e.candidates[i]; c.refused != NotRefused && c.dated {
			e.refused[c.refused]++
		}
	}
	return e.current
}

// guess returns what is held and the wall clock as offsets.
func (e *Estimator) guess(mono int64, wall record.Micros) guess {
	return guess{
		wall: int64(wall) - mono, hasWall: wall != record.NoTime && wall >= 0 && wall >= e.cfg.Floor,
		held: e.current.Offset, hasHeld: e.current.Known,
	}
}

// Delay is how long after the start of a transmission of one slot its line
// comes through a source, by the slots heard; the usual where there are none.
// steady says that it is the same for nearly all.
func (e *Estimator) Delay(observer int) (d int64, steady bool) {
	if observer < len(e.observers) && e.current.Known {
		if o := &e.observers[observer]; o.tight {
			if d := nearest(e.current.Offset-o.slot.median, 0, minute); d >= 0 && d < 30*sec {
				return d, true
			}
		}
	}
	return SlotLatency, false
}

// gather makes candidates of what there is. Where no date is heard, it is that
// of the estimate so far, else of the wall clock: its later steps count for
// nothing, for the kernel would say if NTP had made them.
func (e *Estimator) gather(mono int64, g *guess) {
	e.candidates = e.candidates[:0]
	for i := range e.observers {
		e.candidates = e.observers[i].judge(e.candidates, i, mono, g, &e.scratch)
	}
	for i := range e.candidates {
		e.undelay(&e.candidates[i], mono)
	}
	if e.hasCloud && mono-e.cloud.Mono < models[KindCloud].lasts {
		basis := record.BasisNone
		if e.cloud.Trusted {
			basis = record.BasisEngine
		}
		e.candidates = append(e.candidates, exchange(&e.cloud, mono, basis))
	}
	if e.hasHost && mono-e.host.Mono < models[KindHost].lasts {
		e.candidates = append(e.candidates, exchange(&e.host, mono, record.BasisHost))
	}
}

// exchange is what an answer says, between question and answer.
func exchange(v *Evidence, mono int64, basis record.Basis) candidate {
	lo, hi := int64(v.UTC)-v.Mono, int64(v.UTC)-v.Before
	u := (hi-lo)/2 + record.Drift(mono-v.Mono) + milli
	return candidate{
		kind: v.Kind, observer: Local, point: (lo + hi) / 2, u: u, clocks: 1, tight: true, dated: true, day: true,
		samples: minSamples,
		basis:   basis, tellers: []teller{{kind: v.Kind, observer: Local}}, kinds: families[v.Kind],
	}
}
