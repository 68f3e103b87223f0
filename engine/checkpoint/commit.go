package checkpoint

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"landfall/edge/durable/failpoint"
	"landfall/engine/ledger"
	"landfall/engine/stream"
)

// Cut is what a task hands over at the end of an epoch: everything that the
// records before Position caused, and nothing else.
type Cut struct {
	// Position is the next landed record to read.
	Position stream.Position
	// Hold is where the landing log is to be kept from; nil: all below Position may
	// go once the epoch is published.
	Hold *stream.Position
	// Stages are what Begin gave, filled. Commit seals them, or abandons them
	// when it fails before.
	Stages []stream.Stage
	// OnSealed is called after step 1: all that is made of records is made, and what is
	// left is the store's. An error ends the commit. Nil disables it.
	OnSealed func(context.Context) error
	// Snapshot gives one object with what changed in keyed state since the last
	// epoch, nil if nothing did, and how many of the newest objects before it
	// are still needed to restore. Nil: the task keeps no state.
	Snapshot func() (object []byte, keep int)
	// Watermarks of the gateways, any order.
	Watermarks []stream.Watermark
	// Logs are those that the epoch advanced, opened or closed, any order; they
	// stand in its ledger entry.
	Logs []ledger.Log
	// Final says that the landing log ended and no epoch will follow.
	Final bool
}

// Commit makes one epoch true. Steps, and what a crash after each one leaves:
//
//  1. seal the stages: outputs durable and unseen; the next claim collects them
//     and the epoch is done again.
//  2. snapshot state into an object of its own; as 1.
//  3. create the epoch's ledger entry, then the manifest that names it, then
//     swap HEAD to that (C4): after a create as 1, and no manifest ever names
//     the entry; after the swap the epoch happened and the next claim publishes
//     it.
//  4. publish every sink (C5) and read back what is visible, beside the next
//     epoch: outputs that are visible stay, the next claim publishes the others
//     and reads all of them back, before it reads a record. What is damaged is
//     made again from the landing log (remake).
//  5. tell how far each log is published (OnPublished): a crash here leaves it
//     untold, and the next claim, which finds the epoch published, tells it.
//  6. release the landing log below the epoch's position, then collect what the
//     manifest stopped naming, then fold the ledger when that is due: the next
//     claim does all of it again.
//
// Steps 1 to 3 are done when Commit returns nil; it waits before them while
// PublishBacklog epochs wait for step 4. 4 to 6 run in epoch order on the
// Committer's goroutine; their errors close Failed and come out of the next
// Commit, or Close. After any error the epoch may or may not have happened,
// Begin's stages are gone and the Committer is over.
func (c *Committer) Commit(ctx context.Context, cut Cut) error {
	epoch := c.at.manifest.Epoch + 1
	err := c.waitForSlot(ctx)
	if err != nil {
		abandon(cut.Stages)
	} else {
		err = c.whyOver(ctx, c.commit(ctx, epoch, cut))
	}
	if err != nil {
		return c.fail(fmt.Errorf("commit epoch %s of %s: %w", epoch, c.cfg.Task, err))
	}
	return nil
}

// waitForSlot holds the backlog's bound. A committer that is over says so here.
func (c *Committer) waitForSlot(ctx context.Context) error {
	if c.closed {
		return ErrClosed
	}
	if err := c.Err(); err != nil {
		return err
	}
	select {
	case c.slots <- struct{}{}:
		return nil
	case <-c.failed:
		return c.Err()
	case <-ctx.Done():
		return fmt.Errorf("wait for publishing: %w", ctx.Err())
	}
}

// commit is steps 1 to 3.
func (c *Committer) commit(ctx context.Context, epoch stream.Epoch, cut Cut) error {
	c.cfg.Pulse.Begin()
	defer c.cfg.Pulse.End()
	failpoint.Hit("c4.before-seal")
	staged, err := c.seal(ctx, cut.Stages)
	if err != nil {
		return err
	}
	if cut.OnSealed != nil {
		if err := cut.OnSealed(ctx); err != nil {
			return err
		}
	}
	failpoint.Hit("c4.after-seal")
	chain, err := c.snapshot(ctx, epoch, cut.Snapshot)
	if err != nil {
		return err
	}
	failpoint.Hit("c4.after-snapshot")
	from := c.at
	next := c.follow(epoch, cut, staged, chain)
	if next.Ledger, err = c.putEntry(ctx, epochEntry(&next, cut.Logs), from.manifest.Ledger); err != nil {
		return err
	}
	failpoint.Hit("c4.after-entry")
	to, err := c.writeManifest(ctx, next)
	if err != nil {
		return err
	}
	failpoint.Hit("c4.after-manifest")
	failpoint.Hit("c4.before-swap")
	to.version, err = c.retry.swapHead(ctx, c.cfg.Store, c.cfg.Task, from, to.data) // Commit point C4
	if err != nil {
		return err
	}
	failpoint.Hit("c4.after-swap")
	c.moved(to)
	c.checked = Checked{}
	c.enqueue(batch{
		epoch: epoch, staged: staged, release: next.Released(), dropped: c.dropped(&from.manifest, &to.manifest),
		before: from.manifest.Ledger, tip: *next.Ledger, logs: cut.Logs, at: time.Now(),
	})
	return nil
}

// seal ends all stages. When one fails the others are abandoned.
func (c *Committer) seal(ctx context.Context, stages []stream.Stage) ([]stream.Staged, error) {
	if len(stages) != len(c.cfg.Sinks) {
		abandon(stages)
		return nil, fmt.Errorf("%d stages for %d sinks", len(stages), len(c.cfg.Sinks))
	}
	var all []stream.Staged
	for i, stage := range stages {
		name := c.cfg.Sinks[i].Name()
		staged, err := stage.Seal(ctx)
		if err != nil {
			abandon(stages[i:])
			return nil, fmt.Errorf("seal sink %s: %w", name, err)
		}
		for _, s := range staged {
			if s.Sink != name {
				abandon(stages[i+1:])
				return nil, fmt.Errorf("seal sink %s: output %s says sink %q", name, s.Name, s.Sink)
			}
		}
		all = append(all, staged...)
	}
	return all, nil
}

// snapshot stores what changed in keyed state and gives the new chain.
func (c *Committer) snapshot(ctx context.Context, epoch stream.Epoch, take func() ([]byte, int)) ([]StateObject, error) {
	chain := c.at.manifest.State
	if take == nil {
		return chain, nil
	}
	object, keep := take()
	if keep < 0 || keep > len(chain) {
		return nil, fmt.Errorf("snapshot wants %d earlier objects of %d", keep, len(chain))
	}
	chain = slices.Clone(chain[len(chain)-keep:])
	if object == nil {
		return chain, nil
	}
	name := stateName(c.cfg.Task, epoch, c.claim)
	if err := c.retry.put(ctx, c.cfg.Store, name, object); err != nil {
		return nil, err
	}
	c.count(func(s *Stats) { s.SnapshotBytes += uint64(len(object)) })
	return append(chain, StateObject{Name: name, SHA256: hash(object), Bytes: int64(len(object))}), nil
}

// follow makes the manifest of an epoch from the one before it.
func (c *Committer) follow(epoch stream.Epoch, cut Cut, staged []stream.Staged, chain []StateObject) Manifest {
	m := Manifest{
		Format: Format, Landing: c.cfg.Task.Landing, Partition: c.cfg.Task.Partition, Partitions: c.cfg.Partitions, Generation: c.at.manifest.Generation,
		Epoch: epoch, Claim: c.claim, Previous: c.at.hash,
		Position: cut.Position, From: c.checked.From, GivenUp: c.checked.GivenUp, Hold: cut.Hold, State: chain, Staged: staged, Unpublished: c.unpublished(),
		Schema: c.cfg.Schema, Decoder: c.cfg.Decoder, Writer: c.cfg.Writer,
		Final: cut.Final, Params: c.at.manifest.Params,
	}
	m.Watermarks = sortedWatermarks(cut.Watermarks)
	return m
}

// sortedWatermarks returns watermarks as a manifest has them.
func sortedWatermarks(all []stream.Watermark) []Watermark {
	var sorted []Watermark
	for _, w := range all {
		sorted = append(sorted, Watermark(w))
	}
	slices.SortFunc(sorted, func(a, b Watermark) int { return strings.Compare(a.Gateway, b.Gateway) })
	return sorted
}

// unpublished lists what earlier epochs staged and is not known published.
func (c *Committer) unpublished() []Unpublished {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []Unpublished
	for _, b := range c.pending {
		if len(b.staged) > 0 {
			all = append(all, Unpublished{Epoch: b.epoch, Staged: b.staged})
		}
	}
	return all
}

// moved notes that HEAD is now at to.
func (c *Committer) moved(to cursor) {
	c.at = to
	c.holds.Store(true)
	c.newestAt.Store(&to)
	c.count(func(s *Stats) {
		if to.manifest.Epoch > s.Committed {
			s.Committed = to.manifest.Epoch
		}
		if t := to.manifest.Ledger; t != nil {
			s.LedgerNumber = t.Number
		}
		s.StateObjects, s.StateBytes = len(to.manifest.State), 0
		for _, o := range to.manifest.State {
			s.StateBytes += o.Bytes
		}
	})
}

// dropped lists the objects that from reaches and to does not, from's own
// manifest first.
func (c *Committer) dropped(from, to *Manifest) []string {
	names := []string{manifestName(c.cfg.Task, from.Epoch, from.Claim)}
	kept := reach(to)
	for _, o := range from.State {
		if !kept[o.Name] {
			names = append(names, o.Name)
		}
	}
	return names
}
