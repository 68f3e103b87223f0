package source

import (
	"fmt"
	"log/slog"
	"time"

	"landfall/decoders/sensor"
	"landfall/edge/record"
)

// gapReason says why lines of a file may be missing. The numbers are part of the
// position's format.
type gapReason uint8

// The reasons.
const (
	gapTruncated gapReason = 1 // the file was cut in place; what was written between the last look and the cut is nowhere
	gapGone      gapReason = 2 // the file that was being read is not there any more, under any name
	gapMissing   gapReason = 3 // files between one that was read and the next are not there
	gapLate      gapReason = 4 // a file that had been left gained lines
	gapUnpacked  gapReason = 5 // a packed file could not be unpacked to its end
)

var gapNames = []string{"", "truncated", "file_gone", "files_missing", "late_lines", "not_unpacked"}

// String gives the name that stands in the row of a gap.
func (g gapReason) String() string {
	if g > 0 && int(g) < len(gapNames) {
		return gapNames[g]
	}
	return fmt.Sprintf("gap_%d", uint8(g))
}

// text says a gap in one line, for people.
func (g fileGap) text() string {
	at := func(m record.Micros) string { return time.UnixMicro(int64(m)).UTC().Format(time.RFC3339) }
	if g.since == 0 {
		return fmt.Sprintf("%s, until %s", g.reason, at(g.until))
	}
	return fmt.Sprintf("%s, from %s to %s", g.reason, at(g.since), at(g.until))
}

// declare makes a gap a record of the source and counts it in p, the position that
// the record brings with it: both are durable in the same block or neither is, so
// that a crash before declares it again and one after does not. since is 0 where
// it is not known.
func (f *File) declare(sink Sink, p filePosition, why gapReason, since record.Micros) error {
	wall, mono := f.cfg.Clock.Now()
	if since > wall {
		since = wall
	}
	f.gapsMu.Lock()
	f.gaps++
	f.gap = fileGap{why, since, wall}
	p.gaps, p.gap = f.gaps, f.gap
	f.gapsMu.Unlock()
	f.log(slog.LevelError, "lines of the file may be missing: this is recorded, and health stays red until landfall-edge acknowledge",
		"path", f.cfg.Path, "gap", p.gap.text())
	row := sensor.Reading{Sensor: f.cfg.Name, Quality: sensor.QualityGood}
	reason, until := row, row
	reason.Metric, reason.Kind, reason.Text = "gap", sensor.Text, why.String()
	until.Metric, until.Kind, until.Number, until.Unit = "gap_until", sensor.Number, float64(wall)/1e6, "s"
	report := sensor.Report{Origin: sensor.OriginFile, Address: f.cfg.Name, Payload: []byte(p.gap.text()), Readings: []sensor.Reading{reason}}
	if since != 0 {
		from := row
		from.Metric, from.Kind, from.Number, from.Unit = "gap_since", sensor.Number, float64(since)/1e6, "s"
		report.Readings = append(report.Readings, from)
	}
	report.Readings = append(report.Readings, until)
	b := &Batch{
		Stream: f.cfg.Name, ReceivedAt: wall, Monotonic: mono, Lines: []Line{{Data: report.Append(nil), Reading: true}},
		Mark: f.cfg.Name, Position: p.encode(),
	}
	f.lines(b)
	if err := sink.Deliver(b); err != nil {
		return fmt.Errorf("%w: %w", errStopped, err)
	}
	return nil
}

// knowGaps takes over what a position says of gaps declared before.
func (f *File) knowGaps(p filePosition) {
	f.gapsMu.Lock()
	defer f.gapsMu.Unlock()
	f.gaps, f.gap = p.gaps, p.gap
}

// Status describes the source now, gaps included. It may be called from any
// goroutine.
func (f *File) Status() Status {
	s := f.meter.Status()
	f.gapsMu.Lock()
	defer f.gapsMu.Unlock()
	if s.Gaps = f.gaps; s.Gaps > 0 {
		s.LastGap = f.gap.text()
	}
	return s
}
