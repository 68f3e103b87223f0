package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"landfall/engine/ledger"
	"landfall/engine/stream"
)

// errSetBack says that HEAD is gone, or names an older checkpoint than it did. It is
// ErrCorrupt.
var errSetBack = fmt.Errorf("%w: HEAD was set back", ErrCorrupt)

// cureHead is what an operator can do about a HEAD that is wrong.
const cureHead = "`landfall-engine repair` makes HEAD name the newest manifest that is whole, or says why it cannot"

// ownHead is a content that this claim wrote into HEAD, or is about to.
type ownHead struct {
	epoch stream.Epoch
	data  []byte
}

// expect notes what HEAD will be.
func (c *Committer) expect(epoch stream.Epoch, head []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heads = append(c.heads, ownHead{epoch, head})
}

// forgetHeads makes every HEAD of an epoch below one a HEAD that was set back.
func (c *Committer) forgetHeads(below stream.Epoch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heads = slices.DeleteFunc(c.heads, func(h ownHead) bool { return h.epoch < below })
}

// isOurs tells whether HEAD's bytes are some that this claim wrote and that HEAD has
// not left since.
func (c *Committer) isOurs(head []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(c.heads, func(h ownHead) bool { return bytes.Equal(h.data, head) })
}

// newestHead returns the last content that this claim wrote or is about to.
func (c *Committer) newestHead() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.heads[len(c.heads)-1].data
}

// setBack is errSetBack where HEAD is gone or is an older one of the claim that
// wrote want; nil: it is not known to be.
func setBack(task stream.TaskID, have, want []byte) error {
	if have == nil {
		return fmt.Errorf("%w: HEAD of %s is gone; %s", errSetBack, task, cureHead)
	}
	at, err := DecodeHead(have)
	w, err2 := DecodeHead(want)
	if err != nil || err2 != nil || at.Claim != w.Claim {
		return nil
	}
	return fmt.Errorf("%w: HEAD of %s is at epoch %s of this claim, which has committed epoch %s: was an older "+
		"checkpoint put back? %s",
		errSetBack, task, at.Epoch, w.Epoch, cureHead)
}

// checkListed refuses a HEAD that is gone or was set back: errSetBack. listed are
// the task's objects, from before from was read. Nothing that a crash leaves is
// taken for evidence: an attempt writes a manifest of the next epoch at most, and
// one entry of the ledger; and before the first HEAD nothing but manifests of
// epoch 0. What an interrupted move (Arrive) leaves is refused too: the task is not
// to begin without what was moved, and the move, repeated, makes HEAD.
func (c *Committer) checkListed(ctx context.Context, listed []string, from *cursor) error {
	task := c.cfg.Task
	if from.data != nil {
		newer, err := newerThan(ctx, c.cfg.Store, task, listed, from, c.visible)
		if err == nil && newer != "" {
			err = fmt.Errorf("%w: HEAD of %s is at epoch %s, and %s was written after it: was an older checkpoint "+
				"put back? %s",
				errSetBack, task, from.manifest.Epoch, newer, cureHead)
		}
		return err
	}
	for _, name := range listed {
		if epoch, ok := manifestEpoch(task, name); name != headName(task) && (!ok || epoch > 0) {
			return fmt.Errorf("%w: HEAD of %s is gone, and %s is there; %s", errSetBack, task, name, cureHead)
		}
	}
	for _, sink := range c.cfg.Sinks {
		inventory, ok := sink.(stream.Inventory)
		if !ok {
			continue
		}
		err := inventory.Published(ctx, task, ^stream.Epoch(0), func(s stream.Staged) error {
			return fmt.Errorf("%w: HEAD of %s is gone with all its checkpoints, and %s is published: put the "+
				"checkpoints back from a backup; `landfall-engine repair` says what is missing then",
				errSetBack, task, s.Target)
		})
		if err != nil {
			return fmt.Errorf("look for what sink %s has published: %w", sink.Name(), err)
		}
	}
	return nil
}

// checkAhead refuses a HEAD where an output of a later epoch is published, though
// nothing in the store is newer: all checkpoints of the task are of an earlier time.
// Going on from them would give the numbers of those epochs to other rows. Nothing
// that a crash leaves looks like that, for outputs are published after HEAD names
// them. ErrFenced where another claim has moved HEAD meanwhile, and may have published
// them itself.
func (c *Committer) checkAhead(ctx context.Context, from *cursor) error {
	if from.data == nil {
		return nil // checkListed has looked
	}
	at := from.manifest.Epoch
	near := c.near(ctx, &from.manifest)
	for _, sink := range c.cfg.Sinks {
		ahead, can := sink.(stream.Ahead)
		if !can {
			continue
		}
		var name string
		var epoch stream.Epoch
		err := c.retry.do(ctx, func() (err error) {
			name, epoch, err = ahead.PublishedAfter(ctx, c.cfg.Task, at, near)
			return err
		})
		if err != nil {
			return fmt.Errorf("look for what sink %s has published after epoch %s: %w", sink.Name(), at, err)
		}
		if name == "" {
			continue
		}
		var now cursor
		err = c.retry.do(ctx, func() (err error) {
			now, err = readHead(ctx, c.cfg.Store, c.cfg.Task, false)
			return err
		})
		if err != nil {
			return err
		}
		if !bytes.Equal(now.data, from.data) {
			return fmt.Errorf("%w: HEAD moved while it was looked at", stream.ErrFenced)
		}
		return fmt.Errorf("%w: the lake holds epoch %s of %s (%s), and the checkpoint ends at epoch %s: was an older "+
			"checkpoint put back? `landfall-engine repair` takes on what the lake holds, or says why it cannot; or put the "+
			"newest checkpoints back", errSetBack, epoch, c.cfg.Task, name, at)
	}
	return nil
}

// near returns targets of the newest outputs that a manifest or its ledger names;
// none: neither does, or they cannot be read.
func (c *Committer) near(ctx context.Context, m *Manifest) (targets []string) {
	if all := m.Pending(); len(all) > 0 {
		for _, o := range all[len(all)-1].Staged {
			targets = append(targets, o.Target)
		}
		return targets
	}
	if m.Ledger == nil {
		return nil
	}
	for one, err := range ledger.Walk(ctx, LedgerOf(c.cfg.Store), m.TaskID().String(), *m.Ledger) {
		if err != nil || len(targets) > 0 {
			break
		}
		for _, f := range one.Files {
			targets = append(targets, f.Name)
		}
	}
	return targets
}

// manifestEpoch reads the epoch out of the name of a task's manifest.
func manifestEpoch(task stream.TaskID, name string) (stream.Epoch, bool) {
	rest, ok := strings.CutPrefix(name, manifestFolder(task))
	digits, _, dash := strings.Cut(rest, "-")
	epoch, err := strconv.ParseUint(digits, 10, 64)
	return stream.Epoch(epoch), ok && dash && err == nil
}

// Visible tells whether an output is published with its bytes.
type Visible func(ctx context.Context, output stream.Staged) (bool, error)

// visible asks the sinks.
func (c *Committer) visible(ctx context.Context, output stream.Staged) (bool, error) {
	for _, sink := range c.cfg.Sinks {
		if sink.Name() != output.Sink {
			continue
		}
		err := sink.Verify(ctx, []stream.Staged{output})
		if errors.Is(err, stream.ErrDamaged) {
			return false, nil
		}
		return err == nil, err
	}
	return false, nil
}

// newerThan returns the name of an object that proves that HEAD was past what from
// holds, empty: none of listed does. These are manifests of the epoch after the
// next, and entries of the ledger after the next one. A manifest of the next entry
// alone may be of an attempt that never moved HEAD: it proves it when an output of
// it is published. Where none is, the landing log still holds what it was made of,
// and the epoch may be done again.
func newerThan(ctx context.Context, store Store, task stream.TaskID, listed []string, from *cursor,
	visible Visible) (string, error) {
	m, tip := &from.manifest, uint64(0)
	if m.Ledger != nil {
		tip = m.Ledger.Number
	}
	adopts := tip == 0 && m.Epoch > 0 // a version without a ledger wrote it
	for _, name := range listed {
		number, _, ok := ledger.ParseName(name)
		if ok && strings.HasPrefix(name, ledger.Folder(task.String())) && number > tip+1 && !adopts {
			return name, nil
		}
		epoch, ok := manifestEpoch(task, name)
		if !ok || epoch < m.Epoch || name == manifestName(task, m.Epoch, m.Claim) {
			continue
		}
		if epoch > m.Epoch+1 {
			return name, nil
		}
		data, _, err := store.Read(ctx, name)
		if err != nil && !errors.Is(err, ErrNotExist) { // else collected meanwhile
			return "", fmt.Errorf("read %s: %w", name, err)
		}
		other, err := DecodeManifest(data)
		if err != nil || other.Ledger == nil || other.Ledger.Number <= tip || len(other.Staged) == 0 {
			continue
		}
		if seen, err := visible(ctx, other.Staged[0]); seen || err != nil {
			return name, err
		}
	}
	return "", nil
}
