package source

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// lineCounters asks a serial port's driver for its counters; nil: it cannot be
// asked.
type lineCounters struct{ fd int }

// openLineCounters opens a device beside the reader: go.bug.st/serial does not
// give its descriptor. It never reads.
func openLineCounters(device string) *lineCounters {
	fd, err := unix.Open(device, unix.O_RDONLY|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil // opening it for reading will say why
	}
	c := &lineCounters{fd: fd}
	if _, ok := c.read(); !ok {
		c.close() // a pseudo-terminal, or an adapter whose driver counts nothing
		return nil
	}
	return c
}

// icounter is struct serial_icounter_struct of linux/serial.h.
type icounter struct {
	cts, dsr, rng, dcd, rx, tx       int32
	frame, overrun, parity, brk, buf int32
	_                                [9]int32
}

// read gives the counters (TIOCGICOUNT, ioctl_tty(2)).
func (c *lineCounters) read() (lineCounts, bool) {
	if c == nil {
		return lineCounts{}, false
	}
	var i icounter
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(c.fd), unix.TIOCGICOUNT, uintptr(unsafe.Pointer(&i))); errno != 0 {
		return lineCounts{}, false
	}
	return lineCounts{overruns: uint32(i.overrun + i.buf), errors: uint32(i.frame + i.parity + i.brk)}, true
}

func (c *lineCounters) close() {
	if c != nil {
		_ = unix.Close(c.fd) // it was never written to
	}
}
