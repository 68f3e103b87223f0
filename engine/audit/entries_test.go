package audit

import (
	"os"
	"slices"
	"strings"
	"testing"

	"landfall/edge/record"
	"landfall/engine/checkpoint"
	"landfall/engine/ledger"
	"landfall/engine/table"
)

// ledgered is the lake of fleet with entries that a test changes before they are
// written, and rows of table log that it changes before those are.
func ledgered(t *testing.T, rows func(e []*table.Batch), entries func(e []ledger.Entry) []ledger.Entry) (*tamperedLake, *Result) {
	t.Helper()
	e := fleet()
	addLogs(e)
	if rows != nil {
		rows(e)
	}
	w := &tamperedLake{t: t}
	w.dir, w.files = writeFiles(t, e...)
	all := ledgerOf(t, w.files, claimsOf(fleet()))
	if entries != nil {
		all = entries(all)
	}
	w.store = openStore(t, checkpointsOf(w.dir))
	writeHead(t, w.store, checkpoint.Manifest{Epoch: 5, Ledger: writeLedger(t, w.store, all)})
	return w, runAudit(t, Config{Lake: w.dir})
}

func wantFinding(t *testing.T, r *Result, want Finding) {
	t.Helper()
	if r.Exact || !slices.ContainsFunc(r.Findings, want.within) {
		t.Errorf("exact %v, want %+v among\n%s", r.Exact, want, listFindings(r))
	}
}

// TestLedgersThatContradict: entries whose hashes fit, and that no engine writes.
func TestLedgersThatContradict(t *testing.T) {
	for want, change := range map[string]func(e []ledger.Entry) []ledger.Entry{
		"publishes ais_position/dt=1970-01-01/test-0000-00000000000000000002-0.parquet twice": func(e []ledger.Entry) []ledger.Entry {
			e[2].Files = append(e[2].Files, e[1].Files[0])
			return e
		},
		"it is of epoch 5, and 4 was to come":                       func(e []ledger.Entry) []ledger.Entry { return slices.Delete(e, 3, 4) },
		"of gw on from offset 3, and the entry before ended at 0":   func(e []ledger.Entry) []ledger.Entry { e[0].Logs[0].From = 3; return e },
		"of gw on from offset 50, and the entry before ended at 40": func(e []ledger.Entry) []ledger.Entry { e[1].Logs[0].From = 50; return e },
		"is of epoch 4, the manifest of epoch 5": func(e []ledger.Entry) []ledger.Entry {
			return e[:4]
		},
	} {
		t.Run(want, func(t *testing.T) {
			_, r := ledgered(t, nil, change)
			if r.Exact || !slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Kind == KindLedger && strings.Contains(f.Detail, want) }) {
				t.Errorf("exact %v, %s", r.Exact, listFindings(r))
			}
		})
	}
	if _, r := ledgered(t, nil, nil); !r.Exact {
		t.Errorf("unchanged: %s", listFindings(r))
	}
}

// TestMoreThanTheCheckpointsSay is in the lake.
func TestMoreThanTheCheckpointsSay(t *testing.T) {
	_, r := ledgered(t, nil, func(e []ledger.Entry) []ledger.Entry { e[4].Logs[0].Next = 35; return e })
	wantFinding(t, r, Finding{Kind: KindUnknown, Gateway: "pier", Log: logID(4).String(), Offsets: "35-39"})
}

// TestAFileIsAsItWasPublished: what the ledger says of it beside its hash.
func TestAFileIsAsItWasPublished(t *testing.T) {
	for name, change := range map[string]func(f *ledger.File, e *ledger.Entry){
		"size":   func(f *ledger.File, _ *ledger.Entry) { f.Bytes++ },
		"rows":   func(f *ledger.File, _ *ledger.Entry) { f.Rows++ },
		"table":  func(f *ledger.File, _ *ledger.Entry) { f.Table = "late" },
		"schema": func(_ *ledger.File, e *ledger.Entry) { e.Schema++ },
	} {
		t.Run(name, func(t *testing.T) {
			w, r := ledgered(t, nil, func(e []ledger.Entry) []ledger.Entry {
				i := slices.IndexFunc(e[1].Files, func(f ledger.File) bool { return f.Table == string(table.Window) })
				change(&e[1].Files[i], &e[1])
				return e
			})
			wantFinding(t, r, Finding{Kind: KindFile, Table: table.Window, Epoch: 2, File: w.name(2, table.Window)})
		})
	}
}

// TestFooterOfAnotherEpoch is found where size, rows and hash are those of the
// ledger.
func TestFooterOfAnotherEpoch(t *testing.T) {
	w, _ := ledgered(t, nil, nil)
	entries := ledgerOf(t, w.files, claimsOf(fleet()))
	of := func(e int) *ledger.File {
		i := slices.IndexFunc(entries[e].Files, func(f ledger.File) bool { return f.Table == string(table.Window) })
		return &entries[e].Files[i]
	}
	a, b := of(0), of(1)
	a.Name, b.Name = b.Name, a.Name
	*a, *b = *b, *a
	one, other := w.path(a.Name), w.path(b.Name)
	move(t, one, one+".x")
	move(t, other, one)
	move(t, one+".x", other)
	store := openStore(t, t.TempDir())
	writeHeadAt(t, store, entries)
	r := runAudit(t, Config{Lake: w.dir, Checkpoints: store, Level: LevelBytes})
	wantFinding(t, r, Finding{Kind: KindFile, Table: table.Window, Epoch: 1})
	if !strings.Contains(listFindings(r), "says in its footer that its landfall.epoch is") || len(r.Findings) != 2 {
		t.Errorf("%s", listFindings(r))
	}
}

// TestRowsOfTableLog agree with the ledger in every column that it has.
func TestRowsOfTableLog(t *testing.T) {
	for name, change := range map[string]func(r *table.LogRow){
		"next":   func(r *table.LogRow) { r.NextOffset++ },
		"chain":  func(r *table.LogRow) { r.Chain[0]++ },
		"closed": func(r *table.LogRow) { r.Closed = !r.Closed },
		"epoch":  func(r *table.LogRow) { r.Epoch++ },
		"digest": func(r *table.LogRow) { r.Digest.Valid = false },

		"previous_log": func(r *table.LogRow) { r.Previous = logID(7).String() },
		"opened_at":    func(r *table.LogRow) { r.OpenedAt++ },
		"opened never": func(r *table.LogRow) { r.OpenedAt = record.NoTime },
	} {
		t.Run(name, func(t *testing.T) {
			w, r := ledgered(t, func(e []*table.Batch) { change(&e[1].Logs[0]) }, nil)
			wantFinding(t, r, Finding{Kind: KindLogRow, Table: table.Log, Epoch: 2, Log: logID(1).String(), File: w.name(2, table.Log)})
		})
	}
}

// TestTableLogSaysWhatRecordSays of the log before, in each of its rows.
func TestTableLogSaysWhatRecordSays(t *testing.T) {
	for name, c := range map[string]struct {
		change func(l *table.LogRow)
		exact  bool
		told   bool // of the newest row at level offsets too
	}{
		"as it is":             {func(*table.LogRow) {}, true, false},
		"another previous log": {func(l *table.LogRow) { l.Previous = logID(3).String() }, false, true},
		"no previous log":      {func(l *table.LogRow) { l.Previous, l.PreviousEnd = "", 0 }, false, false},
		"another end of it":    {func(l *table.LogRow) { l.PreviousEnd-- }, false, true},
	} {
		for _, epoch := range []int{2, 3} {
			w, r := ledgered(t, func(e []*table.Batch) {
				for i := range e[epoch-1].Logs {
					if l := &e[epoch-1].Logs[i]; l.Log == logID(2).String() {
						c.change(l)
					}
				}
			}, nil)
			if r.Exact != c.exact || !c.exact && !slices.ContainsFunc(r.Findings, Finding{Kind: KindLogRow, Epoch: uint64(epoch), Log: logID(2).String()}.within) {
				t.Errorf("%s in epoch %d: exact %v, %s", name, epoch, r.Exact, listFindings(r))
			}
			r = runAudit(t, Config{Lake: w.dir, Level: LevelOffsets})
			if told := slices.ContainsFunc(r.Findings, Finding{Kind: KindLogRow, Log: logID(2).String(), Table: table.Log}.within); told != (c.told && epoch == 3) || r.Exact == told {
				t.Errorf("%s in epoch %d at level offsets: exact %v, %s", name, epoch, r.Exact, listFindings(r))
			}
		}
	}
}

// TestRowsOfRecordHaveTheNumberZero within their record.
func TestRowsOfRecordHaveTheNumberZero(t *testing.T) {
	w, r := ledgered(t, func(e []*table.Batch) { e[1].Records[5].Row = 3 }, nil)
	wantFinding(t, r, Finding{Kind: KindRow, Table: table.Record, File: w.name(2, table.Record)})
}

// TestRepairedFiles: a repair says which file is in whose place.
func TestRepairedFiles(t *testing.T) {
	repair := func(removed string) *Result {
		w, _ := ledgered(t, nil, nil)
		w.rewrite(func(e []*table.Batch) { e[1].Positions[5].MMSI++ })
		_, again := ledgered(t, func(e []*table.Batch) { e[1].Positions[5].MMSI++ }, nil)
		if again.Exact != true {
			t.Fatalf("%s", listFindings(again))
		}
		entries := ledgerOf(t, w.files, claimsOf(fleet()))
		i := slices.IndexFunc(entries[1].Files, func(f ledger.File) bool { return f.Table == string(table.AISPosition) })
		was := entries[1].Files[i]
		now := was
		data, err := os.ReadFile(w.path(was.Name))
		check(t, err)
		now.SHA256, now.Bytes = ledger.Hash(data), int64(len(data))
		if removed != "" {
			was.SHA256 = removed
		}
		last := entries[4]
		last.Kind, last.Files, last.Removed, last.Logs = ledger.KindRepair, []ledger.File{now}, []ledger.File{was}, nil
		store := openStore(t, t.TempDir())
		writeHead(t, store, checkpoint.Manifest{Epoch: 5, Ledger: writeLedger(t, store, append(entries, last))})
		return runAudit(t, Config{Lake: w.dir, Checkpoints: store, Level: LevelBytes})
	}
	if r := repair(""); !r.Exact {
		t.Errorf("a file that was repaired: %s", listFindings(r))
	}
	wantFinding(t, repair(strings.Repeat("a", 64)), Finding{Kind: KindLedger, Table: table.AISPosition})
}

// TestBitsOfValuesAreSeenAtLevelFiles: in pages that the level does not decode.
func TestBitsOfValuesAreSeenAtLevelFiles(t *testing.T) {
	w, _ := ledgered(t, nil, nil)
	name := w.path(w.name(2, table.AISPosition))
	whole, err := os.ReadFile(name)
	check(t, err)
	seen := 0 // those in headers of pages, which have no CRC, are level bytes'
	for i := range 40 {
		data := slices.Clone(whole)
		data[100+i*len(whole)/100] ^= 1 << (i % 8)
		check(t, os.WriteFile(name, data, 0o644))
		if r := runAudit(t, Config{Lake: w.dir}); !r.Exact {
			seen++
		}
		if r := runAudit(t, Config{Lake: w.dir, Level: LevelBytes}); r.Exact {
			t.Errorf("bit %d is not seen at level bytes", i)
		}
	}
	if seen < 30 {
		t.Errorf("%d of 40 bits were seen", seen)
	}
}

// otherDecoder makes rows of another version.
type otherDecoder struct{ version string }

func (d otherDecoder) Version() string                               { return d.version }
func (otherDecoder) Decode([]table.RecordRow) ([]DecodedRows, error) { return nil, nil }
func (otherDecoder) Underived() string                               { return "nothing" }

// TestOtherDecoders: what another version made is told apart, not compared.
func TestOtherDecoders(t *testing.T) {
	w, _ := ledgered(t, nil, nil)
	r := runAudit(t, Config{Lake: w.dir, Level: LevelValues, Decode: otherDecoder{"6"}})
	if !r.Exact || !strings.Contains(strings.Join(r.NotChecked, "\n"), "the typed rows of 5 epochs, made by decoder 5; this binary has 6") {
		t.Errorf("exact %v, %s%q", r.Exact, listFindings(r), r.NotChecked)
	}
	wantFinding(t, runAudit(t, Config{Lake: w.dir, Level: LevelValues, Decode: otherDecoder{"5"}}), Finding{Kind: KindLevel, Table: table.AISPosition})
	if _, err := Run(t.Context(), Config{Lake: w.dir, Level: LevelValues}); err == nil {
		t.Error("level values without a decoder")
	}
}
