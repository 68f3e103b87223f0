package checkpoint

import (
	"context"
	"errors"
	"fmt"

	"landfall/engine/ledger"
	"landfall/engine/stream"
)

// ErrRepaired is the ErrFenced of a claim from which repairs alone have taken the
// task: nobody who writes epochs has it now, so that whoever held it may claim
// again.
var ErrRepaired = fmt.Errorf("%w: a repair has put files of the lake right", stream.ErrFenced)

// byRepair makes an ErrFenced ErrRepaired when it is one. What cannot be read, or
// leaves a doubt, stays ErrFenced.
func (c *Committer) byRepair(ctx context.Context, err error) error {
	claim := c.claim
	if !c.holds.Load() {
		claim = c.from
	}
	if claim == "" || errors.Is(err, ErrRepaired) {
		return err
	}
	var repaired bool
	newest, tip := c.newest()
	why := c.retry.do(ctx, func() (err error) {
		repaired, err = repairsSince(ctx, c.cfg.Store, c.cfg.Task, claim, newest, tip)
		return err
	})
	if why != nil || !repaired {
		return err
	}
	return fmt.Errorf("%w: %w", ErrRepaired, err)
}

// repairsSince tells whether HEAD names a repair that follows a manifest of claim,
// with nothing but repairs between the two. A repair names the hash of the
// manifest that it followed: any other claim in between has one of its own there.
// newest is the hash of the claim's newest manifest, as far as it is known, which
// tells it where the object itself was lost. A repair that found no HEAD either names
// no manifest: then it has to follow tip, the ledger's entry that the claim's newest
// manifest names. A claim in between that committed nothing leaves no trace then, and
// the two race for HEAD as any two claims do.
func repairsSince(ctx context.Context, store Store, task stream.TaskID, claim stream.ClaimID, newest string,
	tip ledger.Tip) (bool, error) {
	at, err := load(ctx, store, task, false)
	if err != nil || at.data == nil || at.manifest.Ledger == nil {
		return false, err
	}
	epoch, want := at.manifest.Epoch, at.hash
	for one, err := range ledger.Walk(ctx, LedgerOf(store), task.String(), *at.manifest.Ledger) {
		if err != nil || one.Kind != ledger.KindRepair {
			return false, err
		}
		data, err := readManifest(ctx, store, task, epoch, one.Claim, want)
		if err != nil || data == nil {
			return false, err
		}
		m, err := DecodeManifest(data)
		if err != nil {
			return false, err
		}
		if m.Previous == newest && newest != "" {
			return true, nil
		}
		if m.Previous == "" {
			return tip.Number > 0 && one.Number == tip.Number+1 && one.Previous == tip.SHA256, nil
		}
		if data, err = readManifest(ctx, store, task, epoch, claim, m.Previous); err != nil || data != nil {
			return err == nil, err
		}
		want = m.Previous
	}
	return false, nil
}

// readManifest returns a claim's manifest of an epoch; nil: it is not there, or is
// another one than that with the hash.
func readManifest(ctx context.Context, store Store, task stream.TaskID, epoch stream.Epoch, claim stream.ClaimID, want string) ([]byte, error) {
	data, _, err := store.Read(ctx, manifestName(task, epoch, claim))
	if errors.Is(err, ErrNotExist) || err == nil && hash(data) != want {
		return nil, nil
	}
	return data, err
}
