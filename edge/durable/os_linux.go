package durable

import (
	"os"
	"runtime"
	"syscall"
)

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
