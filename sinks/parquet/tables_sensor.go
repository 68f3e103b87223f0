package parquet

import (
	"landfall/decoders/sensor"
	"landfall/engine/table"
)

type readingCols struct {
	lineageCols
	rowCols
	timeCols
	source, sensor, metric, unit strs
	value                        doubles
	text                         blobs
	quality                      codes
	historical, late             bools
}

func (c *readingCols) declare(d *declaration) {
	c.lineageCols.declare(d)
	c.rowCols.declare(d)
	c.timeCols.declare(d)
	d.string(&c.source, "source", false, "source of the gateway that received it")
	d.string(&c.sensor, "sensor", false, "what measures, as the gateway's configuration or the source names it")
	d.string(&c.metric, "metric", false, "what is measured")
	d.double(&c.value, "value", "", "the value, in unit; true is 1, false 0; NULL: none was read, or it is no finite number")
	d.blob(&c.text, "value_text", String, true, "the value where it is no number; NULL: it is one, or none was read")
	d.string(&c.unit, "unit", true, "unit of value; NULL: nobody said")
	d.code(&c.quality, "quality", false, "unknown, good, uncertain, bad, bad_timeout, bad_exception, bad_frame, bad_connection, bad_value, bad_stale; see below")
	d.bool(&c.historical, "is_historical", false, "the source had kept it for later: it does not tell of the moment of receipt")
	d.bool(&c.late, "is_late", false, "event_time was behind the gateway's watermark")
}

func (c *readingCols) add(r *table.ReadingRow) {
	c.lineageCols.add(r.Gateway, r.Log, r.Offset)
	c.rowCols.add(&r.Lineage)
	c.timeCols.add(&r.Times)
	c.source.add(r.Source)
	c.sensor.add(r.Sensor)
	c.metric.add(r.Metric)
	c.value.addOpt(r.Value)
	if r.ValueText.Valid {
		c.text.addString(r.ValueText.Value)
	} else {
		c.text.addNull()
	}
	c.unit.addOrNull(r.Unit)
	c.quality.add(byte(r.Quality), func(b byte) string { return sensor.Quality(b).String() })
	c.historical.set(r.IsHistorical)
	c.late.set(r.IsLate)
}

// keys sorts by (sensor, event_time).
func (c *readingCols) keys(dst []key) {
	rank := ranks(c.sensor.keys)
	for i := range dst {
		dst[i] = key{rank[c.sensor.at(i)], uint32(i), c.event.at(i)}
	}
}
