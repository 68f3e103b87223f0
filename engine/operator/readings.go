package operator

import (
	"errors"
	"math"

	"landfall/decoders/ais"
	"landfall/decoders/nmea"
	"landfall/decoders/sensor"
	"landfall/edge/record"
	"landfall/engine/table"
)

// Reasons why a record of kind reading gave no row, beside those that its
// report states.
const (
	RejectReportCorrupt = "report_corrupt" // the record holds no report
	RejectReportVersion = "report_version" // of a newer format: decode again with a newer engine
	RejectNoReadings    = "no_readings"    // a report without any
)

// maxReadingAhead is how far ahead of the gateway's corrected clock a reading's
// own time may be, in microseconds.
const maxReadingAhead = 10_000_000

// readings appends the rows of a report, in its order.
func (d *Decode) readings(c *Context, lineage table.Lineage, times table.Times, r *record.Record, out *table.Batch) (int32, string) {
	err := d.report.Decode(r.Raw, d.names.of)
	switch {
	case errors.Is(err, sensor.ErrVersion):
		return 0, RejectReportVersion
	case err != nil:
		return 0, RejectReportCorrupt
	case d.report.Reason != "":
		return 0, d.report.Reason
	case len(d.report.Readings) == 0:
		return 0, RejectNoReadings
	}
	return d.appendReadings(c, lineage, times, r, d.report.Readings, out), ""
}

// sentence appends the readings of an instrument's sentence.
func (d *Decode) sentence(c *Context, lineage table.Lineage, times table.Times, r *record.Record, out *table.Batch) (int32, string) {
	d.pieces = nmea.Split(r.Raw, d.pieces[:0])
	s := &d.pieces[0]
	switch {
	case len(d.pieces) != 1 || s.Kind != nmea.KindOther:
		return 0, RejectNoDecoder
	case s.Flags&nmea.FlagBadChecksum != 0:
		return 0, RejectBadChecksum
	case s.Flags&nmea.FlagNoChecksum != 0:
		return 0, RejectNoChecksum
	}
	var err error
	if d.report.Readings, err = d.instruments.Decode(s.Body, d.report.Readings[:0]); err != nil {
		return 0, rejectReason(err)
	}
	for i := range d.report.Readings {
		g := &d.report.Readings[i]
		g.Sensor = d.names.of([]byte(g.Sensor)) // not a view of the whole sentence
		g.Unit = d.names.of([]byte(g.Unit))
	}
	return d.appendReadings(c, lineage, times, r, d.report.Readings, out), ""
}

// appendReadings appends one row for each reading, numbered from 0, and gives
// their number.
func (d *Decode) appendReadings(c *Context, lineage table.Lineage, times table.Times, r *record.Record, readings []sensor.Reading, out *table.Batch) int32 {
	lineage.Rows = int32(len(readings))
	for i := range readings {
		g := &readings[i]
		lineage.Row = int32(i)
		row := table.ReadingRow{
			Lineage: lineage, Times: readingTimes(times, g), Source: c.source(r.Source),
			Sensor: g.Sensor, Metric: g.Metric, Unit: g.Unit, Quality: g.Quality, IsHistorical: g.Historical,
		}
		row.IsLate = c.late(row.Times)
		switch {
		case g.Kind == sensor.Number && !math.IsNaN(g.Number) && !math.IsInf(g.Number, 0):
			row.Value = ais.Some(g.Number)
		case g.Kind == sensor.Text:
			row.ValueText = ais.Some(g.Text)
		}
		out.Readings = append(out.Readings, row)
		d.window.take(c, &row, out)
	}
	return lineage.Rows
}

// readingTimes gives a reading its own time where it has one that can be. One
// beyond the gateway's corrected clock cannot.
func readingTimes(times table.Times, g *sensor.Reading) table.Times {
	corrected := times.TimeSource == record.TimeClock || times.TimeSource == record.TimeRadio
	if g.HasTime && sensor.Believable(g.Time) && !(corrected && record.Micros(g.Time) > times.EventTime+maxReadingAhead) {
		times.EventTime, times.TimeSource = record.Micros(g.Time), record.TimePayload
		times.TimeQuality = record.QualityAsserted
	}
	return times
}
