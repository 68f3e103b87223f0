package repair

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"

	"landfall/edge/durable/failpoint"
	"landfall/edge/record"
	"landfall/engine/checkpoint"
	"landfall/engine/landing"
	"landfall/engine/ledger"
	"landfall/engine/stream"
	"landfall/engine/table"
	"landfall/engine/task"
)

// Claims under which blocks that are taken in are made in the scratch place.
const (
	takenClaim stream.ClaimID = "00000000000000000000000000000002"
	keptClaim  stream.ClaimID = "00000000000000000000000000000003"
)

// takenEpoch is what an epoch becomes when the blocks that it set aside are taken in.
type takenEpoch struct {
	epoch   stream.Epoch
	removed []ledger.File       // files of conflict that held the blocks
	take    []table.ConflictRow // these blocks
	keep    []table.ConflictRow // what else those files hold
	made    []stream.Staged     // in the scratch place, with the names that they get
	notes   []string
}

// conflictFileRow is a row of conflict in a file.
type conflictFileRow struct {
	Gateway       string `parquet:"_gateway"`
	Log           string `parquet:"_log"`
	Offset        int64  `parquet:"_offset"`
	Count         int64  `parquet:"count"`
	Reason        string `parquet:"reason"`
	Block         []byte `parquet:"block"`
	LandedAt      *int64 `parquet:"landed_at,optional"`
	LandingLog    string `parquet:"landing_log"`
	LandingOffset int64  `parquet:"landing_offset"`
}

// takeAside takes the blocks that a task has set aside into the tables, all of them in
// one entry of the ledger: their records become rows of record and of the typed tables,
// in files of the epoch that took their offsets, and the files of conflict that held them
// are replaced by ones without them. The offsets, the chain and the digest of their logs
// say the same before and after.
//
// The bytes are those that lie in conflict. A landing log that still holds such a block
// also tells what its gateway knew of the clock of that boot then; without it a time that
// the gateway had not found yet stays what it was. Rows are made with this decoder, with
// the records before them as a repair passes them, and each reading goes to late: its
// window has closed, or goes on without it.
//
// A task of which anything is wrong, or had to be repaired, is left for the next run.
// Steps, and what a crash after each one leaves:
//
//  1. make the rows in the scratch place: nothing. A block of which the process dies is
//     as it was.
//  2. stage the files: staged files that no manifest names, collected by the next claim.
//  3. move the files of conflict to _quarantine: they are missing, the audit and the
//     engine say so, and the next repair puts them back before it takes anything in.
//  4. swap HEAD to a manifest with the new entry (checkpoint.Repair): the blocks are
//     taken in. The next claim or repair publishes what is not published yet.
//  5. publish, and read back.
func (r *run) takeAside(ctx context.Context, t *taskState) error {
	epochs, err := r.asideOfTask(ctx, t)
	if err != nil || len(epochs) == 0 {
		return err
	}
	if why := t.notTaken(); why != "" {
		r.left(t.id.String(), table.Conflict, epochs[0].removed[0].Name,
			"blocks that were set aside are not taken in: %s", why)
		r.again = !r.DryRun && slices.ContainsFunc(r.result.Actions, func(a Action) bool { return a.Task == t.id.String() })
		return nil
	}
	t.maker = nil // one of its own, in which every window has closed
	var taken []*takenEpoch
	for _, e := range epochs {
		why, err := r.makeTaken(ctx, t, e)
		if err != nil {
			return fmt.Errorf("take in what epoch %s of %s set aside: %w", e.epoch, t.id, err)
		}
		if why != "" {
			r.left(t.id.String(), table.Conflict, e.removed[0].Name,
				"the blocks that its epoch set aside are not taken in: %s", why)
			continue
		}
		taken = append(taken, e)
	}
	if len(taken) == 0 {
		return nil
	}
	if !r.DryRun {
		if err := r.commit(ctx, t, func() error { return r.commitTaken(ctx, t, taken) }); err != nil {
			return err
		}
	}
	for _, e := range taken {
		for _, note := range e.notes {
			r.did(Taken, t.id.String(), table.Conflict, e.removed[0].Name, "%s", note)
		}
	}
	return nil
}

// notTaken says why nothing of a task is taken in now; empty: nothing stands against it.
func (t *taskState) notTaken() string {
	switch {
	case !t.readable || t.unable:
		return "its checkpoint or its ledger is not right"
	case len(t.wrong) > 0 || t.lost != nil || t.stateLost != nil || t.memory != nil:
		return "something else of its task is not right, or was put right just now; repair again"
	}
	return ""
}

// asideOfTask finds the blocks that a task has set aside, by epoch, in the files that the
// ledger names.
func (r *run) asideOfTask(ctx context.Context, t *taskState) (epochs []*takenEpoch, err error) {
	byEpoch := map[stream.Epoch]*takenEpoch{}
	for _, name := range sortedKeys(t.files) {
		if t.files[name].Table != string(table.Conflict) {
			continue
		}
		f, err := r.openRight(ctx, t, name)
		if err != nil || f == nil {
			if except(err) != nil {
				return nil, err
			}
			continue // told already
		}
		var take, keep []table.ConflictRow
		err = readRows(f, func(row *conflictFileRow) error {
			one := row.row()
			if one.Reason == task.ReasonPoison {
				take = append(take, one)
			} else {
				keep = append(keep, one)
			}
			return nil
		})
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		if len(take) == 0 {
			continue
		}
		e := byEpoch[epochOf(name)]
		if e == nil {
			e = &takenEpoch{epoch: epochOf(name)}
			byEpoch[e.epoch] = e
		}
		e.removed, e.take, e.keep = append(e.removed, t.files[name]), append(e.take, take...), append(e.keep, keep...)
	}
	for _, epoch := range sortedEpochs(byEpoch) {
		epochs = append(epochs, byEpoch[epoch])
	}
	return epochs, nil
}

// row returns the row with bytes of its own.
func (row *conflictFileRow) row() table.ConflictRow {
	return table.ConflictRow{
		Gateway: strings.Clone(row.Gateway), Log: strings.Clone(row.Log), Offset: record.Offset(row.Offset),
		Count: uint64(row.Count), Reason: strings.Clone(row.Reason), Block: slices.Clone(row.Block), LandedAt: micros(row.LandedAt),
		LandingLog: strings.Clone(row.LandingLog), LandingOffset: row.LandingOffset,
	}
}

// makeTaken makes the files of an epoch in the scratch place; why says that its blocks
// may not be taken in.
func (r *run) makeTaken(ctx context.Context, t *taskState, e *takenEpoch) (why string, err error) {
	entry := t.epochs[e.epoch]
	if entry == nil {
		return "the ledger does not say what their epoch took, which a version without one made", nil
	}
	for _, f := range entry.Files {
		if f.Sink != LakeSink {
			return fmt.Sprintf("rows of their epoch also went to %s, from where a block in conflict cannot be taken back",
				f.Sink), nil
		}
	}
	for name := range t.files {
		if epochOf(name) == e.epoch && t.waiting[name] {
			return "their epoch is not wholly published yet; start the engine, and try it again then", nil
		}
	}
	groups, whole, err := r.groupsOf(ctx, t, e.epoch)
	if err != nil || !whole {
		return "not every file of record of their epoch can be read", err
	}
	mine := map[*group]bool{}
	for i := range e.take {
		g, why := r.takenGroup(&e.take[i], entry, groups)
		if why != "" {
			return why, nil
		}
		mine[g], groups = true, append(groups, g)
		row := &e.take[i]
		e.notes = append(e.notes, fmt.Sprintf("offsets %s to %s of log %s of %s, which were set aside, are rows of record now",
			row.Offset, row.Offset+record.Offset(row.Count)-1, row.Log, row.Gateway))
	}
	for i := range entry.Logs {
		l := &entry.Logs[i]
		if t.wrongDigest(l, groups) {
			return fmt.Sprintf("with them the records of log %s of %s do not have the digest that the gateway kept",
				l.Log, l.Gateway), nil
		}
	}
	r.mark(groups)
	t.sort(groups)
	if err := r.stageTaken(ctx, t, e, groups, mine); err != nil {
		return "", err
	}
	return r.stageKept(ctx, t, e)
}

// takenGroup reads a block that was set aside; why says that it is not what its epoch
// took, or is in record already.
func (r *run) takenGroup(row *table.ConflictRow, entry *ledger.Entry, known []*group) (g *group, why string) {
	b, err := record.Parse(row.Block)
	if err != nil {
		return nil, fmt.Sprintf("a block of log %s of %s cannot be read: %v", row.Log, row.Gateway, err)
	}
	took := slices.ContainsFunc(entry.Logs, func(l ledger.Log) bool {
		return l.Gateway == row.Gateway && l.Log == b.Log.String() && l.From <= b.First && b.End() <= l.Next
	})
	if !took || b.Log.String() != row.Log || b.First != row.Offset || uint64(b.Count) != row.Count ||
		b.Kind != record.BlockData {
		return nil, fmt.Sprintf("the block at offset %s of log %s of %s is not one that its epoch took",
			row.Offset, row.Log, row.Gateway)
	}
	holds := func(x one) bool { return b.First <= x.offset && x.offset < b.End() }
	for _, k := range known {
		if k.log == b.Log && slices.ContainsFunc(k.records, holds) {
			return nil, fmt.Sprintf("record has rows of offsets %s to %s of log %s of %s already",
				b.First, b.End()-1, row.Log, row.Gateway)
		}
	}
	l := landing.Landed{Gateway: row.Gateway, LandedAt: row.LandedAt, Block: row.Block}
	hash := record.HashBlock(row.Block)
	for _, ref := range r.blocks.byLog[row.Log] {
		if ref.landing && ref.first == b.First && ref.hash == hash {
			if landed, err := ref.read(); err == nil {
				l.Clock = landed.Clock
			}
		}
	}
	return groupOf(&l, &b, row.Gateway), ""
}

// stageTaken makes the files of the blocks that are taken in.
func (r *run) stageTaken(ctx context.Context, t *taskState, e *takenEpoch, groups []*group,
	mine map[*group]bool) error {
	k, err := r.warm(ctx, t, e.epoch, t.warmFrom(e.epoch, []*wrongFile{{File: e.removed[0]}}))
	if err != nil {
		return err
	}
	sink, err := r.Scratch.Sink(t.landedDay(e.epoch), false)
	if err != nil {
		return err
	}
	stage, err := sink.Begin(t.id, takenClaim, e.epoch)
	if err != nil {
		return err
	}
	defer stage.Abandon()
	var batch table.Batch
	for _, g := range groups {
		if mine[g] {
			k.window.ClosedUpTo(g.gateway, math.MaxInt64)
		}
		batch.Reset()
		k.feed(g, &batch)
		if batch.Windows = nil; !mine[g] {
			continue
		}
		if err := stage.Write(&batch); err != nil {
			return err
		}
	}
	made, err := stage.Seal(ctx)
	n := r.freePart(t, e.epoch)
	for i := range made {
		made[i].Target = strings.TrimSuffix(made[i].Target, "-0.parquet") + "-" + strconv.Itoa(n) + ".parquet"
	}
	e.made = made
	return err
}

// freePart returns the number in names of files of an epoch that no file of it has.
func (r *run) freePart(t *taskState, epoch stream.Epoch) int {
	free := 1
	for _, name := range append(sortedKeys(t.files), r.listedNames...) {
		if taskName(name) != t.id.String() || epochOf(name) != epoch {
			continue
		}
		base := strings.TrimSuffix(path.Base(name), ".parquet")
		if n, err := strconv.Atoi(base[strings.LastIndexByte(base, '-')+1:]); err == nil {
			free = max(free, n+1)
		}
	}
	return free
}

// stageKept makes the files of conflict without the blocks that are taken in.
func (r *run) stageKept(ctx context.Context, t *taskState, e *takenEpoch) (why string, err error) {
	if len(e.keep) == 0 {
		return "", nil
	}
	sink, err := r.Scratch.Sink(t.landedDay(e.epoch), false)
	if err != nil {
		return "", err
	}
	stage, err := sink.Begin(t.id, keptClaim, e.epoch)
	if err != nil {
		return "", err
	}
	defer stage.Abandon()
	if err := stage.Write(&table.Batch{Conflicts: e.keep}); err != nil {
		return "", err
	}
	made, err := stage.Seal(ctx)
	for _, s := range made {
		if !slices.ContainsFunc(e.removed, func(f ledger.File) bool { return f.Name == s.Target }) {
			return fmt.Sprintf("what else is in conflict would go to %s, which is another file", s.Target), err
		}
	}
	e.made = append(e.made, made...)
	return "", err
}

// commitTaken is steps 2 to 5 of takeAside.
func (r *run) commitTaken(ctx context.Context, t *taskState, taken []*takenEpoch) error {
	return checkpoint.Repair(ctx, r.committing(t), nil, func(ctx context.Context, claim stream.ClaimID,
		m *checkpoint.Manifest) (checkpoint.Repairing, error) {
		var out checkpoint.Repairing
		if err := r.sameTask(ctx, t, m); err != nil {
			return out, err
		}
		var notes []string
		for _, e := range taken {
			notes, out.Removed = append(notes, e.notes...), append(out.Removed, e.removed...)
			for i := range e.made {
				s := e.made[i]
				f, err := r.Scratch.Open(ctx, s.Name)
				if err != nil {
					return out, err
				}
				err = r.Lake.Stage(ctx, io.NewSectionReader(f, 0, f.Size()), t.id, claim, &s)
				if err := errors.Join(err, f.Close()); err != nil {
					return out, fmt.Errorf("stage %s: %w", s.Target, err)
				}
				out.Staged = append(out.Staged, s)
			}
		}
		for i := range out.Removed {
			f := &out.Removed[i]
			if err := r.setAside(ctx, t.id.String(), f.Name, "blocks in it are taken in"); err != nil {
				return out, err
			}
		}
		failpoint.Hit("repair.after-aside")
		out.Note, out.Decoder = string(Taken)+": "+strings.Join(notes, "; "), decoderVersion
		return out, nil
	})
}
