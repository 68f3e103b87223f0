package ais

import (
	"time"

	goais "github.com/BertoldVdb/go-ais"
)

// shipStatic: type 5.
func (r *Rows) shipStatic(m *goais.ShipStaticData) {
	s := &r.Static
	*s = Static{
		Header:      r.Header,
		IMO:         optional(m.ImoNumber, m.ImoNumber != 0),
		Callsign:    text(m.CallSign),
		Shipname:    text(m.Name),
		ShipType:    optional(m.Type, m.Type != 0),
		EPFD:        Some(m.FixType),
		Draught:     optional(float64(m.MaximumStaticDraught)/10, m.MaximumStaticDraught != 0),
		Destination: text(m.Destination),
		ETAMonth:    optional(m.Eta.Month, m.Eta.Month != 0),
		ETADay:      optional(m.Eta.Day, m.Eta.Day != 0),
		ETAHour:     optional(m.Eta.Hour, m.Eta.Hour != 24),
		ETAMinute:   optional(m.Eta.Minute, m.Eta.Minute != 60),
	}
	s.setDimensions(m.Dimension)
	r.HasStatic = true
}

// staticHalf: type 24, part A or B. Part B of an auxiliary craft has its
// mother ship's MMSI where the dimensions would be.
func (r *Rows) staticHalf(m *goais.StaticDataReport, b *bits) {
	s := &r.Static
	*s = Static{Header: r.Header, Part: 'A'}
	r.HasStatic = true
	if !m.PartNumber {
		s.Shipname = text(m.ReportA.Name)
		return
	}
	s.Part = 'B'
	s.Callsign = text(m.ReportB.CallSign)
	s.ShipType = optional(m.ReportB.ShipType, m.ReportB.ShipType != 0)
	s.EPFD = optional(m.ReportB.FixType, b.n >= 166)
	if r.Header.MMSI/10_000_000 == 98 {
		mothership := b.uint(132, 30)
		s.MothershipMMSI = optional(mothership, mothership != 0 && b.n >= 162)
		return
	}
	s.setDimensions(m.ReportB.Dimension)
	if b.n < 162 {
		s.ToStarboard = Opt[uint16]{} // its last bits are missing
	}
}

func (s *Static) setDimensions(d goais.FieldDimension) {
	s.ToBow, s.ToStern, s.ToPort, s.ToStarboard = dimensions(d.A, d.B, d.C, d.D)
}

// baseStation: types 4 and 11.
func (r *Rows) baseStation(m *goais.BaseStationReport) {
	r.BaseStation = BaseStation{
		Header:           r.Header,
		UTC:              dateMicros(m),
		Year:             optional(m.UtcYear, m.UtcYear != 0),
		Month:            optional(m.UtcMonth, m.UtcMonth != 0),
		Day:              optional(m.UtcDay, m.UtcDay != 0),
		Hour:             optional(m.UtcHour, m.UtcHour != 24),
		Minute:           optional(m.UtcMinute, m.UtcMinute != 60),
		Second:           optional(m.UtcSecond, m.UtcSecond != 60),
		Lat:              latitude(int32(m.Latitude)),
		Lon:              longitude(int32(m.Longitude)),
		PositionAccuracy: m.PositionAccuracy,
		EPFD:             Some(m.FixType),
		RAIM:             m.Raim,
		CommState:        Some(m.CommunicationState),
	}
	r.HasBaseStation = true
}

// dateMicros is the station's time when it is a date: no 30 February.
func dateMicros(m *goais.BaseStationReport) Opt[int64] {
	if m.UtcYear < 1 || m.UtcYear > 9999 || m.UtcMonth < 1 || m.UtcMonth > 12 || m.UtcDay < 1 ||
		m.UtcHour > 23 || m.UtcMinute > 59 || m.UtcSecond > 59 {
		return Opt[int64]{}
	}
	t := time.Date(int(m.UtcYear), time.Month(m.UtcMonth), int(m.UtcDay),
		int(m.UtcHour), int(m.UtcMinute), int(m.UtcSecond), 0, time.UTC)
	return optional(t.UnixMicro(), t.Day() == int(m.UtcDay))
}

// aton: type 21. The name's extension counts only when the name fills its
// twenty characters.
func (r *Rows) aton(m *goais.AidsToNavigationReport) {
	a := &r.AtoN
	*a = AtoN{
		Header:           r.Header,
		AidType:          m.Type,
		Name:             text(m.Name),
		Lat:              latitude(int32(m.Latitude)),
		Lon:              longitude(int32(m.Longitude)),
		PositionAccuracy: m.PositionAccuracy,
		EPFD:             Some(m.Fixtype),
		UTCSecond:        utcSecond(uint32(m.Timestamp)),
		OffPosition:      m.OffPosition,
		Status:           m.AtoN,
		RAIM:             m.Raim,
		Virtual:          m.VirtualAtoN,
		Assigned:         m.AssignedMode,
	}
	if len(m.Name) == 20 {
		a.Name = text(m.Name + m.NameExtension)
	}
	a.ToBow, a.ToStern, a.ToPort, a.ToStarboard = dimensions(m.Dimension.A, m.Dimension.B, m.Dimension.C, m.Dimension.D)
	r.HasAtoN = true
}
