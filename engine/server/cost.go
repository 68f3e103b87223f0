package server

import (
	"fmt"
	"time"

	"landfall/engine/landing"
	"landfall/engine/task"
)

// WorkStatus is what blocks of a gateway took.
type WorkStatus struct {
	Blocks uint64 `json:"blocks"`
	Bytes  uint64 `json:"bytes"` // of the blocks
	Rows   uint64 `json:"rows"`  // of all tables
	// Seconds is the time in which rows were made of them and staged, on one processor.
	Seconds float64 `json:"seconds"`
}

// CostStatus is what a gateway costs its task, as of the newest epoch that this engine
// committed. Receptions, ships, windows and logs are what the state keeps of it.
type CostStatus struct {
	Gateway    string     `json:"gateway"`
	Epoch      WorkStatus `json:"epoch"` // of that epoch
	Hour       WorkStatus `json:"hour"`  // of the last hour
	Unread     int64      `json:"unread_bytes"`
	StateBytes int64      `json:"state_bytes"` // of that, roughly
	Receptions int        `json:"receptions"`
	Ships      int        `json:"ships"`
	Windows    int        `json:"windows"`
	Logs       int        `json:"logs"`
	Dates      int        `json:"dates"` // of the epoch, beside those near the landing
	// Denied is what it had more of than its share, and how often, since the claim.
	Denied []string `json:"denied,omitempty"`
}

func workStatus(w task.Work) WorkStatus {
	return WorkStatus{Blocks: w.Blocks, Bytes: w.Bytes, Rows: w.Rows, Seconds: w.Took.Round(time.Microsecond).Seconds()}
}

// costliest is how many seconds of the last hour went to the gateway that took the most.
func (t *TaskStatus) costliest() float64 {
	if len(t.Costs) == 0 {
		return 0
	}
	return t.Costs[0].Hour.Seconds
}

// read is what tasks call for each block whose rows are made.
func (s *Server) read(l *landing.Landed) {
	if s.unread != nil {
		s.unread.Read(l.Gateway, l.LandedAt)
	}
}

// costs tells what the gateways cost. The caller holds mu.
func (s *supervisor) costs(out *TaskStatus) {
	all := &s.last.Costs
	out.Gateways, out.Logs, out.LastHour = all.Gateways, all.Logs, workStatus(all.Hour)
	out.CostsMore = max(0, all.Gateways-len(all.Top))
	denied := map[string][]string{}
	for _, o := range s.last.Over {
		denied[o.Gateway] = append(denied[o.Gateway], fmt.Sprintf("%s %d", o.What, o.Count))
	}
	if s.unread != nil {
		out.Unread = s.unread.All(s.partition)
	}
	for i := range all.Top {
		c := &all.Top[i]
		one := CostStatus{
			Gateway: c.Gateway, Epoch: workStatus(c.Epoch), Hour: workStatus(c.Hour), StateBytes: c.StateBytes, Receptions: c.Receptions,
			Ships: c.Ships, Windows: c.Windows, Logs: c.Logs, Dates: c.Dates, Denied: denied[c.Gateway],
		}
		if s.unread != nil {
			one.Unread = s.unread.Of(c.Gateway)
		}
		out.Costs = append(out.Costs, one)
	}
}
