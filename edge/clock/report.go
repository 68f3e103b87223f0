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
	// RolledOver counts dates that were moved by 1,024 weeks.
	RolledOver uint64
	// Refused counts, by reason, dates before the floor, and of the others the
	// judgements (one a second at most) in which a date was not believed.
	Refused [refusals]uint64
	// Authority is the last authenticated time of this boot; Live says that it is
	// told now.
	Authority Estimate
	Live      bool
	// Split says that the engine and the machine's keeper contradict each other.
	Split bool
	// Proven is the last time the engine proved, in any boot; 0: it never did. Floor
	// is what strangers may not say less than.
	Proven, Floor record.Micros
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
	Dates       int     // that tell this date, each counted once
	Refused     Refusal // why it is not believed
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
	r := Report{
		Estimate: e.current, Judged: e.judged, Held: e.chosen < 0, RolledOver: e.rolled, Refused: e.refused,
		Authority: e.ref, Split: e.split,
		Proven: e.proven, Floor: e.floor,
	}
	now := e.current
	_, u := now.UTC(e.judged)
	for i := range e.candidates {
		c := &e.candidates[i]
		r.Live = r.Live || c.basis.Authenticated()
		if !c.dated && i > 0 && e.candidates[i-1].dated && e.candidates[i-1].observer == c.observer &&
			e.candidates[i-1].refused == NotRefused && i != e.chosen {
			continue // the same source's, told already
		}
		name := c.kind.String()
		if c.observer >= 0 {
			name = e.observers[c.observer].name
		}
		d := c.point - now.Offset
		r.Proposals = append(r.Proposals, Proposal{
			Name: name, Kind: c.kind, Offset: c.point, Uncertainty: c.u, Clocks: c.clocks, Tight: c.tight, Dated: c.dated,
			Supporters: e.supporters(c), Agrees: now.Known && max(d, -d) <= c.u+u+agreeSlack, Chosen: i == e.chosen,
			Dates: len(c.tellers), Refused: c.refused,
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

// supporters counts the dated proposals that agree with one, itself among them.
func (e *Estimator) supporters(c *candidate) (n int) {
	for i := range e.candidates {
		if m := &e.candidates[i]; m.dated && m.refused != Delays && m.agrees(c) {
			n++
		}
	}
	return n
}

// Resume starts from what an earlier process of the same boot found, if that was
// authenticated: of strangers nothing outlives the process that heard them.
func (e *Estimator) Resume(a record.Anchor) {
	if !a.Basis.Authenticated() {
		return
	}
	e.current = Estimate{
		Known: true, Mono: a.Mono, Offset: a.Offset(), Uncertainty: a.Uncertainty, Quality: a.Quality, Radio: a.Radio,
		Basis: a.Basis,
	}
	e.ref = e.current
	e.ref.Radio = false
}

// Forget drops everything that was learned, with what is kept.
func (e *Estimator) Forget() {
	for i := range e.observers {
		o := &e.observers[i]
		*o = observer{name: o.name, live: o.live}
	}
	*e = Estimator{
		cfg: EstimatorConfig{Floor: e.cfg.Floor, Interval: e.cfg.Interval}, interval: e.interval,
		observers: e.observers, chosen: -1,
		floor: e.cfg.Floor, rolled: e.rolled, refused: e.refused,
	}
}

// CertificateTime is the time by which certificates are judged, and what it rests
// on; wall is the machine's clock at the monotonic time mono, floor a time that is
// past for sure. What is authenticated now goes first, then the machine's clock
// where it was ever set and is not before what the engine proved, then what was
// authenticated in this boot, then what the engine proved in another. Strangers
// serve only where none of these was ever known, and weak says so: a certificate
// that has expired by them alone may be valid.
func (r *Report) CertificateTime(wall record.Micros, mono int64, floor record.Micros) (at record.Micros, weak bool) {
	floor = max(floor, Floor)
	authority, _ := r.Authority.UTC(mono)
	switch {
	case r.Authority.Known && r.Live:
		return max(authority, floor), false
	case wall != record.NoTime && wall >= max(floor, r.Proven):
		return wall, false
	case r.Authority.Known:
		return max(authority, floor), false
	case r.Proven > 0:
		return max(r.Proven, floor), false
	case r.Estimate.Known && r.Estimate.Basis == record.BasisRadio && r.Estimate.Quality >= record.QualitySynchronised:
		utc, _ := r.Estimate.UTC(mono)
		return max(utc, floor), true
	}
	return floor, false
}
