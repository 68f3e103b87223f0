package cli

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"landfall/edge/durable"
)

// ClockSource says, in words, what keeps this machine's clock.
func ClockSource(fsys durable.FS) (words string, synchronized bool) {
	there := func(name string) bool { _, err := fsys.Stat(name); return err == nil }
	var parts []string
	switch {
	case there("/run/systemd/timesync/synchronized"):
		parts, synchronized = append(parts, "set by NTP (systemd-timesyncd)"), true
	case there("/run/chrony/chronyd.pid"), there("/run/chronyd.pid"):
		parts, synchronized = append(parts, "kept by chrony; chronyc tracking says how well"), true
	case there("/run/ntpd.pid"):
		parts, synchronized = append(parts, "kept by ntpd"), true
	default:
		parts = append(parts, "not set by NTP now")
	}
	if there("/dev/pps0") {
		parts = append(parts, "a PPS signal at /dev/pps0")
	}
	if there("/dev/rtc0") {
		parts = append(parts, "a battery clock keeps it while the power is off")
	} else {
		parts = append(parts, "no battery clock: after a power cut it is wrong until NTP or the radio corrects it")
	}
	return strings.Join(parts, "; "), synchronized
}

// FreeBelow gives the free bytes of the disk that dir lies on or will lie on.
func FreeBelow(fsys durable.FS, dir string) (int64, error) {
	for {
		free, err := fsys.Free(dir)
		if err == nil {
			return int64(free), nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return 0, fmt.Errorf("free space: %w", errors.Join(err))
		}
		dir = parent
	}
}
