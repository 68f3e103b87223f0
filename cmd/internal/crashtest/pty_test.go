//go:build failpoint && linux

package crashtest

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// ptyOutlet is a serial line: the test holds the master, the edge opens the
// other end by name. The test keeps that end open too, so that what was sent
// waits in the kernel while no edge runs, as in a UART's buffer.
type ptyOutlet struct {
	master, slave *os.File
	name          string
}

func newPtyOutlet() (*ptyOutlet, error) {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	fd := int(master.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		return nil, fmt.Errorf("name of pty: %w", err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return nil, fmt.Errorf("unlock pty: %w", err)
	}
	o := &ptyOutlet{master: master, name: fmt.Sprintf("/dev/pts/%d", n)}
	if o.slave, err = os.OpenFile(o.name, os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		return nil, err
	}
	tio, err := unix.IoctlGetTermios(int(o.slave.Fd()), unix.TCGETS)
	if err != nil {
		return nil, fmt.Errorf("modes of pty: %w", err)
	}
	tio.Iflag, tio.Oflag, tio.Lflag = 0, 0, 0 // raw, no echo
	if err := unix.IoctlSetTermios(int(o.slave.Fd()), unix.TCSETS, tio); err != nil {
		return nil, fmt.Errorf("modes of pty: %w", err)
	}
	return o, nil
}

// send waits while the kernel's buffer is full. A killed edge leaves the port
// marked exclusive, which a real port loses with its last close.
func (o *ptyOutlet) send(lines [][]byte) fate {
	if err := unix.IoctlSetInt(int(o.slave.Fd()), unix.TIOCNXCL, 0); err != nil {
		return unsent
	}
	if _, err := o.master.Write(joined(lines)); err != nil {
		return unsure
	}
	return sent
}

func (o *ptyOutlet) close() {} // the edge must not see a hang-up before it is stopped

// release closes both ends, after the edge has ended.
func (o *ptyOutlet) release() {
	_ = o.slave.Close()
	_ = o.master.Close()
}
