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
	"landfall/engine/checkpoint"
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
// old one. Anybody can say so: it is exact, and does not prove where the old one ended.
func TestRenamedGateway(t *testing.T) {
	dir, _ := writeLake(t, epochOf("old", logID(1), record.LogID{}, 0, 0, 40), epochOf("new", logID(2), logID(1), 40, 0, 20))
	r := runAudit(t, Config{Lake: dir})
	if !r.Exact || len(r.Logs) != 2 || r.Logs[1].Gateway != "old" || r.Logs[1].Closed || r.Logs[1].Tail != TailUnproven {
		t.Errorf("exact %v, %s%+v", r.Exact, listFindings(r), r.Logs)
	}
	if notes := strings.Join(r.Notes, "\n"); !strings.Contains(notes, "where old was renamed") {
		t.Errorf("notes %q", notes)
	}
	dir, _ = writeLake(t, epochOf("old", logID(1), record.LogID{}, 0, 0, 30), epochOf("new", logID(2), logID(1), 40, 0, 20))
	wantFinding(t, runAudit(t, Config{Lake: dir}), Finding{Kind: KindLogEnd, Gateway: "new", Log: logID(2).String()})
}

// TestARenamedGatewayProvesTheEnd: an opening that knows the hash of the last block of
// a log of another gateway closes it, as one of its own would; whatever others say of it
// is a finding of theirs. A hash that is another one proves nothing, nor does any where
// the ledger has none.
func TestARenamedGatewayProvesTheEnd(t *testing.T) {
	chain, other := record.Hash{1, 15: 7}, record.Hash{1, 15: 6}
	opens := func(by string, n int, end record.Offset, knows record.Hash) *table.Batch {
		b := epochOf(by, logID(n), logID(1), end, 0, 3)
		b.Records[0].Raw = record.Opening{Prev: logID(1), PrevEnd: end, PrevLastAt: record.NoTime, PrevChain: knows}.Encode()
		return b
	}
	first := epochOf("old", logID(1), record.LogID{}, 0, 0, 40)
	for _, c := range []struct {
		name   string
		chain  record.Hash // of the old log, in the ledger
		next   []*table.Batch
		closed bool
		found  int // of the kind log_end
		notes  string
	}{
		{"it knows the last block", chain, []*table.Batch{opens("new", 2, 40, chain)}, true, 0, "old was renamed, and that log ended at 40"},
		{"another hash", chain, []*table.Batch{opens("new", 2, 40, other)}, false, 0, "is not taken from there"},
		{"none", chain, []*table.Batch{opens("new", 2, 40, record.Hash{})}, false, 0, "is not taken from there"},
		{"the ledger has none", record.Hash{}, []*table.Batch{opens("new", 2, 40, record.Hash{})}, false, 0, "is not taken from there"},
		{"another end", chain, []*table.Batch{opens("new", 2, 39, chain)}, false, 1, ""},
		{"a liar too", chain, []*table.Batch{opens("new", 2, 40, chain), opens("a-liar", 3, 40, other)}, true, 1, "old was renamed"},
		{"its own gateway went on", chain, []*table.Batch{opens("old", 4, 40, record.Hash{}), opens("new", 2, 40, chain)}, true, 1, ""},
		{"twice", chain, []*table.Batch{opens("new", 2, 40, chain), opens("new", 3, 40, chain)}, true, 1, "old was renamed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			batches := append([]*table.Batch{first}, c.next...)
			dir, files := writeFiles(t, batches...)
			claims := claimsOf(batches)
			claims[0][0].Chain = chainText(c.chain)
			store := openStore(t, checkpointsOf(dir))
			entries := ledgerOf(t, files, claims)
			for i := range entries {
				entries[i].Schema = logSchema - 1 // without the table log
			}
			writeHead(t, store, checkpoint.Manifest{Epoch: stream.Epoch(len(batches)), Ledger: writeLedger(t, store, entries)})
			r := runAudit(t, Config{Lake: dir})
			n := 0
			for _, f := range r.Findings {
				if f.Kind != KindLogEnd || f.Gateway == "old" {
					t.Errorf("%+v", f)
				}
				n++
			}
			i := slices.IndexFunc(r.Logs, func(l Log) bool { return l.Log == logID(1).String() })
			tail := map[bool]string{true: TailProven, false: TailUnproven}[c.closed]
			if l := r.Logs[i]; n != c.found || l.Closed != c.closed || l.Tail != tail || l.Missing > 0 || r.Exact != (n == 0) {
				t.Errorf("%d findings, %+v:\n%s", n, l, listFindings(r))
			}
			if notes := strings.Join(r.Notes, "\n"); !strings.Contains(notes, c.notes) {
				t.Errorf("notes %q lack %q", notes, c.notes)
			}
			if !r.Exact {
				return
			}
			again := runAudit(t, Config{Lake: dir, Since: r}) // and for an audit that goes on from there
			if l := again.Logs[slices.IndexFunc(again.Logs, func(l Log) bool { return l.Log == logID(1).String() })]; l.Closed != c.closed || !again.Exact {
				t.Errorf("since: %+v:\n%s", l, listFindings(again))
			}
		})
	}
}

// TestAGatewayEndsNoOthersLog: what a gateway says of the log of another one counts for
// nothing there, and what is wrong with it is said of the one who says it alone.
func TestAGatewayEndsNoOthersLog(t *testing.T) {
	const honest, liar = "gw2", "liar"
	opens := func(by string, n, prev int, end record.Offset) *table.Batch {
		return epochOf(by, logID(n), logID(prev), end, 0, 3)
	}
	first := func(n record.Offset) *table.Batch { return epochOf(honest, logID(1), record.LogID{}, 0, 0, n) }
	unproven := opens(liar, 9, 1, 40)
	unproven.Records[0].Raw = record.Opening{Prev: logID(1), PrevEnd: 40, PrevLastAt: record.NoTime, PrevEndUnproven: true}.Encode()
	inConflict := func(by string) *table.Batch {
		return &table.Batch{Conflicts: []table.ConflictRow{{Gateway: by, Log: logID(1).String(), Count: 1, Reason: "gateway"}}}
	}
	for _, c := range []struct {
		name  string
		lake  []*table.Batch
		found int // how many of the kind log_end
		says  string
		ends  bool // the first log of gw2 is closed, by a log of its own
	}{
		{"it ends far behind", []*table.Batch{first(40), opens(liar, 9, 1, 99999999)}, 1, "the lake has it up to 40", false},
		{"it has gone on since", []*table.Batch{first(40), opens(liar, 9, 1, 20)}, 1, "the lake has it up to 40", false},
		{"it ends where it is", []*table.Batch{first(40), opens(liar, 9, 1, 40)}, 0, "", false},
		{"it is said to have lost its end", []*table.Batch{first(40), unproven}, 1, "lost on the disk", false},
		{"it has a log after it", []*table.Batch{first(40), opens(honest, 2, 1, 40), opens(liar, 9, 1, 40)}, 1, "opened another log", true},
		{"that log says less", []*table.Batch{first(40), opens(honest, 2, 1, 40), opens(liar, 9, 1, 1)}, 1, "opened another log", true},
		{"twice", []*table.Batch{first(40), opens(liar, 8, 1, 40), opens(liar, 9, 1, 40)}, 1, "so does its log", false},
		{"two liars", []*table.Batch{first(40), opens(liar, 8, 1, 7), opens("a-liar", 9, 1, 8)}, 2, "the lake has it up to 40", false},
		{"blocks of a third are in conflict", []*table.Batch{first(40), inConflict("z-liar"), opens(liar, 9, 1, 41)}, 1, "the lake has it up to 40", false},
		{"one that sends a block of it, too", []*table.Batch{first(40), inConflict(liar), opens(liar, 9, 1, 99)}, 0, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, _ := writeLake(t, c.lake...)
			r := runAudit(t, Config{Lake: dir})
			n := 0
			for _, f := range r.Findings {
				if f.Gateway == honest || strings.Contains(f.Detail, honest) {
					t.Errorf("of the honest: %+v", f)
				}
				if f.Kind == KindLogEnd {
					if n++; !strings.Contains(f.Detail, c.says) {
						t.Errorf("%q lacks %q", f.Detail, c.says)
					}
				}
			}
			if n != c.found {
				t.Errorf("%d of the kind log_end, want %d:\n%s", n, c.found, listFindings(r))
			}
			i := slices.IndexFunc(r.Logs, func(l Log) bool { return l.Gateway == honest && l.Log == logID(1).String() })
			want := TailUnproven
			if c.ends {
				want = TailProven
			}
			if l := r.Logs[i]; l.Closed != c.ends || l.Tail != want || l.Captured != 40 || l.Missing != 0 {
				t.Errorf("the log of the honest: %+v", l)
			}
		})
	}
}
