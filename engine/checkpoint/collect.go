package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"landfall/edge/durable/failpoint"
	"landfall/engine/stream"
)

// reach gives the names of all objects that a manifest needs, besides itself.
func reach(m *Manifest) map[string]bool {
	names := make(map[string]bool, len(m.State))
	for _, o := range m.State {
		names[o.Name] = true
	}
	return names
}

// collectListed removes what was listed before this claim moved HEAD and is not
// reached from its manifest or in its ledger, then what earlier claims left in
// the sinks.
func (c *Committer) collectListed(ctx context.Context, listed []string) error {
	m := &c.at.manifest
	kept := reach(m)
	kept[headName(c.cfg.Task)] = true
	kept[ProgressName(c.cfg.Task)] = true
	kept[AttemptName(c.cfg.Task)] = true
	kept[manifestName(c.cfg.Task, m.Epoch, m.Claim)] = true
	garbage, folded, unfolded := c.sortLedger(ctx, listed)
	c.folding.folded = folded
	for _, first := range unfolded {
		c.folding.due = append(c.folding.due, dueFold{from: c.found, first: first})
	}
	for _, name := range listed {
		if !kept[name] && !c.inLedger(name) && !strings.HasPrefix(name, AcknowledgedPrefix(c.cfg.Task)) {
			garbage = append(garbage, name)
		}
	}
	if err := c.remove(ctx, garbage); err != nil {
		return err
	}
	alive := func() error { return c.alive(ctx) }
	if err := alive(); err != nil {
		return err
	}
	if err := c.left(ctx, "half-written objects", c.cfg.Store.Sweep(ctx, c.cfg.Task.String()+"/")); err != nil {
		return err
	}
	for _, sink := range c.cfg.Sinks {
		keep := make(map[string]bool)
		for _, p := range m.Pending() {
			for _, s := range p.Staged {
				if s.Sink == sink.Name() {
					keep[s.Name] = true
				}
			}
		}
		if err := c.left(ctx, "staged by "+sink.Name(), sink.Collect(ctx, c.cfg.Task, keep, alive)); err != nil {
			return err
		}
	}
	return nil
}

// remove deletes objects that nothing reaches any more, while HEAD names this
// claim's manifest.
func (c *Committer) remove(ctx context.Context, names []string) error {
	for _, name := range names {
		c.cfg.Pulse.Beat()
		if err := c.alive(ctx); err != nil {
			if err := c.left(ctx, name, err); err != nil {
				return err
			}
			continue
		}
		failpoint.Hit("collect.before-delete")
		err := c.cfg.Store.Delete(ctx, name)
		if err == nil {
			c.count(func(s *Stats) { s.Collected++ })
		}
		if err := c.left(ctx, name, err); err != nil {
			return err
		}
	}
	return nil
}

// left counts what could not be removed: it does no harm where it is and the
// next claim finds it. Only a fence, a HEAD that was set back and the end of ctx
// are errors.
func (c *Committer) left(ctx context.Context, what string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, stream.ErrFenced) || errors.Is(err, errSetBack) || ctx.Err() != nil {
		return fmt.Errorf("collect %s: %w", what, err)
	}
	c.count(func(s *Stats) { s.CollectErrors++ })
	c.cfg.Logger.Warn("left uncollected", "task", c.cfg.Task.String(), "what", what, "error", err)
	return nil
}
