package durable

import (
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// dropCached is posix_fadvise(2) with POSIX_FADV_DONTNEED over the whole file.
// Its error says only that nothing was dropped.
func (o *osFile) dropCached() {
	_ = unix.Fadvise(int(o.fd), 0, 0, unix.FADV_DONTNEED)
	runtime.KeepAlive(o.f)
}

// dataSync is fdatasync(2), repeated when a signal interrupts it before it
// began.
func dataSync(o *osFile) error {
	for {
		err := syscall.Fdatasync(int(o.fd))
		runtime.KeepAlive(o.f)
		if err == nil {
			return nil
		}
		if err != syscall.EINTR {
			return &os.PathError{Op: "fdatasync", Path: o.f.Name(), Err: err}
		}
	}
}

func freeBytes(name string) (uint64, error) {
	var st syscall.Statfs_t
	for {
		err := syscall.Statfs(name, &st)
		if err == nil {
			return uint64(st.Bavail) * uint64(st.Bsize), nil
		}
		if err != syscall.EINTR {
			return 0, err
		}
	}
}
