package parquet

import (
	"landfall/decoders/ais"
	"landfall/edge/record"
	"landfall/engine/table"
)

// declaration collects a table's columns in their order in the file.
type declaration struct{ cols []column }

func (d *declaration) int32(c *ints[int32], name, unit string, nullable bool, doc string) {
	c.null = null32
	c.Column = Column{name, Int32, unit, nullable, doc}
	d.cols = append(d.cols, c)
}

func (d *declaration) int64(c *ints[int64], name, unit string, nullable bool, doc string) {
	c.null = null64
	c.Column = Column{name, Int64, unit, nullable, doc}
	d.cols = append(d.cols, c)
}

func (d *declaration) uint64(c *uints, name, unit string, nullable bool, doc string) {
	c.Column = Column{name, Uint64, unit, nullable, doc}
	d.cols = append(d.cols, c)
}

func (d *declaration) time(c *ints[int64], name, doc string) {
	c.null = null64
	c.Column = Column{name, Timestamp, "", true, doc}
	d.cols = append(d.cols, c)
}

func (d *declaration) double(c *doubles, name, unit, doc string) {
	c.Column = Column{name, Double, unit, true, doc}
	d.cols = append(d.cols, c)
}

func (d *declaration) float(c *floats, name, unit, doc string) {
	c.Column = Column{name, Double, unit, true, doc}
	d.cols = append(d.cols, c)
}

func (d *declaration) bool(c *bools, name string, nullable bool, doc string) {
	c.Column = Column{name, Bool, "", nullable, doc}
	d.cols = append(d.cols, c)
}

func (d *declaration) string(c *strs, name string, nullable bool, doc string) {
	c.Column = Column{name, String, "", nullable, doc}
	d.cols = append(d.cols, c)
}

func (d *declaration) code(c *codes, name string, nullable bool, doc string) {
	c.Column = Column{name, String, "", nullable, doc}
	d.cols = append(d.cols, c)
}

func (d *declaration) blob(c *blobs, name string, p Physical, nullable bool, doc string) {
	c.Column = Column{name, p, "", nullable, doc}
	d.cols = append(d.cols, c)
}

// addOpt adds a small integer or NULL.
func addOpt[V uint8 | int8 | uint16 | uint32](c *ints[int32], o ais.Opt[V]) {
	if o.Valid {
		c.add(int32(o.Value))
		return
	}
	c.add(null32)
}

// addDigest adds a digest or NULL.
func addDigest(c *uints, o ais.Opt[record.Digest]) {
	c.add(ais.Opt[uint64]{Value: uint64(o.Value), Valid: o.Valid})
}

func addOptString(c *strs, o ais.Opt[string]) {
	if o.Valid {
		c.add(o.Value)
		return
	}
	c.addIndex(noKey)
}

func (c *doubles) addOpt(o ais.Opt[float64]) {
	if o.Valid {
		c.add(o.Value)
		return
	}
	c.add(nullDouble())
}

func (c *floats) addOpt(o ais.Opt[float64]) {
	if o.Valid {
		c.add(o.Value)
		return
	}
	c.addIndex(noKey)
}

func (c *bools) addOpt(o ais.Opt[bool]) {
	if o.Valid {
		c.set(o.Value)
		return
	}
	c.add(nullBool)
}

// lineageCols are _gateway, _log, _offset of every table.
type lineageCols struct {
	gateway, log strs
	offset       ints[int64]
}

func (c *lineageCols) declare(d *declaration) {
	d.string(&c.gateway, "_gateway", false, "gateway that captured the record")
	d.string(&c.log, "_log", false, "log of that gateway, 32 hexadecimal digits; every start of the edge opens a new one")
	d.int64(&c.offset, "_offset", "", false, "number of the record in its log, from 0, dense; in loss and conflict the first of the range")
}

func (c *lineageCols) add(gateway, log string, offset record.Offset) {
	c.gateway.add(gateway)
	c.log.add(log)
	c.offset.add(int64(offset))
}

// keys sorts by (_gateway, _log, _offset).
func (c *lineageCols) keys(dst []key) {
	g, l := ranks(c.gateway.keys), ranks(c.log.keys)
	for i := range dst {
		dst[i] = key{g[c.gateway.at(i)]*uint32(len(l)) + l[c.log.at(i)], uint32(i), c.offset.at(i)}
	}
}

// rowCols are _row and _rows.
type rowCols struct{ row, rows ints[int32] }

func (c *rowCols) declare(d *declaration) {
	d.int32(&c.row, "_row", "", false, "number of this row among the typed rows of its record, from 0; 0 in record")
	d.int32(&c.rows, "_rows", "", false, "typed rows that the record gave, in the ais_* tables and sensor_reading together")
}

func (c *rowCols) add(l *table.Lineage) {
	c.row.add(l.Row)
	c.rows.add(l.Rows)
}

// timeCols are event_time and what vouches for it.
type timeCols struct {
	event, received ints[int64]
	source, quality codes
}

func (c *timeCols) declare(d *declaration) {
	d.time(&c.event, "event_time", "when it happened: UTC start of the transmission, or the sample's time; NULL: unknown")
	d.code(&c.source, "time_source", false, "evidence of event_time: none, receipt, tag, payload, base, radio, envelope, clock")
	d.code(&c.quality, "time_quality", false, "how far event_time may be trusted: unknown, unsynchronised, asserted, synchronised")
	d.time(&c.received, "received_at", "the gateway's wall clock at receipt, uncorrected; NULL: unknown")
}

func (c *timeCols) add(t *table.Times) {
	c.event.add(int64(t.EventTime))
	c.source.add(byte(t.TimeSource), func(b byte) string { return record.TimeSource(b).String() })
	c.quality.add(byte(t.TimeQuality), func(b byte) string { return record.TimeQuality(b).String() })
	c.received.add(int64(t.ReceivedAt))
}

// headCols are what every AIS table has before its own columns.
type headCols struct {
	lineageCols
	rowCols
	timeCols
	mmsi, msgType, repeat ints[int32]
	ownShip               bools
}

func (c *headCols) declare(d *declaration) {
	c.lineageCols.declare(d)
	c.rowCols.declare(d)
	c.timeCols.declare(d)
	d.int32(&c.mmsi, "mmsi", "", false, "sending station, as sent")
	d.int32(&c.msgType, "msg_type", "", false, "message type, 1..27")
	d.int32(&c.repeat, "repeat_indicator", "", false, "how often the message was repeated, 0..3")
	d.bool(&c.ownShip, "own_ship", false, "true: sent by the receiving ship itself (VDO)")
}

func (c *headCols) add(l *table.Lineage, t *table.Times, own bool, h *ais.Header) {
	c.lineageCols.add(l.Gateway, l.Log, l.Offset)
	c.rowCols.add(l)
	c.timeCols.add(t)
	c.mmsi.add(int32(h.MMSI))
	c.msgType.add(int32(h.MsgType))
	c.repeat.add(int32(h.RepeatIndicator))
	c.ownShip.set(own)
}

// keys sorts by (mmsi, event_time).
func (c *headCols) keys(dst []key) {
	for i := range dst {
		dst[i] = key{uint32(c.mmsi.at(i)), uint32(i), c.event.at(i)}
	}
}

// tailCols are what every AIS table has after its own columns: how it was
// heard.
type tailCols struct {
	channel                         codes
	talker, source, station, dupLog strs
	dup, late                       bools
	dupOffset                       ints[int64]
}

func (c *tailCols) declare(d *declaration) {
	d.code(&c.channel, "channel", true, "radio channel, A or B; NULL: not said")
	d.string(&c.talker, "talker", true, "talker of the sentence, such as AI; NULL: none")
	d.string(&c.source, "source", false, "source of the gateway that received it")
	d.string(&c.station, "station", true, "station named in the TAG block (s:); NULL: none")
	d.bool(&c.dup, "is_duplicate", false, "the gateway had brought this message before, from whichever source; false also where that cannot be told; see below ais_position")
	d.string(&c.dupLog, "dup_log", true, "log of the first reception; NULL: is_duplicate is false")
	d.int64(&c.dupOffset, "dup_offset", "", true, "offset of the first reception; NULL: is_duplicate is false")
	d.bool(&c.late, "is_late", false, "event_time was behind the gateway's watermark")
}

func (c *tailCols) add(r *table.Reception) {
	if r.Channel == 0 {
		c.channel.addIndex(noKey)
	} else {
		c.channel.add(r.Channel, func(b byte) string { return string(rune(b)) })
	}
	c.talker.addOrNull(r.Talker)
	c.source.add(r.Source)
	c.station.addOrNull(r.Station)
	c.dup.set(r.IsDuplicate)
	c.dupLog.addOrNull(r.DupLog)
	if r.DupLog == "" {
		c.dupOffset.add(null64)
	} else {
		c.dupOffset.add(int64(r.DupOffset))
	}
	c.late.set(r.IsLate)
}
