package source

import (
	"encoding/binary"
	"net"

	"golang.org/x/sys/unix"
)

// askForDrops asks the kernel to say with each datagram how many it had no
// room for (SO_RXQ_OVFL).
func askForDrops(conn *net.UDPConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var serr error
	if err := raw.Control(func(fd uintptr) {
		serr = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1)
	}); err != nil {
		return err
	}
	return serr
}

// readDrops gives the count of datagrams dropped since the socket was opened.
func readDrops(oob []byte) (uint32, bool) {
	if len(oob) == 0 {
		return 0, false
	}
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return 0, false
	}
	for _, m := range messages {
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SO_RXQ_OVFL && len(m.Data) >= 4 {
			return binary.NativeEndian.Uint32(m.Data), true
		}
	}
	return 0, false
}
