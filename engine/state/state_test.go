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
	for seed := range uint64(60) {
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
			again := restored(t, next)
			now.check(t, again)
			if !slices.Equal(order(again.a), order(live.a)) || !slices.Equal(order(again.b), order(live.b)) {
				t.Fatal("restoring changed the order")
			}
			sameFuture(t, seed, again, restored(t, next), now.clone(), keys)
			chain, kept = next, now.clone()
		case 2:
			sameFuture(t, seed, live, restored(t, next), now, keys)
			object, keep = live.state.Snapshot()
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

// sameFuture changes both in the same way: their snapshots are the same bytes.
func sameFuture(t *testing.T, seed uint64, p, q pair, m model, keys uint64) {
	t.Helper()
	one, two := rand.New(rand.NewPCG(seed, 2)), rand.New(rand.NewPCG(seed, 2))
	copied := m.clone()
	for range 20 {
		change(one, p, m, keys)
		change(two, q, copied, keys)
	}
	x, keepX := snapshotTwice(p)
	y, keepY := snapshotTwice(q)
	if !bytes.Equal(x, y) || keepX != keepY {
		t.Fatal("a restored state has another future")
	}
}

// snapshotTwice looks at what a snapshot would be without taking it: the pair
// is left with the same changes pending.
func snapshotTwice(p pair) ([]byte, int) {
	return p.state.Snapshot()
}
