package server

import (
	"fmt"

	"landfall/engine/task"
)

// OverStatus says that a gateway had more of something than its share, since the task's
// claim: a convenience is lost, no record.
type OverStatus struct {
	Gateway  string `json:"gateway"`
	What     string `json:"what"`      // receptions, ships, windows, dates
	Count    uint64 `json:"count"`     // how many were forgotten, or went elsewhere
	LandedAt string `json:"landed_at"` // when the newest block landed because of which
}

// String says what it means.
func (o *OverStatus) String() string {
	lost := map[string]string{
		task.OverReceptions: "receptions were forgotten early; what repeats them is not marked as a duplicate",
		task.OverShips:      "ships were forgotten early; their halves of type 24 are not joined",
		task.OverDates:      "rows are under the date on which they landed, not that of their event time",
		task.OverWindows:    "readings are in late, and in no window",
	}
	return fmt.Sprintf("gateway %s is over its share: %d %s; newest because of what landed at %s", o.Gateway, o.Count, lost[o.What], o.LandedAt)
}

func overStatus(all []task.Over) (out []OverStatus) {
	for _, o := range all {
		out = append(out, OverStatus{Gateway: o.Gateway, What: o.What, Count: o.Count, LandedAt: text(o.LandedAt)})
	}
	return out
}
