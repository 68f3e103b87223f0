package record

// Times of rows. Whoever reads them computes with them, and one at the end of what
// 64 bits hold ends a query with an error for everybody; what is beyond the years that
// a date can be written in (ISO 8601, four digits) no clock has said.
const (
	MinTime Micros = -62_135_596_800_000_000 // 0001-01-01T00:00:00Z
	MaxTime Micros = 253_402_300_799_999_999 // 9999-12-31T23:59:59.999999Z

	// MaxMonotonic is the longest time since a boot that is plausible, 100 years, in
	// microseconds.
	MaxMonotonic = 100 * 365 * 86_400 * 1_000_000
)

// Plausible tells whether a clock can have said a time: of the years 1 to 9999, or
// NoTime.
func (m Micros) Plausible() bool { return m == NoTime || MinTime <= m && m <= MaxTime }

// OrNone returns a time, NoTime for one that is not Plausible.
func (m Micros) OrNone() Micros {
	if !m.Plausible() {
		return NoTime
	}
	return m
}

// Bounded returns a time, the nearest one of the years 1 to 9999 for any other.
func (m Micros) Bounded() Micros { return min(max(m, MinTime), MaxTime) }
