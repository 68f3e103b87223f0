package clock

import (
	"time"

	"golang.org/x/sys/unix"
)

// sinceBoot gives microseconds since boot, time asleep included.
func sinceBoot() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return 0 // no kernel this runs on lacks it
	}
	return t.Nano() / int64(time.Microsecond)
}
