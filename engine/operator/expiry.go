package operator

import (
	"hash/fnv"

	"landfall/edge/record"
)

// expiryStep is the width of the buckets in which keys wait to be forgotten,
// in microseconds of event time.
const expiryStep = 10_000_000

// expiry finds the keys of a table that lie beyond the horizon of their
// gateway. It is an index over state, not state: it is built again from the
// table after a restore. When a key is forgotten changes no row, because what
// lies beyond the horizon is never matched.
type expiry[K comparable] struct {
	horizon int64 // microseconds of event time behind the watermark
	byGate  map[uint64]*waiting[K]
}

// waiting is the keys of one gateway by event time divided by expiryStep.
type waiting[K comparable] struct {
	buckets map[int64][]K
	done    int64 // buckets below were emptied
}

func newExpiry[K comparable](horizon int64) *expiry[K] {
	return &expiry[K]{horizon: horizon, byGate: map[uint64]*waiting[K]{}}
}

// add notes that key was last seen at event time at.
func (e *expiry[K]) add(gateway uint64, at record.Micros, key K) {
	w := e.byGate[gateway]
	if w == nil {
		w = &waiting[K]{buckets: map[int64][]K{}, done: int64(record.NoTime)}
		e.byGate[gateway] = w
	}
	b := int64(at) / expiryStep
	w.buckets[b] = append(w.buckets[b], key)
}

// due calls forget for each key of gateway whose bucket lies wholly beyond the
// horizon behind watermark. A key that was seen again since then is given too:
// forget looks at the value.
func (e *expiry[K]) due(gateway uint64, watermark record.Micros, forget func(K)) {
	w := e.byGate[gateway]
	if w == nil || watermark == record.NoTime {
		return
	}
	limit := (int64(watermark) - e.horizon) / expiryStep
	if limit <= w.done {
		return
	}
	w.done = limit
	for b, keys := range w.buckets {
		if b >= limit {
			continue
		}
		for _, k := range keys {
			forget(k)
		}
		delete(w.buckets, b)
	}
}

// withdraw has keys of a gateway be found again that come below what was due: its
// watermark has gone back.
func (e *expiry[K]) withdraw(gateway uint64) {
	if w := e.byGate[gateway]; w != nil {
		w.done = int64(record.NoTime)
	}
}

// gatewayHash stands for a gateway's name in keys of state: FNV-1a, 64 bits.
type gatewayHash map[string]uint64

func (g gatewayHash) of(name string) uint64 {
	h, ok := g[name]
	if !ok {
		f := fnv.New64a()
		_, _ = f.Write([]byte(name))
		h = f.Sum64()
		g[name] = h
	}
	return h
}
