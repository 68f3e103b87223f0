package source

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// portClaim keeps a pseudo-terminal for this process; nil: it is none.
//
// go.bug.st/serial marks a port exclusive (TIOCEXCL). A real port loses the mark
// with its last close, by a kill too. A pseudo-terminal keeps it as long as its
// other end is open: after a kill nobody but root could open it again, for good.
// So the mark is taken off it at once, and a lock, which ends with the process,
// keeps two gateways apart.
type portClaim struct{ fd int }

// errClaimed says that another process holds the lock.
var errClaimed = errors.New("locked by another process")

// claimPort locks a device if it is a pseudo-terminal. An error of opening it is
// nobody's here: whoever opens it for reading meets it again and says it.
func claimPort(device string) (*portClaim, error) {
	fd, err := unix.Open(device, unix.O_RDONLY|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil
	}
	c := &portClaim{fd}
	var st unix.Stat_t
	// Majors 136 to 143 are Unix98 pseudo-terminals (Linux, admin-guide/devices.txt).
	if err := unix.Fstat(fd, &st); err != nil || unix.Major(st.Rdev) < 136 || unix.Major(st.Rdev) > 143 {
		c.close()
		return nil, nil
	}
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		c.close()
		return nil, fmt.Errorf("%w: %w", errClaimed, err)
	}
	return c, nil
}

// share takes the exclusive mark off, once the port is open.
func (c *portClaim) share() error {
	if c == nil {
		return nil
	}
	if err := unix.IoctlSetInt(c.fd, unix.TIOCNXCL, 0); err != nil {
		return fmt.Errorf("take the exclusive mark off: %w", err)
	}
	return nil
}

func (c *portClaim) close() {
	if c != nil {
		_ = unix.Close(c.fd) // it was never written to
	}
}
