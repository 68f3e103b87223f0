package ais

// The static reports of ships (ITU-R M.1371-5, annex 8, 3.3 and 3.22).

// shipStatic: type 5. Its last character and bits may be missing; a character
// that is there in part is read as if zeros followed, as other decoders do.
func (r *Rows) shipStatic(b *bits) {
	imo := b.uint(40, 30)
	s := &r.Static
	*s = Static{
		Header:      r.Header,
		AISVersion:  Some(uint8(b.uint(38, 2))),
		IMO:         optional(imo, imo != 0),
		Callsign:    r.text(b, 70, 7),
		Shipname:    r.text(b, 112, 20),
		ShipType:    code8(b.uint(232, 8), 0),
		EPFD:        Some(uint8(b.uint(270, 4))),
		ETAMonth:    code8(b.uint(274, 4), 0),
		ETADay:      code8(b.uint(278, 5), 0),
		ETAHour:     code8(b.uint(283, 5), 24),
		ETAMinute:   code8(b.uint(288, 6), 60),
		Draught:     tenths(b.uint(294, 8), 0),
		Destination: r.text(b, 302, 20),
	}
	s.ToBow, s.ToStern, s.ToPort, s.ToStarboard = dimensions(b, 240)
	if b.n > 422 {
		s.DTEReady = Some(!b.flag(422))
	}
	r.HasStatic = true
}

// staticPart: type 24. Parts 2 and 3 are not defined: a row with nothing but
// the header and the part says that the station sent one.
func (r *Rows) staticPart(b *bits) {
	s := &r.Static
	*s = Static{Header: r.Header}
	r.HasStatic = true
	switch b.uint(38, 2) {
	case 0:
		s.Part = 'A'
		s.Shipname = r.text(b, 40, 20)
	case 1:
		s.Part = 'B'
		r.staticB(b)
	case 2:
		s.Part = '2'
	case 3:
		s.Part = '3'
	}
}

// staticB: part B. An auxiliary craft's has its mother ship's MMSI where the
// dimensions would be. Its end may be missing.
func (r *Rows) staticB(b *bits) {
	s := &r.Static
	s.ShipType = code8(b.uint(40, 8), 0)
	s.VendorID = r.text(b, 48, 3)
	s.UnitModel, s.UnitSerial = Some(uint8(b.uint(66, 4))), Some(b.uint(70, 20))
	s.Callsign = r.text(b, 90, 7)
	s.EPFD = optional(uint8(b.uint(162, 4)), b.n >= 166)
	if r.Header.MMSI/10_000_000 == 98 {
		mothership := b.uint(132, 30)
		s.MothershipMMSI = optional(mothership, mothership != 0 && b.n >= 162)
		return
	}
	s.ToBow, s.ToStern, s.ToPort, s.ToStarboard = dimensions(b, 132)
	if b.n < 162 {
		s.ToStarboard = Opt[uint16]{} // its last bits are missing
	}
}
