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
// at a time, after whatever its gateway sends of it. gateway is the one that says so: of
// a log of which nothing came anybody may, and each takes the place of its own word alone.
func (p *processor) endsAt(gateway string, id record.LogID, st *logState, end record.Offset, at record.Micros) {
	if st.Next >= end {
		return
	}
	said := slices.DeleteFunc(p.short[id], func(s ShortLog) bool { return s.Gateway == gateway })
	p.short[id] = append(said, ShortLog{Gateway: gateway, Log: id, From: st.Next, End: end, Since: at})
}

// goesOn notes how far a log of a gateway has come that may be short. What others said
// of it counts no more.
func (p *processor) goesOn(gateway string, id record.LogID, next record.Offset) {
	var left []ShortLog
	for _, s := range p.short[id] {
		if s.Gateway == gateway && next < s.End {
			s.From = max(s.From, next)
			left = append(left, s)
		}
	}
	if left == nil {
		delete(p.short, id)
		return
	}
	p.short[id] = left
}

// findShort finds the short logs in the state of a checkpoint. What lies before the
// first log of a gateway may have gone elsewhere.
func (p *processor) findShort() {
	type said struct {
		gateway string
		log     record.LogID
	}
	first, shown := map[string]record.Micros{}, map[said]record.Micros{}
	for _, st := range p.logs.All() {
		if at, ok := first[st.Gateway]; st.OpenedAt != record.NoTime && (!ok || st.OpenedAt < at) {
			first[st.Gateway] = st.OpenedAt
		}
		if !st.Previous.IsZero() {
			of := said{st.Gateway, st.Previous}
			shown[of] = max(shown[of], st.ShownAt)
		}
	}
	since := func(gateway string, id record.LogID) record.Micros {
		if at := shown[said{gateway, id}]; at > 0 {
			return at
		}
		return record.NoTime
	}
	for id, st := range p.logs.All() {
		if st.Closed && !st.Hole.isOpen() {
			p.endsAt(st.Gateway, id, &st, st.End, since(st.Gateway, id))
		}
		old, _ := p.logs.Get(st.Previous)
		if !st.Previous.IsZero() && !old.begun() && !old.Hole.isOpen() && st.OpenedAt > first[st.Gateway] {
			p.endsAt(st.Gateway, st.Previous, &old, st.PreviousEnd, since(st.Gateway, st.Previous))
		}
	}
}

// shortLogs lists the short logs by gateway and log.
func (p *processor) shortLogs() []ShortLog {
	var all []ShortLog
	for _, said := range p.short {
		all = append(all, said...)
	}
	slices.SortFunc(all, func(a, b ShortLog) int {
		return cmp.Or(cmp.Compare(a.Gateway, b.Gateway), slices.Compare(a.Log[:], b.Log[:]))
	})
	return all
}
