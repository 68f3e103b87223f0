package task

import (
	"encoding/hex"
	"os"
	"reflect"
	"strings"
	"testing"

	"landfall/edge/record"
	"landfall/engine/operator"
	"landfall/engine/table"
)

// restored returns a processor with the state that f's has now, over all objects so far.
func restored(t *testing.T, f *feeder, objects *[][]byte) *processor {
	t.Helper()
	object, keep := f.p.state.Snapshot()
	if object != nil {
		*objects = append((*objects)[len(*objects)-keep:], object)
	}
	again, err := newProcessor(new(Counters), operator.WindowConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if err := again.restoreFrom(all(*objects)); err != nil {
		t.Fatal(err)
	}
	return again
}

// TestForeignOpenings: a gateway that says that its log follows another gateway's is
// counted. Where that does not fit, or turns out false later, it contradicts that log, and
// the one whose log it is does not; over a restart as without one. The log of neither is
// changed by it.
func TestForeignOpenings(t *testing.T) {
	const honest, liar = "honest", "liar"
	follow := func(w *writtenLog, end record.Offset) record.Opening {
		return record.Opening{Prev: w.id, PrevEnd: end, OpenedAt: 9}
	}
	for what, test := range map[string]struct {
		land        func(f *feeder, own, other *writtenLog)
		rows        int    // of conflict
		openings    uint64 // that are counted
		contradicts uint64
	}{
		"renamed": {func(f *feeder, own, other *writtenLog) { f.land(liar, other.open(follow(own, 4))) }, 0, 1, 0},
		"renamed, with the hash": {func(f *feeder, own, other *writtenLog) {
			o := follow(own, 4)
			o.PrevChain = own.prev
			f.land(liar, other.open(o))
		}, 0, 1, 0},
		"another hash": {func(f *feeder, own, other *writtenLog) {
			o := follow(own, 4)
			o.PrevChain = record.Hash{7}
			f.land(liar, other.open(o))
		}, 1, 1, 1},
		"said beside the hash": {func(f *feeder, own, other *writtenLog) {
			f.land(liar, other.open(follow(own, 4)))
			o := follow(own, 4)
			o.PrevChain = own.prev
			f.land("renamed", writeLog(f.t, 3).open(o))
			f.land(honest, own.texts(1)) // two machines, which Alternations tells
		}, 0, 2, 1},
		"an end beyond": {func(f *feeder, own, other *writtenLog) { f.land(liar, other.open(follow(own, 5))) }, 1, 1, 1},
		"an end before": {func(f *feeder, own, other *writtenLog) { f.land(liar, other.open(follow(own, 3))) }, 1, 1, 1},
		"an end not proven": {func(f *feeder, own, other *writtenLog) {
			o := follow(own, 4)
			o.PrevEndUnproven = true
			f.land(liar, other.open(o))
		}, 1, 1, 1},
		"twice": {func(f *feeder, own, other *writtenLog) {
			f.land(liar, other.open(follow(own, 4)), writeLog(f.t, 3).open(follow(own, 4)))
		}, 1, 2, 1},
		"it goes on": {func(f *feeder, own, other *writtenLog) {
			f.land(liar, other.open(follow(own, 4)))
			f.land(honest, own.texts(1), own.texts(1))
		}, 0, 1, 1},
		"another follows": {func(f *feeder, own, other *writtenLog) {
			f.land(liar, other.open(follow(own, 4)))
			f.land(honest, writeLog(f.t, 3).open(follow(own, 4)))
		}, 0, 1, 1},
		"another followed": {func(f *feeder, own, other *writtenLog) {
			f.land(honest, writeLog(f.t, 3).open(follow(own, 4)))
			f.land(liar, other.open(follow(own, 4)))
		}, 1, 1, 1},
		"said before it came": {func(f *feeder, own, other *writtenLog) {
			late := writeLog(f.t, 3)
			f.land(liar, other.open(follow(late, 1)))
			f.land(honest, late.texts(1), late.texts(1))
		}, 0, 0, 1},
		"its own, which comes later": {func(f *feeder, own, other *writtenLog) {
			late := writeLog(f.t, 3)
			f.land(honest, other.open(follow(late, 2)), late.texts(1), late.texts(1))
		}, 0, 0, 0},
		"itself": {func(f *feeder, own, other *writtenLog) { f.land(liar, other.open(follow(other, 1)), other.texts(1)) }, 0, 0, 0},
	} {
		for _, restart := range []bool{false, true} {
			f, own, other := newFeeder(t), writeLog(t, 1), writeLog(t, 2)
			var objects [][]byte
			f.land(liar, writeLog(t, 9).open(record.Opening{OpenedAt: 1}))
			f.land(honest, own.open(record.Opening{OpenedAt: 1}), own.texts(3))
			if restart {
				f.restart(&objects)
			}
			test.land(f, own, other)
			if f.failed(t, what, restart, &objects) {
				continue
			}
			if n := f.p.counters.Foreign.Load(); n != test.openings {
				t.Errorf("%s: %d openings are counted, want %d", what, n, test.openings)
			}
			var rows []table.ConflictRow
			for _, r := range f.out.Conflicts {
				if r.Gateway != liar || r.Reason != ReasonForeignLog || r.Offset != 0 || len(r.Block) == 0 {
					t.Errorf("%s: a row of conflict: %+v", what, r)
				}
				rows = append(rows, r)
			}
			if two := what == "said beside the hash"; two != (f.p.counters.Alternations.Load() == 1) {
				t.Errorf("%s: %d alternations", what, f.p.counters.Alternations.Load())
			}
			sum := uint64(0)
			for _, c := range f.p.contradicting() {
				if sum += c.Count; c.Gateway != liar {
					t.Errorf("%s: %s contradicts", what, c.Gateway)
				}
			}
			if len(rows) != test.rows || sum != test.contradicts || f.p.counters.Contradictions.Total() != sum {
				t.Errorf("%s, restarted %v: %d rows, %d contradictions, %d counted; want %d and %d", what, restart, len(rows), sum,
					f.p.counters.Contradictions.Total(), test.rows, test.contradicts)
			}
			if st, _ := f.p.logs.Get(own.id); st.Closed && !strings.HasPrefix(what, "another follow") && !strings.Contains(what, " the hash") || st.Next < 4 {
				t.Errorf("%s: the log is %+v", what, st)
			}
		}
	}
}

// restart goes on with the state alone. What was counted before stays.
func (f *feeder) restart(objects *[][]byte) {
	f.t.Helper()
	object, keep := f.p.state.Snapshot()
	*objects = append((*objects)[len(*objects)-keep:], object)
	p, err := newProcessor(f.p.counters, operator.WindowConfig{})
	if err != nil {
		f.t.Fatal(err)
	}
	if err := p.restoreFrom(all(*objects)); err != nil {
		f.t.Fatal(err)
	}
	f.p = p
}

// failed tells, with an error, that what follows from the state is not what was found
// block by block.
func (f *feeder) failed(t *testing.T, what string, restart bool, objects *[][]byte) bool {
	t.Helper()
	again := restored(t, f, objects)
	same := reflect.DeepEqual(again.claims, f.p.claims) && reflect.DeepEqual(again.contradicting(), f.p.contradicting()) &&
		reflect.DeepEqual(again.logsOf, f.p.logsOf)
	if !same {
		t.Errorf("%s, restarted %v: %v and %v, by the state %v and %v", what, restart, f.p.claims, f.p.contradicting(), again.claims, again.contradicting())
	}
	return !same
}

// TestContradictionsOutliveARestart: blocks that contradict are counted in the state for
// their gateway, which loses neither log nor watermark by it, and one of which nothing
// else came has no watermark to tell.
func TestContradictionsOutliveARestart(t *testing.T) {
	f, own := newFeeder(t), writeLog(t, 1)
	var objects [][]byte
	first := own.texts(1)
	f.land("g", first)
	other := writeLog(t, 1)
	f.land("clone", other.texts(2))
	f.land("g", other.texts(1), own.texts(1))
	want := []Contradicting{{"clone", 1, 2}, {"g", 1, 3}}
	if got := f.p.contradicting(); len(got) != 2 || !reflect.DeepEqual(f.p.counters.Contradictions.Newest(2), []Contradicting{want[1], want[0]}) {
		t.Errorf("%+v, counted %+v", got, f.p.counters.Contradictions.Newest(2))
	}
	again := restored(t, f, &objects)
	var c Contradictions
	c.reset(again.contradicting())
	if c.Total() != 2 || !reflect.DeepEqual(c.Newest(1), want[1:]) || !reflect.DeepEqual(c.Newest(3), []Contradicting{want[1], want[0]}) {
		t.Errorf("after a restart: %d, %+v", c.Total(), c.Newest(3))
	}
	if g, _ := again.gateways.Get("g"); g.Log != own.id || g.Conflicts != 1 || g.ConflictAt != 3 {
		t.Errorf("the gateway is %+v", g)
	}
	if marks := again.watermarks(); len(marks) != 1 || marks[0].Gateway != "g" {
		t.Errorf("watermarks of %+v", marks)
	}
}

// TestGatewayStateFormats: each version is read.
func TestGatewayStateFormats(t *testing.T) {
	for version := uint16(1); version <= (gatewayCodec{}).Version(); version++ {
		want := gatewayState{Watermark: 1_780_000_000_000_000, Log: record.LogID{1, 2, 3}}
		if version >= 2 {
			want.Conflicts, want.ConflictAt = 300, 1_780_000_000_000_007
		}
		frozen, err := os.ReadFile("testdata/formats/gateway-v" + string('0'+rune(version)) + ".hex")
		if err != nil {
			t.Fatal(err)
		}
		p, err := hex.DecodeString(strings.TrimSpace(string(frozen)))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := (gatewayCodec{}).DecodeValue(version, p); err != nil || got != want {
			t.Errorf("version %d: got %+v, %v", version, got, err)
		}
		if newest := (gatewayCodec{}).AppendValue(nil, want); version == (gatewayCodec{}).Version() && string(newest) != string(p) {
			t.Errorf("version %d writes %x", version, newest)
		}
		for n := range p {
			if _, err := (gatewayCodec{}).DecodeValue(version, p[:n]); err == nil {
				t.Errorf("version %d: %d bytes of it are taken", version, n)
			}
		}
	}
}
