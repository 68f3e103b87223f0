//go:build !linux

package clock

import "golang.org/x/sys/unix"

// sinceBoot gives microseconds of the monotonic clock.
func sinceBoot() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return 0
	}
	return t.Nano() / 1000
}
