package clock

import (
	"time"

	"golang.org/x/sys/unix"
)

const (
	clockUnsynchronised = 0x40 // STA_UNSYNC, linux/timex.h
	clockError          = 5    // TIME_ERROR, what adjtimex returns
	// worstBound is an error that the kernel gives a clock that was not kept for
	// hours (it lets it grow by 500 ppm).
	worstBound = 16 * time.Second
)

// Discipline implements Disciplined: it asks the kernel (adjtimex(2), which
// changes nothing with modes 0), where chrony, ntpd, systemd-timesyncd and
// phc2sys all leave their word.
func (s *System) Discipline() (time.Duration, bool) {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil {
		return 0, false
	}
	return disciplined(state, &t)
}

// disciplined tells what the kernel's answer says of the clock.
func disciplined(state int, t *unix.Timex) (time.Duration, bool) {
	bound := time.Duration(t.Maxerror) * time.Microsecond
	if state == clockError || t.Status&clockUnsynchronised != 0 || bound <= 0 || bound >= worstBound {
		return 0, false
	}
	return bound, true
}
