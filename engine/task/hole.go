package task

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"time"

	"landfall/edge/record"
	"landfall/engine/landing"
	"landfall/engine/stream"
)

// hole is what is missing of a log at its next offset: the landing log was damaged,
// cut or replaced, and does not have it, or not any more. The gateway has it, and
// sends it again with everything that follows; until then that is passed over.
//
// It is a function of the landed blocks, as everything in the state: an epoch that is
// done again passes over the same blocks.
type hole struct {
	// At is where the first block lies that was passed over; the landing log is kept
	// from there on, for should the gateway be lost, that block is the only copy.
	At     stream.Position
	Since  record.Micros // when that block landed; while there is none, the one that showed the hole
	Order  uint64        // rises with At; while there is none, with when the hole was found
	From   record.Offset // from where the gateway was asked to send again
	End    record.Offset // the hole is filled once the log reaches this; 0: there is none
	Blocks uint64        // passed over
	// GivenUp says that what was missing has not come in time: what follows goes to
	// conflict, until the log goes on.
	GivenUp bool
}

func (h *hole) isOpen() bool { return h.End > 0 }

// append writes the hole as it stands in a log's state.
func (h *hole) append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(h.At.Log)))
	dst = binary.AppendUvarint(append(dst, h.At.Log...), uint64(h.At.Offset))
	dst = binary.AppendVarint(dst, int64(h.Since))
	given := uint64(0)
	if h.GivenUp {
		given = 1
	}
	for _, n := range []uint64{h.Order, uint64(h.From), uint64(h.End), h.Blocks, given} {
		dst = binary.AppendUvarint(dst, n)
	}
	return dst
}

// decode reads what append wrote.
func (h *hole) decode(r *record.Fields) {
	h.At = stream.Position{Log: string(r.Bytes()), Offset: int64(r.Uvarint())}
	h.Since = record.Micros(r.Varint())
	h.Order, h.From, h.End, h.Blocks = r.Uvarint(), record.Offset(r.Uvarint()), record.Offset(r.Uvarint()), r.Uvarint()
	h.GivenUp = r.Uvarint() == 1
}

// finding is a hole that was found, or filled.
type finding struct {
	Gateway string
	Log     record.LogID
	From    record.Offset // the gateway has to send again from here
	Filled  bool
}

// givenUpWithin is how much longer a hole would have been held back that is given up
// together with another: one damage makes holes in the logs of many gateways, each as soon
// as it sends, and each time the landing log is read from there again.
const givenUpWithin = time.Minute

// begin says where the first block lies. cut says that the landing log was cut and is
// read from there again: what was passed over before is not where it was, or is read
// once more. givenUp says that the landing log is read again from the first block that
// was passed over: those of that log go to conflict, and of logs that had a hole within
// givenUpWithin of it; those of others, all of which lie behind it, are passed over once
// more.
func (p *processor) begin(at stream.Position, cut, givenUp bool) {
	p.at = place(at)
	until := record.Micros(math.MinInt64)
	for _, id := range p.holes() {
		if st, _ := p.logs.Get(id); st.Hole.Blocks > 0 && st.Hole.At.Same(at) {
			until = st.Hole.Since + record.Micros(givenUpWithin.Microseconds())
		}
	}
	for _, id := range p.holes() {
		st, _ := p.logs.Get(id)
		switch {
		case st.Hole.Blocks == 0:
			continue
		case cut:
			st.Hole = hole{}
			delete(p.open, id)
		case givenUp:
			st.Hole.GivenUp, st.Hole.Blocks = st.Hole.GivenUp || st.Hole.Since < until, 0
		default:
			continue
		}
		p.logs.Put(id, st)
	}
}

// overdue returns where the first block lies that is held back, when that has been so
// since before a time.
func (p *processor) overdue(before record.Micros) *stream.Position {
	for _, id := range p.holes() {
		if st, _ := p.logs.Get(id); st.Hole.Blocks > 0 {
			if st.Hole.Since < before {
				return &st.Hole.At
			}
			return nil
		}
	}
	return nil
}

// holes lists the logs with a hole: those of which blocks were passed over, in the order
// of the first of these, and between them the others, in the order in which they were
// found.
func (p *processor) holes() []record.LogID {
	var all []record.LogID
	order := map[record.LogID]uint64{}
	for id := range p.open {
		st, _ := p.logs.Get(id)
		all, order[id] = append(all, id), st.Hole.Order
	}
	slices.SortFunc(all, func(a, b record.LogID) int {
		return cmp.Or(cmp.Compare(order[a], order[b]), slices.Compare(a[:], b[:]))
	})
	return all
}

// nextOrder is the Order of a hole that is found now, or of which a first block is
// passed over.
func (p *processor) nextOrder() uint64 {
	last := uint64(0)
	for id := range p.open {
		st, _ := p.logs.Get(id)
		last = max(last, st.Hole.Order)
	}
	return last + 1
}

// passOver passes over a block because what comes before it is missing.
func (p *processor) passOver(l *landing.Landed, h *record.Header, st logState) {
	st.Gateway = l.Gateway
	if st.Hole.Blocks == 0 {
		st.Hole.At, st.Hole.Since, st.Hole.Order = p.at, l.LandedAt, p.nextOrder()
	}
	st.Hole.Blocks++
	p.counters.PassedOver.Add(uint64(h.Count))
	p.lacks(h.Log, &st, h.End(), l.LandedAt)
	p.logs.Put(h.Log, st)
}

// lacks notes that a log lacks what comes before end, at its next offset. It is told
// once, and again when what came since has another hole.
func (p *processor) lacks(id record.LogID, st *logState, end record.Offset, at record.Micros) {
	h := &st.Hole
	found := !h.isOpen()
	if found && h.Blocks == 0 {
		h.Since, h.Order = at, p.nextOrder()
	}
	p.open[id] = true
	if found || h.From < st.Next {
		h.From = st.Next
		p.found = append(p.found, finding{Gateway: st.Gateway, Log: id, From: h.From})
	}
	h.End = max(h.End, end)
}

// fill closes the hole of a log that has come past it.
func (p *processor) fill(id record.LogID, st *logState) {
	if !st.Hole.isOpen() || st.Next < st.Hole.End && !st.Hole.GivenUp {
		return
	}
	st.Hole = hole{}
	delete(p.open, id)
	p.found = append(p.found, finding{Gateway: st.Gateway, Log: id, Filled: true})
}

// belongs notes whose log it is. Where another gateway was asked for its beginning, as
// its blocks were passed over, that one is asked no more.
func (p *processor) belongs(id record.LogID, st *logState, gateway string) {
	if st.Hole.isOpen() && st.Gateway != gateway {
		p.found = append(p.found, finding{Gateway: st.Gateway, Log: id, Filled: true})
		st.Hole = hole{}
		delete(p.open, id)
	}
	st.Gateway = gateway
}

// hold returns where the landing log is to be kept from; nil: nothing was passed over.
func (p *processor) hold() *stream.Position {
	for _, id := range p.holes() {
		if st, _ := p.logs.Get(id); st.Hole.Blocks > 0 {
			return &st.Hole.At
		}
	}
	return nil
}

// place is a position without what it stands on.
func place(p stream.Position) stream.Position { return stream.Position{Log: p.Log, Offset: p.Offset} }
