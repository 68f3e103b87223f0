package ais

import "math"

// The functions here turn a raw field into a column: the unit, and nothing for
// the type's own code of "not available".

// tenths divides by ten; none is not available.
func tenths(raw, none uint32) Opt[float64] { return optional(float64(raw)/10, raw != none) }

// speed: 1/10 knot; 1023 is not available.
func speed(raw uint32) Opt[float64] { return tenths(raw, 1023) }

// course: 1/10 degree; 3600 is not available.
func course(raw uint32) Opt[float64] { return tenths(raw, 3600) }

// heading: degrees; 511 is not available.
func heading(raw uint32) Opt[uint16] { return optional(uint16(raw), raw != 511) }

// longitude: 1/10,000 minute; 181 degrees is not available.
func longitude(raw int32) Opt[float64] { return optional(float64(raw)/600_000, raw != 181*600_000) }

// latitude: 1/10,000 minute; 91 degrees is not available.
func latitude(raw int32) Opt[float64] { return optional(float64(raw)/600_000, raw != 91*600_000) }

// longitudeCoarse: 1/10 minute; 181 degrees is not available.
func longitudeCoarse(raw int32) Opt[float64] { return optional(float64(raw)/600, raw != 181*600) }

// latitudeCoarse: 1/10 minute; 91 degrees is not available.
func latitudeCoarse(raw int32) Opt[float64] { return optional(float64(raw)/600, raw != 91*600) }

// utcSecond: 60 is not available; 61..63 say how the position was made.
func utcSecond(raw uint32) Opt[uint8] { return optional(uint8(raw), raw != 60) }

// code8 and code16: a code; none is not available.
func code8(raw, none uint32) Opt[uint8] { return optional(uint8(raw), raw != none) }

func code16(raw, none uint32) Opt[uint16] { return optional(uint16(raw), raw != none) }

// ratesOfTurn is rateOfTurn of every code, by its bits.
var ratesOfTurn = func() (t [256]Opt[float64]) {
	for i := range t {
		t[i] = rateOfTurn(int8(i))
	}
	return t
}()

// rateOfTurn: 4.733·√(degrees per minute), signed; ±127 is faster than a
// sensor-less indicator can tell, -128 is not available.
func rateOfTurn(raw int8) Opt[float64] {
	if raw == -128 || raw == 127 || raw == -127 {
		return Opt[float64]{}
	}
	r := float64(raw) / 4.733
	return Some(math.Copysign(r*r, float64(raw)))
}

// dimensions reads bow 9, stern 9, port 6, starboard 6: metres; all zero is not
// available.
func dimensions(b *bits, offset int) (bow, stern, port, starboard Opt[uint16]) {
	if b.uint(offset, 30) == 0 {
		return
	}
	return Some(uint16(b.uint(offset, 9))), Some(uint16(b.uint(offset+9, 9))),
		Some(uint16(b.uint(offset+18, 6))), Some(uint16(b.uint(offset+24, 6)))
}
