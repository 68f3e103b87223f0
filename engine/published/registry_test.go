package published

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"landfall/edge/record"
	"landfall/engine/landing"
	"landfall/engine/ledger"
	"landfall/engine/stream"
)

var (
	logA = record.LogID{0xa}
	logB = record.LogID{0xb}
)

// chain is a chain hash whose digits are all one digit.
func chain(digit string) string { return strings.Repeat(digit, 32) }

func hashOf(t *testing.T, digits string) record.Hash {
	t.Helper()
	h, err := record.ParseLogID(digits)
	if err != nil {
		t.Fatal(err)
	}
	return record.Hash(h)
}

func tip(n uint64) ledger.Tip {
	return ledger.Tip{Name: fmt.Sprintf("t/ledger/%d", n), Number: n, SHA256: strings.Repeat("f", 64)}
}

func at(gateway string, log record.LogID, next record.Offset, chain string) ledger.Log {
	return ledger.Log{Gateway: gateway, Log: log.String(), Next: next, Chain: chain}
}

// task is that of a gateway in a landing log of four partitions.
func task(gateway string) stream.TaskID {
	return stream.TaskID{Landing: "land", Partition: landing.Partition(gateway, 4)}
}

func open() *Registry { return New(Config{Landing: "land", Partitions: 4}) }

func TestATaskThatHasNotToldIsNotKnown(t *testing.T) {
	r := open()
	r.Published(task("g"), []ledger.Log{at("g", logA, 9, "")}, tip(3))
	r.Want(task("g"), "g", logA, 4)
	if got, ok := r.Of("g", logA); ok {
		t.Errorf("before a claim: %+v", got)
	}
	if from, ok := r.Wanted("g", logA); ok {
		t.Errorf("before a claim: wanted from %d", from)
	}
	r.Claimed(task("g"), nil, nil)
	if got, ok := r.Of("g", logA); !ok || got.Next != 0 || got.Ledger != (ledger.Tip{}) || got.Task != task("g").String() {
		t.Errorf("claimed, empty: %+v, %v", got, ok)
	}
	r.Lost(task("g"))
	if got, ok := r.Of("g", logA); ok {
		t.Errorf("lost: %+v", got)
	}
}

func TestWhatIsPublishedGoesForwardOnly(t *testing.T) {
	r := open()
	id := task("g")
	r.Claimed(id, []ledger.Log{at("g", logA, 5, chain("1")), at("g", logB, 2, "")}, &ledger.Tip{Number: 7})
	expect := func(what string, log record.LogID, next record.Offset, hash record.Hash, number uint64) {
		t.Helper()
		if got, ok := r.Of("g", log); !ok || got.Next != next || got.Hash != hash || got.Ledger.Number != number {
			t.Errorf("%s: %+v, %v", what, got, ok)
		}
	}
	expect("claimed", logA, 5, hashOf(t, chain("1")), 7)
	expect("claimed, after a loss", logB, 2, record.Hash{}, 7)
	r.Published(id, []ledger.Log{at("g", logA, 9, chain("2"))}, tip(8))
	expect("published", logA, 9, hashOf(t, chain("2")), 8)
	expect("of another log", logB, 2, record.Hash{}, 8)
	r.Published(id, []ledger.Log{at("g", logA, 6, chain("3"))}, tip(6))
	expect("an older epoch", logA, 9, hashOf(t, chain("2")), 8)
	r.Published(id, nil, tip(9))
	expect("an epoch without this log", logA, 9, hashOf(t, chain("2")), 9)
	r.Claimed(id, []ledger.Log{at("g", logA, 4, chain("4"))}, &ledger.Tip{Number: 5})
	expect("another checkpoint", logA, 4, hashOf(t, chain("4")), 5)
	expect("which knows nothing of this log", logB, 0, record.Hash{}, 5)
}

func TestEachGatewayHasItsOwn(t *testing.T) {
	r := open()
	var other string // a gateway of another partition
	for n := 0; other == ""; n++ {
		if name := fmt.Sprint("other-", n); task(name) != task("g") {
			other = name
		}
	}
	r.Claimed(task("g"), []ledger.Log{at("g", logA, 5, ""), at("h", logA, 7, "")}, nil)
	if _, ok := r.Of(other, logA); ok {
		t.Error("the task of another partition has not told")
	}
	r.Claimed(task(other), nil, nil)
	if got, ok := r.Of(other, logA); !ok || got.Next != 0 {
		t.Errorf("one log's name at two gateways: %+v, %v", got, ok)
	}
	r.Lost(task(other))
	if got, ok := r.Of("g", logA); !ok || got.Next != 5 {
		t.Errorf("another task is lost: %+v, %v", got, ok)
	}
}

func TestAHoleStandsUntilItIsFilled(t *testing.T) {
	r := open()
	id := task("g")
	r.Claimed(id, []ledger.Log{at("g", logA, 5, "")}, nil)
	r.Want(id, "g", logB, 0)
	r.Want(id, "g", logA, 5)
	r.Want(id, "g", logA, 5)
	if got := r.Holes(id); !slices.Equal(got, []Hole{{"g", logA, 5}, {"g", logB, 0}}) {
		t.Errorf("%v", got)
	}
	r.Published(id, []ledger.Log{at("g", logA, 5, "")}, tip(1))
	if from, ok := r.Wanted("g", logA); !ok || from != 5 {
		t.Errorf("published up to the hole: %d, %v", from, ok)
	}
	r.Published(id, []ledger.Log{at("g", logA, 6, "")}, tip(2))
	if from, ok := r.Wanted("g", logA); !ok || from != 5 {
		t.Errorf("published beyond its beginning: %d, %v", from, ok)
	}
	if from, ok := r.Wanted("g", logB); !ok || from != 0 {
		t.Errorf("another log's: %d, %v", from, ok)
	}
	r.Filled(id, "g", logB)
	r.Filled(id, "g", logA)
	if got := r.Holes(id); len(got) != 0 {
		t.Errorf("%v", got)
	}
	r.Want(id, "g", logA, 6)
	r.Claimed(id, nil, nil)
	if got := r.Holes(id); len(got) != 0 {
		t.Errorf("a claim tells its own: %v", got)
	}
}

// TestALogThatAPublishedOneNamesIsPast: also when nothing of it ever came.
func TestALogThatAPublishedOneNamesIsPast(t *testing.T) {
	r := open()
	newer := at("g", logB, 2, "")
	newer.Previous = logA.String()
	r.Claimed(task("g"), []ledger.Log{at("g", logA, 5, "")}, nil)
	if got, _ := r.Of("g", logA); got.Closed {
		t.Errorf("before the newer one: %+v", got)
	}
	r.Published(task("g"), []ledger.Log{newer}, tip(1))
	if got, ok := r.Of("g", logA); !ok || !got.Closed || got.Next != 5 {
		t.Errorf("%+v, %v", got, ok)
	}
	if got, _ := r.Of("g", logB); got.Closed {
		t.Errorf("the newer one: %+v", got)
	}
	if got, _ := r.Of("h", logA); got.Closed {
		t.Errorf("of another gateway: %+v", got)
	}
	r.Claimed(task("g"), []ledger.Log{newer}, nil)
	if got, _ := r.Of("g", logA); !got.Closed || got.Next != 0 {
		t.Errorf("never seen: %+v", got)
	}
}

// TestManyAskWhileItChanges is for the race detector.
func TestManyAskWhileItChanges(t *testing.T) {
	r := open()
	id := task("g")
	r.Claimed(id, nil, nil)
	var all sync.WaitGroup
	for n := range 4 {
		all.Go(func() {
			last := record.Offset(0)
			for i := range 200 {
				r.Published(id, []ledger.Log{at("g", logA, record.Offset(i), "")}, tip(uint64(i)))
				r.Want(id, "g", logB, record.Offset(n))
				r.Holes(id)
				if got, ok := r.Of("g", logA); !ok || got.Next < last {
					t.Errorf("%+v after %d", got, last)
				} else {
					last = got.Next
				}
			}
		})
	}
	all.Wait()
}

// TestOfTooManyHolesTheNewestAreTold: those of gateways that never come back must not
// hide what the others can fill.
func TestOfTooManyHolesTheNewestAreTold(t *testing.T) {
	r, task := New(Config{Landing: "land", Partitions: 1}), stream.TaskID{Landing: "land"}
	r.Claimed(task, nil, nil)
	for _, gateway := range []string{"a", "c", "d", "b", "a"} { // a is told once more
		r.Want(task, gateway, logA, 10)
	}
	if got := r.newest(task, 2); !slices.Equal(got, []Hole{{"a", logA, 10}, {"b", logA, 10}}) {
		t.Errorf("%v", got)
	}
	r.Filled(task, "b", logA)
	if got := r.newest(task, 2); !slices.Equal(got, []Hole{{"a", logA, 10}, {"d", logA, 10}}) {
		t.Errorf("%v", got)
	}
	if got := r.newest(task, 3); len(got) != 3 {
		t.Errorf("%v", got)
	}
}

// TestTheNewestLogOfAGateway: in whatever order logs are told, the newest one is that
// which none names as the one before it; of several, that which was told last.
func TestTheNewestLogOfAGateway(t *testing.T) {
	logC := record.LogID{0xc}
	after := func(log, before record.LogID, next record.Offset) ledger.Log {
		l := at("g", log, next, "")
		l.Previous = before.String()
		return l
	}
	a, b, c := at("g", logA, 3, ""), after(logB, logA, 4), after(logC, logB, 5)
	for _, order := range [][]ledger.Log{{a, b, c}, {a, c, b}, {b, a, c}, {b, c, a}, {c, a, b}, {c, b, a}} {
		r := open()
		if _, _, ok := r.Newest("g"); ok {
			t.Error("nothing was told")
		}
		r.Claimed(task("g"), order, nil)
		if log, next, ok := r.Newest("g"); !ok || log != logC || next != 5 {
			t.Errorf("%v: %s below %d, %v", order, log, next, ok)
		}
		if _, _, ok := r.Newest("h"); ok {
			t.Error("another gateway")
		}
	}
	r := open()
	r.Claimed(task("g"), nil, nil)
	for i, l := range []ledger.Log{a, b, after(logB, logA, 9), at("g", logC, 5, ""), at("g", logA, 8, "")} {
		r.Published(task("g"), []ledger.Log{l}, tip(uint64(i+1)))
		want := []record.LogID{logA, logB, logB, logC, logC}[i]
		if log, next, ok := r.Newest("g"); !ok || log != want || log.String() == l.Log && next != l.Next {
			t.Errorf("%d: %s below %d, %v", i, log, next, ok)
		}
	}
}
