package task

import (
	"cmp"
	"slices"
	"sync"

	"landfall/edge/record"
)

// Contradicting is a gateway that sent something that contradicts a log.
type Contradicting struct {
	Gateway string
	Count   uint64        // of all that it sent, as far as the state remembers
	At      record.Micros // when the newest landed, or was found
}

// Contradictions counts by gateway what contradicts a log, over restarts: what the state
// of the claim says, and what came since, committed or not. The zero value has none. Its
// methods may be called from any goroutine.
type Contradictions struct {
	mu    sync.Mutex
	of    map[string]Contradicting
	total uint64
}

// reset forgets everything but what a claim begins with.
func (c *Contradictions) reset(all []Contradicting) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.of, c.total = make(map[string]Contradicting, len(all)), 0
	for _, one := range all {
		c.of[one.Gateway] = one
		c.total += one.Count
	}
}

// Add counts one more of a gateway.
func (c *Contradictions) Add(gateway string, at record.Micros) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of == nil {
		c.of = map[string]Contradicting{}
	}
	one := c.of[gateway]
	one.Gateway, one.At = gateway, at
	one.Count++
	c.of[gateway] = one
	c.total++
}

// Total is how many there are.
func (c *Contradictions) Total() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.total
}

// Newest returns the gateways to which the newest n belong: those that contradicted
// last, until they make up n together.
func (c *Contradictions) Newest(n uint64) []Contradicting {
	c.mu.Lock()
	all := make([]Contradicting, 0, len(c.of))
	for _, one := range c.of {
		all = append(all, one)
	}
	c.mu.Unlock()
	slices.SortFunc(all, func(a, b Contradicting) int {
		return cmp.Or(cmp.Compare(b.At, a.At), cmp.Compare(a.Gateway, b.Gateway))
	})
	sum := uint64(0)
	for i := range all {
		if sum >= n {
			return all[:i]
		}
		sum += all[i].Count
	}
	return all
}

// contradicts counts in the state that a gateway contradicted a log.
func (p *processor) contradicts(gateway string, at record.Micros) {
	g, ok := p.gateways.Get(gateway)
	if !ok {
		g.Watermark = record.NoTime
	}
	g.Conflicts++
	g.ConflictAt = max(at, 0)
	p.gateways.Put(gateway, g)
	p.counters.Contradictions.Add(gateway, at)
}

// putGateway keeps what a block says of its gateway. What contradicts is counted apart.
func (p *processor) putGateway(name string, g gatewayState) {
	old, ok := p.gateways.Get(name)
	g.Conflicts, g.ConflictAt = old.Conflicts, old.ConflictAt
	if !ok || old != g {
		p.gateways.Put(name, g)
	}
}

// contradicting lists what the state says of gateways that contradicted a log.
func (p *processor) contradicting() []Contradicting {
	var all []Contradicting
	for name, g := range p.gateways.All() {
		if g.Conflicts > 0 {
			all = append(all, Contradicting{Gateway: name, Count: g.Conflicts, At: g.ConflictAt})
		}
	}
	return all
}
