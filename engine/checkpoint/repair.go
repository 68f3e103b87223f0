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
	// Removed are the files whose place they take, or that are no more, as the ledger
	// named them. prepare has set them aside.
	Removed []ledger.File
	// State is an object that restores all keyed state, in place of the chain that
	// HEAD's manifest names. Nil: that stays.
	State []byte
}

// Repair commits outputs and state that were made again, as an entry of its own in
// the task's ledger. prepare stages them under a new claim; it is told what HEAD's
// manifest says. When it returns nothing, nothing is committed. Only the sinks
// of the outputs need to be in cfg: what else is not published yet stays the next
// claim's.
//
// lost is a manifest in place of the one that HEAD names, which is not whole, or of
// HEAD and all manifests; its claim and its writer do not matter, nor does what it
// follows. Where HEAD and its manifest are whole, and older than what the lake holds,
// it is of a later epoch and its Previous is the hash of that manifest; prepare then
// writes the entries of the ledger that it names.
// nil: HEAD and its manifest are whole. A lost manifest is committed whatever
// prepare returns.
//
// Steps, and what a crash after each one leaves:
//
//  1. read HEAD, settle it, read its manifest, refuse a newer schema; nothing.
//  2. prepare: staged outputs that no manifest names, collected by the next
//     claim. What it put aside before stays aside: those files were damaged, and
//     the next repair finds them missing.
//  3. create the state object if there is one, the ledger entry, then a manifest
//     that is equal to HEAD's but for its claim, its outputs, its state and that
//     entry: as 2, and the next claim collects them.
//  4. swap HEAD to it: the repair happened, every other writer of the task is
//     fenced, and an engine that runs claims again by itself.
//  5. publish the outputs and read them back: the next claim, or the next
//     repair, does the rest, for the manifest names them. An engine that runs
//     may claim before 5 has ended and do it in this one's place.
//
// Errors: ErrNotExist when the task has no HEAD; ErrNoLedger; stream.ErrFenced
// when a claim came between 1 and 4: nothing was repaired, try again; those of
// Claim.
func Repair(ctx context.Context, cfg Config, lost *Manifest,
	prepare func(ctx context.Context, claim stream.ClaimID, m *Manifest) (Repairing, error)) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	c := newCommitter(cfg.withDefaults())
	defer c.cancel()
	if err := c.whyOver(ctx, c.repair(ctx, lost, prepare)); err != nil {
		return fmt.Errorf("repair %s: %w", cfg.Task, err)
	}
	return nil
}

func (c *Committer) repair(ctx context.Context, lost *Manifest,
	prepare func(context.Context, stream.ClaimID, *Manifest) (Repairing, error)) error {
	var from cursor
	err := c.retry.do(ctx, func() (err error) {
		from, err = load(ctx, c.cfg.Store, c.cfg.Task, true)
		if lost != nil {
			from, err = c.inPlaceOf(ctx, lost, from, err)
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case from.data == nil && lost == nil:
		return ErrNotExist
	case from.manifest.Ledger == nil && from.manifest.Epoch > 0:
		return ErrNoLedger
	}
	if m := &from.manifest; m.Schema > c.cfg.Schema {
		return fmt.Errorf("%w: checkpoint of %s has table schema %d, known up to %d", ErrVersion, c.cfg.Task, m.Schema, c.cfg.Schema)
	}
	r, err := prepare(ctx, c.claim, &from.manifest)
	if err != nil || len(r.Staged) == 0 && r.State == nil && lost == nil {
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

// inPlaceOf returns lost as what HEAD named, where load ended with err. HEAD as it
// is now is what a swap starts from.
func (c *Committer) inPlaceOf(ctx context.Context, lost *Manifest, from cursor, err error) (cursor, error) {
	if err == nil && from.data != nil && lost.Previous == from.hash && lost.Epoch > from.manifest.Epoch {
		from.manifest = *lost
		return from, nil
	}
	if err == nil && from.data != nil {
		return cursor{}, fmt.Errorf("%w: HEAD and its manifest are whole again", stream.ErrFenced)
	}
	if err = except(err, ErrCorrupt); err != nil {
		return cursor{}, err
	}
	if from, err = readHead(ctx, c.cfg.Store, c.cfg.Task, true); err != nil {
		return cursor{}, err
	}
	if h, err := DecodeHead(from.data); err == nil {
		if from.hash = h.SHA256; h.Epoch != lost.Epoch {
			return cursor{}, fmt.Errorf("%w: HEAD is at epoch %s, and epoch %s was found", stream.ErrFenced, h.Epoch,
				lost.Epoch)
		}
	}
	from.manifest = *lost
	return from, nil
}

// repaired writes the state and the entry and returns the manifest that names them.
func (c *Committer) repaired(ctx context.Context, from *cursor, r Repairing) (Manifest, error) {
	next := from.manifest
	next.Format, next.Claim, next.Previous, next.Writer = Format, c.claim, from.hash, c.cfg.Writer
	next.Unpublished, next.Staged, next.From = withoutTargets(next.Pending(), r), r.Staged, nil
	next.GivenUp = false
	if r.State != nil {
		o := StateObject{Name: stateName(c.cfg.Task, next.Epoch, c.claim), SHA256: hash(r.State),
			Bytes: int64(len(r.State))}
		if err := c.retry.put(ctx, c.cfg.Store, o.Name, r.State); err != nil {
			return next, err
		}
		next.State = []StateObject{o}
		failpoint.Hit("repair.after-state")
	}
	entry := entryAt(&next, ledger.KindRepair)
	if entry.Decoder = r.Decoder; r.Decoder == "" {
		entry.Decoder = c.cfg.Decoder // not HEAD's: that made other files
	}
	entry.Note, entry.Files, entry.Removed = r.Note, ledgerFiles(r.Staged), r.Removed
	var err error
	next.Ledger, err = c.putEntry(ctx, entry, from.manifest.Ledger)
	return next, err
}

// withoutTargets leaves out what a repair takes the place of, or takes away.
func withoutTargets(pending []Unpublished, r Repairing) []Unpublished {
	var kept []Unpublished
	for _, p := range pending {
		p.Staged = slices.DeleteFunc(slices.Clone(p.Staged), func(s stream.Staged) bool {
			return slices.ContainsFunc(r.Staged, func(o stream.Staged) bool { return o.Sink == s.Sink && o.Target == s.Target }) ||
				slices.ContainsFunc(r.Removed, func(f ledger.File) bool { return f.Sink == s.Sink && f.Name == s.Target })
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
