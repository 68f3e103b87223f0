package aissim

// timed is an entry of a queue: something due at a time. Entries due at one
// time come in the order of their id.
type timed struct {
	at int64
	id uint64
}

func (t timed) before(u timed) bool { return t.at < u.at || t.at == u.at && t.id < u.id }

// queue is a binary heap, the earliest entry first.
type queue []timed

func (q *queue) push(t timed) {
	h := append(*q, t)
	i := len(h) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if !t.before(h[parent]) {
			break
		}
		h[i] = h[parent]
		i = parent
	}
	h[i] = t
	*q = h
}

func (q *queue) pop() timed {
	h := *q
	first, t := h[0], h[len(h)-1]
	h = h[:len(h)-1]
	if len(h) > 0 {
		h.sink(t)
	}
	*q = h
	return first
}

// replace takes the first entry away and puts t in.
func (q queue) replace(t timed) { q.sink(t) }

// sink places t, beginning at the top.
func (q queue) sink(t timed) {
	i := 0
	for {
		child := 2*i + 1
		if child >= len(q) {
			break
		}
		if child+1 < len(q) && q[child+1].before(q[child]) {
			child++
		}
		if !q[child].before(t) {
			break
		}
		q[i] = q[child]
		i = child
	}
	q[i] = t
}
