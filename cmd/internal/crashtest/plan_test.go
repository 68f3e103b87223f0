//go:build failpoint && linux

package crashtest

import (
	"math/rand/v2"
	"strings"
	"time"

	"landfall/edge/durable/failpoint"
)

// life is how one life of a daemon shall end.
type life struct {
	point  string          // the failpoint it is armed with; empty: none
	count  int             // at which hit of point it dies
	after  time.Duration   // without point: SIGKILL this long after its start
	moment <-chan struct{} // not before it is told, for as long as a failpoint is waited for
	later  time.Duration   // after the moment
	paused time.Duration   // then it is stopped for so long, and killed after another while
	second bool            // it follows a kill at once, so recovery is what dies
	tries  int             // how often this point was armed in vain before
}

// hitsWanted is how often every failpoint has to be reached in one round.
const hitsWanted = 5

// roles of the daemons.
const (
	roleEdge   = "edge"
	roleEngine = "engine"
)

// hasATestOfItsOwn tells a failpoint that no daemon passes, because it is a command's
// own, or only one whose processes die of a block (TestABlockThatKillsTheEngine) or of a
// message (cmd/internal/lifetest.TestAMessageThatKillsTheGateway).
func hasATestOfItsOwn(name string) bool {
	family, _, _ := strings.Cut(name, ".")
	return family == "repair" || family == "rebuild" || family == "move" || family == "arrive" || family == "attempt" || family == "poison" || family == "care"
}

// points lists the failpoints that a role's commit path has. The embedded
// landing log stands on seglog, so the engine has those too.
func points(role string) (own, also []string) {
	for _, name := range failpoint.Names() {
		if hasATestOfItsOwn(name) {
			continue
		}
		family, _, _ := strings.Cut(name, ".")
		switch family {
		case "c1", "segment", "c3":
			if role == roleEdge {
				own = append(own, name)
			} else {
				also = append(also, name)
			}
		case "forward":
			if role == roleEdge {
				own = append(own, name)
			}
		default:
			if role == roleEngine {
				own = append(own, name)
			}
		}
	}
	return own, also
}

// makePlan gives the lives of one daemon in one round: each of its failpoints
// `hits` times, each followed by a life that is killed in recovery; then random
// kills, some after a calm while.
func makePlan(rng *rand.Rand, role string, hits, random, calm int) []life {
	own, also := points(role)
	var pairs [][]life
	for _, name := range own {
		for range hits {
			pairs = append(pairs, pair(rng, name, own))
		}
	}
	for _, name := range also {
		pairs = append(pairs, pair(rng, name, own))
	}
	for range random {
		pairs = append(pairs, []life{{after: between(rng, 20*time.Millisecond, 900*time.Millisecond)}})
	}
	for range calm {
		pairs = append(pairs, []life{{after: between(rng, 3*time.Second, 6*time.Second)}})
	}
	rng.Shuffle(len(pairs), func(i, j int) { pairs[i], pairs[j] = pairs[j], pairs[i] })
	var plan []life
	for _, p := range pairs {
		plan = append(plan, p...)
	}
	return plan
}

// maxCount is up to which hit of a failpoint a life goes on: as many as it makes
// in a second or two.
func maxCount(name string) int {
	switch family, _, _ := strings.Cut(name, "."); family {
	case "c1":
		return 30
	case "c2":
		return 6
	case "claim", "collect":
		return 2
	case "remake", "ledger":
		return 1
	}
	return 4
}

// needsDamage tells whether a failpoint is reached only over a staged file that
// changed after its epoch was committed.
func needsDamage(point string) bool { return strings.HasPrefix(point, "remake.") }

// pair is a kill at a failpoint and one of the recovery after it.
func pair(rng *rand.Rand, name string, all []string) []life {
	first := life{point: name, count: 1 + rng.IntN(maxCount(name))}
	second := life{point: name, count: 1, second: true}
	switch rng.IntN(3) {
	case 0: // at whatever else comes first
		second.point = all[rng.IntN(len(all))]
	case 1: // in the middle of opening
		second = life{after: between(rng, 5*time.Millisecond, 120*time.Millisecond), second: true}
	}
	return []life{first, second}
}

func between(rng *rand.Rand, from, to time.Duration) time.Duration {
	return from + time.Duration(rng.Int64N(int64(to-from)))
}
