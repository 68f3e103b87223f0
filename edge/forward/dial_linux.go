package forward

import (
	"syscall"
	"time"
)

// tcpUserTimeout is TCP_USER_TIMEOUT of linux/tcp.h, which package syscall does
// not name.
const tcpUserTimeout = 18

// control asks the kernel to give a connection up when what was sent stays
// unacknowledged that long: the only witness of progress once bytes are in its
// buffer. A kernel that refuses leaves it to the watchdog.
func control(stall time.Duration) func(network, address string, c syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) {
			_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(stall.Milliseconds()))
		})
	}
}
