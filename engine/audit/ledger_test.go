package audit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"landfall/decoders/ais"
	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/engine/checkpoint"
	"landfall/engine/ledger"
	"landfall/engine/state"
	"landfall/engine/stream"
	"landfall/engine/table"
	"landfall/engine/task"
	"landfall/sinks/object"
)

func checkpointsOf(lake string) string { return filepath.Join(lake, "_checkpoint") }

func openStore(t testing.TB, dir string) checkpoint.Store {
	t.Helper()
	store, err := object.OpenDir(durable.OS{}, dir)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func isTask(task Task, epoch uint64, pending int) bool {
	return task.Task == "test-0000" && task.Epoch == epoch && task.Pending == pending
}

// claimsOf says how far batches, one an epoch, take each log: every digest by
// record's own definition.
func claimsOf(batches []*table.Batch) [][]ledger.Log {
	at := make(map[logKey]*ledger.Log)
	var all [][]ledger.Log
	for _, b := range batches {
		now := make(map[logKey]*ledger.Log)
		of := func(gateway, log string) *ledger.Log {
			k := logKey{gateway, log}
			if now[k] == nil {
				now[k] = &ledger.Log{Gateway: gateway, Log: log, Digest: "0"}
				if before := at[k]; before != nil {
					now[k].From, now[k].Next, now[k].Digest = before.Next, before.Next, before.Digest
				}
			}
			return now[k]
		}
		add := func(l *ledger.Log, d record.Digest) {
			before, _ := record.ParseDigest(l.Digest)
			l.Digest = (before + d).String()
		}
		for i := range b.Records {
			r := &b.Records[i]
			id, err := record.ParseLogID(r.Log)
			if err != nil {
				continue
			}
			l := of(r.Gateway, r.Log)
			d := record.NewDigester(id)
			add(l, d.Record(r.Offset, r.Raw))
			l.Next = max(l.Next, r.Offset+1)
		}
		for i := range b.Losses {
			r := &b.Losses[i]
			if r.Offset+record.Offset(r.Count) < r.Offset {
				continue
			}
			l := of(r.Gateway, r.Log)
			l.Next = max(l.Next, r.Offset+record.Offset(r.Count))
			add(l, r.Digest.Value)
		}
		var epoch []ledger.Log
		for k, l := range now {
			at[k] = l
			epoch = append(epoch, *l)
		}
		slices.SortFunc(epoch, func(a, b ledger.Log) int { return strings.Compare(a.Gateway+a.Log, b.Gateway+b.Log) })
		all = append(all, epoch)
	}
	return all
}

// addLogs adds the rows of table log to batches, one an epoch.
func addLogs(batches []*table.Batch) {
	openings := make(map[string]record.Opening)
	for _, b := range batches {
		for _, r := range b.Records {
			if o, err := record.DecodeOpening(r.Raw); r.Offset == 0 && r.Kind == record.KindLogOpen && err == nil {
				openings[r.Log] = o
			}
		}
	}
	for i, claims := range claimsOf(batches) {
		batches[i].Logs = nil
		for _, l := range claims {
			row := table.LogRow{Gateway: l.Gateway, Log: l.Log, NextOffset: l.Next, OpenedAt: record.NoTime, Closed: l.Closed, Watermark: record.NoTime, Epoch: uint64(i + 1)}
			if o, ok := openings[l.Log]; ok {
				row.Previous, row.PreviousEnd, row.OpenedAt = idText(o.Prev), o.PrevEnd, o.OpenedAt
			}
			d, err := record.ParseDigest(l.Digest)
			row.Digest = ais.Opt[record.Digest]{Value: d, Valid: err == nil}
			batches[i].Logs = append(batches[i].Logs, row)
		}
	}
}

// ledgerOf makes the entries of published epochs.
func ledgerOf(t testing.TB, files [][]stream.Staged, claims [][]ledger.Log) []ledger.Entry {
	t.Helper()
	var all []ledger.Entry
	for i, staged := range files {
		e := ledger.Entry{Format: ledger.Format, Kind: ledger.KindEpoch, Task: testTask.String(), Epoch: stream.Epoch(i + 1), Claim: testClaim, Schema: table.SchemaVersion, Decoder: "5", Logs: claims[i]}
		for _, s := range staged {
			e.Files = append(e.Files, ledger.File{Sink: s.Sink, Table: string(s.Table), Name: s.Target, Rows: s.Rows, Bytes: s.Bytes, SHA256: s.SHA256})
		}
		all = append(all, e)
	}
	return all
}

// writeLedger numbers, chains and stores entries, and returns the newest.
func writeLedger(t testing.TB, store checkpoint.Store, entries []ledger.Entry) *ledger.Tip {
	t.Helper()
	var tip *ledger.Tip
	for i := range entries {
		e := entries[i]
		e.Number = uint64(i + 1)
		if tip != nil {
			e.Previous = tip.SHA256
		}
		line, err := e.Encode()
		if err != nil {
			t.Fatal(err)
		}
		name := ledger.EntryName(e.Task, e.Number, testClaim)
		if err := store.Create(context.Background(), name, line); err != nil {
			t.Fatal(err)
		}
		tip = &ledger.Tip{Name: name, Number: e.Number, SHA256: ledger.Hash(line)}
	}
	return tip
}

// writeHead makes a manifest the current one.
func writeHead(t testing.TB, store checkpoint.Store, m checkpoint.Manifest) {
	t.Helper()
	m.Landing, m.Partition, m.Partitions = testTask.Landing, testTask.Partition, 1
	writeHeadOf(t, store, m)
}

// writeFeeding makes an object say which landing log feeds the lake.
func writeFeeding(t testing.TB, store checkpoint.Store, text string) {
	t.Helper()
	_, version, err := store.Read(context.Background(), feedingName)
	if err != nil {
		version = ""
	}
	if _, err := store.Swap(context.Background(), feedingName, version, []byte(text+"\n")); err != nil {
		t.Fatal(err)
	}
}

// writeHeadOf makes a manifest the current one of the task that it names.
func writeHeadOf(t testing.TB, store checkpoint.Store, m checkpoint.Manifest) {
	t.Helper()
	m.Format, m.Claim = checkpoint.Format, testClaim
	if m.Ledger == nil {
		m.Format = ledgerFormat - 1
	} else {
		asItsLedger(t, store, &m)
	}
	data, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	h := checkpoint.Head{Format: m.Format, SHA256: hex.EncodeToString(sum[:]), Claim: testClaim, Epoch: m.Epoch}
	h.Manifest = m.TaskID().String() + "/manifest/" + h.SHA256[:8] + ".json"
	head, err := h.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if m.Format >= feedingSince {
		writeFeeding(t, store, fmt.Sprintf(`{"format":1,"generation":%d,"kind":"embedded","id":%q,"partitions":0,"place":""}`, m.Generation, m.Landing))
	}
	name := m.TaskID().String() + "/HEAD"
	_, version, err := store.Read(context.Background(), name)
	if err != nil {
		version = ""
	}
	if err := store.Create(context.Background(), h.Manifest, data); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Swap(context.Background(), name, version, head); err != nil {
		t.Fatal(err)
	}
}

// asItsLedger gives a manifest what its ledger, as far as it can be read, says that it
// has to have: the state, unless it names one, and the decoder.
func asItsLedger(t testing.TB, store checkpoint.Store, m *checkpoint.Manifest) {
	t.Helper()
	var logs []task.KnownLog
	seen := make(map[string]bool)
	for one, err := range ledger.Walk(t.Context(), checkpoint.LedgerOf(store), m.TaskID().String(), *m.Ledger) {
		if err != nil {
			break
		}
		if one.Kind != ledger.KindRepair && m.Decoder == "" {
			m.Decoder = one.Decoder
		}
		for _, l := range one.Logs {
			id, err := record.ParseLogID(l.Log)
			if seen[l.Log] || err != nil {
				continue
			}
			seen[l.Log] = true
			d, err := record.ParseDigest(l.Digest)
			logs = append(logs, task.KnownLog{ID: id, Gateway: l.Gateway, Next: l.Next, Digest: ais.Opt[record.Digest]{Value: d, Valid: err == nil}})
		}
	}
	if m.State != nil || len(logs) == 0 {
		return
	}
	s := state.New()
	if err := task.KeepKnown(s, logs, nil); err != nil {
		t.Fatal(err)
	}
	data, _ := s.Snapshot()
	o := checkpoint.StateObject{Name: m.TaskID().String() + "/state/" + ledger.Hash(data)[:8], SHA256: ledger.Hash(data), Bytes: int64(len(data))}
	if err := store.Create(context.Background(), o.Name, data); err != nil && !errors.Is(err, checkpoint.ErrExist) {
		t.Fatal(err)
	}
	m.State = []checkpoint.StateObject{o}
}

// writeCheckpoint leaves HEAD, manifest and ledger of published epochs beside
// them.
func writeCheckpoint(t testing.TB, dir string, files [][]stream.Staged, batches ...*table.Batch) {
	t.Helper()
	store := openStore(t, checkpointsOf(dir))
	tip := writeLedger(t, store, ledgerOf(t, files, claimsOf(batches)))
	writeHead(t, store, checkpoint.Manifest{Epoch: stream.Epoch(len(files)), Ledger: tip})
}

// digestOf sums up rows of record.
func digestOf(rows []table.RecordRow) ais.Opt[record.Digest] {
	sum := record.Digest(0)
	for i := range rows {
		id, _ := record.ParseLogID(rows[i].Log)
		d := record.NewDigester(id)
		sum += d.Record(rows[i].Offset, rows[i].Raw)
	}
	return ais.Some(sum)
}

// TestLossesAddToTheDigest: what record lacks stands in loss, with its digest.
func TestLossesAddToTheDigest(t *testing.T) {
	lose := func(change func(l *table.LossRow)) *Result {
		e := twoLogs()
		lost := slices.Clone(e[1].Records[10:20])
		e[1].Records = slices.Delete(e[1].Records, 10, 20)
		gone := func(log string, o record.Offset) bool { return log == logID(1).String() && o >= 50 && o < 60 }
		e[1].Positions = slices.DeleteFunc(e[1].Positions, func(r table.PositionRow) bool { return gone(r.Log, r.Offset) })
		e[1].Statics = slices.DeleteFunc(e[1].Statics, func(r table.StaticRow) bool { return gone(r.Log, r.Offset) })
		e[1].Readings = slices.DeleteFunc(e[1].Readings, func(r table.ReadingRow) bool { return gone(r.Log, r.Offset) })
		e[1].Lates = slices.DeleteFunc(e[1].Lates, func(r table.LateRow) bool { return gone(r.Log, r.Offset) })
		e[1].Windows = slices.DeleteFunc(e[1].Windows, func(r table.WindowRow) bool { return gone(r.Log, r.Offset) })
		addLoss(e[1], 50, 10)
		e[1].Losses[0].Digest = digestOf(lost)
		change(&e[1].Losses[0])
		dir, files := writeFiles(t, e...)
		store := openStore(t, checkpointsOf(dir))
		entries := ledgerOf(t, files, claimsOf(twoLogs()))
		for i := range entries {
			entries[i].Schema = logSchema - 1 // without the table log
		}
		writeHead(t, store, checkpoint.Manifest{Epoch: 3, Ledger: writeLedger(t, store, entries)})
		return runAudit(t, Config{Lake: dir})
	}
	if r := lose(func(*table.LossRow) {}); len(r.Findings) != 1 || r.Findings[0].Kind != KindLoss || r.Logs[0].Digest == "" {
		t.Errorf("the digest of the loss fits: %s%+v", listFindings(r), r.Logs[0])
	}
	if r := lose(func(l *table.LossRow) { l.Digest.Value++ }); !found(r, KindDigest) {
		t.Errorf("another digest: %s", listFindings(r))
	}
	if r := lose(func(l *table.LossRow) { l.Digest.Valid = false }); !found(r, KindDigest) || !strings.Contains(listFindings(r), "has no digest") {
		t.Errorf("no digest: %s", listFindings(r))
	}
}

// writeHeadAt writes entries, and a manifest that names the newest.
func writeHeadAt(t testing.TB, store checkpoint.Store, entries []ledger.Entry) {
	t.Helper()
	writeHead(t, store, checkpoint.Manifest{Epoch: entries[len(entries)-1].Epoch, Ledger: writeLedger(t, store, entries)})
}
