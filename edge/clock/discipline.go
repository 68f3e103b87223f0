package clock

import "time"

// Disciplined is a Clock whose wall clock something may keep right.
type Disciplined interface {
	// Discipline gives the bound of the wall clock's error while NTP or PTP keeps
	// it; false while nothing does, or nobody can tell.
	Discipline() (bound time.Duration, ok bool)
}
