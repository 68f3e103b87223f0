package durable

import (
	"errors"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Describe implements Describer with statx(2), or fstat(2) where a sandbox
// forbids it: then the time of birth is not known.
func (o *osFile) Describe() (Description, error) {
	var x unix.Statx_t
	for {
		err := unix.Statx(int(o.fd), "", unix.AT_EMPTY_PATH, unix.STATX_BASIC_STATS|unix.STATX_BTIME, &x)
		runtime.KeepAlive(o.f)
		switch {
		case err == nil:
			d := Description{
				Identity: Identity{Device: unix.Mkdev(x.Dev_major, x.Dev_minor), Inode: x.Ino},
				Size:     int64(x.Size), Modified: x.Mtime.Sec*1e9 + int64(x.Mtime.Nsec), Links: uint64(x.Nlink),
			}
			if x.Mask&unix.STATX_BTIME != 0 {
				d.Born = x.Btime.Sec*1e9 + int64(x.Btime.Nsec)
			}
			return d, nil
		case errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM):
			return o.describeByStat()
		case err != unix.EINTR:
			return Description{}, wrap(&os.PathError{Op: "statx", Path: o.f.Name(), Err: err})
		}
	}
}
