package checkpoint

import (
	"context"
	"math"
	"strings"

	"landfall/engine/ledger"
)

// inLedger tells whether a name lies in the folder of the task's ledger, where
// sortLedger alone says what may go.
func (c *Committer) inLedger(name string) bool {
	return strings.HasPrefix(name, ledger.Folder(c.cfg.Task.String()))
}

// ledgerNames is what was listed of a ledger.
type ledgerNames struct {
	singles []single
	count   map[uint64]int  // singles of one number
	folds   map[uint64]bool // by first number
}

// single is the object of one entry.
type single struct {
	name   string
	number uint64
}

func parseLedgerNames(listed []string) ledgerNames {
	n := ledgerNames{count: make(map[uint64]int), folds: make(map[uint64]bool)}
	for _, name := range listed {
		switch number, fold, ok := ledger.ParseName(name); {
		case !ok:
		case fold:
			n.folds[number] = true
		default:
			n.singles = append(n.singles, single{name, number})
			n.count[number]++
		}
	}
	return n
}

// sortLedger looks through the listed objects of the ledger. lost are entries
// that no manifest that HEAD names will ever reach: of attempts that crashed or
// lost the race for HEAD. folded are objects of entries that a fold holds. unfolded
// are the first numbers of folds that are due. listed is from before this claim
// moved HEAD.
//
// An entry with a number above that of the tip that the claim found belongs to a
// commit whose HEAD swap had not happened when this claim was made; now it never
// can. What this claim added is not listed. Up to the tip there is one entry of each number
// in the chain; where several objects may hold it, the chain is walked from the
// tip down to the lowest such number. What cannot be walked is left where it is.
func (c *Committer) sortLedger(ctx context.Context, listed []string) (lost, folded []string, unfolded []uint64) {
	var mine []string
	for _, name := range listed {
		if c.inLedger(name) {
			mine = append(mine, name)
		}
	}
	size := c.cfg.FoldEntries
	tip := c.found
	names := parseLedgerNames(mine)
	var doubtful []single
	low, due := uint64(math.MaxUint64), make(map[uint64]bool)
	for _, s := range names.singles {
		first := ledger.FoldOf(s.number, size)
		if s.number > tip.Number {
			lost = append(lost, s.name)
			continue
		}
		if names.count[s.number] > 1 || names.folds[first] {
			doubtful = append(doubtful, s)
			low = min(low, s.number)
		}
		if first+size-1 < tip.Number && !names.folds[first] && !due[first] {
			due[first] = true
			unfolded = append(unfolded, first)
		}
	}
	if len(doubtful) == 0 {
		return lost, nil, unfolded
	}
	holds, err := c.holders(ctx, tip, low)
	if err != nil {
		_ = c.left(ctx, "entries of the ledger", err) // the end of ctx shows at the next step
		return lost, nil, unfolded
	}
	for _, s := range doubtful {
		switch {
		case holds[s.number] == s.name:
		case names.folds[ledger.FoldOf(s.number, size)]:
			folded = append(folded, s.name)
		default:
			lost = append(lost, s.name)
		}
	}
	return lost, folded, unfolded
}

// holders walks the chain from tip down to a number and returns the object that
// holds each entry.
func (c *Committer) holders(ctx context.Context, tip ledger.Tip, low uint64) (map[uint64]string, error) {
	holds := make(map[uint64]string)
	for one, err := range ledger.Walk(ctx, LedgerOf(c.cfg.Store), c.cfg.Task.String(), tip) {
		if err != nil {
			return nil, err
		}
		c.cfg.Pulse.Beat()
		if holds[one.Number] = one.Object; one.Number <= low {
			break
		}
	}
	return holds, nil
}
