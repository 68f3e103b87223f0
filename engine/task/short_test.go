package task

import (
	"iter"
	"reflect"
	"testing"

	"landfall/edge/record"
	"landfall/engine/operator"
)

// TestALogThatIsShortOfItsEndIsTold: its gateway has let go of what the landing log
// lost, all of a log or its end; it is told after a restart, too, until it comes, and
// since when.
func TestALogThatIsShortOfItsEndIsTold(t *testing.T) {
	f, a, b, c, d := newFeeder(t), writeLog(t, 1), writeLog(t, 2), writeLog(t, 3), writeLog(t, 4)
	var objects [][]byte // of the checkpoints, the newest ones
	check := func(what string, want ...ShortLog) {
		t.Helper()
		if got := f.p.shortLogs(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", what, got, want)
		}
		again, err := newProcessor(new(Counters), operator.WindowConfig{})
		if err != nil {
			t.Fatal(err)
		}
		object, keep := f.p.state.Snapshot()
		objects = append(objects[len(objects)-keep:], object)
		if err := again.restoreFrom(all(objects)); err != nil {
			t.Fatal(err)
		}
		if got := again.shortLogs(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s, found again: %+v, want %+v", what, got, want)
		}
	}
	f.land("g", a.open(record.Opening{Prev: record.LogID{77}, PrevEnd: 9, OpenedAt: 100}), a.texts(2))
	check("what went elsewhere before the first log is nobody's")
	tail := a.texts(2)
	f.land("g", b.open(record.Opening{Prev: a.id, PrevEnd: 5, OpenedAt: 200}))
	short := ShortLog{Gateway: "g", Log: a.id, From: 3, End: 5, Since: 3}
	check("its end is lost", short)
	f.land("g", d.open(record.Opening{Prev: c.id, PrevEnd: 4, OpenedAt: 300}))
	lost := ShortLog{Gateway: "g", Log: c.id, End: 4, Since: 4}
	check("all of it is lost", short, lost)
	f.land("g", tail)
	check("it came late", lost)
	f.land("g", c.texts(1))
	lost.From = 1
	check("a part came late", lost)
	f.land("g", c.texts(3))
	check("all came")
}

// TestAGatewayMakesNoOthersLogShort: what a gateway says of a log of which nothing came
// takes nothing from what another one says of it, and nothing is left of it once that log
// comes, in whichever order they say it and over a restart.
func TestAGatewayMakesNoOthersLogShort(t *testing.T) {
	for _, before := range []bool{false, true} {
		f, a, b, c := newFeeder(t), writeLog(t, 1), writeLog(t, 2), writeLog(t, 3)
		live, objects := writeLog(t, 4), [][]byte(nil) // of the checkpoints, the newest ones
		check := func(what string, want ...ShortLog) {
			t.Helper()
			if got := f.p.shortLogs(); !reflect.DeepEqual(got, want) {
				t.Errorf("%s: %+v, want %+v", what, got, want)
			}
			object, keep := f.p.state.Snapshot()
			objects = append(objects[len(objects)-keep:], object)
			for range 5 { // a map has no order
				again, err := newProcessor(new(Counters), operator.WindowConfig{})
				if err != nil {
					t.Fatal(err)
				}
				if err := again.restoreFrom(all(objects)); err != nil {
					t.Fatal(err)
				}
				if got := again.shortLogs(); !reflect.DeepEqual(got, want) {
					t.Errorf("%s, found again: %+v, want %+v", what, got, want)
				}
			}
		}
		f.land("gw2", a.open(record.Opening{OpenedAt: 100}))
		f.land("gw3", live.open(record.Opening{OpenedAt: 100}))
		f.land("liar", writeLog(t, 9).open(record.Opening{OpenedAt: 100}))
		says := func(by string, w *writtenLog, end record.Offset) {
			f.land(by, w.open(record.Opening{Prev: b.id, PrevEnd: end, OpenedAt: 200}))
		}
		liar, honest := ShortLog{Gateway: "liar", Log: b.id, End: 99, Since: 5}, ShortLog{Gateway: "gw2", Log: b.id, End: 4, Since: 4}
		if before {
			liar.Since, honest.Since = 4, 5
			says("liar", writeLog(t, 10), 99)
			says("gw2", c, 4)
		} else {
			says("gw2", c, 4)
			says("liar", writeLog(t, 10), 99)
		}
		check("each says so", honest, liar)
		f.land("gw2", b.texts(1))
		honest.From = 1
		check("it begins", honest)
		f.land("gw2", b.texts(3))
		check("all of it is there")
		f.land("liar", writeLog(t, 11).open(record.Opening{Prev: live.id, PrevEnd: 77, OpenedAt: 300}))
		check("one that is there")
		if st, _ := f.p.logs.Get(live.id); st.Closed || st.End != 0 {
			t.Errorf("closed by another gateway: %+v", st)
		}
	}
}

// all yields each object.
func all(objects [][]byte) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for _, o := range objects {
			if !yield(o, nil) {
				return
			}
		}
	}
}
