package move

import (
	"context"
	"fmt"
	"slices"

	"landfall/engine/checkpoint"
	"landfall/engine/landing"
	"landfall/engine/stream"
)

// prepare finds the tasks that are to end, and why the lake cannot move.
func (r *replacing) prepare(ctx context.Context) error {
	if r.Old != nil && r.Old.ID() != r.lake.fed.ID {
		return fmt.Errorf("the landing log that was opened as the old one is %s, and the lake is fed from %s: %w", r.Old.ID(), r.lake.fed.Landing, landing.ErrMismatch)
	}
	if r.Old == nil && !r.Lost && !r.DryRun {
		return fmt.Errorf("%w: what landed in %s and is not published would have to be sent again, which gateways that release at landed cannot; "+
			"say where it lies (--old), or that it is lost (--lost)", ErrUnread, r.lake.fed.Landing)
	}
	tasks, err := r.tasks(ctx)
	if err != nil {
		return err
	}
	if err := r.aim(ctx, tasks); err != nil {
		return err
	}
	known := make(map[stream.TaskID]bool)
	for _, t := range tasks {
		m := &t.manifest
		switch {
		case string(r.lake.fed.ID) == t.id.Landing:
		case r.leadsTo(t.id.Landing), arrived(m): // made by an attempt of a move, and never claimed
			continue
		case m.Moved != nil && !r.leadsTo(m.Moved.Landing): // ended with an earlier move
			continue
		}
		r.old, known[t.id] = append(r.old, t), true
	}
	for p := range r.lake.fed.Partitions { // those that no engine has claimed yet
		if id := r.lake.fed.taskOf(p); !known[id] {
			r.old = append(r.old, oldTask{id: id, partitions: r.lake.fed.Partitions})
		}
	}
	for _, l := range r.lake.others {
		r.note("the lake has tasks of %s too, which are handed over as they are; nothing was read from it", l)
	}
	return r.fresh(ctx)
}

// tasks lists the lake's tasks, but those of a bounded input, which feeds nothing.
func (r *replacing) tasks(ctx context.Context) ([]oldTask, error) {
	all, err := manifests(ctx, r.Store)
	if err != nil {
		return nil, err
	}
	var tasks []oldTask
	for _, m := range all {
		if len(m.Params) == 0 {
			tasks = append(tasks, oldTask{m.TaskID(), m.Partitions, m})
		}
	}
	return tasks, nil
}

// arrived says that a manifest is as a move made it: nobody has claimed the task.
func arrived(m *checkpoint.Manifest) bool {
	return m.Generation > 0 && m.Epoch == 0 && m.Previous == "" && m.Moved == nil
}

// aim finds where this move was to lead. A landing log that feeds the lake, or fed it,
// is none of these, whatever an intent says: its tasks are the lake's history.
func (r *replacing) aim(ctx context.Context, tasks []oldTask) error {
	var all []Landing
	if m := r.lake.moving; m != nil {
		all = append(append(all, m.To), m.Abandoned...)
	}
	for _, l := range all {
		of := func(t oldTask) bool {
			return t.id.Landing == string(l.ID) && (!arrived(&t.manifest) || t.manifest.Generation != r.result.Generation)
		}
		if l.ID != r.lake.fed.ID && !slices.ContainsFunc(tasks, of) {
			r.targets = append(r.targets, l.ID)
		}
	}
	if r.To.ID == "" || slices.Contains(r.targets, r.To.ID) {
		return nil
	}
	for p := range r.To.Partitions { // whatever lies there is of an earlier use
		names, err := r.Store.List(ctx, r.To.taskOf(p).String()+"/")
		if err != nil {
			return err
		}
		if len(names) > 0 {
			return fmt.Errorf("%w: %s fed the lake before; take another directory, or another topic", ErrNotFresh, r.To)
		}
	}
	for _, t := range tasks { // with another number of partitions
		if t.id.Landing == string(r.To.ID) {
			return fmt.Errorf("%w: %s fed the lake before; take another directory, or another topic", ErrNotFresh, r.To)
		}
	}
	r.targets = append(r.targets, r.To.ID)
	return nil
}

// leadsTo says that a landing log is where this move leads, or where an earlier
// attempt of it was to lead.
func (r *replacing) leadsTo(id string) bool { return slices.Contains(r.targets, landing.ID(id)) }

// fresh makes sure that nothing was landed in the new landing log. Once it stands in
// the intent, ingests may append to it already.
func (r *replacing) fresh(ctx context.Context) error {
	if r.New == nil || r.lake.moving != nil && r.lake.moving.To.ID == r.To.ID {
		return nil
	}
	for p := range r.New.Partitions() {
		n, err := unread(ctx, r.New, p, stream.Position{})
		if err != nil {
			return fmt.Errorf("read partition %d of %s: %w", p, r.To, err)
		}
		if n > 0 {
			return fmt.Errorf("%w: %d blocks lie in partition %d of %s, of another lake or of an earlier use; take another directory, or another topic", ErrNotFresh, n, p, r.To)
		}
	}
	return nil
}
