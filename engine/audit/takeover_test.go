package audit

import (
	"bytes"
	"encoding/binary"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	pq "github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding/thrift"

	"landfall/engine/checkpoint"
	"landfall/engine/ledger"
	"landfall/engine/table"
)

// TestALakeThatTookSeveralEntriesToTakeOver has its logs in the last of them.
func TestALakeThatTookSeveralEntriesToTakeOver(t *testing.T) {
	adopted := func(change func(all []ledger.Entry)) *Result {
		e := fleet()
		w := &tamperedLake{t: t}
		addLogs(e)
		for _, b := range e[:3] {
			b.Logs = nil
		}
		w.dir, w.files = writeFiles(t, e...)
		claims := claimsOf(fleet())
		entries := ledgerOf(t, w.files, claims)
		one, two := entries[0], entries[1]
		for _, a := range []*ledger.Entry{&one, &two} {
			a.Kind, a.Epoch, a.Logs = ledger.KindAdopted, 3, nil
		}
		two.Files = append(two.Files, entries[2].Files...)
		for _, l := range append(claims[1][2:3], append(claims[2], claims[1][0])...) { // the newest of each log
			l.From, l.Digest = 0, ""
			two.Logs = append(two.Logs, l)
		}
		all := append([]ledger.Entry{one, two}, entries[3:]...)
		if change != nil {
			change(all)
		}
		w.store = openStore(t, checkpointsOf(w.dir))
		writeHeadAt(t, w.store, all)
		return runAudit(t, Config{Lake: w.dir})
	}
	r := adopted(nil)
	if !r.Exact || strings.Contains(strings.Join(r.NotChecked, "\n"), "that is not known") {
		t.Errorf("exact %v, %s%q", r.Exact, listFindings(r), r.NotChecked)
	}
	for i, l := range r.Logs {
		if !l.Anchored || l.Task == "" || l.Next != l.Captured {
			t.Errorf("log %d: %+v", i, l)
		}
	}
	wantFinding(t, adopted(func(all []ledger.Entry) { all[2].Logs[0].From += 3 }), Finding{Kind: KindLedger})
	wantFinding(t, adopted(func(all []ledger.Entry) {
		for i := range all[2].Logs {
			if l := &all[2].Logs[i]; l.Log == logID(4).String() {
				l.From = 3
			}
		}
	}), Finding{Kind: KindLedger})
	wantFinding(t, adopted(func(all []ledger.Entry) { all[1].Logs[0].From = 3 }), Finding{Kind: KindLedger})
}

// TestATakeOverOnItsWay, or one that crashed, is told from a HEAD that was set
// back.
func TestATakeOverOnItsWay(t *testing.T) {
	w, objects := oldLake(t, map[int]uint64{1: 100, 2: 60, 3: 50, 4: 40})
	e := ledgerOf(t, w.files, claimsOf(fleet()))[0]
	e.Kind, e.Epoch, e.Logs = ledger.KindAdopted, 5, nil
	writeLedger(t, w.store, []ledger.Entry{e})
	r := runAudit(t, Config{Lake: w.dir})
	if !r.Exact || r.Level != LevelOffsets || !strings.Contains(strings.Join(r.Notes, "\n"), "without a ledger") {
		t.Errorf("exact %v at %s, %q, %s", r.Exact, r.Level, r.Notes, listFindings(r))
	}
	wantFinding(t, runAudit(t, Config{Lake: w.dir, Level: LevelFiles}), Finding{Kind: KindLevel})

	for name, change := range map[string]func(e *ledger.Entry){
		"an entry of an epoch":          func(e *ledger.Entry) { e.Kind = ledger.KindEpoch },
		"a take-over of an other epoch": func(e *ledger.Entry) { e.Epoch = 6 },
	} {
		t.Run(name, func(t *testing.T) {
			e := e
			change(&e)
			store := openStore(t, t.TempDir())
			for _, o := range objects {
				data, _, err := w.store.Read(t.Context(), o.Name)
				check(t, err)
				check(t, store.Create(t.Context(), o.Name, data))
			}
			writeLedger(t, store, []ledger.Entry{e})
			writeHead(t, store, checkpoint.Manifest{Epoch: 5, State: objects})
			wantFinding(t, runAudit(t, Config{Lake: w.dir, Checkpoints: store}), Finding{Kind: KindLedger, Task: "test-0000"})
		})
	}
}

// TestARepairWhileAnEpochIsNotPublished: the repair counts, the epoch is left out,
// and a later audit goes on before both.
func TestARepairWhileAnEpochIsNotPublished(t *testing.T) {
	w, _ := ledgered(t, nil, nil)
	entries := ledgerOf(t, w.files, claimsOf(fleet()))
	was := &entries[1].Files[0]
	now := *was
	was.SHA256, was.Bytes = strings.Repeat("a", 64), was.Bytes+1 // as it was before the repair
	repair := entries[4]
	repair.Kind, repair.Files, repair.Removed, repair.Logs = ledger.KindRepair, []ledger.File{now}, []ledger.File{*was}, nil
	last := w.files[4]
	for _, f := range last {
		move(t, w.path(f.Target), w.path(f.Name))
	}
	store := openStore(t, t.TempDir())
	tip := writeLedger(t, store, append(entries, repair))
	writeHead(t, store, checkpoint.Manifest{Epoch: 5, Staged: last, Ledger: tip})
	r := runAudit(t, Config{Lake: w.dir, Checkpoints: store, Level: LevelBytes})
	if !r.Exact || !isTask(r.Tasks[0], 4, 1) || r.Tasks[0].Ledger.Number != 4 {
		t.Errorf("exact %v, %s%+v %+v", r.Exact, listFindings(r), r.Tasks, r.Tasks[0].Ledger)
	}
	for _, f := range last {
		move(t, w.path(f.Name), w.path(f.Target))
	}
	again := runAudit(t, Config{Lake: w.dir, Checkpoints: store, Level: LevelBytes, Since: r})
	if !again.Exact || !isTask(again.Tasks[0], 5, 0) || again.Tasks[0].Ledger.Number != 6 {
		t.Errorf("after it was published: exact %v, %s%+v", again.Exact, listFindings(again), again.Tasks)
	}
	if whole := runAudit(t, Config{Lake: w.dir, Checkpoints: store, Level: LevelBytes}); !whole.Exact || whole.Tasks[0].Ledger.Number != 6 {
		t.Errorf("from the beginning: %s%+v", listFindings(whole), whole.Tasks)
	}
}

// TestAColumnThatCannotBeChecked is a finding: here one that no level reads, in a
// compression that the reader does not know.
func TestAColumnThatCannotBeChecked(t *testing.T) {
	dir, files := writeFiles(t, fleet()...)
	entries := ledgerOf(t, files, claimsOf(fleet()))
	var name string
	for i := range entries[0].Files {
		f := &entries[0].Files[i]
		if f.Table != string(table.Window) {
			continue
		}
		name = f.Name
		data := withUnknownCodec(t, dir+"/"+name)
		check(t, os.WriteFile(dir+"/"+name, data, 0o644))
		f.Bytes, f.SHA256 = int64(len(data)), ledger.Hash(data)
	}
	for i := range entries {
		entries[i].Schema = logSchema - 1 // without the table log
	}
	store := openStore(t, t.TempDir())
	writeHeadAt(t, store, entries)
	r := runAudit(t, Config{Lake: dir, Checkpoints: store})
	wantFinding(t, r, Finding{Kind: KindFile, Table: table.Window, File: name})
	if len(r.Findings) != 1 || !strings.Contains(listFindings(r), "cannot be read: column") {
		t.Errorf("%s", listFindings(r))
	}
}

// withUnknownCodec returns a file whose footer says of each column that nobody
// reads that it is compressed in a way that has no number.
func withUnknownCodec(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	check(t, err)
	in, err := pq.OpenFile(bytes.NewReader(data), int64(len(data)))
	check(t, err)
	footer := *in.Metadata()
	for i := range footer.RowGroups[0].Columns {
		c := &footer.RowGroups[0].Columns[i].MetaData
		if !slices.Contains(derivedColumns, c.PathInSchema[0]) {
			c.Codec = 77
		}
	}
	whole, err := thrift.Marshal(new(thrift.CompactProtocol), footer)
	check(t, err)
	old := int(binary.LittleEndian.Uint32(data[len(data)-8:]))
	out := append(data[:len(data)-8-old:len(data)-8-old], whole...)
	return append(binary.LittleEndian.AppendUint32(out, uint32(len(whole))), "PAR1"...)
}

// TestATakeOverWhileAnEpochIsNotPublished: what waits is neither gone nor missing.
func TestATakeOverWhileAnEpochIsNotPublished(t *testing.T) {
	w := &tamperedLake{t: t}
	w.dir, w.files = writeFiles(t, fleet()...) // without the table log
	entries := ledgerOf(t, w.files, claimsOf(fleet()))
	one := entries[4]
	one.Kind, one.Logs, one.Files = ledger.KindAdopted, nil, nil
	last := map[string]ledger.Log{}
	for _, e := range entries {
		one.Files = append(one.Files, e.Files...)
		for _, l := range e.Logs {
			l.From, l.Digest = 0, ""
			last[l.Log] = l
		}
	}
	for _, name := range slices.Sorted(maps.Keys(last)) {
		one.Logs = append(one.Logs, last[name])
	}
	store := openStore(t, t.TempDir())
	tip := writeLedger(t, store, []ledger.Entry{one})
	for _, f := range w.files[4] {
		move(t, w.path(f.Target), w.path(f.Name))
	}
	writeHead(t, store, checkpoint.Manifest{Epoch: 5, Unpublished: []checkpoint.Unpublished{{Epoch: 5, Staged: w.files[4]}}, Ledger: tip})
	if r := runAudit(t, Config{Lake: w.dir, Checkpoints: store, Level: LevelBytes}); len(r.Findings) > 0 {
		t.Errorf("%s%+v", listFindings(r), r.Tasks)
	}
	for _, f := range w.files[4] {
		move(t, w.path(f.Name), w.path(f.Target))
	}
	if r := runAudit(t, Config{Lake: w.dir, Checkpoints: store, Level: LevelBytes}); len(r.Findings) > 0 || !isTask(r.Tasks[0], 5, 0) {
		t.Errorf("after it was published: %s%+v", listFindings(r), r.Tasks)
	}
	gone := w.files[1][0]
	move(t, w.path(gone.Target), w.path(gone.Name))
	wantFinding(t, runAudit(t, Config{Lake: w.dir, Checkpoints: store, Level: LevelBytes}), Finding{Kind: KindFileGone, File: gone.Target})
}
