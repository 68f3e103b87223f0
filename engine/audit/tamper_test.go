package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"landfall/edge/record"
	"landfall/engine/checkpoint"
	"landfall/engine/stream"
	"landfall/engine/table"
)

// fleet are five epochs of two gateways, each restarted once: what "pier"
// captured last is in files of its own.
func fleet() []*table.Batch {
	gw := twoLogs()
	a, b := logID(3), logID(4)
	add(gw[0], epochOf("pier", a, record.LogID{}, 0, 0, 30))
	add(gw[1], epochOf("pier", a, record.LogID{}, 0, 30, 50))
	return append(gw, epochOf("pier", b, a, 50, 0, 25), epochOf("pier", b, a, 50, 25, 40))
}

// tampering is one thing done to an intact lake.
type tampering struct {
	name string
	do   func(t *testing.T, w *tamperedLake)
	// level is the first one that finds it.
	level Level
	// want has to be among the findings, by what is not empty in it.
	want Finding
}

type tamperedLake struct {
	t     *testing.T
	dir   string
	files [][]stream.Staged
	store checkpoint.Store
}

func (w *tamperedLake) path(name string) string {
	return filepath.Join(w.dir, filepath.FromSlash(name))
}

// name returns the name of an epoch's file of a table.
func (w *tamperedLake) name(epoch int, of table.Name) string {
	for _, s := range w.files[epoch-1] {
		if s.Table == of {
			return s.Target
		}
	}
	w.t.Fatalf("epoch %d has no file of %s", epoch, of)
	return ""
}

func (w *tamperedLake) remove(names ...string) {
	for _, n := range names {
		check(w.t, os.RemoveAll(w.path(n)))
	}
}

func (w *tamperedLake) removeEpoch(epoch int) {
	for _, s := range w.files[epoch-1] {
		w.remove(s.Target)
	}
}

// rewrite puts files in place that hold other rows under the same names.
func (w *tamperedLake) rewrite(change func(e []*table.Batch)) {
	e := fleet()
	change(e)
	dir, files := writeFiles(w.t, e...)
	for _, staged := range files {
		for _, s := range staged {
			copyFile(w.t, filepath.Join(dir, s.Target), w.path(s.Target))
		}
	}
}

// object changes an object of the checkpoint whose name holds a part.
func (w *tamperedLake) object(part string, change func([]byte) []byte) {
	w.t.Helper()
	done := 0
	check(w.t, filepath.Walk(checkpointsOf(w.dir), func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() || !strings.Contains(filepath.ToSlash(path), part) {
			return err
		}
		data, err := os.ReadFile(path)
		check(w.t, err)
		done++
		return os.WriteFile(path, change(data), 0o644)
	}))
	if done == 0 {
		w.t.Fatalf("no object is named %s", part)
	}
}

// entryPart is a part of the name of a ledger entry's object.
func entryPart(number int) string { return fmt.Sprintf("ledger/%020d-", number) }

func flip(at int) func([]byte) []byte {
	return func(data []byte) []byte {
		data = bytes.Clone(data)
		data[at%len(data)] ^= 1
		return data
	}
}

func tamperings() []tampering {
	return []tampering{
		{"all files that hold one gateway only", func(_ *testing.T, w *tamperedLake) { w.removeEpoch(4); w.removeEpoch(5) }, LevelOffsets,
			Finding{Kind: KindMissing, Gateway: "pier", Log: logID(4).String(), Offsets: "0-39"}},
		{"the tail of an open log", func(_ *testing.T, w *tamperedLake) { w.removeEpoch(5) }, LevelOffsets,
			Finding{Kind: KindMissing, Gateway: "pier", Log: logID(4).String(), Offsets: "25-39"}},
		{"one file of record", func(_ *testing.T, w *tamperedLake) { w.remove(w.name(2, table.Record)) }, LevelOffsets,
			Finding{Kind: KindMissing, Log: logID(1).String(), Offsets: "40-99"}},
		{"one file of record, named", func(_ *testing.T, w *tamperedLake) { w.remove(w.name(2, table.Record)) }, LevelFiles,
			Finding{Kind: KindFileGone, Table: table.Record, File: "record/dt=1970-01-01/test-0000-00000000000000000002-0.parquet", Epoch: 2}},
		{"a file of window", func(_ *testing.T, w *tamperedLake) { w.remove(w.name(2, table.Window)) }, LevelFiles,
			Finding{Kind: KindFileGone, Table: table.Window, Epoch: 2}},
		{"a whole table", func(_ *testing.T, w *tamperedLake) { w.remove("late") }, LevelFiles, Finding{Kind: KindFileGone, Table: table.Late}},
		{"a log in the lake that nobody took", func(t *testing.T, w *tamperedLake) {
			dir, files := writeFiles(t, epochOf("gw", logID(9), record.LogID{}, 0, 0, 5))
			for _, s := range files[0] {
				check(t, os.MkdirAll(filepath.Dir(w.path(s.Target)), 0o755))
				copyFile(t, filepath.Join(dir, s.Target), strings.Replace(w.path(s.Target), "-0.parquet", "-7.parquet", 1))
			}
		}, LevelOffsets, Finding{Kind: KindUnknown, Gateway: "gw", Log: logID(9).String()}},
		{"one byte of raw", func(_ *testing.T, w *tamperedLake) {
			w.rewrite(func(e []*table.Batch) { e[1].Records[5].Raw = []byte("line 4X") })
		}, LevelFiles, Finding{Kind: KindDigest, Table: table.Record, Gateway: "gw", Log: logID(1).String(), Offsets: "40-99", Epoch: 2,
			File: "record/dt=1970-01-01/test-0000-00000000000000000002-0.parquet"}},
		{"two records exchanged", func(_ *testing.T, w *tamperedLake) {
			w.rewrite(func(e []*table.Batch) {
				r := e[2].Records
				r[3].Raw, r[4].Raw = r[4].Raw, r[3].Raw
			})
		}, LevelFiles, Finding{Kind: KindDigest, Log: logID(2).String(), Offsets: "20-59"}},
		{"a record between two epochs", func(_ *testing.T, w *tamperedLake) {
			w.rewrite(func(e []*table.Batch) {
				e[0].Records, e[1].Records = append(e[0].Records, e[1].Records[3]), slices.Delete(slices.Clone(e[1].Records), 3, 4)
			})
		}, LevelOffsets, Finding{Kind: KindRange, Table: table.Record, Log: logID(1).String(), Offsets: "43", Epoch: 1}},
		{"a record doubled", func(_ *testing.T, w *tamperedLake) {
			w.rewrite(func(e []*table.Batch) { e[2].Records = append(e[2].Records, e[2].Records[9]) })
		}, LevelOffsets, Finding{Kind: KindDuplicate, Table: table.Record, Log: logID(2).String(), Offsets: "29", File: "record/dt=1970-01-01/test-0000-00000000000000000003-0.parquet"}},
		{"a typed row doubled", func(_ *testing.T, w *tamperedLake) {
			w.rewrite(func(e []*table.Batch) { e[1].Positions = append(e[1].Positions, e[1].Positions[5], e[1].Positions[6]) })
		}, LevelOffsets, Finding{Kind: KindTyped, Table: table.AISPosition, Log: logID(1).String(), Offsets: "47-48"}},
		{"a typed row gone", func(_ *testing.T, w *tamperedLake) {
			w.rewrite(func(e []*table.Batch) { e[1].Positions = e[1].Positions[1:] })
		}, LevelOffsets, Finding{Kind: KindTyped, Log: logID(1).String(), Offsets: "40"}},
		{"a value", func(_ *testing.T, w *tamperedLake) {
			w.rewrite(func(e []*table.Batch) { e[1].Positions[5].MMSI ^= 1 })
		}, LevelFiles, Finding{Kind: KindFile, Table: table.AISPosition, Epoch: 2}},
		{"a reject reason", func(_ *testing.T, w *tamperedLake) {
			w.rewrite(func(e []*table.Batch) { e[0].Records[7].RejectReason = "payload_shorn" })
		}, LevelFiles, Finding{Kind: KindFile, Table: table.Record, Epoch: 1}},
		{"a row more in window", func(_ *testing.T, w *tamperedLake) {
			w.rewrite(func(e []*table.Batch) { e[0].Windows = append(e[0].Windows, e[0].Windows[0]) })
		}, LevelFiles, Finding{Kind: KindFile, Table: table.Window, Epoch: 1}},
		{"a digest in the table log", func(_ *testing.T, w *tamperedLake) {
			w.rewrite(func(e []*table.Batch) {
				addLogs(e)
				e[1].Logs[0].Digest.Value++
			})
		}, LevelFiles, Finding{Kind: KindLogRow, Table: table.Log, Epoch: 2, Log: logID(1).String(), File: "log/dt=1970-01-01/test-0000-00000000000000000002-0.parquet"}},
		{"a row of the table log gone", func(_ *testing.T, w *tamperedLake) {
			w.rewrite(func(e []*table.Batch) {
				addLogs(e)
				e[1].Logs = e[1].Logs[1:]
			})
		}, LevelFiles, Finding{Kind: KindLogRow, Table: table.Log, Epoch: 2, Log: logID(1).String()}},
		{"a row of the table log of another log", func(_ *testing.T, w *tamperedLake) {
			w.rewrite(func(e []*table.Batch) {
				addLogs(e)
				e[3].Logs[0].Log = logID(1).String()
			})
		}, LevelOffsets, Finding{Kind: KindLogRow, Table: table.Log, Epoch: 4, Log: logID(1).String()}},
		{"a file under another day", func(t *testing.T, w *tamperedLake) {
			name := w.name(3, table.AISPosition)
			move(t, w.path(name), w.path(strings.Replace(name, "1970-01-01", "1970-01-02", 1)))
		}, LevelFiles, Finding{Kind: KindFileStray, Table: table.AISPosition, File: "ais_position/dt=1970-01-02/test-0000-00000000000000000003-0.parquet"}},
		{"a file of window doubled", func(t *testing.T, w *tamperedLake) {
			name := w.path(w.name(3, table.Window))
			copyFile(t, name, strings.Replace(name, "-0.parquet", "-1.parquet", 1))
		}, LevelFiles, Finding{Kind: KindFileStray, Table: table.Window}},
		{"a day's folder doubled by a link", func(t *testing.T, w *tamperedLake) {
			check(t, os.Symlink("dt=1970-01-01", w.path("window/dt=1970-01-02")))
		}, LevelFiles, Finding{Kind: KindFileStray, Table: table.Window}},
		{"two epochs' files exchanged", func(t *testing.T, w *tamperedLake) {
			a, b := w.path(w.name(1, table.Window)), w.path(w.name(2, table.Window))
			move(t, a, a+".x")
			move(t, b, a)
			move(t, a+".x", b)
		}, LevelFiles, Finding{Kind: KindFile, Table: table.Window, Epoch: 1}},
		{"two tables' files exchanged", func(t *testing.T, w *tamperedLake) {
			a, b := w.path(w.name(1, table.AISPosition)), w.path(w.name(1, table.AISStatic))
			move(t, a, a+".x")
			move(t, b, a)
			move(t, a+".x", b)
		}, LevelFiles, Finding{Kind: KindFile, Table: table.AISStatic}},
		{"an old file in the place of a newer one", func(t *testing.T, w *tamperedLake) {
			copyFile(t, w.path(w.name(1, table.Late)), w.path(w.name(2, table.Late)))
		}, LevelFiles, Finding{Kind: KindFile, Table: table.Late, Epoch: 2}},
		{"a file cut", func(t *testing.T, w *tamperedLake) { check(t, os.Truncate(w.path(w.name(3, table.Late)), 700)) }, LevelOffsets,
			Finding{Kind: KindFile, Table: table.Late, Epoch: 3}},
		{"a bit that no reader looks at", func(t *testing.T, w *tamperedLake) {
			name := w.path(w.name(3, table.Window))
			data, err := os.ReadFile(name)
			check(t, err)
			at := bytes.Index(data, []byte("landfall.units"))
			data[at] ^= 1
			check(t, os.WriteFile(name, data, 0o644))
		}, LevelBytes, Finding{Kind: KindFile, Table: table.Window, Epoch: 3}},
		{"a foreign Parquet file", func(t *testing.T, w *tamperedLake) {
			check(t, os.MkdirAll(w.path("late/backup"), 0o755))
			copyFile(t, w.path(w.name(1, table.Late)), w.path("late/backup/x.parquet"))
		}, LevelOffsets, Finding{Kind: KindFileStray, Table: table.Late, File: "late/backup/x.parquet"}},
		{"a checkpoint of a Delta log, which is Parquet", func(t *testing.T, w *tamperedLake) {
			check(t, os.MkdirAll(w.path("late/_delta_log"), 0o755))
			check(t, os.WriteFile(w.path("late/_delta_log/00.checkpoint.parquet"), []byte("PAR1"), 0o644))
		}, LevelOffsets, Finding{Kind: KindFileStray, Table: table.Late, File: "late/_delta_log/00.checkpoint.parquet"}},

		{"a ledger entry removed", func(t *testing.T, w *tamperedLake) {
			names, err := filepath.Glob(filepath.Join(checkpointsOf(w.dir), "test-0000", entryPart(2)+"*"))
			check(t, err)
			check(t, os.Remove(names[0]))
		}, LevelOffsets, Finding{Kind: KindLedger, Task: "test-0000"}},
		{"a ledger entry rewritten", func(_ *testing.T, w *tamperedLake) {
			w.object(entryPart(3), func(p []byte) []byte { return bytes.Replace(p, []byte(`"next":60`), []byte(`"next":50`), 1) })
		}, LevelOffsets, Finding{Kind: KindLedger}},
		{"a bit of a ledger entry", func(_ *testing.T, w *tamperedLake) { w.object(entryPart(5), flip(100)) }, LevelOffsets, Finding{Kind: KindLedger}},
		{"two ledger entries exchanged", func(t *testing.T, w *tamperedLake) {
			dir := filepath.Join(checkpointsOf(w.dir), "test-0000", "ledger")
			names, err := os.ReadDir(dir)
			check(t, err)
			a, b := filepath.Join(dir, names[1].Name()), filepath.Join(dir, names[2].Name())
			move(t, a, a+".x")
			move(t, b, a)
			move(t, a+".x", b)
		}, LevelOffsets, Finding{Kind: KindLedger}},
		{"HEAD damaged", func(_ *testing.T, w *tamperedLake) { w.object("test-0000/HEAD", flip(30)) }, LevelOffsets, Finding{Kind: KindHead, Task: "test-0000"}},
		{"HEAD of a newer version", func(_ *testing.T, w *tamperedLake) {
			w.object("test-0000/HEAD", func(p []byte) []byte {
				return bytes.Replace(p, fmt.Appendf(nil, `"format":%d`, checkpoint.Format), []byte(`"format":9`), 1)
			})
		}, LevelOffsets, Finding{Kind: KindHead}},
		{"HEAD removed", func(t *testing.T, w *tamperedLake) {
			check(t, os.Remove(filepath.Join(checkpointsOf(w.dir), "test-0000", "HEAD")))
		}, LevelOffsets, Finding{Kind: KindHead, Task: "test-0000"}},
		{"the manifest damaged", func(_ *testing.T, w *tamperedLake) { w.object("/manifest/", flip(50)) }, LevelOffsets, Finding{Kind: KindHead}},
		{"the manifest removed", func(t *testing.T, w *tamperedLake) {
			check(t, os.RemoveAll(filepath.Join(checkpointsOf(w.dir), "test-0000", "manifest")))
		}, LevelOffsets, Finding{Kind: KindHead}},
		{"HEAD of an earlier epoch", func(t *testing.T, w *tamperedLake) {
			entries := ledgerOf(t, w.files[:2], claimsOf(fleet()))
			tip := writeLedger(t, openStore(t, t.TempDir()), entries)
			writeHead(t, w.store, checkpoint.Manifest{Epoch: 2, Ledger: tip})
		}, LevelOffsets, Finding{Kind: KindHead, Task: "test-0000"}},
		{"HEAD without a ledger", func(t *testing.T, w *tamperedLake) {
			writeHead(t, w.store, checkpoint.Manifest{Epoch: 5})
		}, LevelOffsets, Finding{Kind: KindLedger, Task: "test-0000"}},
		{"the state missing", func(t *testing.T, w *tamperedLake) {
			m, err := checkpoint.Load(t.Context(), w.store, testTask)
			check(t, err)
			m.State = []checkpoint.StateObject{{Name: "test-0000/state/x", SHA256: strings.Repeat("a", 64)}}
			writeHead(t, w.store, m)
		}, LevelOffsets, Finding{Kind: KindState, Task: "test-0000"}},
		{"the state damaged", func(t *testing.T, w *tamperedLake) {
			m, err := checkpoint.Load(t.Context(), w.store, testTask)
			check(t, err)
			m.State = []checkpoint.StateObject{{Name: "test-0000/state/x", SHA256: strings.Repeat("a", 64)}}
			check(t, w.store.Create(t.Context(), "test-0000/state/x", []byte("x")))
			writeHead(t, w.store, m)
		}, LevelOffsets, Finding{Kind: KindState, Task: "test-0000"}},
		{"the checkpoints removed", func(_ *testing.T, w *tamperedLake) { w.remove("_checkpoint") }, LevelOffsets, Finding{Kind: KindNoAnchor}},
		{"the checkpoints emptied", func(_ *testing.T, w *tamperedLake) { w.remove("_checkpoint/test-0000") }, LevelOffsets, Finding{Kind: KindNoAnchor}},
	}
}

// TestTamperings does one thing at a time to an intact lake and looks for the
// first level that finds it.
func TestTamperings(t *testing.T) {
	for _, one := range tamperings() {
		t.Run(one.name, func(t *testing.T) {
			t.Parallel()
			w := &tamperedLake{t: t}
			w.dir, w.files = writeLake(t, fleet()...)
			w.store = openStore(t, checkpointsOf(w.dir))
			one.do(t, w)
			for _, level := range []Level{LevelOffsets, LevelFiles, LevelBytes} {
				r := runAudit(t, Config{Lake: w.dir, Level: level})
				if !level.reaches(one.level) {
					continue
				}
				if r.Exact || !slices.ContainsFunc(r.Findings, one.want.within) {
					t.Errorf("level %s: exact %v, want %+v among\n%s", level, r.Exact, one.want, listFindings(r))
				}
			}
			if one.level == LevelOffsets {
				return
			}
			below := Levels()[one.level.number()-1]
			if r := runAudit(t, Config{Lake: w.dir, Level: below}); slices.ContainsFunc(r.Findings, one.want.within) {
				t.Errorf("level %s finds it already: %s", below, listFindings(r))
			}
		})
	}
}

// within tells whether a finding says what w does.
func (w Finding) within(f Finding) bool {
	return f.Kind == w.Kind && (w.Table == "" || w.Table == f.Table) && (w.File == "" || w.File == f.File) && (w.Gateway == "" || w.Gateway == f.Gateway) &&
		(w.Log == "" || w.Log == f.Log) && (w.Offsets == "" || w.Offsets == f.Offsets) && (w.Task == "" || w.Task == f.Task) && (w.Epoch == 0 || w.Epoch == f.Epoch) &&
		(w.Column == "" || w.Column == f.Column) && f.Detail != "" && strings.Contains(f.Detail, w.Detail)
}

func listFindings(r *Result) string {
	var all strings.Builder
	for _, f := range r.Findings {
		line, _ := json.Marshal(f)
		all.Write(append(line, '\n'))
	}
	return all.String()
}

// TestIntactLakeIsExactAtEveryLevel, and says what it did not check.
func TestIntactLakeIsExactAtEveryLevel(t *testing.T) {
	dir, _ := writeLake(t, fleet()...)
	left := len(Levels())
	for _, level := range []Level{LevelOffsets, LevelFiles, LevelBytes} {
		r := runAudit(t, Config{Lake: dir, Level: level})
		if !r.Exact || r.Level != level || len(r.NotChecked) > left {
			t.Errorf("level %s: exact %v, %s, not checked %q", level, r.Exact, listFindings(r), r.NotChecked)
		}
		left = len(r.NotChecked)
		for _, l := range r.Logs {
			if known := l.Digest != ""; known != (level != LevelOffsets) || !l.Anchored || l.Next != l.Captured {
				t.Errorf("level %s: %+v", level, l)
			}
		}
		var text strings.Builder
		check(t, r.WriteText(&text))
		for _, want := range []string{"EXACT at level " + string(level) + ":", "not checked: "} {
			if !strings.Contains(text.String(), want) {
				t.Errorf("the text lacks %q:\n%s", want, &text)
			}
		}
	}
}

// TestForeignFilesThatNobodyReads do not count against a lake.
func TestForeignFilesThatNobodyReads(t *testing.T) {
	dir, _ := writeLake(t, fleet()...)
	for _, name := range []string{"record/_delta_log/00000000000000000000.json", "record/_delta_log/_sidecars/x.parquet", "record/_README", "record/dt=1970-01-01/.x.crc"} {
		check(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		check(t, os.WriteFile(filepath.Join(dir, name), []byte("{}"), 0o644))
	}
	r := runAudit(t, Config{Lake: dir})
	if !r.Exact || len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "_delta_log") {
		t.Errorf("exact %v, %s, notes %q", r.Exact, listFindings(r), r.Notes)
	}
}

// TestForkedLogsAreAlwaysFound: two logs that both follow one, as a restored
// disk makes them.
func TestForkedLogsAreAlwaysFound(t *testing.T) {
	seen := make(map[string]int)
	for range 200 {
		base := logID(1)
		a := newAudit(Config{Lake: "x"})
		l := a.log(logKey{"g", base.String()})
		for o := range uint64(100) {
			l.chunk(o).record(o)
			l.recorded, l.end = l.recorded+1, o+1
		}
		for n, end := range []record.Offset{100, 120, 110} {
			a.log(logKey{"g", logID(n + 2).String()}).opening = &record.Opening{Prev: base, PrevEnd: end}
		}
		a.conclude()
		seen[fmt.Sprint(a.result.Exact, a.result.Problems)]++
		for _, n := range []int{2, 3, 4} {
			if !strings.Contains(strings.Join(a.result.Problems, "\n"), logID(n).String()) {
				t.Fatalf("log %d is not named: %q", n, a.result.Problems)
			}
		}
	}
	if len(seen) != 1 {
		t.Errorf("%d different results: %v", len(seen), slices.Collect(maps.Keys(seen)))
	}
}

// TestFindingsAreBounded: of many findings of a kind the first ones are kept.
func TestFindingsAreBounded(t *testing.T) {
	dir, files := writeFiles(t, fleet()...)
	for i := range 150 {
		copyFile(t, filepath.Join(dir, files[0][0].Target), filepath.Join(dir, fmt.Sprintf("late/x%d.parquet", i)))
	}
	r, err := Run(context.Background(), Config{Lake: dir})
	check(t, err)
	n := 0
	for _, f := range r.Findings {
		if f.Kind == KindFileStray {
			n++
		}
	}
	if n != maxFindings+1 || !strings.Contains(listFindings(r), "50 more findings of the kind file_stray") {
		t.Errorf("%d findings", n)
	}
}
