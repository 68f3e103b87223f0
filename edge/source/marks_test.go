package source

import (
	"encoding/binary"
	"errors"
	"testing"
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
