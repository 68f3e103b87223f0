package traffic

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// pty is a serial line made of a pseudo terminal: Output is the radio's end,
// Device the name under which a gateway opens the other.
type pty struct {
	master *os.File
	slave  *os.File // held open, so that the line outlives its readers
	buf    []byte
}

// OpenPTY makes a pseudo terminal. It gives the radio's end and the path of the
// device.
func OpenPTY() (Output, string, error) {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, "", fmt.Errorf("open pseudo terminal: %w", err)
	}
	device, slave, err := openSlave(master)
	if err != nil {
		return nil, "", errors.Join(err, master.Close())
	}
	return &pty{master: master, slave: slave}, device, nil
}

// openSlave unlocks the other end and makes it raw, so that bytes pass as they
// are.
func openSlave(master *os.File) (string, *os.File, error) {
	conn, err := master.SyscallConn()
	if err != nil {
		return "", nil, err
	}
	var number int
	var ioctl error
	err = conn.Control(func(fd uintptr) {
		if ioctl = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); ioctl == nil {
			number, ioctl = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		}
	})
	if err = errors.Join(err, ioctl); err != nil {
		return "", nil, fmt.Errorf("unlock pseudo terminal: %w", err)
	}
	device := fmt.Sprintf("/dev/pts/%d", number)
	slave, err := os.OpenFile(device, os.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", nil, fmt.Errorf("open pseudo terminal: %w", err)
	}
	t, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
	if err == nil {
		t.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
		t.Oflag &^= unix.OPOST
		t.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
		err = unix.IoctlSetTermios(int(slave.Fd()), unix.TCSETS, t)
	}
	if err != nil {
		return "", nil, errors.Join(fmt.Errorf("set pseudo terminal: %w", err), slave.Close())
	}
	return device, slave, nil
}

// Send implements Output. A line for which there is no room is dropped, as a
// serial port without flow control drops it.
func (o *pty) Send(_ context.Context, line []byte) error {
	o.buf = append(append(o.buf[:0], line...), '\r', '\n')
	if err := o.master.SetWriteDeadline(time.Now().Add(sendTimeout)); err != nil {
		return err
	}
	_, err := o.master.Write(o.buf)
	return err
}

// Close implements Output.
func (o *pty) Close(context.Context) error { return errors.Join(o.slave.Close(), o.master.Close()) }
