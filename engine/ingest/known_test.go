package ingest_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"landfall/edge/record"
	"landfall/edge/wire"
	"landfall/engine/ingest"
	"landfall/engine/landing/landingtest"
	"landfall/engine/ledger"
	"landfall/engine/published"
	"landfall/engine/stream"
)

// known is an ingest whose tasks have told, with what sends a new log of a gateway, or
// more of it.
type known struct {
	t        *testing.T
	h        *ingest.Handler
	registry *published.Registry
	logs     int
}

func newKnown(t *testing.T, cfg ingest.Config) *known {
	k := &known{t: t, registry: published.New(published.Config{Landing: "m", Partitions: 1})}
	cfg.Log, cfg.Published = landingtest.NewMemory("m", 1), k.registry
	k.h = newIngest(t, cfg)
	k.claimed()
	return k
}

func (k *known) claimed(logs ...ledger.Log) {
	k.registry.Claimed(stream.TaskID{Landing: "m"}, logs, nil)
}

// lakeLogs are logs of a gateway that are in the lake.
func lakeLogs(gateway string, n int) (logs []ledger.Log) {
	for i := range n {
		id := record.LogID{1, byte(i), byte(i >> 8), byte(i >> 16)}
		copy(id[4:], gateway)
		logs = append(logs, ledger.Log{Gateway: gateway, Log: id.String(), Next: 1})
	}
	return logs
}

func (k *known) open(gateway string) (wire.Answer, *landingtest.Chain) {
	k.logs++
	c := &landingtest.Chain{Gateway: gateway, Log: record.LogID{2, byte(k.logs), byte(k.logs >> 8)}}
	return k.more(c), c
}

func (k *known) more(c *landingtest.Chain) wire.Answer {
	head := wire.RequestHeader{Gateway: c.Gateway, Log: c.Log, Offset: c.Next, Request: wire.RequestID{1}, Keeps: true}
	return post(k.t, k.h, head, encode(k.t, c.Block(1, 10).Block))
}

// TestNewLogsArePacedOnceTasksHaveTold: with fake time. That it is known that nothing of a
// log is in the lake makes the log no older.
func TestNewLogsArePacedOnceTasksHaveTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKnown(t, ingest.Config{})
		took := 0
		var last *landingtest.Chain
		for range 1100 {
			a, c := k.open("clone")
			switch a.Code {
			case wire.CodeNone:
				took, last = took+1, c
			case wire.CodeBusy:
			default:
				t.Fatalf("%+v", a)
			}
		}
		if took != 1024 || k.h.Stats().PacedLogs != 76 {
			t.Errorf("%d logs were taken, %d refused", took, k.h.Stats().PacedLogs)
		}
		if a := k.more(last); a.Code != wire.CodeNone {
			t.Errorf("more of the newest: %+v", a)
		}
		if a, _ := k.open("honest"); a.Code != wire.CodeNone {
			t.Errorf("another gateway: %+v", a)
		}
		time.Sleep(10 * time.Second)
		if a, _ := k.open("clone"); a.Code != wire.CodeNone {
			t.Errorf("in its time: %+v", a)
		}
	})
}

// TestLogsOfTheLakeAreBounded: with fake time. A gateway of which the lake has 65,536 logs
// brings one new an hour, and more of those that are known; where all gateways together
// have 262,144, each that has its share does, and no other.
func TestLogsOfTheLakeAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKnown(t, ingest.Config{})
		k.claimed(append(lakeLogs("many", 1<<16), lakeLogs("honest", 3)...)...)
		a, first := k.open("many")
		if a.Code != wire.CodeNone {
			t.Errorf("the first of an hour: %+v", a)
		}
		if a, _ := k.open("many"); a.Code != wire.CodeBusy || !strings.Contains(a.Detail, "65536 logs of this gateway") || k.h.Stats().PacedLogs != 1 {
			t.Errorf("the second: %+v", a)
		}
		if a := k.more(first); a.Code != wire.CodeNone {
			t.Errorf("more of the first: %+v", a)
		}
		for range 5 {
			if a, _ := k.open("honest"); a.Code != wire.CodeNone {
				t.Errorf("another gateway: %+v", a)
			}
		}
		time.Sleep(time.Hour)
		if a, _ := k.open("many"); a.Code != wire.CodeNone {
			t.Errorf("an hour later: %+v", a)
		}
		var all []ledger.Log
		for i := range 8 {
			all = append(all, lakeLogs(fmt.Sprintf("g%d", i), 1<<15)...)
		}
		k.claimed(append(all, lakeLogs("honest", 3)...)...)
		for range 2 {
			a, _ = k.open("g3")
		}
		if a.Code != wire.CodeBusy {
			t.Errorf("of many gateways one with its share: %+v", a)
		}
		for range 5 {
			if a, _ := k.open("honest"); a.Code != wire.CodeNone {
				t.Errorf("another gateway: %+v", a)
			}
		}
	})
}

// TestGatewaysAreBounded: of one more than are known, or were let in, nothing is taken,
// contradictions neither; those that are known deliver, and make no room by coming into
// the lake.
func TestGatewaysAreBounded(t *testing.T) {
	k := newKnown(t, ingest.Config{MaxGateways: 4})
	k.claimed(append(lakeLogs("a", 2), lakeLogs("b", 1)...)...)
	refused := func(name string) {
		t.Helper()
		if a, _ := k.open(name); a.Code != wire.CodeBusy || !strings.Contains(a.Detail, "4 gateways are known") {
			t.Errorf("%s: %+v", name, a)
		}
	}
	for _, name := range []string{"a", "c", "d", "c", "b"} {
		if a, _ := k.open(name); a.Code != wire.CodeNone {
			t.Errorf("%s: %+v", name, a)
		}
	}
	refused("e")
	k.logs++
	c := &landingtest.Chain{Gateway: "e", Log: record.LogID{2, byte(k.logs)}, Prev: record.Hash{1}}
	if a := k.more(c); a.Code != wire.CodeBusy {
		t.Errorf("a contradiction: %+v", a)
	}
	k.registry.Published(stream.TaskID{Landing: "m"}, append(lakeLogs("c", 1), lakeLogs("d", 1)...), ledger.Tip{})
	refused("e")
	if a, _ := k.open("d"); a.Code != wire.CodeNone {
		t.Errorf("d: %+v", a)
	}
	if st := k.h.Stats(); st.RefusedGateways != 3 || st.RefusedGatewayAt == 0 || st.Conflicts != 0 {
		t.Errorf("%+v", st)
	}
	k = newKnown(t, ingest.Config{MaxGateways: 4})
	k.claimed(lakeLogs("a", 1)...)
	k.open("c")
	k.open("d")
	k.registry.Published(stream.TaskID{Landing: "m"}, append(lakeLogs("c", 1), lakeLogs("d", 1)...), ledger.Tip{})
	if a, _ := k.open("e"); a.Code != wire.CodeNone {
		t.Errorf("those that came into the lake count once: %+v", a)
	}
	refused("f")
}
