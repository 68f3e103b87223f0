package repair

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"landfall/engine/ledger"
	"landfall/engine/operator"
	"landfall/engine/stream"
	"landfall/engine/table"
)

// decoderVersion is that of this program.
var decoderVersion = strconv.Itoa(operator.DecoderVersion)

// plan finds a fix for each file of a task that is wrong.
func (r *run) plan(ctx context.Context, t *taskState) error {
	byEpoch := map[stream.Epoch][]*wrongFile{}
	for i := range t.wrong {
		w := &t.wrong[i]
		if from, ok := r.spare[w.SHA256]; ok && w.suspect == "" {
			w.fix = &fix{kind: Restored, copyOf: from, staged: w.staged(), note: "with the bytes that the ledger names, from " + from, decoder: t.decoders[w.Name]}
			continue
		}
		byEpoch[w.epoch] = append(byEpoch[w.epoch], w)
	}
	for _, epoch := range slices.Sorted(maps.Keys(byEpoch)) { // later ones stand on earlier ones
		if err := r.planEpoch(ctx, t, epoch, byEpoch[epoch]); err != nil {
			return err
		}
	}
	return nil
}

// staged is the file as a sink's output, but for where it lies staged.
func (w *wrongFile) staged() stream.Staged {
	return stream.Staged{Sink: LakeSink, Table: table.Name(w.Table), Target: w.Name, Rows: w.Rows, Bytes: w.Bytes, SHA256: w.SHA256}
}

// planEpoch makes an epoch's files again in the scratch place, and takes those
// that are right.
func (r *run) planEpoch(ctx context.Context, t *taskState, epoch stream.Epoch, wrong []*wrongFile) error {
	m, why, err := r.material(ctx, t, epoch, wrong)
	if err != nil {
		return err
	}
	if m == nil {
		for _, w := range wrong {
			if w.right = w.suspect != "" && w.Table != string(table.Record); w.right {
				continue // nothing says so
			}
			r.left(t.id.String(), table.Name(w.Table), w.Name, "it is %s, and cannot be made again: %s", w.state(), why)
		}
		return nil
	}
	made, err := r.make(ctx, t, epoch, m)
	if err != nil {
		return fmt.Errorf("make epoch %s of %s again: %w", epoch, t.id, err)
	}
	for _, w := range wrong {
		if why := r.choose(w, m, made); why != "" {
			r.left(t.id.String(), table.Name(w.Table), w.Name, "it is %s, and cannot be made again: %s", w.state(), why)
		}
	}
	return nil
}

func (w *wrongFile) state() string {
	switch {
	case w.absent:
		return "gone"
	case w.suspect != "":
		return w.suspect
	case w.odd != "":
		return "no file but " + w.odd
	}
	return "damaged"
}

// choose takes what was made for a file when it may take the file's place, and
// says why not.
func (r *run) choose(w *wrongFile, m *material, made []stream.Staged) (why string) {
	s, ok := w.candidate(made)
	if !ok {
		return fmt.Sprintf("no such file comes out of %s", m.source)
	}
	if w.right = w.suspect != "" && s.SHA256 == w.SHA256; w.right {
		return ""
	}
	f := &fix{kind: Restored, from: s.Name, staged: s, note: "with the bytes that the ledger names, made again from " + m.source, decoder: decoderVersion}
	if s.SHA256 != w.SHA256 || s.Bytes != w.Bytes {
		note, why := replacement(w, m, &s)
		if why != "" {
			return why
		}
		f.kind, f.note = Replaced, note
	}
	w.fix = f
	return ""
}

// candidate is what was made for a file: the one with its hash, or with as many rows, if
// there is any, before others.
func (w *wrongFile) candidate(made []stream.Staged) (best stream.Staged, ok bool) {
	fit := func(s stream.Staged) int {
		switch {
		case s.SHA256 == w.SHA256:
			return 2
		case s.Rows == w.Rows:
			return 1
		}
		return 0
	}
	for _, s := range made {
		if s.Target == w.Name && (!ok || fit(s) > fit(best)) {
			best, ok = s, true
		}
	}
	return best, ok
}

// replacement says what differs in a file that was made again with other bytes,
// or why it is not taken.
func replacement(w *wrongFile, m *material, made *stream.Staged) (note, why string) {
	if w.Rows >= 0 && made.Rows != w.Rows {
		return "", fmt.Sprintf("%d rows of %d come out of %s", made.Rows, w.Rows, m.source)
	}
	decoder := ""
	if m.decoder != "" && m.decoder != decoderVersion {
		decoder = fmt.Sprintf("; decoder %d in place of %s", operator.DecoderVersion, m.decoder)
	}
	switch table.Name(w.Table) {
	case table.Record:
		if w.suspect != "" {
			return "made again from " + m.source + ", whose bytes the ledger proves; landed_at is as in the file before" + decoder, ""
		}
		return "made again from " + m.source + ", whose bytes the ledger proves; landed_at is NULL where nothing else of the block is left" + decoder, ""
	case table.Log:
		return "made again from the ledger; watermark and landed_at are NULL where nothing tells them", ""
	case table.Window, table.Late, table.Loss, table.Conflict:
		return "", "its rows are no function of the records alone, and other bytes than the ledger names come out of " + m.source
	default:
		return "decoded again from " + m.source + "; is_duplicate, dup_log, dup_offset, is_late and what one half of type 24 takes from the other " +
			"were computed again from the records before, without the state of that time" + decoder, ""
	}
}

// ranges is what an epoch took of each log; nil: the ledger has no entry of it.
func (t *taskState) ranges(epoch stream.Epoch) []ledger.Log {
	if e := t.epochs[epoch]; e != nil {
		return e.Logs
	}
	return nil
}
