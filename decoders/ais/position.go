package ais

// The position reports (ITU-R M.1371-5, annex 8, 3.1, 3.7, 3.16, 3.17, 3.25).
// The row is set field by field, so that one message of a hot type costs no
// more than its fields.

// clearRare empties the columns that the hot types do not have.
func (p *Position) clearRare() {
	p.Altitude, p.AltitudeBarometric = Opt[uint16]{}, Opt[bool]{}
	p.DTEReady, p.PositionStale = Opt[bool]{}, Opt[bool]{}
}

// clearB empties what only class B units say of themselves.
func (p *Position) clearB() {
	p.Assigned = Opt[bool]{}
	p.ClassBCS, p.ClassBDisplay, p.ClassBDSC = Opt[bool]{}, Opt[bool]{}, Opt[bool]{}
	p.ClassBBand, p.ClassBMsg22 = Opt[bool]{}, Opt[bool]{}
}

// clearA empties what only class A units say.
func (p *Position) clearA() {
	p.NavStatus, p.Maneuver = Opt[uint8]{}, Opt[uint8]{}
	p.ROTRaw, p.ROT = Opt[int8]{}, Opt[float64]{}
}

// positionA: types 1, 2, 3.
func (r *Rows) positionA(b *bits) {
	p := &r.Position
	p.Header = r.Header
	p.NavStatus = Some(uint8(b.uint(38, 4)))
	rot := uint8(b.uint(42, 8))
	p.ROTRaw, p.ROT = Some(int8(rot)), ratesOfTurn[rot]
	p.setMotion(b, 50)
	p.Maneuver = code8(b.uint(143, 2), 0)
	p.RAIM = Some(b.flag(148))
	p.CommState = b.some(149, 19)
	p.clearB()
	p.clearRare()
	r.HasPosition = true
}

// positionB: type 18.
func (r *Rows) positionB(b *bits) {
	p := &r.Position
	p.Header = r.Header
	p.clearA()
	p.setMotion(b, 46)
	p.ClassBCS, p.ClassBDisplay = Some(b.flag(141)), Some(b.flag(142))
	p.ClassBDSC, p.ClassBBand = Some(b.flag(143)), Some(b.flag(144))
	p.ClassBMsg22, p.Assigned = Some(b.flag(145)), Some(b.flag(146))
	p.RAIM = Some(b.flag(147))
	p.CommState = Some(b.uint(148, 20))
	p.clearRare()
	r.HasPosition = true
}

// setMotion reads the block that types 1, 2, 3, 18 and 19 share, from offset:
// SOG 10, accuracy 1, longitude 28, latitude 27, COG 12, heading 9, second 6.
func (p *Position) setMotion(b *bits, offset int) {
	p.SOG = speed(b.uint(offset, 10))
	p.PositionAccuracy = b.flag(offset + 10)
	p.Lon = longitude(b.int(offset+11, 28))
	p.Lat = latitude(b.int(offset+39, 27))
	p.COG = course(b.uint(offset+66, 12))
	p.TrueHeading = heading(b.uint(offset+78, 9))
	p.UTCSecond = utcSecond(b.uint(offset+87, 6))
}

// aircraft: type 9. Speed is in whole knots.
func (r *Rows) aircraft(b *bits) {
	altitude, knots := b.uint(38, 12), b.uint(50, 10)
	r.Position = Position{
		Header:             r.Header,
		Altitude:           code16(altitude, 4095),
		SOG:                optional(float64(knots), knots != 1023),
		PositionAccuracy:   b.flag(60),
		Lon:                longitude(b.int(61, 28)),
		Lat:                latitude(b.int(89, 27)),
		COG:                course(b.uint(116, 12)),
		UTCSecond:          utcSecond(b.uint(128, 6)),
		AltitudeBarometric: Some(b.flag(134)),
		DTEReady:           Some(!b.flag(142)),
		Assigned:           Some(b.flag(146)),
		RAIM:               Some(b.flag(147)),
		CommState:          Some(b.uint(148, 20)),
	}
	r.HasPosition = true
}

// extendedB: type 19, a position and the static data of a class B ship.
func (r *Rows) extendedB(b *bits) {
	ready := Some(!b.flag(306))
	p := &r.Position
	*p = Position{Header: r.Header, RAIM: Some(b.flag(305)), Assigned: Some(b.flag(307)), DTEReady: ready}
	p.setMotion(b, 46)
	r.HasPosition = true
	s := &r.Static
	*s = Static{
		Header:   r.Header,
		Shipname: r.text(b, 143, 20),
		ShipType: code8(b.uint(263, 8), 0),
		EPFD:     Some(uint8(b.uint(301, 4))),
		DTEReady: ready,
	}
	s.ToBow, s.ToStern, s.ToPort, s.ToStarboard = dimensions(b, 271)
	r.HasStatic = true
}

// longRange: type 27. Position in 1/10 minute, speed and course whole; 63 and
// 511 are not available.
func (r *Rows) longRange(b *bits) {
	knots, degrees := b.uint(79, 6), b.uint(85, 9)
	r.Position = Position{
		Header:           r.Header,
		PositionAccuracy: b.flag(38),
		RAIM:             Some(b.flag(39)),
		NavStatus:        Some(uint8(b.uint(40, 4))),
		Lon:              longitudeCoarse(b.int(44, 18)),
		Lat:              latitudeCoarse(b.int(62, 17)),
		SOG:              optional(float64(knots), knots != 63),
		COG:              optional(float64(degrees), degrees != 511),
		PositionStale:    Some(b.flag(94)),
	}
	r.HasPosition = true
}
