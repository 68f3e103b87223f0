package aissim

import (
	"fmt"
	"iter"
	"math/rand/v2"

	goais "github.com/BertoldVdb/go-ais"
)

// Reporting intervals in microseconds (ITU-R M.1371-5, annex 1, tables 1, 2).
const (
	second         = 1_000_000
	everyMoored    = 180 * second
	everySlow      = 10 * second // up to 14 knots
	everyFast      = 6 * second  // up to 23 knots
	everyClassB    = 30 * second
	everyStatic    = 360 * second
	everyBase      = 10 * second
	everyAtoN      = 180 * second
	minute         = 60 * second
	slotsPerMinute = 2250
)

// rareShare: one transmission in so many is of a less frequent type.
const rareShare = 20

// What a station does next; part of an event's id.
const (
	doPosition = iota
	doStatic
	doHalfB
	doRare
)

// Harbour is a running simulation.
type Harbour struct {
	cfg    Config
	rand   *rand.Rand
	fleet  []station
	byKind [aircraft + 1][]int // of fleet
	codec  *goais.Codec
	events queue   // id: station<<2 | what to do
	scale  float64 // multiplies every interval

	rareEvery float64 // microseconds between messages of the less frequent types
	rareNext  int
	rareShip  *station // who sent the last 6 or 12: its answer follows
	rarePeer  *station

	message uint64 // transmissions so far
	ahead   *Line  // taken by Lines, beyond its end
	out     output
}

// New starts a simulation.
func New(cfg Config) (*Harbour, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("simulate harbour: %w", err)
	}
	cfg = cfg.withDefaults()
	h := &Harbour{
		cfg: cfg, rand: rand.New(rand.NewPCG(cfg.Seed, 0x6C616E6466616C6C)),
		codec: goais.CodecNew(false, false), scale: 1,
	}
	h.codec.FloatWithoutConversion = true
	h.fleet = newFleet(cfg, h.rand)
	h.out.init(cfg, h.rand)
	transmissions, lines := h.naturalRate()
	if cfg.Rate > 0 {
		h.scale = lines / cfg.Rate
	}
	h.rareEvery = rareShare / transmissions * second
	for i := range h.fleet {
		s := &h.fleet[i]
		h.byKind[s.kind] = append(h.byKind[s.kind], i)
		if s.kind == aircraft {
			h.schedule(cfg.Start, i, doRare, h.rareEvery)
			continue
		}
		h.schedule(cfg.Start, i, doPosition, s.interval()*h.rand.Float64())
		if s.kind == classA || s.kind == classB {
			h.schedule(cfg.Start, i, doStatic, everyStatic*h.rand.Float64())
		}
	}
	return h, nil
}

// Next returns the next line in order of arrival. There is always one.
func (h *Harbour) Next() Line {
	if h.ahead != nil {
		l := *h.ahead
		h.ahead = nil
		return l
	}
	for !h.out.ready(h.events[0].at) {
		h.step()
	}
	return h.out.next()
}

// Lines iterates over the lines that arrive before the time end, microseconds
// since 1970 UTC. What comes after them is left to the next call.
func (h *Harbour) Lines(end int64) iter.Seq[Line] {
	return func(yield func(Line) bool) {
		for {
			l := h.Next()
			if l.At >= end {
				h.ahead = &l
				return
			}
			if !yield(l) {
				return
			}
		}
	}
}

// naturalRate is how many transmissions and lines a second the standard's
// intervals make.
func (h *Harbour) naturalRate() (transmissions, lines float64) {
	sentences := 0.0
	for i := range h.fleet {
		s := &h.fleet[i]
		switch s.kind {
		case aircraft:
			continue
		case classA:
			transmissions += 1.0 / everyStatic * second
			sentences += 2.0 / everyStatic * second
		case classB:
			transmissions += 2.0 / everyStatic * second
			sentences += 2.0 / everyStatic * second
		}
		transmissions += second / s.interval()
		sentences += second / s.interval()
	}
	transmissions = max(transmissions, 0.1)
	sentences += transmissions / rareShare * 1.1
	heard := 0.0
	for _, r := range h.cfg.Receivers {
		heard += r.Hears
	}
	return transmissions, max(sentences*heard*(1+h.cfg.Noise), 1e-3)
}

// interval is how often the station reports, microseconds.
func (s *station) interval() float64 {
	switch {
	case s.kind == classB:
		return everyClassB
	case s.kind == baseStation:
		return everyBase
	case s.kind == atoN:
		return everyAtoN
	case s.speed == 0:
		return everyMoored
	case s.speed <= 14:
		return everySlow
	default:
		return everyFast
	}
}

// schedule lets the station do something after the interval, give or take 2%.
func (h *Harbour) schedule(now int64, station, what int, interval float64) {
	h.events.push(timed{now + h.delay(interval), uint64(station)<<2 | uint64(what)})
}

func (h *Harbour) delay(interval float64) int64 {
	return max(1, int64(interval*h.scale*(0.98+0.04*h.rand.Float64())))
}

// step lets the next thing happen.
func (h *Harbour) step() {
	e := h.events[0]
	what := int(e.id & 3)
	s := &h.fleet[e.id>>2]
	next := everyStatic * 1.0
	switch what {
	case doPosition:
		s.move(e.at, h.rand)
		h.position(s, e.at)
		next = s.interval()
	case doStatic:
		h.static(s, e.at)
		if s.kind == classB {
			h.schedule(e.at, int(e.id>>2), doHalfB, second)
		}
	case doHalfB:
		h.transmit(24, s, e.at, func(w *writer) { w.staticB(s) })
		h.events.pop()
		return
	case doRare:
		h.rare(s, e.at)
		next = h.rareEvery
	}
	h.events.replace(timed{e.at + h.delay(next), e.id})
}
