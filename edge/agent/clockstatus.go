package agent

import (
	"encoding/hex"
	"time"

	"landfall/edge/clock"
)

// ClockStatus is what the gateway's clock is believed to be, and why. Offsets and
// uncertainties are in seconds.
type ClockStatus struct {
	Known       bool    `json:"known"`        // false: nothing tells the time; event times are receipts
	UTC         string  `json:"utc"`          // now, by the estimate; empty: not known
	Wall        string  `json:"wall"`         // now, by the machine's clock
	WallAhead   float64 `json:"wall_ahead_s"` // of the estimate
	Uncertainty float64 `json:"uncertainty_s"`
	Quality     string  `json:"quality"`
	Radio       bool    `json:"radio"` // AIS traffic settled it
	Held        bool    `json:"held"`  // no evidence settles it now; an earlier estimate is held
	Boot        string  `json:"boot_id"`
	Monotonic   int64   `json:"monotonic_us"`
	Untimed     uint64  `json:"untimed"`     // records captured while nothing confirmed the time
	RolledOver  uint64  `json:"rolled_over"` // GNSS dates moved by 1,024 weeks
	Refused     uint64  `json:"refused"`     // dates before this program was written, or before the engine's last proven word

	RestsOn string `json:"rests_on"` // nobody, one_word, radio, host or engine
	// Refusals counts by reason: dates before the floor, and judgements (one a second
	// at most) in which somebody's date was not believed.
	Refusals map[string]uint64 `json:"refusals"`
	// Split says that the engine and the machine's keeper contradict each other.
	Split bool `json:"authorities_disagree"`
	// Proven is the last time the engine proved, over all boots; empty: it never did.
	Proven string `json:"proven"`

	Proposals []ClockProposal `json:"proposals"`
	Witnesses []ClockWitness  `json:"witnesses"`
	Boots     []ClockBoot     `json:"boots"`
}

// ClockProposal is one offset that was judged: a source's, the ingest's, the
// host's.
type ClockProposal struct {
	Name        string  `json:"name"`
	Finest      string  `json:"finest"`       // kind of evidence that it rests on
	Difference  float64 `json:"difference_s"` // to the estimate, without one to the machine's clock; more: it says a later time
	Uncertainty float64 `json:"uncertainty_s"`
	Clocks      int     `json:"clocks"` // that agree in it on day or hour
	Tight       bool    `json:"tight"`  // it hides no delay
	Dated       bool    `json:"dated"`
	Supporters  int     `json:"supporters"`
	Agrees      bool    `json:"agrees"`
	Chosen      bool    `json:"chosen"`
	Dates       int     `json:"dates"`             // that tell this date, each counted once
	Refused     string  `json:"refused,omitempty"` // why it is not believed
}

// ClockWitness is one clock that was heard.
type ClockWitness struct {
	Source  string  `json:"source"`
	Kind    string  `json:"kind"`
	Clock   uint32  `json:"clock,omitempty"` // MMSI of a base station
	Heard   uint64  `json:"heard"`           // ever
	Samples int     `json:"samples"`         // in use
	Cluster int     `json:"cluster"`         // of these, that agree with each other
	Age     string  `json:"age"`             // of the last
	Least   float64 `json:"least_s"`         // difference to the estimate that it allows, at least
	Most    float64 `json:"most_s"`          // and at most
	Used    bool    `json:"used"`
	Agrees  bool    `json:"agrees"`
}

// ClockBoot is a boot of which the time is known.
type ClockBoot struct {
	Boot        string  `json:"boot_id"`
	Began       string  `json:"began"` // UTC at monotonic 0
	Uncertainty float64 `json:"uncertainty_s"`
	Quality     string  `json:"quality"`
}

func (a *Agent) clockStatus() ClockStatus {
	wall, mono := a.opt.Clock.Now()
	boot := a.opt.Clock.Boot()
	r := a.live.Clock()
	now := r.Estimate
	out := ClockStatus{
		Known: now.Known, Wall: text(wall), Boot: hex.EncodeToString(boot[:]), Monotonic: mono, Untimed: a.live.Untimed(), Held: r.Held,
		RolledOver: r.RolledOver, Refused: r.Refused[clock.BeforeFloor], Proposals: []ClockProposal{}, Witnesses: []ClockWitness{}, Boots: []ClockBoot{},
		RestsOn: now.Basis.String(), Refusals: map[string]uint64{}, Split: r.Split,
	}
	for _, why := range clock.Refusals() {
		out.Refusals[why.String()] = r.Refused[why]
	}
	if r.Proven > 0 {
		out.Proven = text(r.Proven)
	}
	if now.Known {
		utc, u := now.UTC(mono)
		out.UTC, out.Uncertainty, out.WallAhead = text(utc), seconds(u), seconds(int64(wall-utc))
		out.Quality, out.Radio = now.Quality.String(), now.Radio
	}
	compared := comparedWith(&now, int64(wall)-mono)
	for _, p := range r.Proposals {
		out.Proposals = append(out.Proposals, ClockProposal{
			Name: p.Name, Finest: p.Kind.String(), Difference: seconds(p.Offset - compared), Uncertainty: seconds(p.Uncertainty),
			Clocks: p.Clocks, Tight: p.Tight, Dated: p.Dated, Supporters: p.Supporters, Agrees: p.Agrees, Chosen: p.Chosen,
			Dates: p.Dates, Refused: p.Refused.String(),
		})
	}
	for i := range r.Witnesses {
		out.Witnesses = append(out.Witnesses, clockWitness(&r.Witnesses[i], &now, mono))
	}
	for _, b := range a.live.Anchors() {
		began, _ := b.At(0)
		out.Boots = append(out.Boots, ClockBoot{hex.EncodeToString(b.Boot[:]), text(began), seconds(b.Uncertainty), b.Quality.String()})
	}
	return out
}

// comparedWith is the offset that proposals are compared with: of what is believed or,
// where nothing is, of the machine's clock.
func comparedWith(now *clock.Estimate, wall int64) int64 {
	if now.Known {
		return now.Offset
	}
	return wall
}

func clockWitness(w *clock.Witness, now *clock.Estimate, mono int64) ClockWitness {
	out := ClockWitness{
		Source: w.Source, Kind: w.Kind.String(), Clock: w.Clock, Heard: w.Heard, Samples: w.Samples, Cluster: w.Cluster,
		Age: (time.Duration(mono-w.Newest) * time.Microsecond).Round(time.Second).String(), Used: w.Used, Agrees: w.Agrees,
	}
	if w.Used && now.Known {
		out.Least, out.Most = seconds(w.Lo-now.Offset), seconds(w.Hi-now.Offset)
	}
	return out
}

func seconds(micros int64) float64 { return float64(micros) / 1e6 }
