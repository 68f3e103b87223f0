package ais

import goais "github.com/BertoldVdb/go-ais"

// aircraft: type 9. Speed is in whole knots.
func (r *Rows) aircraft(m *goais.StandardSearchAndRescueAircraftReport, b *bits) {
	r.Position = Position{
		Header:           r.Header,
		Lat:              latitude(int32(m.Latitude)),
		Lon:              longitude(int32(m.Longitude)),
		PositionAccuracy: m.PositionAccuracy,
		SOG:              optional(float64(m.Sog), m.Sog != 1023),
		COG:              course(uint32(m.Cog)),
		Altitude:         optional(m.Altitude, m.Altitude != 4095),
		UTCSecond:        utcSecond(uint32(m.Timestamp)),
		RAIM:             Some(m.Raim),
		CommState:        Some(b.uint(148, 20)),
	}
	r.HasPosition = true
}

// extendedB: type 19, a position and the static data of a class B ship.
func (r *Rows) extendedB(m *goais.ExtendedClassBPositionReport) {
	r.Position = Position{
		Header:           r.Header,
		Lat:              latitude(int32(m.Latitude)),
		Lon:              longitude(int32(m.Longitude)),
		PositionAccuracy: m.PositionAccuracy,
		SOG:              speed(uint32(m.Sog)),
		COG:              course(uint32(m.Cog)),
		TrueHeading:      heading(uint32(m.TrueHeading)),
		UTCSecond:        utcSecond(uint32(m.Timestamp)),
		RAIM:             Some(m.Raim),
	}
	r.HasPosition = true
	s := &r.Static
	*s = Static{
		Header:   r.Header,
		Shipname: text(m.Name),
		ShipType: optional(m.Type, m.Type != 0),
		EPFD:     Some(m.FixType),
	}
	s.setDimensions(m.Dimension)
	r.HasStatic = true
}

// longRange: type 27. Position in 1/10 minute, speed and course whole; 63 and
// 511 are not available.
func (r *Rows) longRange(m *goais.LongRangeAisBroadcastMessage) {
	r.Position = Position{
		Header:           r.Header,
		NavStatus:        Some(m.NavigationalStatus),
		Lat:              latitudeCoarse(int32(m.Latitude)),
		Lon:              longitudeCoarse(int32(m.Longitude)),
		PositionAccuracy: m.PositionAccuracy,
		SOG:              optional(float64(m.Sog), m.Sog != 63),
		COG:              optional(float64(m.Cog), m.Cog != 511),
		RAIM:             Some(m.Raim),
	}
	r.HasPosition = true
}
