package source

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"landfall/edge/turns"
)

// fakeConn is a connection from a host that notes its end.
type fakeConn struct {
	net.Conn
	from  string
	ended bool
}

func (f *fakeConn) RemoteAddr() net.Addr {
	return &net.TCPAddr{IP: net.ParseIP(f.from), Port: 1}
}

func (f *fakeConn) Close() error {
	f.ended = true
	return nil
}

// TestWhoGetsAPlace: each step is a newcomer's host and whose place it gets: "+" a
// free one, "-" none, or the name of the client that is ended. Clients are named by
// host and number; "=a1" is a byte of one, "~" a minute that passes, "." half of one.
func TestWhoGetsAPlace(t *testing.T) {
	hosts := map[byte]string{'a': "10.0.0.1", 'b': "10.0.0.2", 'c': "fe80::3"}
	for name, c := range map[string]struct {
		max, perHost int
		steps        string
	}{
		"a free place":                               {3, 3, "a+ a+ b+ b:a1"},
		"silent ones go first, the oldest":           {3, 3, "a+ a+ b+ =a1 c:a2 =b1 c:c1"},
		"of the host with most of them":              {4, 4, "b+ a+ a+ a+ c:a1 c:a2"},
		"silent ones go before those that have sent": {4, 4, "a+ =a1 a+ =a2 a+ =a3 b+ ~ c:b1 =c1 b:a1"},
		"who sends stays":                            {2, 2, "a+ =a1 a+ =a2 b-"},
		"who has been silent gives way to a host":    {2, 2, "a+ =a1 a+ =a2 ~ b:a1 =b1 ~ a- c-"},
		"who sends gives way to a host that waits":   {2, 2, "a+ =a1 a+ =a2 b- ~ =a1 =a2 b:a1 =b1 a- ~ =b1 =a2 a-"},
		"but not before a minute is over":            {2, 2, "a+ =a1 a+ =a2 b- . =a1 =a2 b- . =a1 =a2 b:a1"},
		"but not to one more of a host":              {3, 3, "a+ =a1 a+ =a2 b+ =b1 b- ~ =a1 =a2 =b1 b-"},
		"of hosts with one each to one with none":    {2, 2, "a+ =a1 b+ =b1 c- ~ =b1 =a1 c:b1 =c1 b- ~ =a1 =c1 b:a1"},
		"the one silent for longest":                 {3, 3, "a+ =a1 a+ =a2 a+ =a3 ~ =a1 b:a2"},
		"a host has its own bound":                   {9, 2, "a+ =a1 a+ =a2 a- ~ a- b+"},
		"a host at its bound gives up its own first": {9, 2, "b+ a+ a+ =a2 a:a1"},
		"not for one more of the same":               {3, 3, "a+ =a1 b+ =b1 b+ =b2 ~ a- c:b1"},
	} {
		t.Run(name, func(t *testing.T) {
			now := int64(0)
			s := newSlots(c.max, c.perHost)
			s.now = func() int64 { now++; return now }
			clients, count := map[string]*slotConn{}, map[byte]int{}
			for _, step := range strings.Fields(c.steps) {
				switch {
				case step == "~" || step == ".":
					now += int64(replaceableAfter) / int64(map[string]int{"~": 1, ".": 2}[step])
					continue
				case step[0] == '=':
					clients[step[1:]].sent.Store(true)
					clients[step[1:]].last.Store(s.now())
					continue
				}
				got, ended, err := s.take(&fakeConn{from: hosts[step[0]]})
				said := "+"
				if err != nil {
					said = "-"
				}
				if ended != nil {
					for n, c := range clients {
						if c == ended {
							said = ":" + n
						}
					}
					if !ended.Conn.(*fakeConn).ended {
						t.Errorf("%s: the client that gave way was not ended", step)
					}
				}
				if said != step[1:] {
					t.Fatalf("%s of %q: %s", step, c.steps, said)
				}
				if got != nil {
					count[step[0]]++
					clients[fmt.Sprintf("%c%d", step[0], count[step[0]])] = got
				}
			}
			for _, c := range clients {
				s.leave(c)
				s.leave(c) // one that was ended leaves too
			}
			if len(s.clients) != 0 || len(s.hosts) != 0 {
				t.Errorf("%d clients, hosts %v are left", len(s.clients), s.hosts)
			}
		})
	}
}

// TestHostsWaitInTurn: more hosts than places hold connections that always send, and
// connect again at once. A receiver that tries once a minute waits for no longer than the
// bound.
func TestHostsWaitInTurn(t *testing.T) {
	const places, others = 4, 14
	bound := turns.LongestWait(others, places, replaceableAfter)
	for name, keep := range map[string]int{"they stay": 1 << 30, "they come again and again": 50} {
		t.Run(name, func(t *testing.T) {
			second := 0
			s := newSlots(places, 1)
			s.now = func() int64 { return int64(second) * int64(time.Second) }
			has, since := map[int]*slotConn{}, map[int]int{}
			try := func(host int) bool {
				c, ended, err := s.take(&fakeConn{from: fmt.Sprintf("10.0.0.%d", host)})
				for other, o := range has {
					if o == ended {
						delete(has, other)
					}
				}
				if err == nil {
					c.sent.Store(true)
					has[host], since[host] = c, second
				}
				return err == nil
			}
			for ; ; second++ {
				for host := range others {
					c := has[host]
					if c != nil && second-since[host] >= keep {
						s.leave(c)
						delete(has, host)
						c = nil
					}
					if c == nil {
						try(host)
					} else {
						c.last.Store(s.now())
					}
				}
				if second < 600 || second%60 != 0 { // they have settled
					continue
				}
				if try(99) {
					return
				}
				if waited := time.Duration(second-600) * time.Second; waited > bound {
					t.Fatalf("it waits for %s, the bound is %s", waited, bound)
				}
			}
		})
	}
}

// silentClients opens connections on which nothing is said.
func silentClients(t *testing.T, addr string, n int) {
	t.Helper()
	for range n {
		conn := must(net.Dial("tcp", addr))(t)
		t.Cleanup(func() { _ = conn.Close() })
	}
}

// TestSilentClientsKeepNoReceiverOut: every place is taken by clients that never
// say anything; a receiver gets in all the same and its lines are taken.
func TestSilentClientsKeepNoReceiverOut(t *testing.T) {
	sink := newTestSink()
	s := must(NewTCPServer(TCPServerConfig{Options: options("t"), Listen: "127.0.0.1:0"}))(t)
	start(t, s.Run, sink)
	addr := s.Addr(context.Background()).String()
	silentClients(t, addr, perHostOf(defaultClients))
	eventually(t, "all places of the host are taken", func() bool { return s.Status().Open == perHostOf(defaultClients) })
	receiver := must(net.Dial("tcp", addr))(t)
	defer receiver.Close()
	fmt.Fprint(receiver, "line\n")
	expect(t, sink.await(t, 1), "line")
	eventually(t, "the one that gave way is counted", func() bool { return s.Status().Idled == 1 })
	if st := s.Status(); st.Refused != 0 || st.Errors != 0 || st.LastRefused != "" {
		t.Errorf("status %+v", st)
	}
}

// TestWhoIsRefusedIsNamed: a client for which there is no place.
func TestWhoIsRefusedIsNamed(t *testing.T) {
	sink := newTestSink()
	s := must(NewTCPServer(TCPServerConfig{Options: options("t"), Listen: "127.0.0.1:0", PerHost: 2}))(t)
	start(t, s.Run, sink)
	addr := s.Addr(context.Background()).String()
	for i := range 2 {
		conn := must(net.Dial("tcp", addr))(t)
		defer conn.Close()
		fmt.Fprint(conn, "line\n")
		sink.await(t, 1+i)
	}
	silentClients(t, addr, 1)
	eventually(t, "it is refused", func() bool { return s.Status().Refused == 1 })
	if st := s.Status(); st.LastRefused != "127.0.0.1: 2 clients of this host are connected" || st.LastRefusedAt < 1_700_000_000_000_000 {
		t.Errorf("status %+v", st)
	}
}

// TestIdleClientsEnd: nothing comes for too long; what had come of a line is kept.
func TestIdleClientsEnd(t *testing.T) {
	sink := newTestSink()
	s := must(NewTCPServer(TCPServerConfig{Options: options("t"), Listen: "127.0.0.1:0", IdleTimeout: 20 * time.Millisecond}))(t)
	start(t, s.Run, sink)
	conn := must(net.Dial("tcp", s.Addr(context.Background()).String()))(t)
	defer conn.Close()
	fmt.Fprint(conn, "line\npart")
	if _, err := io.ReadAll(conn); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Fatal(err)
	}
	expect(t, sink.await(t, 2), "line", "part~")
	eventually(t, "it is counted", func() bool { st := s.Status(); return st.Idled == 1 && st.Open == 0 && st.Errors == 0 })
}

// TestAckedClientsShareThePlaces: those that never say who they are go first, one
// that is refused is told, and a sender that ends after long silence is too.
func TestAckedClientsShareThePlaces(t *testing.T) {
	sink := newTestSink()
	a := must(NewAcked(AckedConfig{Options: options("t"), Listen: "127.0.0.1:0", MaxClients: 2, PerHost: 2, IdleTimeout: time.Hour}))(t)
	start(t, a.Run, sink)
	addr := a.Addr(context.Background()).String()
	silentClients(t, addr, 2)
	eventually(t, "both places are taken", func() bool { return a.Status().Open == 2 })
	say := func(text, want string) {
		t.Helper()
		conn := must(net.Dial("tcp", addr))(t)
		t.Cleanup(func() { _ = conn.Close() })
		fmt.Fprint(conn, text)
		if got, err := bufio.NewReader(conn).ReadString('\n'); got != want+"\n" {
			t.Fatalf("%q is answered by %q, %v; want %q", text, got, err, want)
		}
	}
	say("HELLO one\n", "LAST 0")
	say("HELLO two\n", "LAST 0")
	say("", "ERR 2 clients of this host are connected")
	if st := a.Status(); st.Refused != 1 || !strings.HasPrefix(st.LastRefused, "127.0.0.1: ") {
		t.Errorf("status %+v", st)
	}
}

// TestAckedSilenceEnds: after its name a sender is silent for too long.
func TestAckedSilenceEnds(t *testing.T) {
	a := must(NewAcked(AckedConfig{Options: options("t"), Listen: "127.0.0.1:0", IdleTimeout: 20 * time.Millisecond}))(t)
	start(t, a.Run, newTestSink())
	conn := must(net.Dial("tcp", a.Addr(context.Background()).String()))(t)
	defer conn.Close()
	fmt.Fprint(conn, "HELLO one\n")
	if text, err := io.ReadAll(conn); string(text) != "LAST 0\n" || err != nil {
		t.Fatalf("%q, %v", text, err)
	}
	eventually(t, "it is counted", func() bool { st := a.Status(); return st.Idled == 1 && st.Errors == 0 })
}

// TestNamesAloneUseUpNoPlaces: an id under which nothing was sent is forgotten with
// its connection, so names cost the others nothing.
func TestNamesAloneUseUpNoPlaces(t *testing.T) {
	sink := newTestSink()
	a := must(NewAcked(AckedConfig{Options: options("t"), Listen: "127.0.0.1:0", MaxSenders: 2}))(t)
	start(t, a.Run, sink)
	for i := range 5 {
		conn := must(net.Dial("tcp", a.Addr(context.Background()).String()))(t)
		fmt.Fprintf(conn, "HELLO n%d\n", i)
		if got, err := bufio.NewReader(conn).ReadString('\n'); got != "LAST 0\n" {
			t.Fatalf("name %d: %q, %v", i, got, err)
		}
		_ = conn.Close()
		eventually(t, "it is gone", func() bool { return a.Status().Open == 0 })
	}
	conn := must(net.Dial("tcp", a.Addr(context.Background()).String()))(t)
	defer conn.Close()
	fmt.Fprint(conn, "HELLO honest\n1 line\n")
	expect(t, sink.await(t, 1), "line")
}

// TestARelaysClientsAreShared: one host takes no more than its part, and who is
// refused is named.
func TestARelaysClientsAreShared(t *testing.T) {
	r := must(NewRelay(options("t"), "127.0.0.1:0"))(t)
	refused := make(chan string, 1)
	r.OnRefused(func(who string, why error) { refused <- who + ": " + why.Error() })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); r.Run(ctx) }()
	defer func() { cancel(); <-done }()
	silentClients(t, r.Addr(ctx).String(), perHostOf(relayClients)+1)
	if who := <-refused; who != "client of serve 127.0.0.1: 24 clients of this host are connected" {
		t.Errorf("refused %q", who)
	}
}
