package repair

import (
	"context"
	"fmt"
	"slices"

	"landfall/edge/record"
	"landfall/engine/checkpoint"
	"landfall/engine/ledger"
	"landfall/engine/parquetfile"
	"landfall/engine/stream"
	"landfall/engine/table"
)

// reused is what an engine has made that went on from an older checkpoint: epochs whose
// numbers the lake has given to other rows. Their publication ends with stream.ErrContent,
// so that nothing has been let go of for them.
type reused struct {
	from  stream.Epoch    // the first of them
	names map[string]bool // targets of their outputs
	shown []string        // outputs of theirs that are visible; they are set aside
	why   string          // why they cannot be dropped; empty: they can
}

// reusedEpochs finds the epochs that a checkpoint names, that are not published, and whose
// numbers the lake has given to other rows: a target is there, and says of itself that it
// is that epoch's, whole and with other bytes than those that lie staged under its name.
// nil: there are none.
func (r *run) reusedEpochs(ctx context.Context, id stream.TaskID, m *checkpoint.Manifest) (*reused, error) {
	u := &reused{names: map[string]bool{}}
	for _, p := range m.Pending() {
		for _, s := range p.Staged {
			if s.Sink != LakeSink || u.from > 0 {
				continue
			}
			other, err := r.isOther(ctx, id, p.Epoch, &s)
			if err != nil {
				return nil, err
			}
			if other {
				u.from = p.Epoch
			}
		}
	}
	if u.from == 0 {
		return nil, nil
	}
	for _, p := range m.Pending() {
		for _, s := range p.Staged {
			if p.Epoch < u.from {
				continue
			}
			if s.Sink != LakeSink {
				u.why = fmt.Sprintf("rows of epoch %s went to sink %s too", p.Epoch, s.Sink)
				continue
			}
			have, err := r.hash(ctx, s.Target)
			if err != nil {
				return nil, err
			}
			if u.names[s.Target] = true; have == s.SHA256 {
				u.shown = append(u.shown, s.Target)
			}
		}
	}
	return u, nil
}

// isOther tells whether the target of an output that waits is another history's.
func (r *run) isOther(ctx context.Context, id stream.TaskID, epoch stream.Epoch, s *stream.Staged) (bool, error) {
	have, err := r.hash(ctx, s.Target)
	if err != nil || have == "" || have == s.SHA256 {
		return false, err
	}
	if staged, err := r.hash(ctx, s.Name); err != nil || staged != s.SHA256 {
		return false, err // it was published, and is damaged
	}
	f, err := r.Lake.Open(ctx, s.Target)
	if err != nil {
		return false, except(err)
	}
	p, err := parquetfile.Open(f, f.Size())
	if err == nil {
		err = newEpochRows().read(p, s.Table, id, epoch)
	}
	return err == nil, f.Close()
}

// undo returns the manifest that was HEAD's before the first of these epochs, as far as
// the ledger says it; why: nothing says it.
func (r *run) undo(ctx context.Context, u *reused, m checkpoint.Manifest) (was checkpoint.Manifest, why string, err error) {
	if u.why != "" {
		return was, u.why, nil
	}
	for one, err := range ledger.Walk(ctx, checkpoint.LedgerOf(r.Store), m.TaskID().String(), *m.Ledger) {
		if err != nil {
			return was, "", err
		}
		if one.Epoch < u.from {
			was = m
			was.Ledger = &ledger.Tip{Name: ledger.EntryName(one.Task, one.Number, one.Entry.Claim), Number: one.Number, SHA256: one.SHA256}
			was.Epoch, was.Position, was.Schema, was.Decoder = one.Epoch, one.Position, max(one.Schema, 0), one.Decoder
			was.Hold, was.From, was.GivenUp, was.Final, was.Staged = earlier(m.Hold, one.Position), nil, false, one.Final, nil
			was.Unpublished = slices.DeleteFunc(m.Pending(), func(p checkpoint.Unpublished) bool { return p.Epoch >= u.from })
			return was, "", nil
		}
		for _, f := range one.Files {
			if f.Sink != LakeSink || !u.names[f.Name] {
				return was, fmt.Sprintf("epoch %s was published with %s from there", one.Epoch, f.Name), nil
			}
		}
	}
	return was, "nothing says where it stood before", nil
}

// leaveOut takes those files out of an epoch's that one which is dropped has shown. Where it
// had the same rows of a table as the lake's epoch, both have one file: it stays where all
// its rows are of records that the lake's epoch took. Of conflict nothing tells that.
func (r *run) leaveOut(ctx context.Context, id stream.TaskID, epoch stream.Epoch, names []string, u *reused, ends map[string]logEnd) ([]string, error) {
	took := newEpochRows()
	for _, name := range names {
		if tableOf(name) != table.Log {
			continue
		}
		if _, _, err := r.rebuildFile(ctx, id, epoch, name, took); err != nil {
			return nil, err
		}
	}
	var left []string
	for _, name := range names {
		if slices.Contains(u.shown, name) {
			both, err := r.isWithin(ctx, name, took.logs, ends)
			if err != nil {
				return nil, err
			}
			if !both {
				continue
			}
			u.shown = slices.DeleteFunc(u.shown, func(s string) bool { return s == name })
		}
		left = append(left, name)
	}
	return left, nil
}

// isWithin tells whether all rows of a file are of offsets that an epoch took.
func (r *run) isWithin(ctx context.Context, name string, logs []ledger.Log, ends map[string]logEnd) (bool, error) {
	switch tableOf(name) {
	case table.Conflict:
		return false, nil
	case table.Log:
		return true, nil
	}
	f, err := r.Lake.Open(ctx, name)
	if err != nil {
		return false, except(err)
	}
	p, err := parquetfile.Open(f, f.Size())
	for i := 0; err == nil && i < len(p.Groups()); i++ {
		err = eachValue(p.Groups()[i], []string{"_log", "_offset"}, func(v []parquetfile.Value) error {
			log, offset := string(v[0].ByteArray()), record.Offset(v[1].Uint64())
			if !slices.ContainsFunc(logs, func(l ledger.Log) bool { return l.Log == log && ends[log].next <= offset && offset < l.Next }) {
				return errNotOf
			}
			return nil
		})
	}
	return err == nil, f.Close()
}

// isDropped tells a file that an epoch which is dropped has shown.
func (b *rebuilt) isDropped(name string) bool {
	return b.reused != nil && slices.Contains(b.reused.shown, name)
}

// isReused tells a file of which the lake has another history's under its name, and what
// HEAD names cannot be dropped: it is no damaged one, and nothing is done with it.
func (t *taskState) isReused(name string) bool {
	return t.rebuilt != nil && t.rebuilt.why != "" && t.rebuilt.reused != nil && epochOf(name) >= t.rebuilt.reused.from
}

// earlier returns what a landing log holds back, where that is before a position.
func earlier(hold *stream.Position, at stream.Position) *stream.Position {
	if hold == nil || hold.Log != at.Log || hold.Offset >= at.Offset {
		return nil
	}
	return hold
}
