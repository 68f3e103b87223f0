//go:build unix && !aix && !solaris && !illumos

package durable

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

const errnoQuota = syscall.EDQUOT

func syncDir(d *os.File) error { return d.Sync() }

func lockFile(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return fmt.Errorf("%w: %w", err, ErrLocked)
	}
	return err
}
