package testport

import (
	"fmt"
	"net"
	"strings"
	"testing"
)

// TestPortsAreReserved: what was given out is free to be listened on, is not given out
// again, by another process either, and is not one of those that the system chooses.
func TestPortsAreReserved(t *testing.T) {
	seen := map[string]bool{}
	for range 50 {
		address := Take(t)
		var port int
		if _, err := fmt.Sscanf(strings.TrimPrefix(address, "127.0.0.1:"), "%d", &port); err != nil || port < lowest ||
			port >= ephemeral() {
			t.Fatalf("%s, and the system chooses from %d on: %v", address, ephemeral(), err)
		}
		if seen[address] {
			t.Fatalf("%s was given out twice", address)
		}
		seen[address] = true
		if held, err := hold(port); err == nil { // as another process would
			_ = held.Close()
			t.Errorf("%s is not reserved", address)
		}
		if again, ok := reserve(port); ok {
			t.Errorf("%s is reserved a second time as %s", address, again)
		}
		ln, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		_ = ln.Close()
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	if address, ok := reserve(taken.Addr().(*net.TCPAddr).Port); ok {
		t.Errorf("%s is another's, and was reserved", address)
	}
}
