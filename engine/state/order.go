package state

// snapshot appends what changed and a share of the oldest entries, and moves
// both to the end of the order.
func (t *Table[K, V]) snapshot(dst []byte, seq uint64, objects []objectInfo, shrink bool) ([]byte, int) {
	t.grow(seq)
	changed := len(t.dirty)
	dst, at := beginSection(dst, t.name, t.codec.Version())
	dst, count := t.writeChanged(dst, seq)
	quota := t.share(seq, objects)
	if shrink {
		quota = max(quota, 2*changed)
	}
	for ; quota > 0; quota-- {
		t.settle()
		if t.head == none || t.at(t.head).object == seq {
			break
		}
		i := t.head
		e := t.at(i)
		dst = t.appendEntry(dst, e)
		t.unlink(e)
		t.link(i, e, seq)
		count++
	}
	t.settle()
	endSection(dst, at, count)
	return dst, count
}

// writeChanged appends the dirty entries. A key that came and went between two
// snapshots leaves nothing.
func (t *Table[K, V]) writeChanged(dst []byte, seq uint64) ([]byte, int) {
	count := 0
	for _, i := range t.dirty {
		e := t.at(i)
		e.dirty = false
		if e.deleted && e.object == 0 {
			t.release(i, e)
			continue
		}
		dst = t.appendEntry(dst, e)
		t.unlink(e)
		t.link(i, e, seq)
		count++
	}
	t.dirty = t.dirty[:0]
	return dst, count
}

// share is how many of the oldest entries this snapshot must write again, so
// that every object q is needed no more after snapshot q+MaxChain, with the
// same amount each time until then.
func (t *Table[K, V]) share(seq uint64, objects []objectInfo) int {
	quota, older := 0, 0
	for i, o := range objects {
		older += t.live[i]
		left := 1
		if due := o.seq + MaxChain; due > seq {
			left = int(due-seq) + 1
		}
		quota = max(quota, (older+left-1)/left)
	}
	return quota
}

// settle drops the tombstones at the head of the order: no object older than
// theirs is needed, so nothing is left that they would hide.
func (t *Table[K, V]) settle() {
	for t.head != none {
		i := t.head
		e := t.at(i)
		if !e.deleted || e.dirty {
			return
		}
		t.release(i, e)
	}
}

func (t *Table[K, V]) tableName() string { return t.name }

func (t *Table[K, V]) dirtyKeys() int { return len(t.dirty) }

func (t *Table[K, V]) oldest() (uint64, bool) {
	if t.head == none {
		return 0, false
	}
	return t.at(t.head).object, true
}

func (t *Table[K, V]) liveIn(i int) int { return t.live[i] }

func (t *Table[K, V]) grow(seq uint64) {
	if len(t.live) == 0 {
		t.first = seq
	}
	t.live = append(t.live, 0)
}

func (t *Table[K, V]) forget(n int) {
	t.live = append(t.live[:0], t.live[n:]...)
	t.first += uint64(n)
}
