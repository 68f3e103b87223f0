// Package testport gives tests ports on which a daemon listens later.
//
// A port that the system chose and gave back is free for anybody: until the daemon starts,
// another process may get it for a connection of its own, and a gateway that dials the
// port again and again while nobody listens may even reach itself from it. So ports come
// from below those that the system chooses, and each is reserved on this machine for as
// long as the test process lives.
//
// In:  nothing.
// Out: host:port on loopback.
//
// It may be called from any goroutine.
package testport

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"testing"
)

const (
	// lowest is the first port that is given out; the range ends where the system's begins.
	lowest = 15000
	// tries bounds how many ports are tried: most are free.
	tries = 2000
)

// Take returns a loopback address that is free for TCP and UDP, and that neither the
// system nor another caller of Take gives to anybody before the process ends.
func Take(t testing.TB) string {
	t.Helper()
	highest := ephemeral()
	if highest <= lowest {
		t.Fatalf("the system chooses ports from %d on, so none below can be reserved", highest)
	}
	for range tries {
		if address, ok := reserve(lowest + rand.IntN(highest-lowest)); ok {
			return address
		}
	}
	t.Fatal("no port is free")
	return ""
}

// reserve takes a port, if it is free.
func reserve(port int) (address string, ok bool) {
	held, err := hold(port)
	if err != nil {
		return "", false
	}
	address = fmt.Sprintf("127.0.0.1:%d", port)
	stream, err := net.Listen("tcp", address)
	if err == nil {
		_ = stream.Close()
		var datagrams net.PacketConn
		if datagrams, err = net.ListenPacket("udp", address); err == nil {
			_ = datagrams.Close()
		}
	}
	if err != nil {
		_ = held.Close()
		return "", false
	}
	return address, true // held until the process ends
}

// hold reserves a port for this process: an abstract socket is in the same namespace of
// the kernel as ports are, and is gone with its process.
func hold(port int) (net.Listener, error) {
	return net.Listen("unix", fmt.Sprintf("@landfall-test-port-%d", port))
}

// ephemeral is the first port that the system chooses by itself.
func ephemeral() int {
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	first := 0
	if err != nil {
		return 32768
	}
	if _, err := fmt.Sscan(string(text), &first); err != nil {
		return 32768
	}
	return first
}
