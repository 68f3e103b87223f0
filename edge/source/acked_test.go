package source

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// peer is a sender of the acknowledged line protocol.
type peer struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
}

func dialPeer(t *testing.T, a *Acked, id string) *peer {
	t.Helper()
	conn := must(net.Dial("tcp", a.Addr(context.Background()).String()))(t)
	t.Cleanup(func() { conn.Close() })
	p := &peer{t, conn, bufio.NewReader(conn)}
	p.send("HELLO " + id + "\n")
	return p
}

func (p *peer) send(s string) {
	p.t.Helper()
	if _, err := p.conn.Write([]byte(s)); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) expect(want string) {
	p.t.Helper()
	if err := p.conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		p.t.Fatal(err)
	}
	line, err := p.r.ReadString('\n')
	if err != nil || strings.TrimSuffix(line, "\n") != want {
		p.t.Fatalf("got %q, %v; want %q", line, err, want)
	}
}

func startAcked(t *testing.T, sink Sink) *Acked {
	t.Helper()
	a := must(NewAcked(AckedConfig{Options: options("k"), Listen: "127.0.0.1:0", MaxSenders: 2}))(t)
	start(t, a.Run, sink)
	return a
}

func TestAckedAfterDurable(t *testing.T) {
	sink := newTestSink()
	sink.positions["k/ship"] = binary.AppendUvarint(nil, 4)
	a := startAcked(t, sink)
	p := dialPeer(t, a, "ship")
	p.expect("LAST 4")
	p.send("3 old\n4 old\n5 five\r\n7 se ven\n")
	p.expect("ACK 4") // repeated numbers are acknowledged again
	expect(t, sink.await(t, 2), "five", "se ven")
	b := sink.batches[len(sink.batches)-1]
	seq, _ := binary.Uvarint(b.Position)
	if b.Mark != "k/ship" || seq != 7 || !b.Sync || b.Stream != "ship" {
		t.Fatalf("batch %+v", b)
	}

	// A second connection takes over while 7 is not durable: what it repeats is
	// not delivered again, and is acknowledged when it is durable.
	q := dialPeer(t, a, "ship")
	q.expect("LAST 4")
	q.send("5 five\n7 se ven\n8 eight\n")
	expect(t, sink.await(t, 3), "five", "se ven", "eight")
	q.expect("ACK 4")
	sink.batches[len(sink.batches)-1].Durable()
	q.expect("ACK 8")
	if _, err := p.r.ReadString('\n'); err == nil {
		t.Error("the first connection is still served")
	}
	if d := a.Status().Duplicates; d != 4 {
		t.Errorf("duplicates %d, want 4", d)
	}
}

func TestAckedPartOfLine(t *testing.T) {
	sink := newTestSink()
	a := startAcked(t, sink)
	p := dialPeer(t, a, "x")
	p.expect("LAST 0")
	p.send("1 one\n2 tw")
	sink.await(t, 1)
	p.conn.Close()
	q := dialPeer(t, a, "x")
	q.expect("LAST 0")
	q.send("2 two\n")
	expect(t, sink.await(t, 2), "one", "two")
}

func TestAckedLongLine(t *testing.T) {
	sink := newTestSink()
	a := startAcked(t, sink)
	p := dialPeer(t, a, "x")
	p.expect("LAST 0")
	p.send("1 " + strings.Repeat("y", MaxLineBytes+10) + "\n2 \n")
	expect(t, sink.await(t, 2), strings.Repeat("y", MaxLineBytes)+"~", strings.Repeat("y", 10)+"~")
	p.send("3 " + strings.Repeat("z", 2*ackedLineBytes) + "\n")
	p.expect("ERR line too long")
}

func TestAckedRefuses(t *testing.T) {
	a := startAcked(t, newTestSink())
	for _, bad := range []string{"", "a b", strings.Repeat("x", 65), "a/b"} {
		dialPeer(t, a, bad).expect("ERR want HELLO <id>")
	}
	for _, bad := range []string{"x one", "0 zero", "-1 z", "5", fmt.Sprint(uint64(1)<<63) + " big"} {
		p := dialPeer(t, a, "one")
		p.expect("LAST 0")
		p.send(bad + "\n")
		p.expect("ERR want <seq> <line>")
	}
	dialPeer(t, a, "one").expect("LAST 0") // and it stays
	dialPeer(t, a, "two").expect("LAST 0")
	dialPeer(t, a, "three").expect("ERR too many senders")
}

func FuzzAckedFrame(f *testing.F) {
	f.Add([]byte("1 one"))
	f.Add([]byte(" "))
	f.Fuzz(func(t *testing.T, p []byte) {
		fr, err := parseFrame(p)
		if err == nil && (fr.seq == 0 || len(fr.line) >= len(p)) {
			t.Fatalf("%q gave %+v", p, fr)
		}
	})
}
