package audit

import (
	"testing"

	"landfall/decoders/ais"
	"landfall/edge/record"
	"landfall/engine/checkpoint"
	"landfall/engine/ledger"
	"landfall/engine/state"
	"landfall/engine/task"
)

// TestStateIsThatOfTheLedger: a state that remembers the logs otherwise than the
// ledger took them is found, whichever way it differs.
func TestStateIsThatOfTheLedger(t *testing.T) {
	other := func(l *task.KnownLog) { l.ID[15]++ }
	for name, change := range map[string]func(logs []task.KnownLog) []task.KnownLog{
		"less far":      func(logs []task.KnownLog) []task.KnownLog { logs[0].Next--; return logs },
		"farther":       func(logs []task.KnownLog) []task.KnownLog { logs[0].Next++; return logs },
		"other records": func(logs []task.KnownLog) []task.KnownLog { logs[0].Digest.Value++; return logs },
		"a log less":    func(logs []task.KnownLog) []task.KnownLog { return logs[1:] },
		"a log more": func(logs []task.KnownLog) []task.KnownLog {
			more := logs[0]
			other(&more)
			return append(logs, more)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := ledgered(t, nil, nil)
			m, err := checkpoint.Load(t.Context(), w.store, testTask)
			check(t, err)
			was, err := stateLogs(t.Context(), w.store, &m)
			check(t, err)
			var logs []task.KnownLog
			for id, l := range was {
				logs = append(logs, task.KnownLog{ID: id, Gateway: l.gateway, Next: record.Offset(l.next), Digest: ais.Opt[record.Digest]{Value: l.digest, Valid: l.known}})
			}
			s := state.New()
			check(t, task.KeepKnown(s, change(logs), nil))
			data, _ := s.Snapshot()
			m.State = []checkpoint.StateObject{{Name: "test-0000/state/other", SHA256: ledger.Hash(data), Bytes: int64(len(data))}}
			check(t, w.store.Create(t.Context(), m.State[0].Name, data))
			writeHead(t, w.store, m)
			wantFinding(t, runAudit(t, Config{Lake: w.dir, Level: LevelOffsets}), Finding{Kind: KindState, Task: "test-0000", File: "test-0000/state"})
		})
	}
}
