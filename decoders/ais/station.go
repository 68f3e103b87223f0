package ais

import "time"

// Reports of stations that are no ships: base stations and aids to navigation
// (ITU-R M.1371-5, annex 8, 3.2 and 3.19).

// baseStation: types 4 and 11.
func (r *Rows) baseStation(b *bits) {
	s := &r.BaseStation
	*s = BaseStation{
		Header:           r.Header,
		Year:             code16(b.uint(38, 14), 0),
		Month:            code8(b.uint(52, 4), 0),
		Day:              code8(b.uint(56, 5), 0),
		Hour:             code8(b.uint(61, 5), 24),
		Minute:           code8(b.uint(66, 6), 60),
		Second:           code8(b.uint(72, 6), 60),
		PositionAccuracy: b.flag(78),
		Lon:              longitude(b.int(79, 28)),
		Lat:              latitude(b.int(107, 27)),
		EPFD:             Some(uint8(b.uint(134, 4))),
		LongRangeControl: b.flag(138),
		RAIM:             b.flag(148),
		CommState:        Some(b.uint(149, 19)),
	}
	s.UTC = s.micros()
	r.HasBaseStation = true
}

// micros is the station's time when it is a date: no 30 February.
func (s *BaseStation) micros() Opt[int64] {
	month, day := s.Month.Value, s.Day.Value
	if !s.Year.Valid || month < 1 || month > 12 || day < 1 || s.Hour.Value > 23 || !s.Hour.Valid ||
		s.Minute.Value > 59 || !s.Minute.Valid || s.Second.Value > 59 || !s.Second.Valid {
		return Opt[int64]{}
	}
	t := time.Date(int(s.Year.Value), time.Month(month), int(day),
		int(s.Hour.Value), int(s.Minute.Value), int(s.Second.Value), 0, time.UTC)
	return optional(t.UnixMicro(), t.Day() == int(day))
}

// aidToNavigation: type 21. The name's extension counts only when the name
// fills its twenty characters.
func (r *Rows) aidToNavigation(b *bits) {
	a := &r.AtoN
	*a = AtoN{
		Header:           r.Header,
		AidType:          uint8(b.uint(38, 5)),
		PositionAccuracy: b.flag(163),
		Lon:              longitude(b.int(164, 28)),
		Lat:              latitude(b.int(192, 27)),
		EPFD:             Some(uint8(b.uint(249, 4))),
		UTCSecond:        utcSecond(b.uint(253, 6)),
		OffPosition:      b.flag(259),
		Status:           uint8(b.uint(260, 8)),
		RAIM:             b.flag(268),
		Virtual:          b.flag(269),
		Assigned:         b.flag(270),
	}
	var buf [maxText]byte
	name := sixbitText(buf[:0], b, 43, 20)
	if len(name) == 20 && b.n > 272 {
		name = sixbitText(name, b, 272, min(maxText-20, (b.n-272)/6))
	}
	a.Name = r.trimmed(name)
	a.ToBow, a.ToStern, a.ToPort, a.ToStarboard = dimensions(b, 219)
	r.HasAtoN = true
}
