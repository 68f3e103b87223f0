package audit

import (
	"slices"
	"strings"
	"testing"

	"landfall/edge/record"
	"landfall/engine/checkpoint"
	"landfall/engine/table"
)

// asideLake is a lake in which offsets 50 to 59 of log 1 are a block in conflict with
// reason poison, as change leaves the row.
func asideLake(t *testing.T, change func(*table.ConflictRow)) *Result {
	t.Helper()
	e := twoLogs()
	var b record.Builder
	for _, row := range e[1].Records[10:20] {
		r := record.Record{Kind: record.KindText, TimeSource: record.TimeReceipt, EventTime: 5, ReceivedAt: 5, Raw: row.Raw}
		if err := b.Add(&r); err != nil {
			t.Fatal(err)
		}
	}
	e[1].Records = slices.Delete(e[1].Records, 10, 20)
	gone := func(log string, o record.Offset) bool { return log == logID(1).String() && o >= 50 && o < 60 }
	e[1].Positions = slices.DeleteFunc(e[1].Positions, func(r table.PositionRow) bool { return gone(r.Log, r.Offset) })
	e[1].Statics = slices.DeleteFunc(e[1].Statics, func(r table.StaticRow) bool { return gone(r.Log, r.Offset) })
	e[1].Readings = slices.DeleteFunc(e[1].Readings, func(r table.ReadingRow) bool { return gone(r.Log, r.Offset) })
	e[1].Lates = slices.DeleteFunc(e[1].Lates, func(r table.LateRow) bool { return gone(r.Log, r.Offset) })
	e[1].Windows = slices.DeleteFunc(e[1].Windows, func(r table.WindowRow) bool { return gone(r.Log, r.Offset) })
	row := table.ConflictRow{Gateway: "gw", Log: logID(1).String(), Offset: 50, Count: 10, Reason: reasonPoison,
		Block: slices.Clone(b.Seal(logID(1), 50, record.Hash{}))}
	change(&row)
	e[1].Conflicts = append(e[1].Conflicts, row)
	dir, files := writeFiles(t, e...)
	store := openStore(t, checkpointsOf(dir))
	entries := ledgerOf(t, files, claimsOf(twoLogs()))
	for i := range entries {
		entries[i].Schema = logSchema - 1 // without the table log
	}
	writeHead(t, store, checkpoint.Manifest{Epoch: 3, Ledger: writeLedger(t, store, entries)})
	return runAudit(t, Config{Lake: dir})
}

// TestABlockSetAsideIsNamed: it is never exact, and nothing else is wrong with it: its
// records are summed up as if they were rows of record.
func TestABlockSetAsideIsNamed(t *testing.T) {
	r := asideLake(t, func(*table.ConflictRow) {})
	if r.Exact || len(r.Findings) != 1 {
		t.Fatalf("exact %v, %v", r.Exact, r.Findings)
	}
	if f := r.Findings[0]; f.Kind != KindSetAside || f.Offsets != "50-59" || f.Log != logID(1).String() ||
		!strings.Contains(f.Detail, "10 offsets") || !strings.Contains(f.Detail, "reason poison") {
		t.Errorf("%+v", f)
	}
	if l := r.Logs[0]; l.SetAside != 10 || l.Missing != 0 || l.Conflicts != 1 || l.Digest == "" {
		t.Errorf("%+v", l)
	}
}

// TestABlockSetAsideHasToBeThatBlock: what is said to be set aside, and is not what was
// captured, is found beside.
func TestABlockSetAsideHasToBeThatBlock(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*table.ConflictRow)
		want   Kind
	}{
		"a byte":        {func(r *table.ConflictRow) { r.Block[len(r.Block)-3] ^= 1 }, KindRow},
		"no block":      {func(r *table.ConflictRow) { r.Block = nil }, KindRow},
		"more":          {func(r *table.ConflictRow) { r.Count = 11 }, KindRow},
		"others":        {func(r *table.ConflictRow) { r.Offset = 70 }, KindMissing},
		"of no epoch":   {func(r *table.ConflictRow) { r.Offset = 5 }, KindRange},
		"out of number": {func(r *table.ConflictRow) { r.Offset, r.Count = 1<<63, 1<<63 }, KindRow},
		"another text": {func(r *table.ConflictRow) {
			var b record.Builder
			for range 10 {
				o := record.Record{Kind: record.KindText, TimeSource: record.TimeReceipt, EventTime: 5, ReceivedAt: 5, Raw: []byte("x")}
				if err := b.Add(&o); err != nil {
					t.Fatal(err)
				}
			}
			r.Block = slices.Clone(b.Seal(logID(1), 50, record.Hash{}))
		}, KindDigest},
		"only a conflict": {func(r *table.ConflictRow) { r.Reason = "hash" }, KindMissing},
	} {
		t.Run(name, func(t *testing.T) {
			r := asideLake(t, c.change)
			if r.Exact || !slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Kind == c.want }) {
				t.Errorf("exact %v, no %s: %v", r.Exact, c.want, r.Problems)
			}
		})
	}
}
