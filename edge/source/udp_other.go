//go:build !linux

package source

import (
	"errors"
	"net"
)

// askForDrops is for Linux only: elsewhere lost datagrams are not counted.
func askForDrops(*net.UDPConn) error { return errors.ErrUnsupported }

func readDrops([]byte) (uint32, bool) { return 0, false }
