package aissim

import "math"

// The messages that make up most of the traffic are written bit by bit here;
// the fields are those of ITU-R M.1371-5, annex 8.

func (w *writer) header(msgType uint8, mmsi uint32) {
	w.put(uint32(msgType), 6)
	w.put(0, 2)
	w.put(mmsi, 30)
}

// place writes longitude (28 bits) and latitude (27), 1/10,000 minute.
func (w *writer) place(s *station) {
	w.put(uint32(int32(math.Round(s.lon*600_000))), 28)
	w.put(uint32(int32(math.Round(s.lat*600_000))), 27)
}

// motion writes what types 1, 2, 3, 18 and 19 share, from SOG to UTC second.
func (w *writer) motion(s *station, second uint32) {
	w.put(uint32(math.Round(s.speed*10)), 10)
	w.put(1, 1)
	w.place(s)
	w.put(s.cog(), 12)
	w.put(s.heading(), 9)
	w.put(second, 6)
}

// cog is the course in 1/10 degree, 0..3599.
func (s *station) cog() uint32 { return uint32(math.Round(s.course*10)) % 3600 }

// heading is in degrees; class B ships have no compass.
func (s *station) heading() uint32 {
	if s.kind == classB {
		return 511
	}
	return uint32(s.course) % 360
}

// positionA writes types 1, 2, 3. state is the communication state.
func (w *writer) positionA(msgType uint8, s *station, second, state uint32) {
	w.header(msgType, s.mmsi)
	w.put(uint32(s.status), 4)
	w.put(uint32(int32(rotCode(s.rot))), 8)
	w.motion(s, second)
	w.put(0, 2+3)
	w.flag(true)
	w.put(state, 19)
}

// rotCode is 4.733·√(degrees per minute), signed.
func rotCode(degreesPerMinute float64) int8 {
	v := math.Round(4.733 * math.Sqrt(math.Abs(degreesPerMinute)))
	return int8(math.Copysign(min(v, 126), degreesPerMinute))
}

// positionB writes type 18 of a carrier-sense unit, which has no slots of its
// own: its communication state is a constant.
func (w *writer) positionB(s *station, second uint32) {
	w.header(18, s.mmsi)
	w.put(0, 8)
	w.motion(s, second)
	w.put(0, 2)
	w.put(0b1011100, 7) // CS unit, no display, DSC, whole band, message 22, autonomous, no RAIM
	w.put(0xE0006, 20)
}

// static writes type 5.
func (w *writer) static(s *station) {
	w.header(5, s.mmsi)
	w.put(1, 2)
	w.put(s.imo, 30)
	w.text(s.callsign, 7)
	w.text(s.name, 20)
	w.put(uint32(s.shipType), 8)
	w.dimension(s)
	w.put(1, 4)
	w.put(s.etaMonth, 4)
	w.put(s.etaDay, 5)
	w.put(s.etaHour, 5)
	w.put(30, 6)
	w.put(s.draught, 8)
	w.text(s.destination, 20)
	w.put(0, 2)
}

func (w *writer) dimension(s *station) {
	w.put(s.bow, 9)
	w.put(s.stern, 9)
	w.put(s.port, 6)
	w.put(s.starb, 6)
}

// staticA writes type 24 part A.
func (w *writer) staticA(s *station) {
	w.header(24, s.mmsi)
	w.put(0, 2)
	w.text(s.name, 20)
	w.put(0, 8)
}

// staticB writes type 24 part B.
func (w *writer) staticB(s *station) {
	w.header(24, s.mmsi)
	w.put(1, 2)
	w.put(uint32(s.shipType), 8)
	w.text("SIM", 3)
	w.put(1, 4)
	w.put(s.mmsi%1_000_000, 20)
	w.text(s.callsign, 7)
	if s.mothership != 0 {
		w.put(s.mothership, 30)
	} else {
		w.dimension(s)
	}
	w.put(1, 4)
	w.put(0, 2)
}

// base writes types 4 and 11: the time t, microseconds, and the place.
func (w *writer) base(msgType uint8, s *station, t int64, state uint32) {
	year, month, day, hour, minute, second := civil(t)
	w.header(msgType, s.mmsi)
	w.put(year, 14)
	w.put(month, 4)
	w.put(day, 5)
	w.put(hour, 5)
	w.put(minute, 6)
	w.put(second, 6)
	w.put(1, 1)
	w.place(s)
	w.put(7, 4)
	w.put(0, 1+9)
	w.flag(false)
	w.put(state, 19)
}

// aid writes type 21. A name longer than 20 characters goes on in the
// extension, which is filled up to whole bytes.
func (w *writer) aid(s *station, second uint32) {
	w.header(21, s.mmsi)
	w.put(uint32(s.shipType), 5)
	w.text(s.name, 20)
	w.put(1, 1)
	w.place(s)
	w.put(0, 30)
	w.put(7, 4)
	w.put(second, 6)
	w.put(0, 1+8)
	w.put(0, 4) // no RAIM, a real aid, autonomous, spare
	if len(s.name) > 20 {
		rest := s.name[20:]
		w.text(rest, len(rest))
		if bits := 272 + 6*len(rest); bits%8 != 0 {
			w.put(0, uint(8-bits%8))
		}
	}
}

// civil splits microseconds since 1970 into UTC parts (days to date after
// H. Hinnant's civil_from_days).
func civil(t int64) (year, month, day, hour, minute, second uint32) {
	seconds := t / 1_000_000
	days := seconds/86_400 + 719_468
	rest := seconds % 86_400
	era := days / 146_097
	doe := days - era*146_097
	yoe := (doe - doe/1460 + doe/36_524 - doe/146_096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	d := doy - (153*mp+2)/5 + 1
	m := mp + 3
	if m > 12 {
		m -= 12
	}
	y := yoe + era*400
	if m <= 2 {
		y++
	}
	return uint32(y), uint32(m), uint32(d), uint32(rest / 3600), uint32(rest / 60 % 60), uint32(rest % 60)
}
