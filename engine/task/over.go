package task

import (
	"cmp"
	"maps"
	"slices"

	"landfall/edge/record"
)

// What a gateway may have more of than its share.
const (
	OverReceptions = "receptions" // remembered to mark duplicates: the oldest were forgotten
	OverShips      = "ships"      // remembered to join halves of type 24: the oldest were forgotten
	OverDates      = "dates"      // opened for an epoch: rows are under the date on which they landed
	OverWindows    = "windows"    // open at once: readings are in late
)

// Over says that a gateway had more of something than its share, and lost a convenience
// because of it; its records are all there.
type Over struct {
	Gateway  string
	What     string        // one of those above
	Count    uint64        // what was forgotten, or went elsewhere, since the task's claim
	LandedAt record.Micros // of the newest block because of which
}

type overKey struct{ gateway, what string }

// maxOver bounds what is told of gateways over their share; what is counted, it does not.
const maxOver = 1024

// overs notes of which gateways there is more than their share. It is in no state, and
// changes no row.
type overs map[overKey]Over

func (o overs) add(gateway, what string, n int, landedAt record.Micros) {
	key := overKey{gateway, what}
	one, ok := o[key]
	if !ok && len(o) >= maxOver {
		return
	}
	one.Gateway, one.What, one.LandedAt = gateway, what, landedAt
	one.Count += uint64(n)
	o[key] = one
}

// list returns them by gateway and what.
func (o overs) list() []Over {
	return slices.SortedFunc(maps.Values(o), func(a, b Over) int {
		return cmp.Or(cmp.Compare(a.Gateway, b.Gateway), cmp.Compare(a.What, b.What))
	})
}
