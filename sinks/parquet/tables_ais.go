package parquet

import (
	"landfall/decoders/ais"
	"landfall/engine/table"
)

// placeCols are a position.
type placeCols struct{ lat, lon doubles }

func (c *placeCols) declare(d *declaration) {
	d.double(&c.lat, "lat", "deg", "WGS 84 latitude, north positive; NULL: not available (91)")
	d.double(&c.lon, "lon", "deg", "WGS 84 longitude, east positive; NULL: not available (181)")
}

func (c *placeCols) add(lat, lon ais.Opt[float64]) {
	c.lat.addOpt(lat)
	c.lon.addOpt(lon)
}

// sizeCols are the distances from the reference point to the hull.
type sizeCols struct{ bow, stern, port, starboard ints[int32] }

func (c *sizeCols) declare(d *declaration) {
	d.int32(&c.bow, "to_bow", "m", true, "from the position's reference point to the bow; NULL: not available (all four 0)")
	d.int32(&c.stern, "to_stern", "m", true, "to the stern; NULL: not available")
	d.int32(&c.port, "to_port", "m", true, "to the port side; NULL: not available")
	d.int32(&c.starboard, "to_starboard", "m", true, "to the starboard side; NULL: not available")
}

func (c *sizeCols) add(bow, stern, port, starboard ais.Opt[uint16]) {
	addOpt(&c.bow, bow)
	addOpt(&c.stern, stern)
	addOpt(&c.port, port)
	addOpt(&c.starboard, starboard)
}

type positionCols struct {
	headCols
	placeCols
	tailCols
	nav, heading, rotRaw, altitude, second, comm ints[int32]
	maneuver                                     ints[int32]
	accuracy, raim, barometric, stale            bools
	cs, display, dsc, band, msg22, assigned, dte bools
	sog, cog, rot                                floats
}

func (c *positionCols) declare(d *declaration) {
	c.headCols.declare(d)
	d.int32(&c.nav, "nav_status", "", true, "navigational status, 0..15; NULL: the type has none")
	c.placeCols.declare(d)
	d.bool(&c.accuracy, "position_accuracy", false, "true: better than 10 m")
	d.float(&c.sog, "sog", "kn", "speed over ground; NULL: not available (102.3; type 9 1023; type 27 63)")
	d.float(&c.cog, "cog", "deg", "course over ground from true north; NULL: not available (360; type 27 511)")
	d.int32(&c.heading, "true_heading", "deg", true, "heading from true north; NULL: not available (511) or the type has none")
	d.float(&c.rot, "rot", "deg/min", "rate of turn, right positive; NULL: not available (-128), more than the sensor tells (127, -127), or the type has none")
	d.int32(&c.rotRaw, "rot_raw", "", true, "rate of turn as coded, -128..127; NULL: the type has none")
	d.int32(&c.altitude, "altitude", "m", true, "altitude, 4094 is that or more (type 9); NULL: not available (4095) or the type has none")
	d.int32(&c.second, "utc_second", "s", true, "second of the fix, 0..59; 61 manual, 62 dead reckoning, 63 inoperative; NULL: not available (60) or the type has none")
	d.bool(&c.raim, "raim", true, "receiver autonomous integrity monitoring in use; NULL: the type has none")
	d.int32(&c.comm, "comm_state", "", true, "communication state, 19 bits, with its selector first in types 9 and 18; see below; NULL: cut off or the type has none")
	d.int32(&c.maneuver, "maneuver", "", true, "special manoeuvre: 1 not engaged, 2 engaged (types 1, 2, 3); NULL: not available (0) or the type has none")
	d.bool(&c.assigned, "assigned", true, "assigned mode (types 9, 18, 19); NULL: the type has none")
	d.bool(&c.cs, "class_b_cs", true, "true: a carrier-sense unit, false: SOTDMA (type 18); NULL: the type has none")
	d.bool(&c.display, "class_b_display", true, "the unit has a display for messages 12 and 14 (type 18); NULL: the type has none")
	d.bool(&c.dsc, "class_b_dsc", true, "the unit has a DSC function (type 18); NULL: the type has none")
	d.bool(&c.band, "class_b_band", true, "the unit works over the whole marine band (type 18); NULL: the type has none")
	d.bool(&c.msg22, "class_b_msg22", true, "the unit obeys message 22 (type 18); NULL: the type has none")
	d.bool(&c.dte, "dte_ready", true, "data terminal ready: the flag in the message is 0 (types 9, 19); NULL: the type has none")
	d.bool(&c.barometric, "altitude_barometric", true, "true: barometric altitude, false: GNSS (type 9); NULL: the type has none")
	d.bool(&c.stale, "position_stale", true, "the position is older than 5 s (type 27); NULL: the type has none")
	c.tailCols.declare(d)
}

func (c *positionCols) add(r *table.PositionRow) {
	c.headCols.add(&r.Lineage, &r.Times, r.OwnShip, &r.Header)
	addOpt(&c.nav, r.NavStatus)
	c.placeCols.add(r.Lat, r.Lon)
	c.accuracy.set(r.PositionAccuracy)
	c.sog.addOpt(r.SOG)
	c.cog.addOpt(r.COG)
	addOpt(&c.heading, r.TrueHeading)
	c.rot.addOpt(r.ROT)
	addOpt(&c.rotRaw, r.ROTRaw)
	addOpt(&c.altitude, r.Altitude)
	addOpt(&c.second, r.UTCSecond)
	c.raim.addOpt(r.RAIM)
	addOpt(&c.comm, r.CommState)
	addOpt(&c.maneuver, r.Maneuver)
	c.assigned.addOpt(r.Assigned)
	c.cs.addOpt(r.ClassBCS)
	c.display.addOpt(r.ClassBDisplay)
	c.dsc.addOpt(r.ClassBDSC)
	c.band.addOpt(r.ClassBBand)
	c.msg22.addOpt(r.ClassBMsg22)
	c.dte.addOpt(r.DTEReady)
	c.barometric.addOpt(r.AltitudeBarometric)
	c.stale.addOpt(r.PositionStale)
	c.tailCols.add(&r.Reception)
}

type staticCols struct {
	headCols
	sizeCols
	tailCols
	part                                 codes
	imo, shipType, epfd, mother          ints[int32]
	etaMonth, etaDay, etaHour, etaMinute ints[int32]
	version, model, serial               ints[int32]
	callsign, shipname, destination      strs
	vendor                               strs
	draught                              floats
	dte                                  bools
}

func (c *staticCols) declare(d *declaration) {
	c.headCols.declare(d)
	d.code(&c.part, "part", true, "part of type 24: A, B, or 2 or 3, which are not defined and have no other columns; NULL: another type")
	d.int32(&c.imo, "imo", "", true, "IMO ship number; NULL: not available (0) or the type has none")
	d.string(&c.callsign, "callsign", true, "radio call sign; NULL: not available or the type has none")
	d.string(&c.shipname, "shipname", true, "ship's name; NULL: not available or the type has none")
	d.int32(&c.shipType, "ship_type", "", true, "type of ship and cargo; NULL: not available (0) or the type has none")
	c.sizeCols.declare(d)
	d.int32(&c.epfd, "epfd", "", true, "kind of positioning device, 0 undefined; NULL: the type has none")
	d.float(&c.draught, "draught", "m", "maximum present static draught; NULL: not available (0) or the type has none")
	d.string(&c.destination, "destination", true, "destination, free text; NULL: not available or the type has none")
	d.int32(&c.etaMonth, "eta_month", "", true, "estimated arrival, UTC month 1..12; NULL: not available (0)")
	d.int32(&c.etaDay, "eta_day", "", true, "UTC day 1..31; NULL: not available (0)")
	d.int32(&c.etaHour, "eta_hour", "h", true, "UTC hour 0..23; NULL: not available (24)")
	d.int32(&c.etaMinute, "eta_minute", "min", true, "UTC minute 0..59; NULL: not available (60)")
	d.int32(&c.mother, "mothership_mmsi", "", true, "ship that an auxiliary craft belongs to; NULL: not an auxiliary craft")
	d.int32(&c.version, "ais_version", "", true, "edition of ITU-R M.1371 complied with: 0 edition 1, 1 edition 3, 2 edition 5, 3 later (type 5); NULL: the type has none")
	d.bool(&c.dte, "dte_ready", true, "data terminal ready: the flag in the message is 0 (types 5, 19); NULL: cut off or the type has none")
	d.string(&c.vendor, "vendor_id", true, "manufacturer's letters (type 24B); NULL: not available or the type has none")
	d.int32(&c.model, "unit_model", "", true, "manufacturer's code of the unit's model (type 24B); NULL: the type has none")
	d.int32(&c.serial, "unit_serial", "", true, "unit's serial number (type 24B); NULL: the type has none")
	c.tailCols.declare(d)
}

func (c *staticCols) add(r *table.StaticRow) {
	c.headCols.add(&r.Lineage, &r.Times, r.OwnShip, &r.Header)
	if r.Part == 0 {
		c.part.addIndex(noKey)
	} else {
		c.part.add(r.Part, func(b byte) string { return string(rune(b)) })
	}
	addOpt(&c.imo, r.IMO)
	addOptString(&c.callsign, r.Callsign)
	addOptString(&c.shipname, r.Shipname)
	addOpt(&c.shipType, r.ShipType)
	c.sizeCols.add(r.ToBow, r.ToStern, r.ToPort, r.ToStarboard)
	addOpt(&c.epfd, r.EPFD)
	c.draught.addOpt(r.Draught)
	addOptString(&c.destination, r.Destination)
	addOpt(&c.etaMonth, r.ETAMonth)
	addOpt(&c.etaDay, r.ETADay)
	addOpt(&c.etaHour, r.ETAHour)
	addOpt(&c.etaMinute, r.ETAMinute)
	addOpt(&c.mother, r.MothershipMMSI)
	addOpt(&c.version, r.AISVersion)
	c.dte.addOpt(r.DTEReady)
	addOptString(&c.vendor, r.VendorID)
	addOpt(&c.model, r.UnitModel)
	addOpt(&c.serial, r.UnitSerial)
	c.tailCols.add(&r.Reception)
}

type baseCols struct {
	headCols
	placeCols
	tailCols
	utc                                    ints[int64]
	year, month, day, hour, minute, second ints[int32]
	epfd, comm                             ints[int32]
	accuracy, raim, longRange              bools
}

func (c *baseCols) declare(d *declaration) {
	c.headCols.declare(d)
	d.time(&c.utc, "utc", "the station's UTC time; NULL: a part of it is not available or it is no date")
	d.int32(&c.year, "year", "", true, "year of that time; NULL: not available (0)")
	d.int32(&c.month, "month", "", true, "month 1..12; NULL: not available (0)")
	d.int32(&c.day, "day", "", true, "day 1..31; NULL: not available (0)")
	d.int32(&c.hour, "hour", "h", true, "hour 0..23; NULL: not available (24)")
	d.int32(&c.minute, "minute", "min", true, "minute 0..59; NULL: not available (60)")
	d.int32(&c.second, "second", "s", true, "second 0..59; NULL: not available (60)")
	c.placeCols.declare(d)
	d.bool(&c.accuracy, "position_accuracy", false, "true: better than 10 m")
	d.int32(&c.epfd, "epfd", "", true, "kind of positioning device, 0 undefined; NULL: not sent")
	d.bool(&c.raim, "raim", false, "receiver autonomous integrity monitoring in use")
	d.int32(&c.comm, "comm_state", "", true, "SOTDMA communication state, 19 bits; see below ais_position; NULL: not sent")
	d.bool(&c.longRange, "long_range_control", false, "the station asks class A ships for message 27 within its coverage")
	c.tailCols.declare(d)
}

func (c *baseCols) add(r *table.BaseStationRow) {
	c.headCols.add(&r.Lineage, &r.Times, r.OwnShip, &r.Header)
	if r.UTC.Valid {
		c.utc.add(r.UTC.Value)
	} else {
		c.utc.add(null64)
	}
	addOpt(&c.year, r.Year)
	addOpt(&c.month, r.Month)
	addOpt(&c.day, r.Day)
	addOpt(&c.hour, r.Hour)
	addOpt(&c.minute, r.Minute)
	addOpt(&c.second, r.Second)
	c.placeCols.add(r.Lat, r.Lon)
	c.accuracy.set(r.PositionAccuracy)
	addOpt(&c.epfd, r.EPFD)
	c.raim.set(r.RAIM)
	addOpt(&c.comm, r.CommState)
	c.longRange.set(r.LongRangeControl)
	c.tailCols.add(&r.Reception)
}

type atonCols struct {
	headCols
	placeCols
	sizeCols
	tailCols
	aid, epfd, second, status              ints[int32]
	name                                   strs
	accuracy, off, raim, virtual, assigned bools
}

func (c *atonCols) declare(d *declaration) {
	c.headCols.declare(d)
	d.int32(&c.aid, "aid_type", "", false, "kind of aid to navigation; 0 not specified")
	d.string(&c.name, "name", true, "name with its extension; NULL: not available")
	c.placeCols.declare(d)
	d.bool(&c.accuracy, "position_accuracy", false, "true: better than 10 m")
	c.sizeCols.declare(d)
	d.int32(&c.epfd, "epfd", "", true, "kind of positioning device, 0 undefined, 7 surveyed; NULL: not sent")
	d.int32(&c.second, "utc_second", "s", true, "second of the fix, 0..59; 61 manual, 62 dead reckoning, 63 inoperative; NULL: not available (60)")
	d.bool(&c.off, "off_position", false, "a floating aid has left its place; means something only with utc_second 0..59")
	d.int32(&c.status, "status", "", false, "the aid's status bits, national use")
	d.bool(&c.raim, "raim", false, "receiver autonomous integrity monitoring in use")
	d.bool(&c.virtual, "virtual", false, "there is no physical aid")
	d.bool(&c.assigned, "assigned", false, "assigned mode")
	c.tailCols.declare(d)
}

func (c *atonCols) add(r *table.AtoNRow) {
	c.headCols.add(&r.Lineage, &r.Times, r.OwnShip, &r.Header)
	c.aid.add(int32(r.AidType))
	addOptString(&c.name, r.Name)
	c.placeCols.add(r.Lat, r.Lon)
	c.accuracy.set(r.PositionAccuracy)
	c.sizeCols.add(r.ToBow, r.ToStern, r.ToPort, r.ToStarboard)
	addOpt(&c.epfd, r.EPFD)
	addOpt(&c.second, r.UTCSecond)
	c.off.set(r.OffPosition)
	c.status.add(int32(r.Status))
	c.raim.set(r.RAIM)
	c.virtual.set(r.Virtual)
	c.assigned.set(r.Assigned)
	c.tailCols.add(&r.Reception)
}

type safetyCols struct {
	headCols
	tailCols
	dest, sequence ints[int32]
	retransmit     bools
	text           blobs
}

func (c *safetyCols) declare(d *declaration) {
	c.headCols.declare(d)
	d.int32(&c.dest, "dest_mmsi", "", true, "addressee (type 12); NULL: broadcast")
	d.int32(&c.sequence, "sequence", "", true, "sequence number 0..3 (type 12); NULL: the type has none")
	d.bool(&c.retransmit, "retransmit", true, "sent again (type 12); NULL: the type has none")
	d.blob(&c.text, "text", String, true, "safety related text; NULL: empty")
	c.tailCols.declare(d)
}

func (c *safetyCols) add(r *table.SafetyRow) {
	c.headCols.add(&r.Lineage, &r.Times, r.OwnShip, &r.Header)
	addOpt(&c.dest, r.DestMMSI)
	addOpt(&c.sequence, r.Sequence)
	c.retransmit.addOpt(r.Retransmit)
	if r.Text.Valid {
		c.text.addString(r.Text.Value)
	} else {
		c.text.addNull()
	}
	c.tailCols.add(&r.Reception)
}

type otherCols struct {
	headCols
	tailCols
	dest   [4]ints[int32]
	fields blobs
}

func (c *otherCols) declare(d *declaration) {
	c.headCols.declare(d)
	for i, name := range []string{"dest_mmsi_1", "dest_mmsi_2", "dest_mmsi_3", "dest_mmsi_4"} {
		d.int32(&c.dest[i], name, "", true, "addressed station, in the message's order; NULL: none")
	}
	d.blob(&c.fields, "fields", String, true, "JSON object of the type's own fields; NULL: none")
	c.tailCols.declare(d)
}

func (c *otherCols) add(r *table.OtherRow) {
	c.headCols.add(&r.Lineage, &r.Times, r.OwnShip, &r.Header)
	for i := range c.dest {
		addOpt(&c.dest[i], r.DestMMSI[i])
	}
	if r.Fields == "" {
		c.fields.addNull()
	} else {
		c.fields.addString(r.Fields)
	}
	c.tailCols.add(&r.Reception)
}
