package repair

import (
	"cmp"
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
// gateway's log has, though their files are those that the ledger names. Only logs can
// tell why, so that it does nothing where none was given; the audit after a repair finds
// them too. The blocks of such a log, as far as the chain proves them,
//
//   - have other records: files and ledger were changed together. The epoch is made again;
//   - have these records, and state that digest: it is false, and its gateway's own. The
//     rows are as they were captured and stay, and the log is told (Result.Contradicts);
//   - are not there, or prove nothing: it is told, and the files stay as they are.
//
// Nothing of the last two stands against what is made of the same files for other logs:
// their bytes are those that the ledger names.
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
		if err := r.compareEpoch(ctx, t, epoch, groups); err != nil {
			return err
		}
	}
	return nil
}

// compareEpoch compares the records of an epoch, all of which are there.
func (r *run) compareEpoch(ctx context.Context, t *taskState, epoch stream.Epoch, groups []*group) error {
	told, forged := "", ""
	for _, l := range t.epochs[epoch].Logs {
		if !t.wrongDigest(&l, groups) {
			continue
		}
		is := fmt.Sprintf("as the ledger names it, but the records of offsets %s to %s of log %s of %s are not those of which the gateway kept the digest", l.From, l.Next-1, l.Log, l.Gateway)
		blocks, why, err := r.provedBlocks(ctx, t, &l, groups)
		switch {
		case err != nil:
			return err
		case why != "":
			told = fmt.Sprintf("it is %s, and cannot be made again: not every file of record of its epoch is right, and %s", is, why)
		case sumOf(blocks) != sumOf(ofLog(&l, groups)):
			forged = is
		}
	}
	for _, name := range sortedKeys(t.files) {
		if told != "" && t.files[name].Table == string(table.Record) && epochOf(name) == epoch {
			r.left(t.id.String(), table.Record, name, "%s", told)
		}
	}
	if forged != "" {
		t.suspect(epoch, groups, forged)
	}
	return nil
}

// statedAt is where an epoch began to take a log.
type statedAt struct {
	log  string
	from record.Offset
}

// contradict notes that a gateway stated a false digest of what an epoch took of its log.
func (r *run) contradict(l *ledger.Log) { r.stated[statedAt{l.Log, l.From}] = *l }

// tellContradictions names each log of which a gateway stated what is not so, once.
func (r *run) tellContradictions() {
	byLog := map[string][]ledger.Log{}
	for at, l := range r.stated {
		byLog[at.log] = append(byLog[at.log], l)
	}
	for _, log := range sortedKeys(byLog) {
		all := byLog[log]
		slices.SortFunc(all, func(a, b ledger.Log) int { return cmp.Compare(a.From, b.From) })
		more := ""
		if n := len(all) - 1; n > 0 {
			more = fmt.Sprintf(", and %d times after it", n)
		}
		first := &all[0]
		r.result.Contradicts = append(r.result.Contradicts, Action{Kind: Contradicts, Table: table.Log, Detail: fmt.Sprintf(
			"gateway %s states of its log %s a digest that its own blocks do not have, first of offsets %s to %s%s; their rows are as the blocks have them and stay, and the audit is not exact for it",
			first.Gateway, log, first.From, first.Next-1, more)})
	}
}

// wrongDigest tells whether all records that an epoch took of a log are there and
// have another digest than the ledger says.
func (t *taskState) wrongDigest(l *ledger.Log, groups []*group) bool {
	records := record.Offset(0)
	for _, g := range ofLog(l, groups) {
		records += record.Offset(len(g.records))
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
