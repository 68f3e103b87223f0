package audit

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/engine/stream"
	"landfall/engine/table"
)

func TestExactLake(t *testing.T) {
	dir, _ := writeLake(t, twoLogs()...)
	r := runAudit(t, Config{Lake: dir})
	if !r.Exact || len(r.Logs) != 2 {
		t.Fatalf("exact %v, logs %+v, problems %v", r.Exact, r.Logs, r.Problems)
	}
	a, b := r.Logs[0], r.Logs[1]
	if !a.Closed || a.Tail != TailProven || a.Captured != 100 || a.Recorded != 100 || a.Rejected != 14 || a.TypedExpected != 117 || a.TypedFound != 117 {
		t.Errorf("closed log: %+v", a)
	}
	if b.Closed || b.Tail != TailUnproven || b.Captured != 60 {
		t.Errorf("open log: %+v", b)
	}
	var text strings.Builder
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"EXACT", "is open: what was captured after offset 59 is not proven"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("text lacks %q:\n%s", want, &text)
		}
	}
	if p, err := json.Marshal(r); err != nil || strings.Contains(string(p), "null") {
		t.Errorf("JSON %s, error %v", p, err)
	}
}

// TestEveryCorruptionIsSeen breaks an exact lake in one way at a time.
func TestEveryCorruptionIsSeen(t *testing.T) {
	without := func(rows []table.RecordRow, i int) []table.RecordRow {
		return slices.Delete(slices.Clone(rows), i, i+1)
	}
	rows := map[string]func(e []*table.Batch){
		"record removed":          func(e []*table.Batch) { e[1].Records = without(e[1].Records, 20) },
		"rejected record removed": func(e []*table.Batch) { e[0].Records = without(e[0].Records, 7) },
		"last of closed log removed": func(e []*table.Batch) {
			e[1].Records, e[1].Positions = without(e[1].Records, 59), slices.DeleteFunc(e[1].Positions, offset(1, 99))
		},
		"record doubled":             func(e []*table.Batch) { e[0].Records = append(e[0].Records, e[0].Records[7]) },
		"record doubled later":       func(e []*table.Batch) { e[2].Records = append(e[2].Records, e[0].Records[7]) },
		"typed row removed":          func(e []*table.Batch) { e[0].Positions = slices.Delete(e[0].Positions, 3, 4) },
		"second typed row removed":   func(e []*table.Batch) { e[0].Statics = e[0].Statics[1:] },
		"typed row doubled":          func(e []*table.Batch) { e[0].Positions = append(e[0].Positions, e[0].Positions[3]) },
		"typed row moved":            func(e []*table.Batch) { e[0].Positions[3].Offset = e[0].Positions[4].Offset },
		"typed row of nothing":       func(e []*table.Batch) { e[0].Positions[3].Log = logID(9).String() },
		"_row wrong":                 func(e []*table.Batch) { e[0].Statics[0].Row = 0 },
		"_rows of a record wrong":    func(e []*table.Batch) { e[0].Records[3].Rows = 2 },
		"_rows of a record zero":     func(e []*table.Batch) { e[0].Records[3].Rows = 0 },
		"_rows absurd":               func(e []*table.Batch) { e[0].Records[3].Rows = 1 << 30 },
		"_rows of a typed row wrong": func(e []*table.Batch) { e[0].Positions[3].Rows++ },
		"typed rows exchanged":       func(e []*table.Batch) { e[0].Positions[3].Rows, e[0].Statics[0].Rows = 2, 1 },
		"loss of a missing range":    func(e []*table.Batch) { e[1].Records = without(e[1].Records, 2); addLoss(e[1], 42, 1) },
		"loss beyond all numbers":    func(e []*table.Batch) { addLoss(e[1], 42, 1<<63); e[1].Losses[0].Offset = 1 << 63 },
		"conflict": func(e []*table.Batch) {
			e[2].Conflicts = append(e[2].Conflicts, table.ConflictRow{Gateway: "gw", Log: logID(1).String(), Reason: "hash"})
		},
		"log begins late": func(e []*table.Batch) { e[0].Records = e[0].Records[1:] },
		"closed log gone as a whole": func(e []*table.Batch) {
			*e[0], e[1].Records, e[1].Positions, e[1].Statics = table.Batch{}, e[1].Records[60:], slices.DeleteFunc(e[1].Positions, ofLog(1)), nil
			e[1].Statics = epochOf("gw", logID(2), logID(1), 100, 0, 20).Statics
		},
		"end contradicts": func(e []*table.Batch) { e[1].Records[60].Raw = record.Opening{Prev: logID(1), PrevEnd: 98}.Encode() },
		"end unproven": func(e []*table.Batch) {
			o, err := record.DecodeOpening(e[1].Records[60].Raw)
			if err != nil {
				t.Fatal(err)
			}
			o.PrevEndUnproven = true
			e[1].Records[60].Raw = o.Encode()
		},
		"late of no record":   func(e []*table.Batch) { e[0].Lates[0].Offset = 500 },
		"window of no record": func(e []*table.Batch) { e[0].Windows[0].Offset = 1 << 40 },
		"window of no log":    func(e []*table.Batch) { e[0].Windows[0].Log = logID(9).String() },
		"opening unreadable":  func(e []*table.Batch) { e[1].Records[60].Raw = []byte("x") },
	}
	for name, corrupt := range rows {
		t.Run(name, func(t *testing.T) {
			e := twoLogs()
			corrupt(e)
			dir, _ := writeLake(t, e...)
			if r := runAudit(t, Config{Lake: dir}); r.Exact {
				t.Errorf("exact: %+v", r.Logs)
			}
		})
	}
	files := map[string]func(t *testing.T, path string){
		"removed": func(t *testing.T, path string) { check(t, os.Remove(path)) },
		"doubled": func(t *testing.T, path string) {
			copyFile(t, path, strings.Replace(path, "-0.parquet", "-1.parquet", 1))
		},
		"doubled in a later epoch": func(t *testing.T, path string) {
			copyFile(t, path, strings.Replace(path, "00000000001", "00000000009", 1))
		},
		"doubled under any name": func(t *testing.T, path string) { copyFile(t, path, filepath.Join(filepath.Dir(path), "copy.parquet")) },
		"cut":                    func(t *testing.T, path string) { check(t, os.Truncate(path, 600)) },
		"empty":                  func(t *testing.T, path string) { check(t, os.Truncate(path, 0)) },
	}
	for name, corrupt := range files {
		for _, of := range []table.Name{table.Record, table.AISPosition, table.AISStatic} {
			t.Run(string(of)+" "+name, func(t *testing.T) {
				dir, staged := writeLake(t, twoLogs()...)
				i := slices.IndexFunc(staged[0], func(s stream.Staged) bool { return s.Table == of })
				corrupt(t, filepath.Join(dir, staged[0][i].Target))
				if r := runAudit(t, Config{Lake: dir}); r.Exact {
					t.Errorf("exact: %+v", r.Logs)
				}
			})
		}
	}
	for _, of := range []table.Name{table.Window, table.Late} {
		dir, staged := writeLake(t, twoLogs()...)
		i := slices.IndexFunc(staged[0], func(s stream.Staged) bool { return s.Table == of })
		files["cut"](t, filepath.Join(dir, staged[0][i].Target))
		if r := runAudit(t, Config{Lake: dir}); r.Exact {
			t.Errorf("%s cut: exact", of)
		}
	}
}

func offset(log int, o record.Offset) func(table.PositionRow) bool {
	return func(p table.PositionRow) bool { return p.Log == logID(log).String() && p.Offset == o }
}

func ofLog(log int) func(table.PositionRow) bool {
	return func(p table.PositionRow) bool { return p.Log == logID(log).String() }
}

func addLoss(b *table.Batch, from record.Offset, n uint64) {
	b.Losses = append(b.Losses, table.LossRow{Gateway: "gw", Log: logID(1).String(), Offset: from, Count: n, Reason: "shed"})
}

// TestShedAndLandedCountsAsLanded: a range given up that came after all.
func TestShedAndLandedCountsAsLanded(t *testing.T) {
	e := twoLogs()
	addLoss(e[1], 10, 30)
	addLoss(e[1], 20, 70)
	dir, _ := writeFiles(t, e...)
	r := runAudit(t, Config{Lake: dir})
	if len(r.Findings) != 1 || r.Findings[0].Kind != KindNoAnchor || r.Logs[0].InLoss != 0 || r.Logs[0].Missing != 0 {
		t.Errorf("%+v, %+v", r.Findings, r.Logs[0])
	}
	e = twoLogs()
	e[1].Records = slices.DeleteFunc(e[1].Records, func(r table.RecordRow) bool { return r.Log == logID(1).String() && r.Offset >= 80 })
	e[1].Positions, e[1].Statics = nil, nil
	addLoss(e[1], 70, 20)
	dir, _ = writeLake(t, e...)
	if r := runAudit(t, Config{Lake: dir}); r.Logs[0].InLoss != 10 || r.Logs[0].Missing != 10 || !slices.Equal(r.Logs[0].Where, []string{"90-99"}) {
		t.Errorf("%+v", r.Logs[0])
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	check(t, err)
	check(t, os.WriteFile(to, data, 0o644))
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestEmptyLakeProvesNothing: a mistyped directory must not pass for exact.
func TestEmptyLakeProvesNothing(t *testing.T) {
	if r := runAudit(t, Config{Lake: t.TempDir()}); r.Exact || !found(r, KindEmpty) || !found(r, KindNoAnchor) {
		t.Errorf("exact %v, problems %v", r.Exact, r.Problems)
	}
}

// found tells whether there is a finding of a kind.
func found(r *Result, kind Kind) bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Kind == kind })
}

// TestAuditEndsWhenItIsTold, and says how far it is.
func TestAuditEndsWhenItIsTold(t *testing.T) {
	dir, files := writeLake(t, fleet()...)
	var p Progress
	r := runAudit(t, Config{Lake: dir, Progress: &p})
	all := 0
	for _, staged := range files {
		all += len(staged)
	}
	if p.Files.Load() != int64(all) || p.Of.Load() != int64(all) || p.Rows.Load() == 0 || !r.Exact {
		t.Errorf("%d of %d files, %d rows", p.Files.Load(), p.Of.Load(), p.Rows.Load())
	}
	ctx, cancel := context.WithCancel(t.Context())
	files0 := cancelling{directory{durable.OS{}, dir}, cancel}
	if r, err := Run(ctx, Config{Lake: dir, Files: files0, Checkpoints: openStore(t, checkpointsOf(dir))}); !errors.Is(err, context.Canceled) {
		t.Errorf("%+v, error %v", r, err)
	}
}

// cancelling ends the audit with the first file that is opened.
type cancelling struct {
	directory
	cancel func()
}

func (c cancelling) Open(ctx context.Context, name string) (File, error) {
	c.cancel()
	return c.directory.Open(context.WithoutCancel(ctx), name)
}

// TestRenamedGateway: the log before the first one under the new name is under the
// old one.
func TestRenamedGateway(t *testing.T) {
	dir, _ := writeLake(t, epochOf("old", logID(1), record.LogID{}, 0, 0, 40), epochOf("new", logID(2), logID(1), 40, 0, 20))
	r := runAudit(t, Config{Lake: dir})
	if !r.Exact || len(r.Logs) != 2 || r.Logs[1].Gateway != "old" || !r.Logs[1].Closed {
		t.Errorf("exact %v, %s%+v", r.Exact, listFindings(r), r.Logs)
	}
	dir, _ = writeLake(t, epochOf("old", logID(1), record.LogID{}, 0, 0, 30), epochOf("new", logID(2), logID(1), 40, 0, 20))
	wantFinding(t, runAudit(t, Config{Lake: dir}), Finding{Kind: KindMissing, Gateway: "old", Log: logID(1).String(), Offsets: "30-39"})
}
