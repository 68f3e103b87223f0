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
	"landfall/engine/ledger"
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
// commits both, with the state and the manifest that were made again.
func (r *run) carryOut(ctx context.Context, t *taskState) error {
	var fixed []wrongFile
	for _, w := range t.wrong {
		if w.fix != nil {
			fixed = append(fixed, w)
		}
	}
	if t.lost != nil && t.unable {
		for _, w := range fixed {
			r.left(t.id.String(), table.Name(w.Table), w.Name, "it is %s, and can be made again when HEAD names a manifest", w.state())
		}
		return nil
	}
	if len(fixed) == 0 && t.memory == nil && t.lost == nil {
		return nil
	}
	commit := fixed
	if r.DryRun {
		if err := r.asideOf(ctx, t, fixed); err != nil {
			return err
		}
		commit = nil
	}
	if len(commit) > 0 || t.memory != nil || t.lost != nil {
		if err := r.commit(ctx, t, func() error { return r.commitOnce(ctx, t, commit) }); err != nil {
			return err
		}
	}
	for _, w := range fixed {
		r.did(w.fix.kind, t.id.String(), table.Name(w.Table), w.Name, "%s", w.fix.note)
	}
	if t.lost != nil {
		r.did(Head, t.id.String(), "", t.id.String()+"/HEAD", "%s", t.manifestNote())
	}
	if t.memory != nil {
		r.did(Replaced, t.id.String(), "", t.id.String()+"/state", "%s", t.memory.note)
	}
	return nil
}

// manifestNote says what a manifest is that was made again.
func (t *taskState) manifestNote() string {
	if t.rebuilt != nil {
		return t.rebuilt.note()
	}
	note := fmt.Sprintf("a new manifest, made of entry %d of the ledger, is named in place of one that is lost (%v)", t.manifest.Ledger.Number, t.lost)
	if t.memory != nil {
		note += assumedHold
	}
	return note
}

// assumedHold says what of a manifest nothing is left to tell where its state is lost
// too.
const assumedHold = "; what the landing log held back is not known, and it is assumed that it held back nothing: what was passed over is asked of its gateway again"

// commitTries is how often a commit is tried that an engine was faster than.
const commitTries = 5

// commit commits what was found. An engine that claims or commits meanwhile is
// faster, perhaps again and again: it is tried some times, as long as what it added
// are epochs.
func (r *run) commit(ctx context.Context, t *taskState, once func() error) error {
	for try := 1; ; try++ {
		err := once()
		if !errors.Is(err, stream.ErrFenced) || errors.Is(err, errWentOn) || try == commitTries {
			return err
		}
		r.Logger.Info("an engine was faster; it is tried again", "task", t.id.String(), "try", try, "error", err)
	}
}

// errWentOn says that what was found is not enough any more. It is
// stream.ErrFenced.
var errWentOn = fmt.Errorf("%w: the task went on meanwhile; repair again", stream.ErrFenced)

// committing is the configuration with which a task's repair is committed.
func (r *run) committing(t *taskState) checkpoint.Config {
	cfg := checkpoint.Config{
		Store: r.Store, Task: t.id, Partitions: t.manifest.Partitions, Writer: r.Writer,
		Schema: table.SchemaVersion, Decoder: decoderVersion, Logger: r.Logger,
	}
	if !r.DryRun {
		cfg.Sinks = []stream.Sink{r.Sink}
	}
	return cfg
}

func (r *run) commitOnce(ctx context.Context, t *taskState, fixed []wrongFile) error {
	var lost *checkpoint.Manifest
	if t.lost != nil {
		lost = &t.manifest
	}
	return checkpoint.Repair(ctx, r.committing(t), lost, func(ctx context.Context, claim stream.ClaimID, m *checkpoint.Manifest) (checkpoint.Repairing, error) {
		if err := r.sameTask(ctx, t, m); err != nil {
			return checkpoint.Repairing{}, err
		}
		var out checkpoint.Repairing
		var notes, decoders []string
		if t.lost != nil {
			notes = append(notes, t.manifestNote())
		}
		if t.memory != nil {
			out.State, notes, decoders = t.memory.object, append(notes, t.memory.note), append(decoders, decoderVersion)
		}
		for i := range fixed {
			w := &fixed[i]
			if err := r.stage(ctx, t.id, claim, w); err != nil {
				return out, fmt.Errorf("stage %s: %w", w.Name, err)
			}
			out.Staged = append(out.Staged, w.fix.staged)
			if w.unnamed == "" {
				out.Removed = append(out.Removed, w.File)
			}
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
		if err := r.keep(ctx, t.rebuilt); err != nil {
			return out, err
		}
		slices.Sort(decoders)
		out.Note, out.Decoder = strings.Join(notes, "; "), strings.Join(decoders, "+")
		return out, nil
	})
}

// sameTask tells whether what was found of a task is enough at the manifest that
// HEAD names now: nil when its ledger ends as it did, or has epochs besides. They
// change nothing in what epochs before them published; but the state of a task that
// went on is another one.
func (r *run) sameTask(ctx context.Context, t *taskState, m *checkpoint.Manifest) error {
	switch {
	case m.Ledger == nil:
		return errWentOn
	case *m.Ledger == *t.manifest.Ledger:
		return nil
	case t.memory != nil || t.lost != nil:
		return errWentOn
	}
	for one, err := range ledger.Walk(ctx, checkpoint.LedgerOf(r.Store), t.id.String(), *m.Ledger) {
		if err != nil {
			return err
		}
		if one.Number <= t.manifest.Ledger.Number {
			if one.Number == t.manifest.Ledger.Number && one.SHA256 == t.manifest.Ledger.SHA256 {
				return nil
			}
			return errWentOn
		}
		if one.Kind != ledger.KindEpoch {
			return errWentOn
		}
	}
	return errWentOn
}

// asideOf sets aside what is in the place of what was found.
func (r *run) asideOf(ctx context.Context, t *taskState, fixed []wrongFile) error {
	for i := range fixed {
		w := &fixed[i]
		if w.absent || w.aside {
			continue
		}
		if err := r.setAside(ctx, t.id.String(), w.Name, w.why()); err != nil {
			return err
		}
		w.aside = true
	}
	return nil
}

// why says why a file is set aside.
func (w *wrongFile) why() string {
	if w.unnamed != "" {
		return w.unnamed
	}
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
		from := w.fix.copyOf
		if to, ok := r.moved[from]; ok {
			from = to // by an attempt before
		}
		open = func() (File, error) { return r.Lake.Open(ctx, from) }
	}
	f, err := open()
	if err != nil {
		return err
	}
	err = r.Lake.Stage(ctx, io.NewSectionReader(f, 0, f.Size()), id, claim, &w.fix.staged)
	return errors.Join(err, f.Close())
}
