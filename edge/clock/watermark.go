package clock

import (
	"fmt"
	"time"

	"landfall/edge/record"
)

// WatermarkConfig bounds what is expected of sources.
type WatermarkConfig struct {
	// Disorder is how much older than the newest event of its source an event
	// may be without being late. 0: 30 s.
	Disorder time.Duration
	// IdleTimeout is the silence after which a source holds nothing back.
	// 0: 60 s.
	IdleTimeout time.Duration
	// Tolerance is how far ahead of the receipt clock an event time may be and
	// still move a watermark. 0: 10 s.
	Tolerance time.Duration
}

// Validate names the first field that cannot be used.
func (c *WatermarkConfig) Validate() error {
	for _, f := range []struct {
		name  string
		value time.Duration
	}{{"disorder", c.Disorder}, {"idle_timeout", c.IdleTimeout}, {"tolerance", c.Tolerance}} {
		if f.value < 0 {
			return fmt.Errorf("%s: %v is negative", f.name, f.value)
		}
	}
	return nil
}

func orDefault(d, standard time.Duration) int64 {
	if d == 0 {
		d = standard
	}
	return d.Microseconds()
}

// Watermarks keeps the watermark of each source and of the gateway. Monotonic
// times must not decrease from call to call by more than IdleTimeout.
type Watermarks struct {
	disorder, idleAfter, tolerance int64 // microseconds

	sources []sourceMark
	gateway record.Micros
}

// sourceMark is what is known of one source.
type sourceMark struct {
	name     string
	at       record.Micros // its watermark
	heard    int64         // monotonic time of its last sign of life
	asserted int64         // monotonic time of its last own time that counted
	hasOwn   bool          // asserted is set
	finished bool          // it will say nothing more
	idle     bool
}

// NewWatermarks starts with no sources.
func NewWatermarks(cfg WatermarkConfig) *Watermarks {
	return &Watermarks{
		disorder:  orDefault(cfg.Disorder, 30*time.Second),
		idleAfter: orDefault(cfg.IdleTimeout, 60*time.Second),
		tolerance: orDefault(cfg.Tolerance, 10*time.Second),
		gateway:   record.NoTime,
	}
}

// Add makes a source known, as one that is expected to speak from mono on, and
// gives its number.
func (w *Watermarks) Add(name string, mono int64) int {
	w.sources = append(w.sources, sourceMark{name: name, at: record.NoTime, heard: mono})
	return len(w.sources) - 1
}

// Wake says that a source spoke at mono. Call it before Observe of what it
// said, so that it holds the gateway back while its backlog is read.
func (w *Watermarks) Wake(source int, mono int64) {
	s := &w.sources[source]
	s.heard = max(s.heard, mono)
	s.idle, s.finished = false, false
}

// Finish says that a source will say nothing more; it is idle from now on.
func (w *Watermarks) Finish(source int) {
	w.sources[source].finished, w.sources[source].idle = true, true
}

// Observe takes the event time of one record. own says that the source itself
// gave it, against the gateway's receipt time. A source that gives its own
// times may lag behind receipt, so its records without one do not move it, until
// none had one for IdleTimeout. wall is the receipt clock; record.NoTime: there
// is none, and no time is too far ahead.
func (w *Watermarks) Observe(source int, event record.Micros, own bool, wall record.Micros) {
	s := &w.sources[source]
	if event == record.NoTime || wall != record.NoTime && event > wall+record.Micros(w.tolerance) {
		return
	}
	if own {
		s.asserted, s.hasOwn = s.heard, true
	} else if s.hasOwn && s.heard-s.asserted < w.idleAfter {
		return
	}
	s.at = max(s.at, event-record.Micros(w.disorder))
}

// Forget starts again without event times, as a new process does: the clock by which
// they were bounded was wrong.
func (w *Watermarks) Forget() {
	for i := range w.sources {
		w.sources[i].at, w.sources[i].hasOwn = record.NoTime, false
	}
	w.gateway = record.NoTime
}

// Withdraw starts again, without event times, those that lie more than Tolerance beyond
// a time that is not past yet: what moved them was wrong. The others stay as they are.
func (w *Watermarks) Withdraw(latest record.Micros) {
	latest += record.Micros(w.tolerance)
	for i := range w.sources {
		if s := &w.sources[i]; s.at > latest {
			s.at, s.hasOwn = record.NoTime, false
		}
	}
	if w.gateway > latest {
		w.gateway = record.NoTime
	}
}

// Advance judges idleness as of mono: the receipt of what is being read or,
// when nothing waits to be read, now.
func (w *Watermarks) Advance(mono int64) {
	for i := range w.sources {
		s := &w.sources[i]
		s.idle = s.finished || mono-s.heard >= w.idleAfter
	}
}

// Source gives a source's watermark.
func (w *Watermarks) Source(source int) record.Watermark {
	s := &w.sources[source]
	return record.Watermark{Source: s.name, At: s.at, Idle: s.idle}
}

// Gateway gives the gateway's watermark. It is idle when all sources are; then
// it stays where it is.
func (w *Watermarks) Gateway() record.Watermark {
	low, active := record.NoTime, false
	for i := range w.sources {
		s := &w.sources[i]
		if s.idle {
			continue
		}
		if !active || s.at < low {
			low = s.at
		}
		active = true
	}
	if active {
		w.gateway = max(w.gateway, low)
	}
	return record.Watermark{At: w.gateway, Idle: !active}
}
