package ais

import (
	"math"
	"strings"
)

// The functions here turn a raw field into a column: the unit, and nothing for
// the type's own code of "not available".

// speed: 1/10 knot; 1023 is not available.
func speed(raw uint32) Opt[float64] { return optional(float64(raw)/10, raw != 1023) }

// course: 1/10 degree; 3600 is not available.
func course(raw uint32) Opt[float64] { return optional(float64(raw)/10, raw != 3600) }

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

// rateOfTurn: 4.733·√(degrees per minute), signed; ±127 is faster than a
// sensor-less indicator can tell, -128 is not available.
func rateOfTurn(raw int8) Opt[float64] {
	if raw == -128 || raw == 127 || raw == -127 {
		return Opt[float64]{}
	}
	r := float64(raw) / 4.733
	return Some(math.Copysign(r*r, float64(raw)))
}

// text cuts at the first '@' and drops trailing spaces; empty is nothing.
func text(s string) Opt[string] {
	if i := strings.IndexByte(s, '@'); i >= 0 {
		s = s[:i]
	}
	s = strings.TrimRight(s, " ")
	return optional(s, s != "")
}

// dimensions: metres; all zero is not available.
func dimensions(a, b uint16, c, d uint8) (bow, stern, port, starboard Opt[uint16]) {
	if a == 0 && b == 0 && c == 0 && d == 0 {
		return
	}
	return Some(a), Some(b), Some(uint16(c)), Some(uint16(d))
}
