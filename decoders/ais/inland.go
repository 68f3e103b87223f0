package ais

// Inland is what an inland ship says of itself: application 200/10 of type 8
// (Vessel Tracking and Tracing Standard for Inland Navigation, CCNR, edition
// 2.0; Commission Regulation (EC) 415/2007, annex, table 2.3). Columns
// inland_*.
type Inland struct {
	// InlandENI is the European vessel identification number, eight digits.
	InlandENI Opt[string]
	// InlandLength and InlandBeam are those of the ship or convoy, in metres.
	InlandLength, InlandBeam Opt[float64]
	// InlandShipType is the ERI code of the ship or convoy, such as 8010.
	InlandShipType Opt[uint16]
	// InlandHazard is the count of blue cones, 0..3; 4 is the B flag.
	InlandHazard Opt[uint8]
	// InlandDraught is in metres.
	InlandDraught Opt[float64]
	// InlandLoaded is 1 loaded, 2 unloaded.
	InlandLoaded Opt[uint8]
	// InlandSpeedQuality … InlandHeadingQuality are true where a sensor better
	// than the GNSS gives the value.
	InlandSpeedQuality, InlandCourseQuality, InlandHeadingQuality Opt[bool]
}

// The whole message has 168 bits, of which eight are spare. Others under the
// same number, longer ones, are of another application.
const (
	minInland = 160
	maxInland = 168
)

// inlandShip reads application 200/10.
func (r *Rows) inlandShip(b *bits) {
	if b.n < minInland || b.n > maxInland {
		return
	}
	draught := b.uint(144, 11)
	r.Binary.Inland = Inland{
		InlandENI:            r.text(b, 56, 8),
		InlandLength:         tenths(b.uint(104, 13), 0),
		InlandBeam:           tenths(b.uint(117, 10), 0),
		InlandShipType:       code16(b.uint(127, 14), 0),
		InlandHazard:         code8(b.uint(141, 3), 5),
		InlandDraught:        optional(float64(draught)/100, draught != 0),
		InlandLoaded:         code8(b.uint(155, 2), 0),
		InlandSpeedQuality:   Some(b.flag(157)),
		InlandCourseQuality:  Some(b.flag(158)),
		InlandHeadingQuality: Some(b.flag(159)),
	}
}
