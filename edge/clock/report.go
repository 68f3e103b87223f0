package clock

import "landfall/edge/record"

// Report says what the clock is believed to be and why.
type Report struct {
	Estimate Estimate
	// Judged is the monotonic time of the last judgement.
	Judged int64
	// Held says that no evidence settled the estimate then: it is an earlier one.
	Held      bool
	Proposals []Proposal
	Witnesses []Witness
	// RolledOver counts dates that were moved by 1,024 weeks, Refused those
	// before the floor.
	RolledOver, Refused uint64
}

// Proposal is one offset that was judged: of a source, the ingest or the host.
type Proposal struct {
	Name        string
	Kind        Kind  // the finest that it rests on
	Offset      int64 // microseconds
	Uncertainty int64
	Clocks      int // that agree on day or hour
	Tight       bool
	Dated       bool
	Supporters  int
	Agrees      bool // with the estimate
	Chosen      bool
}

// Witness is one clock that was heard.
type Witness struct {
	Source  string
	Kind    Kind
	Clock   uint32
	Heard   uint64 // samples ever
	Samples int    // of them in use
	Cluster int    // of those, where most lie
	Newest  int64  // monotonic time of the last one
	// Lo and Hi are the offsets it allows, without whole periods where it has no
	// date; valid when Used.
	Lo, Hi int64
	Used   bool
	Agrees bool // with the estimate
}

// Report gives the state of the last judgement.
func (e *Estimator) Report() Report {
	r := Report{Estimate: e.current, Judged: e.judged, Held: e.chosen < 0, RolledOver: e.rolled, Refused: e.refused}
	now := e.current
	_, u := now.UTC(e.judged)
	for i := range e.candidates {
		c := &e.candidates[i]
		name := c.kind.String()
		if c.observer >= 0 {
			name = e.observers[c.observer].name
		}
		d := c.point - now.Offset
		r.Proposals = append(r.Proposals, Proposal{
			Name: name, Kind: c.kind, Offset: c.point, Uncertainty: c.u, Clocks: c.clocks, Tight: c.tight, Dated: c.dated,
			Supporters: c.supporters, Agrees: now.Known && max(d, -d) <= c.u+u+agreeSlack, Chosen: i == e.chosen,
		})
	}
	for i := range e.observers {
		o := &e.observers[i]
		for j := range o.clocks {
			r.Witnesses = append(r.Witnesses, o.clocks[j].witness(o.name, &now, u))
		}
	}
	return r
}

func (h *heard) witness(source string, now *Estimate, u int64) Witness {
	w := Witness{
		Source: source, Kind: h.kind, Clock: h.clock, Heard: h.seen, Samples: h.where.of, Cluster: h.where.n,
		Newest: h.newest(), Lo: h.lo, Hi: h.hi, Used: h.used,
	}
	m := &models[h.kind]
	at := span{now.Offset - u - agreeSlack, now.Offset + u + agreeSlack}
	if m.period > 0 {
		d := nearest((h.lo+h.hi)/2, now.Offset, m.period) - (h.lo+h.hi)/2
		w.Lo, w.Hi = h.lo+d, h.hi+d
	}
	w.Agrees = now.Known && h.used && !(span{w.Lo, w.Hi}).and(at).empty()
	return w
}

// Resume starts from what an earlier process of the same boot found.
func (e *Estimator) Resume(a record.Anchor) {
	e.current = Estimate{Known: true, Mono: a.Mono, Offset: a.Offset(), Uncertainty: a.Uncertainty, Quality: a.Quality, Radio: a.Radio}
	e.strong = a.Quality == record.QualitySynchronised
}
