package task

import (
	"cmp"
	"slices"

	"landfall/edge/record"
)

// ShortLog is a log that ends before the end that the gateway's next log tells: the
// landing log has lost the rest, and the gateway was not asked for it, because it
// lets go of what has landed.
type ShortLog struct {
	Gateway   string
	Log       record.LogID
	From, End record.Offset
	// Since is when the opening landed that showed it; record.NoTime: before this claim,
	// and taken by a version that did not keep it.
	Since record.Micros
}

// endsAt notes that a log ends at an offset at least, as the opening says that landed
// at a time, after whatever its gateway sends of it.
func (p *processor) endsAt(gateway string, id record.LogID, st *logState, end record.Offset, at record.Micros) {
	if st.Next < end {
		p.short[id] = ShortLog{Gateway: gateway, Log: id, From: st.Next, End: end, Since: at}
	}
}

// goesOn notes how far a log has come that may be short.
func (p *processor) goesOn(id record.LogID, next record.Offset) {
	s, ok := p.short[id]
	switch {
	case !ok:
	case next >= s.End:
		delete(p.short, id)
	default:
		s.From = max(s.From, next)
		p.short[id] = s
	}
}

// findShort finds the short logs in the state of a checkpoint. What lies before the
// first log of a gateway may have gone elsewhere.
func (p *processor) findShort() {
	first, shown := map[string]record.Micros{}, map[record.LogID]record.Micros{}
	for _, st := range p.logs.All() {
		if at, ok := first[st.Gateway]; st.OpenedAt != record.NoTime && (!ok || st.OpenedAt < at) {
			first[st.Gateway] = st.OpenedAt
		}
		if !st.Previous.IsZero() {
			shown[st.Previous] = max(shown[st.Previous], st.ShownAt)
		}
	}
	since := func(id record.LogID) record.Micros {
		if at := shown[id]; at > 0 {
			return at
		}
		return record.NoTime
	}
	for id, st := range p.logs.All() {
		if st.Closed && !st.Hole.isOpen() {
			p.endsAt(st.Gateway, id, &st, st.End, since(id))
		}
		old, _ := p.logs.Get(st.Previous)
		if !st.Previous.IsZero() && !old.begun() && !old.Hole.isOpen() && st.OpenedAt > first[st.Gateway] {
			p.endsAt(st.Gateway, st.Previous, &old, st.PreviousEnd, since(st.Previous))
		}
	}
}

// shortLogs lists the short logs by gateway and log.
func (p *processor) shortLogs() []ShortLog {
	var all []ShortLog
	for _, s := range p.short {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b ShortLog) int {
		return cmp.Or(cmp.Compare(a.Gateway, b.Gateway), slices.Compare(a.Log[:], b.Log[:]))
	})
	return all
}
