package operator

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"landfall/decoders/ais"
	"landfall/edge/record"
	"landfall/engine/table"
)

// seenKeys is a table of an expiry: when each key was seen last.
type seenKeys map[string]record.Micros

func (s seenKeys) expiry(b bound, over func(string, int)) *expiry[string] {
	return newExpiry(expiryStep, b, keyed[string]{
		seenAt:  func(k string) (record.Micros, bool) { at, ok := s[k]; return at, ok },
		forget:  func(k string) { delete(s, k) },
		compare: cmp.Compare[string],
	}, over)
}

// see notes a key of the gateway that is its first letter.
func (s seenKeys) see(e *expiry[string], key string, at record.Micros) {
	_, ok := s[key]
	s[key] = at
	e.add(key[:1], at, key, !ok)
}

// TestForgottenInTime: also after a watermark of the far future was withdrawn, which
// had made everything due.
func TestForgottenInTime(t *testing.T) {
	const now = record.Micros(1_780_000_000_000_000)
	s := seenKeys{}
	e := s.expiry(bound{10, 10}, nil)
	s.see(e, "g1", now)
	s.see(e, "h1", now)
	e.due("g", 1<<60)
	s.see(e, "g2", now)
	e.due("g", now)
	if want := (seenKeys{"g2": now, "h1": now}); !maps.Equal(s, want) {
		t.Errorf("%v", s)
	}
	e.due("g", now+3*expiryStep)
	if want := (seenKeys{"h1": now}); !maps.Equal(s, want) || e.all != 1 || len(e.byGate) != 1 {
		t.Errorf("%v, %d counted", s, e.all)
	}
}

// TestAGatewayForgetsItsOwn: who has more than its share loses its oldest, and nobody
// else loses any; of several that fill the table the one with the most does.
func TestAGatewayForgetsItsOwn(t *testing.T) {
	s, lost := seenKeys{}, map[string]int{}
	e := s.expiry(bound{gateway: 5, all: 12}, func(g string, n int) { lost[g] += n })
	for i := range record.Micros(8) {
		s.see(e, fmt.Sprint("a", i), i*expiryStep)
	}
	if len(s) != 5 || lost["a"] != 3 || s["a3"] != 3*expiryStep {
		t.Fatalf("%v, lost %v", s, lost)
	}
	for i := range record.Micros(4) {
		s.see(e, fmt.Sprint("b", i), i*expiryStep)
		s.see(e, fmt.Sprint("c", i), i*expiryStep)
	}
	if len(s) != 12 || lost["a"] != 4 || lost["b"]+lost["c"] != 0 {
		t.Errorf("%v, lost %v", s, lost)
	}
	s.see(e, "b0", 9*expiryStep) // seen again: it is the newest now
	s.see(e, "c9", 9*expiryStep)
	if _, ok := s["a4"]; !ok || lost["b"] != 0 || lost["c"] != 1 || s["c1"] == 0 {
		t.Errorf("%v, lost %v", s, lost)
	}
	for i := range record.Micros(4) {
		s.see(e, fmt.Sprint("b", i), (20+i)*expiryStep)
	}
	if lost["b"] != 0 {
		t.Errorf("what was seen again was forgotten: %v", lost)
	}
}

// TestAnIndexOfWhatIsSeenAgainIsTidied: a few keys that are seen at ever new times take
// no more room than they need.
func TestAnIndexOfWhatIsSeenAgainIsTidied(t *testing.T) {
	s := seenKeys{}
	e := s.expiry(bound{100, 100}, nil)
	for i := range record.Micros(50_000) {
		s.see(e, fmt.Sprint("g", i%7), i*expiryStep/3)
	}
	if w := e.byGate["g"]; len(s) != 7 || w.n > 2*7+1024 || len(w.oldest) > w.n || len(w.buckets) != len(w.oldest) {
		t.Errorf("%d keys stand %d times in %d buckets", len(s), w.n, len(w.buckets))
	}
}

// TestWhatIsForgottenFollowsFromTheTable: an index that was made again of the table
// forgets the same as one that goes on, in the same order.
func TestWhatIsForgottenFollowsFromTheTable(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 7))
		kept, made := seenKeys{}, seenKeys{}
		b := bound{gateway: 30, all: 50}
		e, f := kept.expiry(b, nil), made.expiry(b, nil)
		marks := map[string]record.Micros{}
		now := record.Micros(1_000 * expiryStep)
		for i := range 5000 {
			now += record.Micros(rng.Int64N(expiryStep))
			key := fmt.Sprint(string("abc"[rng.IntN(3)]), rng.IntN(60))
			at := max(kept[key], now-record.Micros(rng.Int64N(20*expiryStep)))
			kept.see(e, key, at)
			made.see(f, key, at)
			if rng.IntN(10) == 0 {
				marks[key[:1]] = max(marks[key[:1]], now-10*expiryStep)
				e.due(key[:1], marks[key[:1]])
				f.due(key[:1], marks[key[:1]])
			}
			if rng.IntN(50) == 0 {
				f = made.expiry(b, nil)
				f.restored(func(yield func(string, record.Micros, string)) {
					for _, k := range slices.Sorted(maps.Keys(made)) {
						yield(k[:1], made[k], k)
					}
				})
			}
			if !maps.Equal(kept, made) || e.all != len(kept) || e.all > b.all {
				t.Fatalf("seed %d, step %d: %d and %d keys, %d counted", seed, i, len(kept), len(made), e.all)
			}
		}
	}
}

// TestAGatewayWithoutAWatermarkIsBounded: one that never tells a watermark fills neither
// the dedupe nor what is known of halves, whatever it sends, and marks its newest
// receptions still; a neighbour loses nothing.
func TestAGatewayWithoutAWatermarkIsBounded(t *testing.T) {
	const t0 = 1_780_000_000 * second
	lost := map[string]int{}
	o := newOperators(t)
	o.dedupe.expiry.over = func(g string, n int) { lost[g] += n }
	o.static.expiry.over = func(g string, n int) { lost[g+"'s ships"] += n }
	o.dedupe.expiry.bound = bound{1000, 1500}
	o.static.expiry.bound = bound{300, 400}
	half := func(gateway string, ship int, at record.Micros) {
		row := ais.Static{Header: ais.Header{MMSI: uint32(ship), MsgType: 24}, Part: 'A', Shipname: ais.Some("X")}
		o.static.fill(&Context{Gateway: gateway, Watermark: record.NoTime}, table.Times{EventTime: at, TimeSource: record.TimeTag}, &row)
	}
	for i := range 500 {
		o.hear(heard{"honest", uint64(i), t0}, record.Offset(i), record.NoTime)
		half("honest", i%100, t0)
	}
	for i := range 20_000 {
		at := t0 + second*record.Micros(i)/10
		o.hear(heard{"hostile", uint64(i), at}, record.Offset(i), record.NoTime)
		half("hostile", i, at)
		if !o.hear(heard{"hostile", uint64(i), at}, record.Offset(i), record.NoTime).IsDuplicate {
			t.Fatalf("reception %d is not remembered", i)
		}
	}
	if n, ships := o.dedupe.seen.Len(), o.static.ships.Len(); n > 1500 || n < 1300 || ships > 400 || ships < 200 {
		t.Errorf("%d receptions and %d ships are remembered", n, ships)
	}
	if lost["honest"]+lost["honest's ships"] != 0 || lost["hostile"] < 18_000 || lost["hostile's ships"] < 19_000 {
		t.Errorf("forgotten: %v", lost)
	}
	for i := range 500 {
		if !o.hear(heard{"honest", uint64(i), t0 + second}, 1, record.NoTime).IsDuplicate {
			t.Fatalf("the neighbour's reception %d is forgotten", i)
		}
	}
}

// TestNamesWithOneNumberAreForgotten: which of two gateways a number meant nobody knows.
func TestNamesWithOneNumberAreForgotten(t *testing.T) {
	names := NamesOf(slices.Values([]string{"a", "b"}))
	var number uint64
	for n, name := range names {
		if name == "a" {
			number = n
		}
	}
	for _, c := range []struct {
		names Names
		want  int
	}{{names, 1}, {NamesOf(slices.Values([]string{"a", "b", "a"})), 0}, {nil, 0}} {
		o := newOperators(t)
		o.dedupe.seen.Put(receptionKey{Gateway: numbered(number)}, reception{EventTime: 1})
		o.dedupe.Restored(c.names)
		if n := o.dedupe.seen.Len(); n != c.want {
			t.Errorf("%d remembered, want %d", n, c.want)
		}
	}
}

// TestBoundsOfState: what security.md says of them.
func TestBoundsOfState(t *testing.T) {
	o := newOperators(t)
	if o.dedupe.expiry.bound != (bound{MaxReceptions, MaxAllReceptions}) || o.static.expiry.bound != (bound{MaxShips, MaxAllShips}) {
		t.Errorf("%+v, %+v", o.dedupe.expiry.bound, o.static.expiry.bound)
	}
}
