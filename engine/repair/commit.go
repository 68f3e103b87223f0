package repair

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"landfall/edge/durable/failpoint"
	"landfall/engine/checkpoint"
	"landfall/engine/stream"
	"landfall/engine/table"
)

// finish publishes what an earlier repair committed and did not come to publish.
// Other outputs that wait are the engine's.
func (r *run) finish(ctx context.Context, t *taskState) error {
	for _, p := range t.manifest.Pending() {
		for _, s := range p.Staged {
			if s.Sink != LakeSink || !t.waiting[s.Target] || !t.repaired[s.Target] {
				continue
			}
			if !r.DryRun {
				if err := r.Sink.Publish(ctx, []stream.Staged{s}); err != nil {
					return fmt.Errorf("publish %s: %w", s.Target, err)
				}
				if err := r.Sink.Verify(ctx, []stream.Staged{s}); err != nil {
					return fmt.Errorf("publish %s: %w", s.Target, err)
				}
			}
			r.did(Restored, t.id.String(), s.Table, s.Target, "an earlier repair had committed it")
		}
	}
	return nil
}

// carryOut stages what was found for a task, sets aside what is damaged, and
// commits both.
func (r *run) carryOut(ctx context.Context, t *taskState) error {
	var fixed []wrongFile
	for _, w := range t.wrong {
		if w.fix != nil {
			fixed = append(fixed, w)
		}
	}
	if len(fixed) == 0 {
		return nil
	}
	if !r.DryRun {
		if err := r.commit(ctx, t, fixed); err != nil {
			return err
		}
	} else if err := r.asideOf(ctx, t, fixed); err != nil {
		return err
	}
	for _, w := range fixed {
		r.did(w.fix.kind, t.id.String(), table.Name(w.Table), w.Name, "%s", w.fix.note)
	}
	return nil
}

func (r *run) commit(ctx context.Context, t *taskState, fixed []wrongFile) error {
	cfg := checkpoint.Config{
		Store: r.Store, Sinks: []stream.Sink{r.Sink}, Task: t.id, Partitions: t.manifest.Partitions, Writer: r.Writer,
		Schema: table.SchemaVersion, Decoder: decoderVersion, Logger: r.Logger,
	}
	return checkpoint.Repair(ctx, cfg, nil, func(ctx context.Context, claim stream.ClaimID, m *checkpoint.Manifest) (checkpoint.Repairing, error) {
		if m.Ledger == nil || *m.Ledger != *t.manifest.Ledger {
			return checkpoint.Repairing{}, fmt.Errorf("%w: the task went on meanwhile; repair again", stream.ErrFenced)
		}
		var out checkpoint.Repairing
		var notes, decoders []string
		for i := range fixed {
			w := &fixed[i]
			if err := r.stage(ctx, t.id, claim, w); err != nil {
				return out, fmt.Errorf("stage %s: %w", w.Name, err)
			}
			out.Staged, out.Removed = append(out.Staged, w.fix.staged), append(out.Removed, w.File)
			if note := string(w.fix.kind) + ": " + w.fix.note; !slices.Contains(notes, note) {
				notes = append(notes, note)
			}
			if !slices.Contains(decoders, w.fix.decoder) {
				decoders = append(decoders, w.fix.decoder)
			}
		}
		if err := r.asideOf(ctx, t, fixed); err != nil {
			return out, err
		}
		failpoint.Hit("repair.after-aside")
		slices.Sort(decoders)
		out.Note, out.Decoder = strings.Join(notes, "; "), strings.Join(decoders, "+")
		return out, nil
	})
}

// asideOf sets aside what is in the place of what was found.
func (r *run) asideOf(ctx context.Context, t *taskState, fixed []wrongFile) error {
	for i := range fixed {
		w := &fixed[i]
		if w.absent {
			continue
		}
		if err := r.setAside(ctx, t.id.String(), w.Name, w.why()); err != nil {
			return err
		}
	}
	return nil
}

// why says why a file is set aside.
func (w *wrongFile) why() string {
	if w.suspect != "" {
		return "it is " + w.suspect
	}
	if w.odd != "" {
		return "it is no file but " + w.odd
	}
	return "its bytes are not those that the ledger names"
}

// stage copies the right bytes of a file to where the sink publishes from.
func (r *run) stage(ctx context.Context, id stream.TaskID, claim stream.ClaimID, w *wrongFile) error {
	open := func() (File, error) { return r.Scratch.Open(ctx, w.fix.from) }
	if w.fix.copyOf != "" {
		open = func() (File, error) { return r.Lake.Open(ctx, w.fix.copyOf) }
	}
	f, err := open()
	if err != nil {
		return err
	}
	err = r.Lake.Stage(ctx, io.NewSectionReader(f, 0, f.Size()), id, claim, &w.fix.staged)
	return errors.Join(err, f.Close())
}
