package state

import (
	"encoding/binary"
	"fmt"
	"iter"
)

// Table is one named map of a State.
type Table[K comparable, V any] struct {
	name    string
	codec   Codec[K, V]
	index   map[K]int32     // live keys, and removed ones until their tombstone is dropped
	chunks  [][]entry[K, V] // entries never move
	free    []int32         // slots without an entry
	next    int32           // first slot never used
	dirty   []int32         // entries changed since the last snapshot, in order of the first change
	head    int32           // oldest in the order, none if empty
	tail    int32
	live    []int  // entries in the order, by needed object, oldest first
	first   uint64 // sequence number of live[0]
	length  int
	scratch []byte
}

// entry is a key with its newest value and its place in the order.
type entry[K comparable, V any] struct {
	key        K
	value      V
	object     uint64 // that holds the newest written value; 0: none, and not in the order
	prev, next int32
	dirty      bool
	deleted    bool
}

const (
	none      = int32(-1)
	chunkBits = 12
	chunkSize = 1 << chunkBits
)

func newTable[K comparable, V any](name string, codec Codec[K, V]) *Table[K, V] {
	return &Table[K, V]{name: name, codec: codec, index: make(map[K]int32), head: none, tail: none}
}

func (t *Table[K, V]) at(i int32) *entry[K, V] {
	return &t.chunks[i>>chunkBits][i&(chunkSize-1)]
}

// Get gives the value of a key. What it points to must not be changed.
func (t *Table[K, V]) Get(key K) (V, bool) {
	if i, ok := t.index[key]; ok {
		if e := t.at(i); !e.deleted {
			return e.value, true
		}
	}
	var zero V
	return zero, false
}

// Put sets the value of a key. What it points to must not be changed after.
func (t *Table[K, V]) Put(key K, value V) {
	i, ok := t.index[key]
	if !ok {
		i = t.add(key)
	}
	e := t.at(i)
	e.value = value
	if e.deleted || !ok {
		e.deleted = false
		t.length++
	}
	t.touch(i, e)
}

// Delete removes a key; absent is fine.
func (t *Table[K, V]) Delete(key K) {
	i, ok := t.index[key]
	if !ok {
		return
	}
	e := t.at(i)
	if e.deleted {
		return
	}
	var zero V
	e.value, e.deleted = zero, true
	t.length--
	t.touch(i, e)
}

// Len counts the keys.
func (t *Table[K, V]) Len() int { return t.length }

// All ranges over keys and values, least recently written first, what changed
// since the last snapshot at the end. The key being visited may be Put or
// Deleted, no other.
func (t *Table[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		changed := len(t.dirty)
		for i := t.head; i != none; {
			e := t.at(i)
			i = e.next
			if !e.dirty && !e.deleted && !yield(e.key, e.value) {
				return
			}
		}
		for _, i := range t.dirty[:changed] {
			if e := t.at(i); !e.deleted && !yield(e.key, e.value) {
				return
			}
		}
	}
}

// add gives a key a slot outside the order.
func (t *Table[K, V]) add(key K) int32 {
	var i int32
	if n := len(t.free); n > 0 {
		i, t.free = t.free[n-1], t.free[:n-1]
	} else {
		i = t.next
		t.next++
		if int(i>>chunkBits) == len(t.chunks) {
			t.chunks = append(t.chunks, make([]entry[K, V], chunkSize))
		}
	}
	*t.at(i) = entry[K, V]{key: key, prev: none, next: none}
	t.index[key] = i
	return i
}

func (t *Table[K, V]) touch(i int32, e *entry[K, V]) {
	if !e.dirty {
		e.dirty = true
		t.dirty = append(t.dirty, i)
	}
}

// unlink takes an entry out of the order.
func (t *Table[K, V]) unlink(e *entry[K, V]) {
	if e.object == 0 {
		return
	}
	if e.prev == none {
		t.head = e.next
	} else {
		t.at(e.prev).next = e.next
	}
	if e.next == none {
		t.tail = e.prev
	} else {
		t.at(e.next).prev = e.prev
	}
	t.live[e.object-t.first]--
	e.object, e.prev, e.next = 0, none, none
}

// link puts an entry at the end of the order, under the newest object.
func (t *Table[K, V]) link(i int32, e *entry[K, V], seq uint64) {
	e.object, e.prev, e.next = seq, t.tail, none
	if t.tail == none {
		t.head = i
	} else {
		t.at(t.tail).next = i
	}
	t.tail = i
	t.live[len(t.live)-1]++
}

// release gives up an entry's slot.
func (t *Table[K, V]) release(i int32, e *entry[K, V]) {
	t.unlink(e)
	delete(t.index, e.key)
	*e = entry[K, V]{}
	t.free = append(t.free, i)
}

// appendEntry writes a key with its value, or its tombstone.
func (t *Table[K, V]) appendEntry(dst []byte, e *entry[K, V]) []byte {
	t.scratch = t.codec.AppendKey(t.scratch[:0], e.key)
	dst = binary.AppendUvarint(dst, uint64(len(t.scratch)))
	dst = append(dst, t.scratch...)
	if e.deleted {
		return append(dst, 0)
	}
	t.scratch = t.codec.AppendValue(t.scratch[:0], e.value)
	dst = binary.AppendUvarint(dst, uint64(len(t.scratch))+1)
	return append(dst, t.scratch...)
}

// restore takes over a section: each entry goes to the end of the order.
func (t *Table[K, V]) restore(s section, seq uint64) error {
	if s.version > t.codec.Version() {
		return fmt.Errorf("%w: codec version %d, known up to %d", ErrVersion, s.version, t.codec.Version())
	}
	if len(t.index) == 0 {
		t.index = make(map[K]int32, s.count)
	}
	src := s.entries
	for range s.count {
		k, v, rest, err := cutEntry(src)
		if err != nil {
			return err
		}
		if err := t.restoreEntry(s.version, k, v, seq); err != nil {
			return err
		}
		src = rest
	}
	if len(src) != 0 {
		return fmt.Errorf("%w: %d bytes after the last entry", ErrCorrupt, len(src))
	}
	return nil
}

func (t *Table[K, V]) restoreEntry(version uint16, k, v []byte, seq uint64) error {
	key, err := t.codec.DecodeKey(version, k)
	if err != nil {
		return fmt.Errorf("%w: key: %w", ErrCorrupt, err)
	}
	i, ok := t.index[key]
	if !ok {
		i = t.add(key)
	}
	e := t.at(i)
	was := ok && !e.deleted
	if v == nil {
		var zero V
		e.value = zero
	} else if e.value, err = t.codec.DecodeValue(version, v); err != nil {
		return fmt.Errorf("%w: value: %w", ErrCorrupt, err)
	}
	e.deleted = v == nil
	if was && e.deleted {
		t.length--
	} else if !was && !e.deleted {
		t.length++
	}
	t.unlink(e)
	t.link(i, e, seq)
	return nil
}
