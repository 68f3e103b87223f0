package task

import (
	"context"
	"fmt"
	"iter"

	"landfall/edge/record"
	"landfall/engine/checkpoint"
	"landfall/engine/landing"
	"landfall/engine/ledger"
	"landfall/engine/operator"
	"landfall/engine/stream"
)

// Handover is what the tasks of one landing log knew, sorted by the partitions of
// another one, to which a lake moves. What is known of a log, and what a task
// holds for a gateway, goes to the partition in which the gateway lands from then
// on.
//
// It belongs to one goroutine and does no I/O of its own. Its memory is the keyed
// state of all the tasks.
type Handover struct {
	parts  []*processor
	doubts []string
}

// NewHandover returns what a landing log of so many partitions begins with: nothing.
func NewHandover(partitions int) (*Handover, error) {
	h := &Handover{}
	for range partitions {
		p, err := newProcessor(new(Counters), operator.WindowConfig{})
		if err != nil {
			return nil, err
		}
		h.parts = append(h.parts, p)
	}
	return h, nil
}

// Take adds what one task knew, by the objects that restore its keyed state. Those
// of a lake are taken in a fixed order, so that equal tasks make equal parts.
func (h *Handover) Take(ctx context.Context, task stream.TaskID, objects iter.Seq2[[]byte, error]) error {
	old, err := newProcessor(new(Counters), operator.WindowConfig{})
	if err != nil {
		return err
	}
	if err := old.state.Restore(objects); err != nil {
		return fmt.Errorf("read the state of %s: %w", task, err)
	}
	for id, st := range old.logs.All() {
		h.log(id, st)
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	for name, g := range old.gateways.All() {
		h.of(name).gateways.Put(name, g)
	}
	for hash, a := range old.aside.All() {
		h.of(a.Gateway).aside.Put(hash, a)
	}
	names := old.names()
	old.dedupe.HandOver(names, func(gateway string) *operator.Dedupe { return h.of(gateway).dedupe })
	old.static.HandOver(names, func(gateway string) *operator.Static { return h.of(gateway).static })
	old.window.HandOver(func(gateway string) *operator.Window { return h.of(gateway).window })
	return nil
}

func (h *Handover) of(gateway string) *processor {
	return h.parts[landing.Partition(gateway, len(h.parts))]
}

// log takes one log over. Two gateways may have brought the same log to two tasks,
// where one of them is a copy of the other's disk: a task knows a log under one name
// alone, and takes the other's blocks for contradictions.
//
// A hole stays behind with what was passed over: the gateway still has that, and sends
// it from the next offset on, as it sends everything to a landing log that is new.
func (h *Handover) log(id record.LogID, st logState) {
	if st.Hole = (hole{}); st.Next == 0 {
		return // nothing of it was taken: it is a log like any that is not known
	}
	to := h.of(st.Gateway)
	if other, taken := to.logs.Get(id); taken {
		first, second := &other, &st
		if st.Next > other.Next {
			first, second = second, first
		}
		h.doubts = append(h.doubts, fmt.Sprintf("log %s was taken of two gateways, %s up to offset %s and %s up to "+
			"%s; what %s sends of it is a conflict from now on",
			id, first.Gateway, first.Next, second.Gateway, second.Next, second.Gateway))
		if first == &other {
			return
		}
	}
	to.logs.Put(id, st)
}

// Doubts says, for people, what could not be handed over as it was.
func (h *Handover) Doubts() []string { return h.doubts }

// Part is what one partition begins with.
type Part struct {
	State      []byte // one object that restores keyed state; nil: there is none
	Logs       []ledger.Log
	Gateways   int
	Watermarks []stream.Watermark
}

// Part returns what a partition begins with. It is called once for each, after the
// last Take.
func (h *Handover) Part(partition int) Part {
	p := h.parts[partition]
	var part Part
	for id, st := range p.logs.All() {
		part.Logs = append(part.Logs, ledgerLog(id, &st, st.Next))
	}
	sortLogs(part.Logs)
	part.Gateways, part.Watermarks = p.gateways.Len(), p.watermarks()
	part.State, _ = p.state.Snapshot()
	return part
}

// Leave ends the task of a partition, because its lake moves to another landing
// log: checkpoint.Leave. Nothing is read from Config.Log, but to make an epoch
// again whose outputs are damaged.
func Leave(ctx context.Context, cfg Config, to checkpoint.Moved) (checkpoint.Manifest, error) {
	if err := cfg.Validate(); err != nil {
		return checkpoint.Manifest{}, err
	}
	cfg = cfg.withDefaults()
	return checkpoint.Leave(ctx, committing(&cfg), to)
}

// Arrive makes the first checkpoint of a partition's task, which goes on from what
// the tasks that came named in a had taken: checkpoint.Arrive.
func Arrive(ctx context.Context, cfg Config, part Part, a checkpoint.Arrival) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	cfg = cfg.withDefaults()
	a.State, a.Logs, a.Watermarks = part.State, part.Logs, part.Watermarks
	return checkpoint.Arrive(ctx, committing(&cfg), a)
}
