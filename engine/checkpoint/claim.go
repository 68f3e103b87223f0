package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"landfall/edge/durable/failpoint"
	"landfall/engine/stream"
)

// Claim takes a task over and brings it to where its last checkpoint stands.
// When it returns, every output that the checkpoint names is visible, and the
// task may restore State and read from the manifest's Position.
//
// Steps, and what a crash after each one leaves:
//
//  1. list the task's objects; nothing.
//  2. read HEAD, settle it, read its manifest, refuse another identity, and a HEAD
//     that is gone or older than what was listed (checkListed) or published
//     (checkAhead), and let Check look whether its state and the landing log behind
//     its position can be read; nothing, and whoever had the task goes on.
//  3. create a manifest equal to it under a new claim id, and before it, for a
//     checkpoint of a version without a ledger, the entries that begin one
//     (adopt); objects that no HEAD names, collected by the next claim.
//  4. swap HEAD to that manifest: from here on every other writer of the task
//     is fenced; the checkpoint is the same under another claim.
//  5. publish every output that the manifest names and read it back; what is
//     visible already with the same hash is done, so the next claim does the
//     rest. What is damaged is made again from the landing log (remake).
//  6. release the landing log below the manifest's position, or what it holds
//     back, unless Check found the log cut; repeatable.
//  7. collect what was listed in 1 and is not reached from the manifest, then
//     what sinks left staged; repeatable.
//
// Step 1 comes first because of what 7 removes: whatever was listed before this
// claim moved HEAD belongs to writers whose swap can only fail from then on, so
// that nothing HEAD may ever name is removed, however late 7 runs.
//
// Errors: ErrFenced when another claim came between 2 and 4 (claim again, if
// the partition is still yours), ErrRepaired when it was that of a repair (claim
// again); ErrIdentity, ErrVersion, ErrCorrupt (it needs
// an operator); ErrMoved when the lake has another landing log now; anything else
// may pass.
func Claim(ctx context.Context, cfg Config) (*Committer, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	c := newCommitter(cfg.withDefaults())
	if err := c.whyOver(ctx, c.takeOver(ctx)); err != nil {
		c.cancel()
		return nil, fmt.Errorf("claim %s: %w", cfg.Task, err)
	}
	return c, nil
}

func (c *Committer) takeOver(ctx context.Context) error {
	var listed []string
	err := c.retry.do(ctx, func() (err error) {
		listed, err = c.cfg.Store.List(ctx, c.cfg.Task.String()+"/")
		return err
	})
	if err != nil {
		return err
	}
	if err := c.moveHead(ctx, listed); err != nil {
		return err
	}
	for _, p := range c.at.manifest.Pending() {
		c.pending = append(c.pending, batch{epoch: p.Epoch, staged: p.Staged})
	}
	for _, b := range c.pending {
		if err := c.publish(ctx, b); err != nil {
			return err
		}
	}
	if m := &c.at.manifest; m.Epoch > 0 && c.checked.From == nil {
		if err := c.release(ctx, m.Released()); err != nil {
			return err
		}
	}
	if err := c.collectListed(ctx, listed); err != nil {
		return err
	}
	c.count(func(s *Stats) { s.Published = c.at.manifest.Epoch }) // whatever it named is visible
	go c.publishLoop()
	return nil
}

// moveHead is steps 2 to 4 of Claim.
func (c *Committer) moveHead(ctx context.Context, listed []string) error {
	var from cursor
	err := c.retry.do(ctx, func() (err error) {
		from, err = load(ctx, c.cfg.Store, c.cfg.Task, true)
		return err
	})
	if errors.Is(err, ErrCorrupt) {
		return fmt.Errorf("%w; %s", err, cureHead)
	}
	if err == nil {
		err = c.checkListed(ctx, listed, &from)
	}
	if err != nil {
		return err
	}
	next := from.manifest
	c.from = next.Claim
	if next.Ledger != nil {
		c.found = *next.Ledger
	}
	if from.data == nil {
		next = Manifest{
			Format: Format, Landing: c.cfg.Task.Landing, Partition: c.cfg.Task.Partition,
			Partitions: c.cfg.Partitions, Schema: c.cfg.Schema, Decoder: c.cfg.Decoder, Params: c.cfg.Params,
		}
	} else if err := c.cfg.identify(&next); err != nil {
		return err
	}
	if next.Moved != nil && c.leaving == nil {
		return movedError(&next)
	}
	if c.leaving != nil {
		next.Moved = c.leaving
	}
	if err := c.checkAhead(ctx, &from); err != nil {
		return err
	}
	if err := c.check(ctx, &from); err != nil {
		return err
	}
	next.Format, next.Claim, next.Previous, next.Writer = Format, c.claim, from.hash, c.cfg.Writer
	next.Unpublished, next.Staged, next.From, next.GivenUp = next.Pending(), nil, nil, false
	if next.Epoch > 0 && next.Ledger == nil {
		if next.Ledger, err = c.adopt(ctx, &next); err != nil {
			return fmt.Errorf("begin the ledger: %w", err)
		}
	}
	failpoint.Hit("claim.before-swap")
	if err := c.advance(ctx, from, next); err != nil {
		return err
	}
	failpoint.Hit("claim.after-swap")
	return nil
}

// check has the checkpoint looked at. What another claim collects meanwhile is not
// missing: then HEAD is not what it was, and this claim has come too late.
func (c *Committer) check(ctx context.Context, from *cursor) (err error) {
	var found *Manifest
	if from.data != nil {
		found = &from.manifest
	}
	if c.checked, err = c.cfg.Check(ctx, found, readState(ctx, c.cfg.Store, from.manifest.State)); err == nil {
		return nil
	}
	now, readErr := readHead(ctx, c.cfg.Store, c.cfg.Task, false)
	if readErr == nil && !bytes.Equal(now.data, from.data) {
		return fmt.Errorf("%w: HEAD moved while it was looked at: %w", stream.ErrFenced, err)
	}
	return err
}

// advance writes the manifest under its own name and moves HEAD to it from
// what from holds.
func (c *Committer) advance(ctx context.Context, from cursor, next Manifest) error {
	to, err := c.writeManifest(ctx, next)
	if err != nil {
		return err
	}
	to.version, err = c.retry.swapHead(ctx, c.cfg.Store, c.cfg.Task, from, to.data)
	if err != nil {
		return err
	}
	c.moved(to)
	return nil
}

// writeManifest creates the manifest's object and gives the HEAD that names it.
func (c *Committer) writeManifest(ctx context.Context, m Manifest) (cursor, error) {
	data, err := m.Encode()
	if err != nil {
		return cursor{}, err
	}
	name := manifestName(c.cfg.Task, m.Epoch, m.Claim)
	if err := c.retry.put(ctx, c.cfg.Store, name, data); err != nil {
		return cursor{}, err
	}
	sum := hash(data)
	head, err := Head{Format: m.Format, Manifest: name, SHA256: sum, Claim: m.Claim, Epoch: m.Epoch}.Encode()
	if err != nil {
		return cursor{}, err
	}
	c.expect(m.Epoch, head)
	return cursor{data: head, hash: sum, manifest: m}, nil
}

// Alive reads HEAD: nil while it is this claim's, stream.ErrFenced when it is
// another's; any other error says that it is not known or was set back. From any
// goroutine.
func (c *Committer) Alive(ctx context.Context) error { return c.alive(ctx) }

// alive is nil while HEAD names a manifest of this claim, with the hash that this
// claim gave it, and none of an epoch below the one that is being published. What
// this claim wrote there was durable before, so there is nothing to settle.
// ErrFenced when another claim has the task; errSetBack.
func (c *Committer) alive(ctx context.Context) error {
	at, err := readHead(ctx, c.cfg.Store, c.cfg.Task, false)
	if err != nil {
		return err
	}
	if c.isOurs(at.data) {
		return nil
	}
	head, err := DecodeHead(at.data)
	if err == nil && head.Claim != c.claim {
		return fmt.Errorf("%w: %s holds %s", stream.ErrFenced, head.Claim, c.cfg.Task)
	}
	if at.data == nil || err == nil {
		return setBack(c.cfg.Task, at.data, c.newestHead())
	}
	return err
}

// CheckHead reads HEAD and compares it with what this claim wrote last: nil when
// it is the same. ErrFenced when another claim holds the task, which may be
// ErrRepaired or ErrMoved; ErrCorrupt when
// HEAD is gone, or is one that this claim has moved on from, so that somebody put
// an older checkpoint back; ErrVersion. Any other error says nothing about HEAD.
// From the task's goroutine.
func (c *Committer) CheckHead(ctx context.Context) error {
	now, err := readHead(ctx, c.cfg.Store, c.cfg.Task, false)
	switch {
	case err != nil:
		return err
	case bytes.Equal(now.data, c.at.data):
		return nil
	}
	if back := setBack(c.cfg.Task, now.data, c.at.data); back != nil {
		return back
	}
	head, err := DecodeHead(now.data)
	if err != nil {
		return fmt.Errorf("task %s: %w", c.cfg.Task, err)
	}
	return c.why(ctx, fmt.Errorf("%w: %s holds %s", stream.ErrFenced, head.Claim, c.cfg.Task))
}

// whyOver adds ErrFenced to an error that another claim may have caused: a new
// claim collects what this one has staged, so that its calls end in whatever
// error they like. Before this claim moved HEAD nobody else's claim matters. The
// ErrFenced of a repair becomes ErrRepaired, that of a move ErrMoved.
func (c *Committer) whyOver(ctx context.Context, err error) error {
	if err == nil || !errors.Is(err, stream.ErrFenced) && !c.holds.Load() {
		return err
	}
	if !errors.Is(err, stream.ErrFenced) {
		why := c.alive(ctx)
		if !errors.Is(why, stream.ErrFenced) {
			return err
		}
		err = fmt.Errorf("%w: %w", why, err)
	}
	return c.why(ctx, err)
}
