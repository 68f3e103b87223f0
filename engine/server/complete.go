package server

import (
	"slices"
	"strings"
	"time"

	"landfall/edge/record"
	"landfall/engine/ingest"
)

// CompleteStatus says up to which event time the committed rows of some gateways
// are complete, late ones aside.
type CompleteStatus struct {
	Through  string    `json:"through"`  // the least watermark of Gateways; empty: of none
	Gateways []string  `json:"gateways"` // that it holds for
	LeftOut  []LeftOut `json:"left_out"`
}

// LeftOut is a gateway for which complete-through does not hold.
type LeftOut struct {
	Gateway   string `json:"gateway"`
	Watermark string `json:"watermark"` // its own rows are complete through that; empty: not known
	Reason    string `json:"reason"`
}

// seenAt tells when each gateway was last heard of.
func seenAt(all map[string]ingest.GatewayStatus) map[string]record.Micros {
	seen := make(map[string]record.Micros, len(all))
	for name, g := range all {
		seen[name] = g.SeenAt
	}
	return seen
}

// completeThrough takes the least watermark of the gateways that are heard and
// keep up. One that is silent, or comes back with days of backlog, would hold it
// for all, so it is left out by name: its own watermark stands beside it. A watermark
// ahead of now counts as now, so that one gateway moves nobody else's beyond what it
// could with the right time.
func completeThrough(marks, seen map[string]record.Micros, now record.Micros, timeout time.Duration) CompleteStatus {
	out := CompleteStatus{Gateways: []string{}, LeftOut: []LeftOut{}}
	limit := record.Micros(timeout.Microseconds())
	newest := record.NoTime
	names := map[string]string{} // why left out; empty: it is not
	for name := range seen {
		names[name] = "has no watermark: nothing of it is committed, nothing confirmed its time, or its clock is ahead and what it tells is not taken"
	}
	for name, at := range marks {
		last, heard := seen[name]
		switch {
		case at == record.NoTime:
			names[name] = "has no watermark: nothing confirmed its time, or its clock is ahead and what it tells is not taken"
		case !heard:
			names[name] = "not heard of since the engine started"
		case last < now-limit:
			names[name] = "not heard of since " + text(last)
		default:
			names[name] = ""
			newest = max(newest, at)
		}
	}
	newest = min(newest, now) // whoever is ahead of it leaves nobody out by that
	through := record.NoTime
	for name, why := range names {
		if why == "" && marks[name] < newest-limit {
			why = "behind the newest"
		}
		if why != "" {
			own, ok := marks[name]
			if !ok {
				own = record.NoTime
			}
			out.LeftOut = append(out.LeftOut, LeftOut{name, text(own), why})
			continue
		}
		out.Gateways = append(out.Gateways, name)
		if through == record.NoTime || marks[name] < through {
			through = marks[name]
		}
	}
	out.Through = text(min(through, now)) // nobody is complete beyond it
	slices.Sort(out.Gateways)
	slices.SortFunc(out.LeftOut, func(a, b LeftOut) int { return strings.Compare(a.Gateway, b.Gateway) })
	return out
}
