package task

import (
	"cmp"
	"slices"

	"landfall/edge/record"
	"landfall/engine/landing"
	"landfall/engine/stream"
	"landfall/engine/table"
)

// ReasonForeignLog is the reason, in the table conflict, of an opening that names the log
// of another gateway as the one before it, and what it says of that does not fit. The
// log that it opens is taken: its records are in record like any others.
const ReasonForeignLog = "foreign_log"

// foreignClaim is what a gateway says of the end of a log that is not known to be its own: in processor.claims.
type foreignClaim struct {
	gateway string
	end     record.Offset
}

func compareClaims(a, b foreignClaim) int {
	return cmp.Or(cmp.Compare(a.gateway, b.gateway), cmp.Compare(a.end, b.end))
}

// follows takes what an opening says of the log before it, which is owned; of the
// gateway's own that says where it ended (opened). A gateway that was renamed names a log
// of another one truly: with everything of it taken under the old name, and nothing after
// it; one of an older version does not know the hash of its last block, which anybody can
// say, so that it closes nothing. Whoever says anything else contradicts that log: at
// once, or, where it goes on later, then (goesBeyond). What is kept of it follows from the
// state alone (findClaims), so that an epoch that is made again has the same rows.
func (p *processor) follows(l *landing.Landed, after stream.Position, h *record.Header, o *record.Opening, owned *logState, out *table.Batch) {
	own := foreignClaim{l.Gateway, o.PrevEnd}
	switch {
	case o.Prev.IsZero() || owned.begun() && owned.Gateway == l.Gateway:
		return
	case owned.begun():
		p.counters.Foreign.Add(1)
		twice := slices.ContainsFunc(p.claims[o.Prev], func(c foreignClaim) bool { return c.gateway == l.Gateway })
		wrong := o.PrevChain != (record.Hash{}) && o.PrevChain != owned.Hash
		if owned.Closed || owned.Next != o.PrevEnd || o.PrevEndUnproven || wrong || twice {
			p.conflict(l, after, h, ReasonForeignLog, out)
		} else if o.Proves(owned.Next, owned.Hash) {
			return // it closes the log
		}
	}
	if stands(own, owned) {
		p.claim(o.Prev, own)
	}
}

// stands tells whether it is not known to be false that a log ended where a gateway says.
func stands(c foreignClaim, owned *logState) bool { return !owned.Closed && owned.Next <= c.end }

func (p *processor) claim(log record.LogID, c foreignClaim) {
	at, _ := slices.BinarySearchFunc(p.claims[log], c, compareClaims)
	p.claims[log] = slices.Insert(p.claims[log], at, c)
}

// goesBeyond finds who said falsely of a log that it had ended: it has come further, or
// its own gateway has opened another one after it.
func (p *processor) goesBeyond(id record.LogID, st *logState, at record.Micros) {
	claims, ok := p.claims[id]
	if !ok {
		return
	}
	left := slices.DeleteFunc(claims, func(c foreignClaim) bool {
		if c.gateway == st.Gateway {
			return true // it is its own: nothing had come of it
		}
		if !stands(c, st) {
			p.contradicts(c.gateway, at)
			return true
		}
		return false
	})
	if p.claims[id] = left; len(left) == 0 {
		delete(p.claims, id)
	}
}

// findClaims finds in the state of a checkpoint the same as was found block by block:
// what logs say of the ends of logs of which nothing came, or that are another gateway's,
// as far as that is not known to be false.
func (p *processor) findClaims() {
	for _, st := range p.logs.All() {
		owned, _ := p.logs.Get(st.Previous)
		c := foreignClaim{st.Gateway, st.PreviousEnd}
		if !st.Previous.IsZero() && st.begun() && (!owned.begun() || owned.Gateway != st.Gateway) && stands(c, &owned) {
			p.claim(st.Previous, c)
		}
	}
}
