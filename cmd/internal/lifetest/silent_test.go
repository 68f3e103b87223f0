//go:build linux

package lifetest

import (
	"fmt"
	"io"
	"net"
	"testing"
)

// TestSilentClientsOfAGateway: 300 clients of many hosts connect to a source that listens
// and never say anything, which is more than it has places. A receiver that has something
// to say is taken all the same. Of plain and of acknowledged TCP (which ended such clients before, too,
// after half a minute).
func TestSilentClientsOfAGateway(t *testing.T) {
	for _, c := range []struct{ kind, hello string }{
		{"tcp_server", ""},
		{"acked", "HELLO mast\n"},
	} {
		t.Run(c.kind, func(t *testing.T) {
			work, listen := t.TempDir(), freePort(t)
			edge := run(t, "landfall-edge", fmt.Sprintf("gateway: ada\ndata_dir: %s/edge\nstatus: STATUS\nlog: {reserve: 0B}\nsources:\n  - {name: mast, %s: {listen: %q}}\nforward: {url: \"http://%s/\"}\n",
				work, c.kind, listen, freePort(t)))
			until(t, "the source listens", func() bool { s := edge.edge(); return len(s.Sources) == 1 && s.Sources[0].State == "open" })
			for i := range 300 {
				from := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, byte(1+i/100), byte(1+i%100))}}
				conn, err := from.Dial("tcp", listen)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = conn.Close() })
			}
			var receiver net.Conn
			until(t, "the receiver is taken", func() bool {
				if receiver == nil {
					if conn, err := net.Dial("tcp", listen); err == nil {
						receiver = conn
					}
				}
				if receiver != nil {
					if _, err := io.WriteString(receiver, c.hello+"1 !AIVDM,1,1,,A,1000000000000000000000000004,0*23\r\n"); err != nil {
						_ = receiver.Close()
						receiver = nil // it was refused, and comes again
					}
				}
				return edge.edge().Forward.Pending > 1
			})
			_ = receiver.Close()
		})
	}
}
