package audit

import (
	"encoding/binary"
	"strings"
	"testing"

	"landfall/edge/record"
	"landfall/engine/checkpoint"
	"landfall/engine/ledger"
	"landfall/engine/state"
	"landfall/engine/table"
)

// taskLogs writes the state of logs as a task of the version before the ledger.
type taskLogs struct{}

func (taskLogs) Version() uint16 { return 1 }

func (taskLogs) AppendKey(dst []byte, k record.LogID) []byte { return append(dst, k[:]...) }

func (taskLogs) AppendValue(dst []byte, v stateLog) []byte {
	dst = append(binary.AppendUvarint(dst, uint64(len(v.gateway))), v.gateway...)
	dst = append(binary.AppendUvarint(dst, v.next), make([]byte, 16)...)
	return binary.AppendUvarint(dst, 0)
}

func (taskLogs) DecodeKey(uint16, []byte) (record.LogID, error) { panic("not read") }
func (taskLogs) DecodeValue(uint16, []byte) (stateLog, error)   { panic("not read") }

// oldLake is the lake of fleet as the version before the ledger left it: its state
// says how far each log came.
func oldLake(t *testing.T, next map[int]uint64) (*tamperedLake, []checkpoint.StateObject) {
	t.Helper()
	w := &tamperedLake{t: t}
	w.dir, w.files = writeFiles(t, fleet()...)
	w.store = openStore(t, checkpointsOf(w.dir))
	s := state.New()
	logs, err := state.Register(s, logsTable, taskLogs{})
	check(t, err)
	var objects []checkpoint.StateObject
	put := func(name string) {
		data, keep := s.Snapshot()
		check(t, w.store.Create(t.Context(), name, data))
		objects = append(objects[len(objects)-keep:], checkpoint.StateObject{Name: name, SHA256: ledger.Hash(data), Bytes: int64(len(data))})
	}
	logs.Put(logID(1), stateLog{gateway: "gw", next: 7})
	put("test-0000/state/1")
	for n, next := range next {
		gateway := "gw"
		if n > 2 {
			gateway = "pier"
		}
		logs.Put(logID(n), stateLog{gateway: gateway, next: next})
	}
	put("test-0000/state/2")
	writeHead(t, w.store, checkpoint.Manifest{Epoch: 5, State: objects})
	return w, objects
}

// TestALakeWithoutALedger is checked at level offsets, up to where its state says.
func TestALakeWithoutALedger(t *testing.T) {
	all := map[int]uint64{1: 100, 2: 60, 3: 50, 4: 40}
	w, _ := oldLake(t, all)
	r := runAudit(t, Config{Lake: w.dir})
	if !r.Exact || r.Level != LevelOffsets || !r.Logs[3].Anchored || r.Logs[3].Next != 40 || len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "without a ledger") {
		t.Errorf("exact %v at %s, %q, %s%+v", r.Exact, r.Level, r.Notes, listFindings(r), r.Logs)
	}
	wantFinding(t, runAudit(t, Config{Lake: w.dir, Level: LevelFiles}), Finding{Kind: KindLevel, Task: "test-0000"})
	w.removeEpoch(5)
	wantFinding(t, runAudit(t, Config{Lake: w.dir}), Finding{Kind: KindMissing, Gateway: "pier", Log: logID(4).String(), Offsets: "25-39"})

	w, _ = oldLake(t, map[int]uint64{1: 100, 2: 60, 3: 50})
	wantFinding(t, runAudit(t, Config{Lake: w.dir}), Finding{Kind: KindUnknown, Log: logID(4).String()})
	w.object("state/2", flip(40))
	wantFinding(t, runAudit(t, Config{Lake: w.dir}), Finding{Kind: KindState, Task: "test-0000"})
}

// TestALakeThatWasTakenOver has an entry for all that was there, with digests that
// nobody knows.
func TestALakeThatWasTakenOver(t *testing.T) {
	adopted := func(change func(e *ledger.Entry)) (*tamperedLake, *Result) {
		e := fleet()
		w := &tamperedLake{t: t}
		addLogs(e)
		for _, b := range e[:3] {
			b.Logs = nil
		}
		w.dir, w.files = writeFiles(t, e...)
		claims := claimsOf(fleet())
		entries := ledgerOf(t, w.files, claims)
		first := entries[0]
		first.Kind, first.Epoch, first.Schema, first.Logs = ledger.KindAdopted, 3, logSchema-1, nil
		first.Files = append(append(first.Files, entries[1].Files...), entries[2].Files...)
		for i := range first.Files {
			first.Files[i].Rows = -1
		}
		for _, l := range append(claims[1][2:3], append(claims[2], claims[1][0])...) { // the newest of each log
			l.From, l.Digest = 0, ""
			first.Logs = append(first.Logs, l)
		}
		change(&first)
		w.store = openStore(t, checkpointsOf(w.dir))
		writeHeadAt(t, w.store, append([]ledger.Entry{first}, entries[3:]...))
		return w, runAudit(t, Config{Lake: w.dir, Level: LevelBytes})
	}
	w, r := adopted(func(*ledger.Entry) {})
	if !r.Exact || r.Logs[0].Digest != "" || r.Logs[3].Digest == "" || !strings.Contains(strings.Join(r.NotChecked, "\n"), "the bytes of 210 records in 3 logs") {
		t.Errorf("exact %v, %s%q%+v", r.Exact, listFindings(r), r.NotChecked, r.Logs)
	}
	w.remove(w.name(2, table.Record))
	r = runAudit(t, Config{Lake: w.dir})
	wantFinding(t, r, Finding{Kind: KindFileGone, Table: table.Record})
	wantFinding(t, r, Finding{Kind: KindMissing, Log: logID(1).String(), Offsets: "40-99"})
	if _, r := adopted(func(e *ledger.Entry) { e.Logs = nil }); r.Exact {
		t.Error("neither the entry nor a state says how far its logs came")
	}
}
