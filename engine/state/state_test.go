package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// numbers is a codec of integers to short strings.
type numbers struct{ version uint16 }

func (n numbers) Version() uint16 { return n.version }
func (numbers) AppendKey(dst []byte, k uint64) []byte {
	return binary.BigEndian.AppendUint64(dst, k)
}
func (numbers) AppendValue(dst []byte, v string) []byte { return append(dst, v...) }
func (numbers) DecodeKey(_ uint16, src []byte) (uint64, error) {
	if len(src) != 8 {
		return 0, errors.New("want 8 bytes")
	}
	return binary.BigEndian.Uint64(src), nil
}
func (numbers) DecodeValue(_ uint16, src []byte) (string, error) { return string(src), nil }

// pair is a State of two tables beside its model.
type pair struct {
	state *State
	a, b  *Table[uint64, string]
}

func newPair(t testing.TB) pair {
	t.Helper()
	p := pair{state: New()}
	for name, into := range map[string]**Table[uint64, string]{"b": &p.b, "a": &p.a} {
		table, err := Register(p.state, name, numbers{version: 1})
		if err != nil {
			t.Fatal(err)
		}
		*into = table
	}
	return p
}

func sequence(objects [][]byte) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for _, o := range objects {
			if !yield(o, nil) {
				return
			}
		}
	}
}

func restored(t testing.TB, chain [][]byte) pair {
	t.Helper()
	p := newPair(t)
	if err := p.state.Restore(sequence(chain)); err != nil {
		t.Fatal(err)
	}
	return p
}

func content(t *Table[uint64, string]) map[uint64]string { return maps.Collect(t.All()) }

func order(t *Table[uint64, string]) []uint64 {
	var keys []uint64
	for k := range t.All() {
		keys = append(keys, k)
	}
	return keys
}

// model is the slow obvious thing: maps, and a full copy a snapshot.
type model struct{ a, b map[uint64]string }

func (m model) clone() model { return model{maps.Clone(m.a), maps.Clone(m.b)} }

func (m model) check(t *testing.T, p pair) {
	t.Helper()
	if !maps.Equal(content(p.a), m.a) || !maps.Equal(content(p.b), m.b) {
		t.Fatal("tables differ from the model")
	}
	if p.a.Len() != len(m.a) || p.b.Len() != len(m.b) {
		t.Fatalf("lengths %d %d, want %d %d", p.a.Len(), p.b.Len(), len(m.a), len(m.b))
	}
}

// extend does what a Committer does with a snapshot.
func extend(chain [][]byte, object []byte, keep int) [][]byte {
	chain = slices.Clone(chain[len(chain)-keep:])
	if object != nil {
		chain = append(chain, object)
	}
	return chain
}

func TestAgainstFullCopies(t *testing.T) {
	for seed := range uint64(25) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { runAgainstModel(t, seed) })
	}
}

// runAgainstModel changes, snapshots, and at random crashes: back to the last
// snapshot, or to the one before, whose successor was never committed.
func runAgainstModel(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 1))
	keys := 1 + rnd.Uint64N(400)
	churn := 1 + rnd.IntN(300)
	live := newPair(t)
	now := model{map[uint64]string{}, map[uint64]string{}}
	kept, chain := now.clone(), [][]byte(nil)
	for range 80 {
		for range rnd.IntN(churn) {
			change(rnd, live, now, keys)
		}
		if rnd.IntN(40) == 0 { // all at once: everything removed
			for k := range keys {
				live.a.Delete(k)
				delete(now.a, k)
			}
		}
		now.check(t, live)
		object, keep := live.state.Snapshot()
		next := extend(chain, object, keep)
		if len(next) > MaxChain {
			t.Fatalf("chain of %d objects", len(next))
		}
		switch rnd.IntN(6) {
		case 0: // the snapshot was never committed
			live, now = restored(t, chain), kept.clone()
		case 1: // crash after the commit
			live, chain, kept = restored(t, next), next, now.clone()
		case 2:
			object, keep = sameFuture(t, rnd, live, restored(t, next), now, keys)
			chain, kept = extend(next, object, keep), now.clone()
		default:
			chain, kept = next, now.clone()
		}
		now.check(t, live)
	}
}

func change(rnd *rand.Rand, p pair, m model, keys uint64) {
	k := rnd.Uint64N(keys)
	table, into := p.a, m.a
	if rnd.IntN(3) == 0 {
		table, into = p.b, m.b
	}
	switch rnd.IntN(5) {
	case 0:
		table.Delete(k)
		delete(into, k)
	default:
		v := fmt.Sprint(rnd.Uint64N(1000))
		table.Put(k, v)
		into[k] = v
	}
	got, ok := table.Get(k)
	if want, there := into[k]; got != want || ok != there {
		panic("Get differs from the model")
	}
}

// sameFuture changes a state and what was restored from its snapshot in the
// same way: their order, and the bytes of their next snapshot, are the same.
func sameFuture(t *testing.T, rnd *rand.Rand, live, again pair, m model, keys uint64) ([]byte, int) {
	t.Helper()
	m.check(t, again)
	other, seed := m.clone(), rnd.Uint64()
	one, two := rand.New(rand.NewPCG(seed, 0)), rand.New(rand.NewPCG(seed, 0))
	for range 20 {
		change(one, live, m, keys)
		change(two, again, other, keys)
	}
	if !slices.Equal(order(live.a), order(again.a)) || !slices.Equal(order(live.b), order(again.b)) {
		t.Fatal("restoring changed the order")
	}
	x, keepX := live.state.Snapshot()
	y, keepY := again.state.Snapshot()
	if !bytes.Equal(x, y) || keepX != keepY {
		t.Fatalf("a restored state has another future: %d bytes keep %d, %d bytes keep %d", len(x), keepX, len(y), keepY)
	}
	return x, keepX
}

func TestNeededBytesStayBounded(t *testing.T) {
	const keys = 20000
	for _, hot := range []uint64{1, 100, keys / 10, keys * 9 / 10, keys} {
		rnd := rand.New(rand.NewPCG(hot, 3))
		p, chain, worst := newPair(t), [][]byte(nil), 0
		for k := range uint64(keys) {
			p.a.Put(k, "0123456789abcdef")
		}
		for round := range 100 {
			for range hot {
				p.a.Put(rnd.Uint64N(hot), fmt.Sprint("0123456789abcde", round%10))
			}
			object, keep := p.state.Snapshot()
			chain = extend(chain, object, keep)
			total := 0
			for _, o := range chain {
				total += len(o)
			}
			worst = max(worst, total)
			if len(chain) > MaxChain {
				t.Fatalf("hot %d: %d objects", hot, len(chain))
			}
		}
		own := keys * (1 + 8 + 1 + 16)
		t.Logf("%5d of %d keys hot: at most %.2f times the table", hot, keys, float64(worst)/float64(own))
		if worst > 4*own+128<<10 {
			t.Errorf("hot %d: %d bytes needed for a table of %d", hot, worst, own)
		}
	}
}

func TestWorkIsSpread(t *testing.T) {
	const keys = 16000
	p := newPair(t)
	for k := range uint64(keys) {
		p.a.Put(k, "v")
	}
	whole, _ := p.state.Snapshot()
	for range 3 * MaxChain {
		p.a.Put(1, "w")
		object, _ := p.state.Snapshot()
		if len(object) > len(whole)/MaxChain+len(whole)/50 {
			t.Fatalf("one changed key of %d cost %d bytes, the whole is %d", keys, len(object), len(whole))
		}
	}
}

func TestNothingChangedGivesNoObject(t *testing.T) {
	p := newPair(t)
	if object, keep := p.state.Snapshot(); object != nil || keep != 0 {
		t.Fatalf("empty state gave %d bytes, keep %d", len(object), keep)
	}
	p.a.Put(1, "x")
	object, keep := p.state.Snapshot()
	if object == nil || keep != 0 {
		t.Fatalf("first snapshot: %d bytes, keep %d", len(object), keep)
	}
	if object, keep := p.state.Snapshot(); object != nil || keep != 1 {
		t.Fatalf("unchanged: %d bytes, keep %d", len(object), keep)
	}
}

func TestVisitedKeyMayChange(t *testing.T) {
	p := newPair(t)
	for k := range uint64(100) {
		p.a.Put(k, "v")
		if k == 60 {
			p.state.Snapshot()
		}
	}
	seen := 0
	for k := range p.a.All() {
		seen++
		if k%2 == 0 {
			p.a.Delete(k)
		} else {
			p.a.Put(k, "w")
		}
	}
	if seen != 100 || p.a.Len() != 50 {
		t.Fatalf("visited %d, left %d", seen, p.a.Len())
	}
}
