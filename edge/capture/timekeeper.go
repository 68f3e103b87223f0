package capture

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"landfall/edge/clock"
	"landfall/edge/record"
)

// ClockMark names the mark in which a block keeps what is known of the time of
// this boot and the ones before (record.EncodeKept).
const ClockMark = "/clock"

// maxTold bounds the evidence that waits for Run to look at it.
const maxTold = 16

// timekeeper joins the estimator with where its evidence comes from beside the
// sources, and with what is kept over restarts. All but told and shown belongs
// to the goroutine of Run.
type timekeeper struct {
	clock     clock.Clock
	estimator *clock.Estimator
	anchors   *clock.Anchors
	started   int64 // wall - monotonic, microseconds, when the process began

	shared  *sharedClock
	untimed *atomic.Uint64

	wanted func() bool // to forget; nil: never
	forgot bool        // as it was wanted; what is kept says so with the next block
}

// sharedClock is what other goroutines put in and look at.
type sharedClock struct {
	mu      sync.Mutex
	told    []clock.Evidence
	judging []clock.Evidence // what the estimator has, and anchors do not show yet
	report  clock.Report
	anchors []record.Anchor
}

// newTimekeeper goes on from what the last run kept.
func newTimekeeper(l *Live) (*timekeeper, error) {
	wall, mono := l.cfg.Clock.Now()
	anchors, estimator, err := clock.Begin(l.cfg.Clock.Boot(), l.marks[ClockMark], mono, clock.EstimatorConfig{Floor: l.cfg.ClockFloor})
	if errors.Is(err, record.ErrVersion) {
		return nil, err
	}
	if err != nil {
		l.cfg.Logger.Error("what the last run knew of the time is damaged", "error", err)
	}
	k := &timekeeper{
		clock: l.cfg.Clock, anchors: anchors, started: int64(wall) - mono, shared: &l.shared, untimed: &l.untimed, estimator: estimator,
		wanted: l.cfg.ForgetClock,
	}
	k.show()
	return k, nil
}

// forget drops what is known of the time when an operator wants it, once, and tells
// whether it did. Steps, and what a crash after each leaves: everything is dropped
// (the note is still there: it is dropped again at the next start), the next block
// keeps that nothing is known (the same), Live calls ClockForgotten, which removes the
// note (nothing is kept). What is learned between counts as new, and is dropped once
// more at worst.
func (k *timekeeper) forget() bool {
	if k.forgot || k.wanted == nil || !k.wanted() {
		return false
	}
	k.forgot = true
	k.estimator.Forget()
	k.anchors.Forget()
	k.shared.mu.Lock()
	k.shared.told, k.shared.judging = nil, nil
	k.shared.mu.Unlock()
	return true
}

// judge lets the estimator look at its evidence, at most once in its interval,
// and tells whether what is to be kept changed.
func (k *timekeeper) judge(wall record.Micros, mono int64) bool {
	if !k.estimator.Due(mono) {
		return false
	}
	forgot := k.forget()
	if d, ok := k.clock.(clock.Disciplined); ok {
		if bound, ok := d.Discipline(); ok {
			now, at := k.clock.Now()
			k.estimator.Observe(clock.Evidence{
				Kind: clock.KindHost, Observer: clock.Local, Mono: at, UTC: now + record.Micros(bound.Microseconds()), Before: at - 2*bound.Microseconds(),
			})
		}
	}
	k.shared.mu.Lock()
	for _, e := range k.shared.told {
		k.estimator.Observe(e)
	}
	k.shared.told, k.shared.judging = nil, k.shared.told
	k.shared.mu.Unlock()
	changed := k.anchors.Note(k.estimator.Update(mono, wall))
	proved := k.anchors.Prove(k.estimator.Proven())
	k.show()
	return changed || proved || forgot
}

// bound is the time beyond which no event time moves a watermark: the corrected
// clock. While only one witness vouches for it, not beyond the wall clock
// either; of that, steps back count for nothing.
func (k *timekeeper) bound(wall record.Micros, mono int64) record.Micros {
	wall = max(wall, record.Micros(k.started+mono))
	e := k.estimator.Current()
	if !e.Known {
		return wall
	}
	now, uncertain := e.UTC(mono)
	if now += record.Micros(uncertain); e.Quality == record.QualitySynchronised {
		return now
	}
	return min(now, wall)
}

// believedAhead is how far ahead of the believed time, beside its uncertainty, a
// watermark may be and stay: as far as times may differ by seconds and be the same.
const believedAhead = 10_000_000

// latest is the time beyond which no watermark stays, by whatever it was moved; false
// while nobody confirms the time.
func (k *timekeeper) latest(mono int64) (record.Micros, bool) {
	e := k.estimator.Current()
	if !e.Known || e.Quality < record.QualityAsserted {
		return 0, false
	}
	now, uncertain := e.UTC(mono)
	return now + record.Micros(uncertain+believedAhead), true
}

// mark gives what is to be kept.
func (k *timekeeper) mark() []byte { return k.anchors.Kept() }

func (k *timekeeper) show() {
	report, anchors := k.estimator.Report(), k.anchors.All()
	k.shared.mu.Lock()
	defer k.shared.mu.Unlock()
	k.shared.report, k.shared.anchors, k.shared.judging = report, anchors, nil
}

// Tell hands over evidence of the time that did not come through a source. From
// any goroutine; it does not block. What nobody has looked at gives way to what
// is newer.
func (l *Live) Tell(e clock.Evidence) {
	l.shared.mu.Lock()
	defer l.shared.mu.Unlock()
	if len(l.shared.told) == maxTold {
		l.shared.told = l.shared.told[1:]
	}
	l.shared.told = append(l.shared.told, e)
}

// Clock says what the time is believed to be and why. From any goroutine.
func (l *Live) Clock() clock.Report {
	l.shared.mu.Lock()
	defer l.shared.mu.Unlock()
	return l.shared.report
}

// Anchors returns the boots of which the time is known, oldest first. What Tell was
// given counts at once (clock.Heed), also where Run has not looked at it yet. From any
// goroutine.
func (l *Live) Anchors() []record.Anchor {
	l.shared.mu.Lock()
	defer l.shared.mu.Unlock()
	all := append([]record.Anchor(nil), l.shared.anchors...)
	for _, told := range [][]clock.Evidence{l.shared.judging, l.shared.told} {
		for i := range told {
			all = clock.Heed(all, l.cfg.Clock.Boot(), l.cfg.ClockFloor, &told[i])
		}
	}
	return all
}

// Untimed counts the records whose time nothing confirmed when they were
// captured. From any goroutine.
func (l *Live) Untimed() uint64 { return l.untimed.Load() }

// CorrectedTime gives UTC by the estimate at a monotonic time; false while there
// is none. From any goroutine.
func (l *Live) CorrectedTime(mono int64) (time.Time, bool) {
	r := l.Clock()
	if !r.Estimate.Known {
		return time.Time{}, false
	}
	at, _ := r.Estimate.UTC(mono)
	return time.UnixMicro(int64(at)), true
}

// validateFloor checks ClockFloor.
func validateFloor(at record.Micros) error {
	if at != 0 && (at < sanestTime || at > latestTime) {
		return fmt.Errorf("clock_floor: %d is not a time of this century", at)
	}
	return nil
}
