package capture

import "slices"

// bias is how wrong the clock is that states times in a stream, by the type 4
// and 11 that come with a stated time: the difference does not depend on how
// long both were under way. One feed's $PGHP is 80 s behind its own base
// stations.
type bias struct {
	last  [16]int64 // newest differences, a ring; microseconds
	n     int       // ever
	value int64     // 0: none, or as little as base stations themselves are wrong
}

// A clock is called wrong only by more than this: a base station shows its
// second late, and some are wrong by half a minute.
const (
	biasAtLeast = 5_000_000
	biasSpread  = 3_000_000
	biasSamples = 5
)

// learn takes what a base station says less what was stated of its message. The
// clock is wrong when nearly all agree by how much.
func (b *bias) learn(difference int64) {
	b.last[b.n%len(b.last)] = difference
	b.n++
	b.value = 0
	if b.n < biasSamples {
		return
	}
	var sorted [len(b.last)]int64
	all := sorted[:copy(sorted[:], b.last[:min(b.n, len(b.last))])]
	slices.Sort(all)
	middle, near := all[len(all)/2], 0
	for _, d := range all {
		if d-middle <= biasSpread && middle-d <= biasSpread {
			near++
		}
	}
	if 4*near >= 3*len(all) && max(middle, -middle) >= biasAtLeast {
		b.value = middle
	}
}
