package source

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestTCPClientReconnects(t *testing.T) {
	ln := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer ln.Close()
	sink := newTestSink()
	c := must(NewTCPClient(TCPClientConfig{Options: options("t"), Address: ln.Addr().String()}))(t)
	stop := start(t, c.Run, sink)
	for i, text := range []string{"a\r\nb\r\nhalf", "c\nd\x00\xff\n"} {
		conn := must(ln.Accept())(t)
		if _, err := io.WriteString(conn, text); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			sink.await(t, 2)
			if err := conn.Close(); err != nil {
				t.Fatal(err)
			}
		} else {
			defer conn.Close()
		}
	}
	expect(t, sink.await(t, 5), "a", "b", "half~", "c", "d\x00\xff")
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	s := c.Status()
	if s.Connects != 2 || s.Errors != 1 || s.Truncated != 1 || s.Lines != 5 || s.State != StateStopped || s.Resend {
		t.Errorf("status %+v", s)
	}
}

func TestTCPClientStale(t *testing.T) {
	ln := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer ln.Close()
	c := must(NewTCPClient(TCPClientConfig{Options: options("t"), Address: ln.Addr().String(), StaleAfter: time.Millisecond}))(t)
	start(t, c.Run, newTestSink())
	for range 2 { // the second comes only because the first was given up
		conn := must(ln.Accept())(t)
		defer conn.Close()
	}
}

func TestTCPServerManyClients(t *testing.T) {
	sink := newTestSink()
	s := must(NewTCPServer(TCPServerConfig{Options: options("t"), Listen: "127.0.0.1:0", MaxClients: 3}))(t)
	stop := start(t, s.Run, sink)
	addr := s.Addr(context.Background()).String()
	var conns []net.Conn
	for i := range 3 {
		conn := must(net.Dial("tcp", addr))(t)
		defer conn.Close()
		fmt.Fprintf(conn, "from %d, par", i)
		conns = append(conns, conn)
	}
	eventually(t, "three clients", func() bool { return s.Status().Open == 3 })
	refused := must(net.Dial("tcp", addr))(t)
	if _, err := io.ReadAll(refused); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Fatal(err)
	}
	refused.Close()
	for i, conn := range conns {
		fmt.Fprintf(conn, "t two of %d\n", i)
	}
	lines := sink.await(t, 3)
	for i := range 3 {
		if want := fmt.Sprintf("from %d, part two of %d", i, i); !strings.Contains(strings.Join(lines, "\n"), want) {
			t.Errorf("%q lacks %q", lines, want)
		}
	}
	streams := map[string]bool{}
	for _, b := range sink.batches {
		streams[b.Stream] = true
	}
	if len(streams) != 3 {
		t.Errorf("streams %v", streams)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if st := s.Status(); st.Refused != 1 || st.Connects != 3 || st.Open != 0 {
		t.Errorf("status %+v", st)
	}
}

func TestListenAddressTaken(t *testing.T) {
	ln := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	s := must(NewTCPServer(TCPServerConfig{Options: options("t"), Listen: ln.Addr().String()}))(t)
	start(t, s.Run, newTestSink())
	eventually(t, "said that it cannot listen", func() bool { return s.Status().State == StateAbsent })
	ln.Close()
	eventually(t, "listens once the address is free", func() bool { return s.Status().State == StateOpen })
}

// TestUDPReassembles: two senders interleave, each cuts its lines anywhere.
func TestUDPReassembles(t *testing.T) {
	sink := newTestSink()
	u := must(NewUDP(UDPConfig{Options: options("u"), Listen: "127.0.0.1:0"}))(t)
	stop := start(t, u.Run, sink)
	addr := u.Addr(context.Background()).String()
	a, b := must(net.Dial("udp", addr))(t), must(net.Dial("udp", addr))(t)
	defer a.Close()
	defer b.Close()
	total := 0
	for i := 0; i < 20; i++ {
		for j, part := range []string{"!AIVDM,%d,", "%d*5C\r\n!NEXT,", "tail%d*11\r\n"} {
			for _, conn := range []net.Conn{a, b} {
				fmt.Fprintf(conn, part, i)
			}
			_ = j
		}
		total += 4
		sink.await(t, total)
	}
	for _, batch := range sink.batches {
		for _, l := range batch.Lines {
			if !strings.HasPrefix(string(l.Data), "!AIVDM,") && !strings.HasPrefix(string(l.Data), "!NEXT,tail") || l.Truncated {
				t.Fatalf("line %q", l.Data)
			}
		}
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// TestUDPEnds: what ends a line that has no line end.
func TestUDPEnds(t *testing.T) {
	for name, c := range map[string]struct {
		send []string
		want []string
	}{
		"next sentence":     {[]string{"!AIVDM,1*5C", "!AIVDM,2*5C\n"}, []string{"!AIVDM,1*5C", "!AIVDM,2*5C"}},
		"cut before next":   {[]string{"!AIVDM,1,", "!AIVDM,2*5C\n"}, []string{"!AIVDM,1,~", "!AIVDM,2*5C"}},
		"checksum cut":      {[]string{"!AIVDM,1*5", "C\r\n!AIVDM,2*5C\n"}, []string{"!AIVDM,1*5C", "!AIVDM,2*5C"}},
		"tag block follows": {[]string{"!AIVDM,1*5C", `\c:1*00\!AIVDM,2*5C` + "\n"}, []string{"!AIVDM,1*5C", `\c:1*00\!AIVDM,2*5C`}},
		"tag block cut":     {[]string{`\c:1*00`, `\!AIVDM,2*5C` + "\n"}, []string{`\c:1*00\!AIVDM,2*5C`}},
		"prefix cut":        {[]string{"<123> ", "!AIVDM,2*5C\n"}, []string{"<123> !AIVDM,2*5C"}},
		"silence":           {[]string{"!AIVDM,1*5C"}, []string{"!AIVDM,1*5C"}},
		"silence, cut":      {[]string{"!AIVDM,1,"}, []string{"!AIVDM,1,~"}},
		"61162-450":         {[]string{"UdPbC\x00\\s:AI0001*00\\!AIVDM,1*5C\r\n", "UdPbC\x00$A*11"}, []string{"\\s:AI0001*00\\!AIVDM,1*5C", "$A*11"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sink := newTestSink()
			u := must(NewUDP(UDPConfig{Options: Options{Name: "u", Clock: realClock{time.Now()}}, Listen: "127.0.0.1:0"}))(t)
			start(t, u.Run, sink)
			conn := must(net.Dial("udp", u.Addr(context.Background()).String()))(t)
			defer conn.Close()
			for _, d := range c.send {
				fmt.Fprint(conn, d)
			}
			expect(t, sink.await(t, len(c.want)), c.want...)
		})
	}
}

func TestUDPForgetsOldestSender(t *testing.T) {
	sink := newTestSink()
	u := must(NewUDP(UDPConfig{Options: options("u"), Listen: "127.0.0.1:0", MaxSenders: 1}))(t)
	start(t, u.Run, sink)
	addr := u.Addr(context.Background()).String()
	a, b := must(net.Dial("udp", addr))(t), must(net.Dial("udp", addr))(t)
	defer a.Close()
	defer b.Close()
	fmt.Fprint(a, "one\npart")
	sink.await(t, 1)
	fmt.Fprint(b, "two\n")
	expect(t, sink.await(t, 3), "one", "part~", "two")
	if s := u.Status(); s.Refused != 1 || s.Open != 1 {
		t.Errorf("status %+v", s)
	}
}

// TestUDPPortsOfOneHostPushOutNoOthers: a host that sends from ever new ports is
// forgotten in place of a host that is in the middle of a line.
func TestUDPPortsOfOneHostPushOutNoOthers(t *testing.T) {
	sink := newTestSink()
	u := must(NewUDP(UDPConfig{Options: options("u"), Listen: "127.0.0.1:0", MaxSenders: 4}))(t)
	start(t, u.Run, sink)
	to := u.Addr(context.Background()).(*net.UDPAddr)
	dial := func(host byte) net.Conn {
		conn := must(net.DialUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, host)}, to))(t)
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	honest := dial(2)
	fmt.Fprint(honest, "one\n!AIVDM,par")
	sink.await(t, 1)
	for i := range 20 {
		fmt.Fprintf(dial(3), "!AIVDM,flood %d\n", i)
		sink.await(t, 2+i)
	}
	fmt.Fprint(honest, "t two*5C\n")
	if lines := sink.await(t, 22); lines[21] != "!AIVDM,part two*5C" {
		t.Errorf("the honest host's line came as %q", lines[21])
	}
	if s := u.Status(); s.Refused != 17 || s.Open != 4 {
		t.Errorf("status %+v", s)
	}
}

func TestUDPMulticast(t *testing.T) {
	lo := must(net.InterfaceByName("lo"))(t)
	sink := newTestSink()
	u := must(NewUDP(UDPConfig{Options: options("u"), Listen: "239.192.0.1:60201", Interface: lo.Name}))(t)
	start(t, u.Run, sink)
	eventually(t, "joined or not", func() bool { return u.Status().State != StateStarting })
	if u.Status().State != StateOpen {
		t.Skipf("no multicast here: %s", u.Status().Detail)
	}
	conn := must(net.DialUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}, &net.UDPAddr{IP: net.IPv4(239, 192, 0, 1), Port: 60201}))(t)
	defer conn.Close()
	if _, err := fmt.Fprint(conn, "UdPbC\x00\\s:AI0001*00\\!AIVDM,1*5C\r\n"); err != nil {
		t.Skipf("cannot send multicast here: %v", err)
	}
	expect(t, sink.await(t, 1), "\\s:AI0001*00\\!AIVDM,1*5C")
}

func TestSinkRefuses(t *testing.T) {
	ln := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer ln.Close()
	sink := newTestSink()
	sink.refuse = true
	c := must(NewTCPClient(TCPClientConfig{Options: options("t"), Address: ln.Addr().String()}))(t)
	done := make(chan error)
	go func() { done <- c.Run(context.Background(), sink) }()
	conn := must(ln.Accept())(t)
	defer conn.Close()
	fmt.Fprint(conn, "line\n")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// TestBatchesOfShortLinesAreSmall: a line costs more than its bytes, so a batch ends
// after so many of them; none is lost.
func TestBatchesOfShortLinesAreSmall(t *testing.T) {
	sink, o := newTestSink(), options("t")
	var m meter
	m.init(&o, "tcp-server", false)
	const lines = 50_000
	if err := pump(strings.NewReader(strings.Repeat("a\n", lines)), "s", &o, &m, sink); err != nil {
		t.Fatal(err)
	}
	got := 0
	for _, b := range sink.batches {
		got += len(b.Lines)
		if len(b.Lines) > pumpLines+pumpPiece/2 {
			t.Errorf("a batch of %d lines", len(b.Lines))
		}
	}
	if got != lines {
		t.Errorf("%d lines of %d", got, lines)
	}
}
