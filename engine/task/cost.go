package task

import (
	"cmp"
	"slices"
	"time"

	"landfall/engine/table"
)

// Work is what blocks of a gateway took.
type Work struct {
	Blocks uint64
	Bytes  uint64 // of the blocks
	Rows   uint64 // of all tables
	// Took is the time in which rows were made of them and staged, on one processor;
	// not the sealing and publishing of an epoch's files, which all gateways share.
	Took time.Duration
}

func (w *Work) add(o Work) {
	w.Blocks += o.Blocks
	w.Bytes += o.Bytes
	w.Rows += o.Rows
	w.Took += o.Took
}

// Cost is what a gateway costs its task.
type Cost struct {
	Gateway     string
	Epoch, Hour Work // of the newest committed epoch; of the last hour
	// What is kept of it in the state, and the dates that the epoch had of it beside
	// those near the landing.
	Receptions, Ships, Windows, Logs, Dates int
	// StateBytes is roughly what that takes in the checkpoint.
	StateBytes int64
}

// Costs are what all gateways of a task cost, by the newest committed epoch.
type Costs struct {
	Gateways int // that the state knows
	Logs     int // of all of them
	// Hour is of all gateways together, and Top has those that cost the most, keptCosts at
	// most.
	Hour Work
	Top  []Cost
}

const (
	keptCosts = 64
	// An hour is told in parts, of which the oldest one goes by as a whole.
	costParts = 6
	costPart  = time.Hour / costParts
)

// costs measure the work of each gateway that did any in the last hour, in no state: what
// it decides changes no row. It belongs to the goroutine of the task.
type costs struct {
	of   map[string]*spent
	part int64 // number of the newest part of an hour
}

// spent is the work of one gateway.
type spent struct {
	epoch Work // the open one
	hour  [costParts]Work
}

// add notes work of a gateway at a time.
func (c *costs) add(gateway string, w Work, now time.Time) {
	c.turn(now)
	s := c.of[gateway]
	if s == nil {
		if c.of == nil {
			c.of = map[string]*spent{}
		}
		s = new(spent)
		c.of[gateway] = s
	}
	s.epoch.add(w)
	s.hour[c.part%costParts].add(w)
}

// turn lets the parts of an hour go by. A clock that goes back changes nothing.
func (c *costs) turn(now time.Time) {
	part := now.UnixNano() / int64(costPart)
	if part <= c.part {
		return
	}
	for gateway, s := range c.of {
		for p := max(c.part+1, part-costParts+1); p <= part; p++ {
			s.hour[p%costParts] = Work{}
		}
		if s.hour == [costParts]Work{} && s.epoch == (Work{}) {
			delete(c.of, gateway)
		}
	}
	c.part = part
}

// end returns what the open epoch and the last hour took of each gateway, and begins
// another epoch.
func (c *costs) end(now time.Time) (of map[string]Cost) {
	c.turn(now)
	of = make(map[string]Cost, len(c.of))
	for gateway, s := range c.of {
		one := Cost{Gateway: gateway, Epoch: s.epoch}
		for _, w := range s.hour {
			one.Hour.add(w)
		}
		of[gateway], s.epoch = one, Work{}
	}
	return of
}

// costs returns what the gateways of the state cost. of is the work of those that did
// any, dates how many dates the epoch had of each.
func (p *processor) costs(of map[string]Cost, dates map[string]int) Costs {
	out := Costs{Gateways: p.gateways.Len(), Logs: p.logs.Len()}
	for name := range p.gateways.All() {
		if _, ok := of[name]; !ok {
			of[name] = Cost{Gateway: name}
		}
	}
	all := make([]Cost, 0, len(of))
	for name, c := range of {
		names := 0
		c.Receptions, c.Ships, c.Logs, c.Dates = p.dedupe.Held(name), p.static.Held(name), p.logsOf[name], dates[name]
		c.Windows, names = p.window.Held(name)
		c.StateBytes = stateBytes(len(name), &c, names)
		out.Hour.add(c.Hour)
		all = append(all, c)
	}
	slices.SortFunc(all, compareCosts)
	out.Top = all[:min(len(all), keptCosts):min(len(all), keptCosts)]
	return out
}

// compareCosts orders the gateway that cost more before the other.
func compareCosts(a, b Cost) int {
	return cmp.Or(cmp.Compare(b.Hour.Took, a.Hour.Took), cmp.Compare(b.StateBytes, a.StateBytes),
		cmp.Compare(b.Hour.Bytes, a.Hour.Bytes), cmp.Compare(a.Gateway, b.Gateway))
}

// stateBytes estimates what is kept of a gateway whose name has so many bytes: entries of
// the tables of the state as their codecs write them, with usual values.
func stateBytes(name int, c *Cost, names int) int64 {
	const gateway, reception, ship, window, log = 30, 50, 50, 95, 150
	return int64(gateway + name + c.Receptions*(reception+name) + c.Ships*(ship+name) + c.Windows*(window+name) + names +
		c.Logs*(log+name))
}

// countRows counts the rows of a batch.
func countRows(b *table.Batch) (n int) {
	for _, typed := range b.Typed() {
		n += typed
	}
	return n + len(b.Records) + len(b.Windows) + len(b.Losses) + len(b.Conflicts) + len(b.Logs)
}
