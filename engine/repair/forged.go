package repair

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"landfall/edge/record"
	"landfall/engine/ledger"
	"landfall/engine/stream"
	"landfall/engine/table"
)

// compareDigests finds the epochs whose records have not the digest that the
// gateway's log has, though their files are those that the ledger names: files and
// ledger were changed together. Only logs can tell what was there, so that it does
// nothing where none was given; the audit after a repair finds them too.
func (r *run) compareDigests(ctx context.Context, t *taskState) error {
	if len(r.blocks.stores) == 0 || !t.readable {
		return nil
	}
	for _, epoch := range slices.Sorted(maps.Keys(t.epochs)) {
		groups, whole, err := r.groupsOf(ctx, t, epoch)
		switch {
		case err != nil && ctx.Err() == nil:
			t.suspect(epoch, nil, fmt.Sprintf("not to be read, though it has the bytes that the ledger names: %v", err))
			continue
		case err != nil:
			return err
		case !whole:
			continue // it is made again, and proved, anyhow
		}
		for _, l := range t.epochs[epoch].Logs {
			if t.wrongDigest(&l, groups) {
				t.suspect(epoch, groups, fmt.Sprintf("as the ledger names it, but the records of offsets %s to %s of log %s of %s are not those of which the gateway kept the digest",
					l.From, l.Next-1, l.Log, l.Gateway))
				break
			}
		}
	}
	return nil
}

// wrongDigest tells whether all records that an epoch took of a log are there and
// have another digest than the ledger says.
func (t *taskState) wrongDigest(l *ledger.Log, groups []*group) bool {
	records := record.Offset(0)
	for _, g := range groups {
		if g.log.String() == l.Log {
			records += record.Offset(len(g.records))
		}
	}
	return records > 0 && records == l.Next-l.From && proveDigest(t, *l, groups) != ""
}

// suspect takes the files of an epoch for wrong that are a function of its records.
// When these landed is taken from what the files say.
func (t *taskState) suspect(epoch stream.Epoch, groups []*group, why string) {
	if t.landed == nil {
		t.landed = map[stream.Epoch][]*group{}
	}
	t.landed[epoch] = groups
	for _, name := range sortedKeys(t.files) {
		f := t.files[name]
		switch table.Name(f.Table) {
		case table.Log, table.Window, table.Late, table.Loss, table.Conflict:
			continue
		}
		if epochOf(name) == epoch {
			t.wrong = append(t.wrong, wrongFile{File: f, epoch: epoch, suspect: why})
		}
	}
}
