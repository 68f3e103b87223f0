package source

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"landfall/edge/record"
)

func TestMarkOwner(t *testing.T) {
	for mark, want := range map[string]string{"ais": "ais", "plant/17": "plant", "acked/a/b": "acked", "/clock": "", "/node-1/00": "", "": ""} {
		if got := MarkOwner(mark); got != want {
			t.Errorf("%q belongs to %q, not to %q", mark, got, want)
		}
	}
}

// TestAckedSendersAreBoundedOverRestarts: each sender has a mark that is never
// forgotten, so those of earlier starts count.
func TestAckedSendersAreBoundedOverRestarts(t *testing.T) {
	sink := newTestSink()
	sink.positions["k/one"] = binary.AppendUvarint(nil, 4)
	sink.positions["k/two"] = binary.AppendUvarint(nil, 5)
	sink.positions["kk/other"] = binary.AppendUvarint(nil, 6)
	a := startAcked(t, sink)
	dialPeer(t, a, "three").expect("ERR too many senders")
	dialPeer(t, a, "two").expect("LAST 5")
	dialPeer(t, a, "one").expect("LAST 4")
	if n := a.Status().Refused; n != 1 {
		t.Errorf("%d refused", n)
	}
}

// TestAckedHostTakesNotAllSenders: one host brings so many senders at once and then one
// each ten minutes, so that others find room; those that are known come from anywhere, and
// a name without a line costs nothing.
func TestAckedHostTakesNotAllSenders(t *testing.T) {
	sink, clock := newTestSink(), new(movedClock)
	sink.positions["k/old/0"] = nil
	o := options("k")
	o.Clock = clock
	a := must(NewAcked(AckedConfig{Options: o, Listen: "127.0.0.1:0", MaxSenders: 64}))(t)
	n := 0
	bring := func(host string) error {
		n++
		_, err := a.sender(fmt.Sprint("s", n), n%2 == 0, host, sink)
		return err
	}
	const share = 16 + 64/8
	for range share {
		if err := bring("flood"); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		if err := bring("flood"); err == nil || !strings.Contains(err.Error(), "too many new senders of this host: another one in 10m0s") {
			t.Fatalf("one more: %v", err)
		}
		if err := bring("honest"); err != nil {
			t.Fatalf("another host: %v", err)
		}
		if _, err := a.sender("old", true, "flood", sink); err != nil {
			t.Fatalf("one that is known: %v", err)
		}
		clock.mono += newSenderEvery.Microseconds()
		if err := bring("flood"); err != nil {
			t.Fatalf("ten minutes later: %v", err)
		}
	}
	// A name that sends nothing gives its place back.
	for range 2 * share {
		n++
		s, err := a.sender(fmt.Sprint("s", n), true, "names", sink)
		if err != nil {
			t.Fatal(err)
		}
		a.forget(&ackedLink{id: fmt.Sprint("s", n), epoch: "e", sender: s})
	}
	if got := a.hosts["names"]; got != nil {
		t.Errorf("%+v is held of a host that brought no sender", got)
	}
	if refused := a.Status().Refused; refused != 3 {
		t.Errorf("%d refused", refused)
	}
	// A gateway behind which many are may say so.
	a = must(NewAcked(AckedConfig{Options: o, Listen: "127.0.0.1:0", MaxSenders: 64, PerHost: 40}))(t)
	for range 40 {
		if err := bring("gateway"); err != nil {
			t.Fatal(err)
		}
	}
	if err := bring("gateway"); err == nil {
		t.Error("41 are taken")
	}
}

// TestAckedNetworkTakesNotAllSenders: an IPv6 host has as many addresses as it likes, and
// brings no more senders with them; another network and IPv4 neighbours bring their own.
func TestAckedNetworkTakesNotAllSenders(t *testing.T) {
	o := options("k")
	o.Clock = new(movedClock)
	a := must(NewAcked(AckedConfig{Options: o, Listen: "127.0.0.1:0", MaxSenders: 64}))(t)
	n := 0
	bring := func(format string) error {
		n++
		_, err := a.sender(fmt.Sprint("s", n), true, fmt.Sprintf(format, n), newTestSink())
		return err
	}
	for i := range 64 {
		if err := bring("2001:db8:0:7::%x"); (err == nil) != (i < 16+64/8) {
			t.Fatalf("address %d: %v", i, err)
		}
	}
	for _, other := range []string{"2001:db8:0:8::%x", "fe80::%x%%eth0", "fe80::1:%x%%eth0", "192.0.2.%d"} {
		if err := bring(other); err != nil {
			t.Errorf("%s: %v", other, err)
		}
	}
	if got := len(a.hosts); got != 5 {
		t.Errorf("%d hosts are told apart", got)
	}
}

// movedClock is a clock that is moved.
type movedClock struct{ mono int64 }

func (c *movedClock) Now() (record.Micros, int64) { return 0, c.mono }

// TestNodesAreBounded: one node too many is told so and keeps its readings; those
// that are known go on.
func TestNodesAreBounded(t *testing.T) {
	sink := newTestSink()
	for i := range uint64(maxNodes - 1) {
		h := nodeHistory{high: i}
		sink.positions[nodeMark(nodeID{i, 1})] = h.encode()
	}
	var n Nodes
	for id, want := range map[nodeID]error{{3, 1}: nil, {5, 1}: nil} {
		if _, err := n.open(id, sink); !errors.Is(err, want) {
			t.Errorf("%s: %v", id, err)
		}
	}
	if _, err := n.open(nodeID{1, 2}, sink); err != nil {
		t.Errorf("the last that there is room for: %v", err)
	}
	if _, err := n.open(nodeID{2, 2}, sink); !errors.Is(err, errNodes) {
		t.Errorf("one too many: %v", err)
	}
	if s, err := n.open(nodeID{9, 1}, sink); err != nil || s.history.high != 9 {
		t.Errorf("one that is known: %v", err)
	}
}
