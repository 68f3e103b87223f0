package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"landfall/edge/durable/failpoint"
	"landfall/engine/ledger"
)

// foldRemovals is how many objects of folded entries are removed beside the
// publishing of one epoch, so that a fold holds no epoch up for long.
const foldRemovals = 32

// folding is the work that is left on a ledger. It belongs to the goroutine that
// publishes, and to Claim before that is started.
type folding struct {
	due    []dueFold
	folded []string // objects of entries that a verified fold holds, to be removed
}

// dueFold is a fold to be made.
type dueFold struct {
	from  ledger.Tip // an entry of the chain at or above the fold's last
	first uint64     // number of the fold's first entry
}

// noteFold notes that an epoch's entry follows the last one of a fold.
func (c *Committer) noteFold(before *ledger.Tip) {
	if before != nil && before.Number%c.cfg.FoldEntries == 0 {
		c.folding.due = append(c.folding.due, dueFold{from: *before, first: before.Number - c.cfg.FoldEntries + 1})
	}
}

// fold makes the folds that are due and removes some of what they replace.
// Steps for each, and what a crash after each one leaves:
//
//  1. read the entries, from the newest back, each checked by the hash that the
//     one after it names; nothing.
//  2. create the fold: entries under both names, which readers cope with; the
//     next claim finds both and goes on at 4, once it has walked the fold.
//  3. read the fold back and compare (put); as 2.
//  4. remove the objects of the single entries, some with each epoch, HEAD being
//     this claim's; as 2.
//
// A fold's bytes follow from the chain alone, so whoever makes it makes the same
// one. Another object under its name is ErrCorrupt. A fold that cannot be made
// for another reason is left to the next claim.
func (c *Committer) fold(ctx context.Context) error {
	c.cfg.Pulse.Begin()
	defer c.cfg.Pulse.End()
	for _, d := range c.folding.due {
		names, err := c.makeFold(ctx, d)
		if errors.Is(err, errFoldDiffers) {
			return err
		}
		if err := c.left(ctx, ledger.FoldName(c.cfg.Task.String(), d.first), err); err != nil {
			return err
		}
		c.folding.folded = append(c.folding.folded, names...)
	}
	c.folding.due = nil
	n := min(len(c.folding.folded), foldRemovals)
	some := c.folding.folded[:n]
	c.folding.folded = c.folding.folded[n:]
	return c.remove(ctx, some)
}

// errFoldDiffers says that an object under a fold's name is not the fold. It is
// ErrCorrupt.
var errFoldDiffers = fmt.Errorf("%w: fold of the ledger", ErrCorrupt)

// makeFold is steps 1 to 3 of fold. It returns the objects of the single entries.
func (c *Committer) makeFold(ctx context.Context, d dueFold) ([]string, error) {
	last := d.first + c.cfg.FoldEntries - 1
	lines := make([][]byte, c.cfg.FoldEntries)
	var names []string
	for one, err := range ledger.Walk(ctx, LedgerOf(c.cfg.Store), c.cfg.Task.String(), d.from) {
		if err != nil {
			return nil, err
		}
		c.cfg.Pulse.Beat()
		if one.Number > last {
			continue
		}
		lines[one.Number-d.first] = one.Line
		if one.Object != ledger.FoldName(c.cfg.Task.String(), d.first) {
			names = append(names, one.Object)
		}
		if one.Number == d.first {
			break
		}
	}
	name, data := ledger.FoldName(c.cfg.Task.String(), d.first), bytes.Join(lines, nil)
	if err := c.retry.put(ctx, c.cfg.Store, name, data); errors.Is(err, ErrCorrupt) || errors.Is(err, errOtherBytes) {
		return nil, fmt.Errorf("%w: %s holds other bytes than entries %d to %d; remove it and start again: %w", errFoldDiffers, name, d.first, last, err)
	} else if err != nil {
		return nil, err
	}
	failpoint.Hit("ledger.after-fold")
	return names, nil
}
