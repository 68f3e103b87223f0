package operator

import (
	"container/heap"
	"maps"
	"slices"

	"landfall/edge/record"
)

// expiryStep is the width of the buckets in which keys wait to be forgotten,
// in microseconds of event time.
const expiryStep = 10_000_000

// bound is how many keys of a table are kept.
type bound struct {
	gateway int // of one gateway
	all     int // of all gateways of the task
}

// expiry finds the keys of a table that are to be forgotten: those that lie beyond the
// horizon of their gateway, and those of gateways that have more than their share. It is
// an index over state, not state: it is built again from the table after a restore.
//
// When a key beyond the horizon is forgotten changes no row, because it is never
// matched. What is forgotten before its time changes rows, so it depends on the keys and
// values of the table alone: never on a clock, the order of a map, or what the index had
// in it before a restart. A gateway forgets its own keys, those of the oldest event
// times, a bucket at a time: when it has more than bound.gateway, and when the task has
// more than bound.all and no gateway has more keys.
type expiry[K comparable] struct {
	horizon int64 // microseconds of event time behind the watermark
	bound   bound
	table   keyed[K]
	byGate  map[string]*waiting[K]
	all     int                            // keys of the table
	over    func(gateway string, keys int) // told how many were forgotten before their time; never nil
}

// keyed is what an expiry has to know of a table.
type keyed[K comparable] struct {
	seenAt  func(K) (record.Micros, bool) // false: the table does not have the key
	forget  func(K)
	compare func(a, b K) int
}

// waiting is the keys of one gateway by event time divided by expiryStep. A key that
// was seen again stands in an older bucket too, until the buckets are tidied.
type waiting[K comparable] struct {
	buckets map[int64][]K
	oldest  bucketHeap // the keys of buckets
	n       int        // keys in all buckets
	held    int        // of the table
}

// bucketHeap is a heap of the numbers of buckets.
type bucketHeap []int64

func (h bucketHeap) Len() int           { return len(h) }
func (h bucketHeap) Less(i, j int) bool { return h[i] < h[j] }
func (h bucketHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *bucketHeap) Push(x any) { *h = append(*h, x.(int64)) }

// Pop implements heap.Interface.
func (h *bucketHeap) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}

func newExpiry[K comparable](horizon int64, b bound, t keyed[K], over func(gateway string, keys int)) *expiry[K] {
	if over == nil {
		over = func(string, int) {}
	}
	return &expiry[K]{horizon: horizon, bound: b, table: t, byGate: map[string]*waiting[K]{}, over: over}
}

// add notes that key was last seen at event time at, and that the table did not have it
// before, if it is new. Then it forgets what is over a bound, which may be that key.
func (e *expiry[K]) add(gateway string, at record.Micros, key K, isNew bool) {
	w := e.of(gateway)
	w.put(int64(at)/expiryStep, key)
	if isNew {
		w.held++
		e.all++
	}
	if w.n > 2*w.held+1024 {
		e.tidy(w)
	}
	e.bounds(gateway, w)
}

// restored builds the index over the table that was restored, and forgets what is over
// the bounds: a version before this one had none.
func (e *expiry[K]) restored(keys func(yield func(gateway string, at record.Micros, key K))) {
	keys(func(gateway string, at record.Micros, key K) {
		w := e.of(gateway)
		w.put(int64(at)/expiryStep, key)
		w.held++
		e.all++
	})
	for _, gateway := range slices.Sorted(maps.Keys(e.byGate)) {
		e.bounds(gateway, e.byGate[gateway])
	}
}

// bounds forgets what is over the bounds after a gateway's keys became more.
func (e *expiry[K]) bounds(gateway string, w *waiting[K]) {
	for w.held > e.bound.gateway {
		e.early(gateway, w)
	}
	for e.all > e.bound.all {
		e.early(e.largest())
	}
}

// held is how many keys of a gateway the table has.
func (e *expiry[K]) held(gateway string) int {
	if w := e.byGate[gateway]; w != nil {
		return w.held
	}
	return 0
}

func (e *expiry[K]) of(gateway string) *waiting[K] {
	w := e.byGate[gateway]
	if w == nil {
		w = &waiting[K]{buckets: map[int64][]K{}}
		e.byGate[gateway] = w
	}
	return w
}

func (w *waiting[K]) put(bucket int64, key K) {
	keys, ok := w.buckets[bucket]
	if !ok {
		heap.Push(&w.oldest, bucket)
	}
	w.buckets[bucket] = append(keys, key)
	w.n++
}

// early forgets a gateway's oldest bucket before its time.
func (e *expiry[K]) early(gateway string, w *waiting[K]) {
	if n := e.empty(gateway, w); n > 0 {
		e.over(gateway, n)
	}
}

// largest is the gateway with the most keys; of equal ones the first by name.
func (e *expiry[K]) largest() (gateway string, of *waiting[K]) {
	for name, w := range e.byGate {
		if of == nil || w.held > of.held || w.held == of.held && name < gateway {
			gateway, of = name, w
		}
	}
	return gateway, of
}

// empty forgets the keys of a gateway's oldest bucket, in their order, and returns how
// many there were. Those that were seen again since then stay.
func (e *expiry[K]) empty(gateway string, w *waiting[K]) (n int) {
	b := heap.Pop(&w.oldest).(int64)
	keys := w.buckets[b]
	delete(w.buckets, b)
	w.n -= len(keys)
	slices.SortFunc(keys, e.table.compare)
	for _, k := range keys {
		if at, ok := e.table.seenAt(k); ok && int64(at)/expiryStep == b {
			e.table.forget(k)
			n++
		}
	}
	w.held -= n
	e.all -= n
	if len(w.oldest) == 0 {
		delete(e.byGate, gateway)
	}
	return n
}

// tidy takes out of the buckets what was seen again since, and stands in others.
func (e *expiry[K]) tidy(w *waiting[K]) {
	old := w.oldest
	slices.Sort(old)
	was := w.buckets
	w.buckets, w.oldest, w.n = make(map[int64][]K, len(was)), nil, 0
	for _, b := range old {
		keys := was[b]
		slices.SortFunc(keys, e.table.compare)
		for _, k := range slices.Compact(keys) {
			if at, ok := e.table.seenAt(k); ok && int64(at)/expiryStep == b {
				w.put(b, k)
			}
		}
	}
}

// due forgets the keys of a gateway whose bucket lies wholly beyond the horizon behind
// its watermark.
func (e *expiry[K]) due(gateway string, watermark record.Micros) {
	w := e.byGate[gateway]
	if w == nil || watermark == record.NoTime {
		return
	}
	limit := (int64(watermark) - e.horizon) / expiryStep
	for len(w.oldest) > 0 && w.oldest[0] < limit {
		e.empty(gateway, w)
	}
}
