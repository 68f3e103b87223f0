package parquet

import "landfall/engine/table"

type windowCols struct {
	lineageCols
	row                          ints[int32]
	source, sensor, metric, unit strs
	start, end, count, lastAt    ints[int64]
	least, most, mean, last      doubles
}

func (c *windowCols) declare(d *declaration) {
	c.lineageCols.declare(d)
	d.int32(&c.row, "_row", "", false, "number among the typed rows of the record that brought last")
	d.string(&c.source, "source", false, "source of the gateway")
	d.string(&c.sensor, "sensor", false, "what measures")
	d.string(&c.metric, "metric", false, "what is measured")
	d.string(&c.unit, "unit", true, "unit of last; NULL: nobody said")
	d.time(&c.start, "window_start", "begin of the window, in event time")
	d.time(&c.end, "window_end", "end of the window, which belongs to the next")
	d.int64(&c.count, "count", "", false, "readings with a number and no bad quality")
	d.double(&c.least, "min", "", "the least of them")
	d.double(&c.most, "max", "", "the greatest")
	d.double(&c.mean, "mean", "", "their mean, each counting the same")
	d.double(&c.last, "last", "", "the one of the latest event time")
	d.time(&c.lastAt, "last_at", "event time of last")
}

func (c *windowCols) add(r *table.WindowRow) {
	c.lineageCols.add(r.Gateway, r.Log, r.Offset)
	c.row.add(r.Row)
	c.source.add(r.Source)
	c.sensor.add(r.Sensor)
	c.metric.add(r.Metric)
	c.unit.addOrNull(r.Unit)
	c.start.add(int64(r.WindowStart))
	c.end.add(int64(r.WindowEnd))
	c.count.add(int64(r.Count))
	c.least.add(r.Min)
	c.most.add(r.Max)
	c.mean.add(r.Mean)
	c.last.add(r.Last)
	c.lastAt.add(int64(r.LastAt))
}

// keys sorts by (sensor, window_start).
func (c *windowCols) keys(dst []key) {
	rank := ranks(c.sensor.keys)
	for i := range dst {
		dst[i] = key{rank[c.sensor.at(i)], uint32(i), c.start.at(i)}
	}
}

// lateCols are a copy of a row of sensor_reading, and what it missed.
type lateCols struct {
	readingCols
	watermark, start ints[int64]
}

func (c *lateCols) declare(d *declaration) {
	c.readingCols.declare(d)
	d.time(&c.watermark, "watermark", "the gateway's watermark when it came; NULL: it had none")
	d.time(&c.start, "window_start", "begin of the window that had closed, or was one too many")
}

func (c *lateCols) add(r *table.LateRow) {
	c.readingCols.add(&r.ReadingRow)
	c.watermark.add(int64(r.Watermark))
	c.start.add(int64(r.WindowStart))
}
