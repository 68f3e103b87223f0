package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"landfall/edge/durable/failpoint"
	"landfall/engine/ledger"
	"landfall/engine/stream"
)

// ErrNoLedger says that a task was begun by a version without a ledger and was
// not claimed since: there is nothing to repair it by.
var ErrNoLedger = errors.New("the task has no ledger yet")

// Repairing is what a repair commits.
type Repairing struct {
	// Note says what was done, for people.
	Note string
	// Decoder is the version of what made the rows of Staged; several are joined
	// by '+'. Empty: Config.Decoder.
	Decoder string
	// Staged are outputs that were made again: durable, verified, unseen.
	Staged []stream.Staged
	// Removed are the files whose place they take, as the ledger named them.
	Removed []ledger.File
}

// Repair commits outputs that were made again, as an entry of its own in the
// task's ledger. prepare stages them under a new claim; it is told what HEAD's
// manifest says. When it returns no outputs, nothing is committed. Only the sinks
// of the outputs need to be in cfg: what else is not published yet stays the next
// claim's.
//
// Steps, and what a crash after each one leaves:
//
//  1. read HEAD, settle it, read its manifest, refuse a newer schema; nothing.
//  2. prepare: staged outputs that no manifest names, collected by the next
//     claim. What it put aside before stays aside: those files were damaged, and
//     the next repair finds them missing.
//  3. create the ledger entry, then a manifest that is equal to HEAD's but for
//     its claim, its outputs and that entry: as 2, and the next claim collects
//     both.
//  4. swap HEAD to it: the repair happened, every other writer of the task is
//     fenced, and an engine that runs claims again by itself.
//  5. publish the outputs and read them back: the next claim, or the next
//     repair, does the rest, for the manifest names them. An engine that runs
//     may claim before 5 has ended and do it in this one's place.
//
// Errors: ErrNotExist when the task has no HEAD; ErrNoLedger; stream.ErrFenced
// when a claim came between 1 and 4: nothing was repaired, try again; those of
// Claim.
func Repair(ctx context.Context, cfg Config, prepare func(ctx context.Context, claim stream.ClaimID, m *Manifest) (Repairing, error)) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	c := newCommitter(cfg.withDefaults())
	defer c.cancel()
	if err := c.whyOver(ctx, c.repair(ctx, prepare)); err != nil {
		return fmt.Errorf("repair %s: %w", cfg.Task, err)
	}
	return nil
}

func (c *Committer) repair(ctx context.Context, prepare func(context.Context, stream.ClaimID, *Manifest) (Repairing, error)) error {
	var from cursor
	err := c.retry.do(ctx, func() (err error) {
		from, err = load(ctx, c.cfg.Store, c.cfg.Task, true)
		return err
	})
	switch {
	case err != nil:
		return err
	case from.data == nil:
		return ErrNotExist
	case from.manifest.Ledger == nil && from.manifest.Epoch > 0:
		return ErrNoLedger
	}
	if m := &from.manifest; m.Schema > c.cfg.Schema {
		return fmt.Errorf("%w: checkpoint of %s has table schema %d, known up to %d", ErrVersion, c.cfg.Task, m.Schema, c.cfg.Schema)
	}
	r, err := prepare(ctx, c.claim, &from.manifest)
	if err != nil || len(r.Staged) == 0 {
		return err
	}
	failpoint.Hit("repair.after-stage")
	next, err := c.repaired(ctx, &from, r)
	if err != nil {
		return err
	}
	failpoint.Hit("repair.after-entry")
	to, err := c.writeManifest(ctx, next)
	if err != nil {
		return err
	}
	failpoint.Hit("repair.before-swap")
	if to.version, err = c.retry.swapHead(ctx, c.cfg.Store, c.cfg.Task, from, to.data); err != nil {
		return err
	}
	failpoint.Hit("repair.after-swap")
	c.moved(to)
	if err = c.showRepaired(ctx, r.Staged); err != nil && errors.Is(c.alive(ctx), stream.ErrFenced) {
		return nil // a claim has the task: it publishes what the manifest names
	}
	return err
}

// repaired writes the entry and returns the manifest that names it.
func (c *Committer) repaired(ctx context.Context, from *cursor, r Repairing) (Manifest, error) {
	next := from.manifest
	next.Format, next.Claim, next.Previous, next.Writer = Format, c.claim, from.hash, c.cfg.Writer
	next.Unpublished, next.Staged, next.From = withoutTargets(next.Pending(), r.Staged), r.Staged, nil
	entry := entryAt(&next, ledger.KindRepair)
	if entry.Decoder = r.Decoder; r.Decoder == "" {
		entry.Decoder = c.cfg.Decoder // not HEAD's: that made other files
	}
	entry.Note, entry.Files, entry.Removed = r.Note, ledgerFiles(r.Staged), r.Removed
	var err error
	next.Ledger, err = c.putEntry(ctx, entry, from.manifest.Ledger)
	return next, err
}

// withoutTargets leaves out what other outputs take the place of.
func withoutTargets(pending []Unpublished, other []stream.Staged) []Unpublished {
	var kept []Unpublished
	for _, p := range pending {
		p.Staged = slices.DeleteFunc(slices.Clone(p.Staged), func(s stream.Staged) bool {
			return slices.ContainsFunc(other, func(o stream.Staged) bool { return o.Sink == s.Sink && o.Target == s.Target })
		})
		if len(p.Staged) > 0 {
			kept = append(kept, p)
		}
	}
	return kept
}

// showRepaired is step 5 of Repair.
func (c *Committer) showRepaired(ctx context.Context, staged []stream.Staged) error {
	for _, sink := range c.cfg.Sinks {
		var mine []stream.Staged
		for _, s := range staged {
			if s.Sink == sink.Name() {
				mine = append(mine, s)
			}
		}
		if len(mine) == 0 {
			continue
		}
		if err := c.show(ctx, sink, mine); err != nil {
			return fmt.Errorf("publish to sink %s: %w", sink.Name(), err)
		}
	}
	failpoint.Hit("repair.after-publish")
	return nil
}
