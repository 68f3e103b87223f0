package operator

import (
	"landfall/edge/record"
	"landfall/engine/table"
)

// times returns the times of a record as its rows have them. What no clock can have
// said does not come into a row, for one such value ends the query of whoever computes
// with the column: received_at is the nearest time that can be written, event_time is
// not known, and the time since the boot is bounded. The record's bytes are kept as they
// are, whatever its times.
func (d *Decode) times(c *Context, r *record.Record) table.Times {
	t := table.Times{EventTime: r.EventTime, TimeSource: r.TimeSource, TimeQuality: r.TimeQuality, ReceivedAt: r.ReceivedAt.Bounded()}
	plausible := t.ReceivedAt == r.ReceivedAt && boundedMonotonic(r) == r.Monotonic
	if plausible {
		d.restamp(c, r, &t)
	}
	if plausible = plausible && t.EventTime.Plausible(); !plausible {
		t.EventTime, t.TimeSource, t.TimeQuality = record.NoTime, record.TimeNone, record.QualityUnsynchronised
		d.implausible++
	}
	return t
}

// boundedMonotonic returns the time since the boot at which a record was received, the
// nearest plausible one for any other, microseconds.
func boundedMonotonic(r *record.Record) int64 {
	return min(max(r.Monotonic, 0), record.MaxMonotonic)
}

// Implausible returns how many records had times that no clock can have said since it
// was asked last.
func (d *Decode) Implausible() uint64 {
	n := d.implausible
	d.implausible = 0
	return n
}
