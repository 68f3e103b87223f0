// Package operator turns captured records into rows, one operator a file.
//
//	AIS message               ──► Decode ──► Dedupe ──► Static ──► table.Batch
//	report, other sentence    ──► Decode ──► Window ─────────────► table.Batch
//
// In:  engine/task hands over each taken block's records in landing order,
// with what the block says of them (Context).
// Out: rows appended to a table.Batch.
//
// Invariants
//
//  1. Every record gives exactly one Record row, whatever it holds; the row
//     says why it gave no typed row (RejectReason) or how many it gave (Rows).
//  2. What comes out depends only on the blocks in landing order and the
//     restored state: never on a clock, on where epochs end, or on the order of
//     a map. An epoch done again gives the same rows. The watermark that counts
//     for a record is the one before its block.
//  3. What lies beyond an operator's horizon behind the gateway's watermark is
//     dropped from state. A gateway that makes more keys than its share, or tells no
//     watermark, loses its own: receptions, ships and windows are bounded for each
//     gateway and for the task. What is lost follows from the state alone.
//
// Everything here belongs to the goroutine of one task.
package operator

import (
	"landfall/edge/record"
	"landfall/engine/table"
)

// Context is what a block says of the records in it.
type Context struct {
	Gateway  string
	Log      record.LogID
	LogName  string // Log.String(), one shared string
	LandedAt record.Micros
	BootID   string
	// Anchor tells the time of the gateway's boot; nil: nobody knew it when the
	// block was sent.
	Anchor *record.Anchor
	// Sources gives names to record.Record.Source; a number beyond it has none.
	Sources []string
	// Watermark is the gateway's watermark before this block; record.NoTime
	// while it has none.
	Watermark record.Micros
}

// source gives the name of source i.
func (c *Context) source(i uint32) string {
	if int(i) < len(c.Sources) {
		return c.Sources[i]
	}
	return ""
}

// late says whether an event time is behind the gateway's watermark. One that
// nothing confirms may be years off, which says nothing of lateness.
func (c *Context) late(t table.Times) bool {
	return t.EventTime != record.NoTime && t.TimeQuality != record.QualityUnsynchronised && c.Watermark != record.NoTime && t.EventTime < c.Watermark
}

// maxWatermarkAhead is how far beyond the time at which a block landed its watermark
// may lie, in microseconds. A gateway's own clock is off by less while its time is
// confirmed; what is further would make everything late that comes until then.
const maxWatermarkAhead = 5 * 60_000_000

// Ahead says that a watermark lies so far beyond the time at which its block landed
// that it is not taken. A block of which it is not known when it landed says nothing.
func Ahead(landedAt, watermark record.Micros) bool {
	return landedAt != record.NoTime && watermark > landedAt+maxWatermarkAhead
}

// maxAhead is how far beyond the watermark an event time may lie to enter
// state, in microseconds: one from the far future would never be forgotten.
const maxAhead = 3_600_000_000

// remembers says whether an event time may enter state of this horizon.
func (c *Context) remembers(at record.Micros, horizon record.Micros) bool {
	if at == record.NoTime {
		return false
	}
	return c.Watermark == record.NoTime || at >= c.Watermark-horizon && at <= c.Watermark+maxAhead
}
