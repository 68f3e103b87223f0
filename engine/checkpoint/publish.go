package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"landfall/edge/durable/failpoint"
	"landfall/engine/stream"
)

// enqueue hands a committed epoch to the publishing goroutine; Commit holds a
// slot, so there is room.
func (c *Committer) enqueue(b batch) {
	c.mu.Lock()
	c.pending = append(c.pending, b)
	c.stats.Commits++
	c.mu.Unlock()
	c.queue <- b
}

// publishLoop does what an earlier claim left of folding, then steps 4 to 6 of
// Commit, epoch after epoch, until Close or the first error.
func (c *Committer) publishLoop() {
	defer close(c.done)
	if err := c.whyOver(c.ctx, c.fold(c.ctx)); err != nil {
		_ = c.fail(fmt.Errorf("fold the ledger of %s: %w", c.cfg.Task, err))
		return
	}
	for b := range c.queue {
		if err := c.whyOver(c.ctx, c.finish(c.ctx, b)); err != nil {
			_ = c.fail(fmt.Errorf("publish epoch %s of %s: %w", b.epoch, c.cfg.Task, err))
			return
		}
		<-c.slots
	}
}

// finish publishes, tells of, releases and collects one committed epoch.
func (c *Committer) finish(ctx context.Context, b batch) error {
	c.cfg.Pulse.Begin()
	defer c.cfg.Pulse.End()
	if err := c.publish(ctx, b); err != nil {
		return err
	}
	c.forgetHeads(b.epoch)
	if err := c.retry.do(ctx, func() error { return c.alive(ctx) }); err != nil {
		return err
	}
	c.cfg.OnPublished(b.epoch, b.logs, b.tip)
	if err := c.release(ctx, b.release); err != nil {
		return err
	}
	if err := c.remove(ctx, b.dropped); err != nil {
		return err
	}
	c.noteFold(b.before)
	return c.fold(ctx)
}

// cureContent is what an operator can do about an epoch whose number was given before.
const cureContent = "was an older checkpoint put back, and went an engine on from it? `landfall-engine repair` takes on what the lake holds, or says why it cannot"

// publish makes one committed epoch visible in every sink and reads it back;
// recovery calls it too. On success the epoch is the oldest pending one and
// leaves the list.
func (c *Committer) publish(ctx context.Context, b batch) error {
	failpoint.Hit("c5.before-publish")
	for _, sink := range c.cfg.Sinks {
		var mine []stream.Staged
		for _, s := range b.staged {
			if s.Sink == sink.Name() {
				mine = append(mine, s)
			}
		}
		if len(mine) == 0 {
			continue
		}
		if err := c.publishTo(ctx, sink, b.epoch, mine); err != nil {
			if errors.Is(err, stream.ErrContent) {
				err = fmt.Errorf("%w; %s", err, cureContent)
			}
			return fmt.Errorf("publish to sink %s: %w", sink.Name(), err)
		}
	}
	failpoint.Hit("c5.after-publish")
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pending = c.pending[1:]
	c.stats.Published = b.epoch
	return nil
}

// publishTo makes one sink's outputs of an epoch visible and verifies them.
// Outputs that turn out to be damaged are made again, once.
func (c *Committer) publishTo(ctx context.Context, sink stream.Sink, epoch stream.Epoch, mine []stream.Staged) error {
	err := c.show(ctx, sink, mine)
	damaged := damages(err)
	if len(damaged) == 0 {
		return err
	}
	if mine, err = c.remake(ctx, sink, epoch, mine, damaged); err != nil {
		return err
	}
	return c.show(ctx, sink, mine)
}

// show publishes outputs and reads back what is visible then, so that its error
// names every output that is damaged, or gone from where it was staged. While
// something else is wrong that may pass, that is its error: an output that could not
// be published for another reason is not missing.
func (c *Committer) show(ctx context.Context, sink stream.Sink, mine []stream.Staged) error {
	err := c.retry.do(ctx, func() error {
		err := sink.Publish(ctx, mine) // Commit point C5
		c.attempted(sink.Name(), err)
		if passing := besideDamage(err); passing != nil && !definite(passing) {
			return passing
		}
		return err
	})
	if err != nil && !errors.Is(err, stream.ErrDamaged) && !errors.Is(err, ErrNotExist) {
		return err
	}
	failpoint.Hit("c5.before-verify")
	known := damages(err)
	errs := []error{err}
	for _, one := range mine { // one at a time: each is a beat
		if isDamaged(known, one) {
			continue
		}
		err := c.retry.do(ctx, func() error {
			c.cfg.Pulse.Beat()
			err := sink.Verify(ctx, []stream.Staged{one})
			c.attempted(sink.Name(), errors.Join(errors.Join(errs...), err))
			return err
		})
		errs = append(errs, err)
		if err != nil && !errors.Is(err, stream.ErrDamaged) {
			break
		}
	}
	return errors.Join(errs...)
}

// besideDamage returns the errors among those of Publish that do not say that an
// output is damaged or gone; nil: there is none.
func besideDamage(err error) error {
	if !errors.Is(err, stream.ErrDamaged) && !errors.Is(err, ErrNotExist) {
		return err
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		return besideDamage(e.Unwrap())
	case interface{ Unwrap() []error }:
		parts := e.Unwrap()
		if slices.Contains(parts, stream.ErrDamaged) || slices.Contains(parts, ErrNotExist) {
			return nil // one error with its class
		}
		var others []error
		for _, one := range parts {
			others = append(others, besideDamage(one))
		}
		return errors.Join(others...)
	}
	return nil
}

// attempted notes how an attempt to publish ended, for who looks.
func (c *Committer) attempted(sink string, err error) {
	c.count(func(s *Stats) {
		if s.PublishError = ""; err != nil {
			s.PublishError = "sink " + sink + ": " + err.Error()
		}
	})
}

// release tells the landing log that all before position is published.
func (c *Committer) release(ctx context.Context, position stream.Position) error {
	failpoint.Hit("release.before")
	if err := c.retry.do(ctx, func() error { return c.cfg.Release(ctx, position) }); err != nil {
		return fmt.Errorf("release landing log below %s+%d: %w", position.Log, position.Offset, err)
	}
	failpoint.Hit("release.after")
	return nil
}
