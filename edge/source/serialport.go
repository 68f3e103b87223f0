package source

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"syscall"
	"time"

	"go.bug.st/serial"

	"landfall/edge/durable"
)

// Devices gives the devices that a serial port's path matches, in the order of
// their names; a path without a pattern is itself.
func Devices(fsys durable.FS, pattern string) ([]string, error) {
	dir, last := path.Split(pattern)
	if !strings.ContainsAny(last, "*?[") {
		return []string{pattern}, nil
	}
	entries, err := fsys.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("look for %s: %w", pattern, err)
	}
	var all []string
	for _, e := range entries {
		if ok, err := path.Match(last, e.Name()); err == nil && ok {
			all = append(all, dir+e.Name())
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("look for %s: %w", pattern, fs.ErrNotExist)
	}
	return all, nil
}

// serialHint says what an error of opening a port calls for.
func serialHint(err error) string {
	var p *serial.PortError
	switch {
	case errors.Is(err, syscall.EPERM):
		return ": not the user but the service may not; DeviceAllow= of its unit must name this kind of device"
	case errors.Is(err, fs.ErrPermission), errors.As(err, &p) && p.Code() == serial.PermissionDenied:
		return ": this user may not; serial ports belong to the group dialout"
	case errors.Is(err, errClaimed):
		return ": another gateway has it"
	case errors.As(err, &p) && p.Code() == serial.PortBusy, errors.Is(err, syscall.EBUSY):
		return ": another process has it; or one that was killed left it marked exclusive, which a pseudo-terminal is until its other end is closed"
	case errors.Is(err, fs.ErrNotExist), errors.As(err, &p) && p.Code() == serial.PortNotFound:
		return ": it is not plugged in, or has another name; see /dev/serial/by-id and by-path"
	}
	return ""
}

// lineTally adds what the port's driver counts to a source's counters.
type lineTally struct {
	counters *lineCounters
	meter    *meter
	last     lineCounts
	started  bool
	next     time.Time
}

// tallyEvery is the least time between two looks at the driver's counters.
const tallyEvery = time.Second

// take looks, unless it did just now. The driver counts since it was loaded, so
// the first look is where counting begins.
func (t *lineTally) take() {
	now := time.Now()
	if t.counters == nil || now.Before(t.next) {
		return
	}
	t.next = now.Add(tallyEvery)
	if c, ok := t.counters.read(); ok {
		t.add(c)
	}
}

// add takes the driver's counters.
func (t *lineTally) add(c lineCounts) {
	if t.started {
		t.meter.lost.Add(uint64(c.overruns - t.last.overruns))
		t.meter.lineErrors.Add(uint64(c.errors - t.last.errors))
	}
	t.last, t.started = c, true
}

// lineCounts are what the driver counted, modulo 2^32: characters it had no room
// for, and characters with a framing or parity error, and breaks.
type lineCounts struct{ overruns, errors uint32 }
