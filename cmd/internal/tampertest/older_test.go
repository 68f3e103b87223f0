package tampertest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	pq "github.com/parquet-go/parquet-go"

	"landfall/cmd/internal/cli"
	"landfall/engine/audit"
	"landfall/engine/ledger"
	"landfall/engine/repair"
	"landfall/engine/table"
)

// olderParts is in how many parts the rest of a lake lands that is given older
// checkpoints before the last one.
const olderParts = 5

// olderRecords is of how many records the lake is: enough for a block of each gateway
// in each part.
const olderRecords = 30_000

// goOnBy lands parts of what an unfinished lake has not seen, each worked through.
func (l *Lake) goOnBy(t testing.TB, from, to int) {
	t.Helper()
	for part := from; part < to; part++ {
		w := l.open(t)
		for name, blocks := range l.rest {
			a, b := len(blocks)*part/olderParts, len(blocks)*(part+1)/olderParts
			w.land(t, name, blocks[a:b], 9*len(blocks)+a)
		}
		for p := range partitions {
			w.run(t, p, l.epochRecords)
		}
		w.close(t)
	}
}

// withOlder is a lake that went on for some epochs, over which the checkpoints of
// before were put back; good is the same one with its own.
func withOlder(t testing.TB, base *Lake) (older, good *Bench) {
	t.Helper()
	good = goOnBench(t, base)
	was := filepath.Join(t.TempDir(), "was")
	Copy(t, good.Checkpoints(), was)
	good.goOnBy(t, 0, olderParts-1)
	older = goOnBench(t, good.Lake)
	older.Remove("_checkpoint")
	Copy(t, was, older.Checkpoints())
	return older, good
}

// TestAnOlderCheckpointGoesOn: a whole older _checkpoint lies over a lake whose files
// are newer. A repair takes them on; the task goes on, with the landing log or another
// copy of it, and what comes out is what would have come out.
func TestAnOlderCheckpointGoesOn(t *testing.T) {
	base := shared.unfinished(t, olderRecords)
	one, good := withOlder(t, base)
	_, had := good.Head(t, Task(0))
	newest := newestOf(good, Task(0).String(), uint64(had.Epoch))
	good.goOnBy(t, olderParts-1, olderParts)
	for _, c := range []struct {
		name string
		with from
		do   func(b *Bench)
		cut  bool
	}{
		{"the landing log has let go of it", fromNothing, func(*Bench) {}, false},
		{"the landing log has all of it", fromLanding, func(b *Bench) { swapLanding(b) }, false},
		{"with the gateways' logs", fromEdge, func(*Bench) {}, false},
		{"the newest epoch was being published", fromNothing, func(b *Bench) {
			swapLanding(b)
			b.Remove(newest[table.Record]...)
		}, true},
		{"of the newest epoch only one table was published", fromNothing, func(b *Bench) {
			swapLanding(b)
			for name, files := range newest {
				if name != table.AISPosition {
					b.Remove(files...)
				}
			}
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := goOnBench(t, one.Lake)
			c.do(b)
			before := b.tree()
			if code, r := b.repairs(c.with, "--dry-run"); code != cli.ExitData || r.kinds()[repair.Head] != partitions || len(r.Left) > 0 || !r.DryRun {
				t.Errorf("dry run: exit code %d: %+v", code, r.Result)
			}
			if after := b.tree(); !slices.Equal(after, before) {
				t.Error("a dry run changed the lake")
			}
			code, r := b.repairs(c.with)
			if code != cli.ExitOK || !r.Audit.Exact || r.kinds()[repair.Head] != partitions || (r.kinds()[repair.Aside] > 0) != c.cut {
				t.Fatalf("exit code %d: %+v", code, r)
			}
			if !slices.ContainsFunc(r.Audit.NotChecked, func(s string) bool { return strings.Contains(s, "a repair rebuilt their ledger") }) {
				t.Errorf("the audit does not say what nothing vouches for: %q", r.Audit.NotChecked)
			}
			if code, r := b.repairs(c.with); code != cli.ExitOK || len(r.Actions) > 0 {
				t.Errorf("a second repair: exit code %d: %+v", code, r.Result)
			}
			b.goOnBy(t, olderParts-1, olderParts)
			if o := audited(t, b.Lake, audit.LevelValues); !o.exact {
				t.Errorf("not exact: %+v", o.findings)
			}
			sameRows(t, good.Dir, b.Dir, table.Log) // other epochs may end elsewhere
			if n := len(Files(t, b.Dir, string(table.Conflict)+"/*/*.parquet")); n > 0 {
				t.Errorf("%d files of conflict", n)
			}
		})
	}
}

// swapLanding returns a lake the landing log that has let go of nothing.
func swapLanding(b *Bench) {
	b.Helper()
	must(b, os.RemoveAll(b.Landing))
	must(b, os.CopyFS(b.Landing, os.DirFS(b.Kept)))
}

// newestOf lists the files of an epoch of a task by table.
func newestOf(b *Bench, task string, epoch uint64) map[table.Name][]string {
	b.Helper()
	files := map[table.Name][]string{}
	for _, name := range table.Names() {
		files[name] = Files(b, b.Dir, fmt.Sprintf("%s/*/%s-%020d-0.parquet", name, task, epoch))
	}
	if len(files[table.Record]) == 0 || len(files[table.AISPosition]) == 0 {
		b.Fatalf("epoch %d of %s has no record", epoch, task)
	}
	return files
}

// tree lists everything in the lake with its bytes.
func (b *Bench) tree() (all []string) {
	b.Helper()
	must(b, filepath.WalkDir(b.Dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, ".lock") {
			return err
		}
		data, err := os.ReadFile(path)
		all = append(all, fmt.Sprintf("%s %x", path, data))
		return err
	}))
	return all
}

// TestAnOlderCheckpointOverADamagedLake: what does not prove itself is not taken on,
// nor is anything moved: the task stays as it is, and the reason names the epoch.
func TestAnOlderCheckpointOverADamagedLake(t *testing.T) {
	base := shared.unfinished(t, olderRecords)
	one, good := withOlder(t, base)
	_, had := good.Head(t, Task(0))
	newest, before := newestOf(good, Task(0).String(), uint64(had.Epoch)), newestOf(good, Task(0).String(), uint64(had.Epoch)-1)
	for _, c := range []struct {
		name, why string
		do        func(b *Bench)
	}{
		{"a file of record is gone", "no log that was named (--edge-log, --landing) holds the offsets", func(b *Bench) { b.Remove(before[table.Record]...) }},
		{"a bit of a file of record of the newest epoch", "no log that was named (--edge-log, --landing) holds the offsets", func(b *Bench) { b.flipFile(newest[table.Record][0]) }},
		{"a file of a typed table is gone, and a record declares more rows", "also with what comes out of record", func(b *Bench) {
			b.Remove(before[table.AISPosition]...)
			b.setFirst(before[table.Record][0], "_rows", func(v pq.Value) pq.Value { return pq.Int32Value(v.Int32() + 1) })
		}},
		{"a bit of a file of window", "what it held is nowhere else", func(b *Bench) { b.flipFile(windowOf(b)) }},
		{"a bit of a file of log", "what it held is nowhere else", func(b *Bench) { b.flipFile(before[table.Log][0]) }},
		{"a file of log is gone", "no row of the table log", func(b *Bench) { b.Remove(before[table.Log]...) }},
		{"all of an epoch is gone", "is neither in record nor in loss", func(b *Bench) {
			for _, files := range before {
				b.Remove(files...)
			}
		}},
		{"bytes of a record are others", "have not the digest", func(b *Bench) { b.setFirst(newest[table.Record][0], "raw", flipLast) }},
		{"a file of log of the newest epoch is gone", "no row of the table log", func(b *Bench) { b.Remove(newest[table.Log]...) }},
		{"a typed row of another record", "typed row", func(b *Bench) {
			b.setFirst(newest[table.AISPosition][0], "_offset", func(v pq.Value) pq.Value { return pq.Int64Value(v.Int64() + 1) })
		}},
		{"a file lies under another day, too", "twice", func(b *Bench) {
			name := newest[table.Record][0]
			to := filepath.Join(b.Dir, "record", "dt=2001-01-01", filepath.Base(name))
			must(b, os.MkdirAll(filepath.Dir(to), 0o755))
			data, err := os.ReadFile(b.Path(name))
			must(b, err)
			must(b, os.WriteFile(to, data, 0o644))
		}},
		{"rows went to topics", "put newer checkpoints back", func(b *Bench) {
			_, m := b.Head(b, Task(0))
			b.Forge(Task(0), func(e *ledger.Entry) {
				if e.Epoch == m.Epoch {
					e.Files = append(e.Files, ledger.File{Sink: "kafka", Table: string(table.Record), Name: "ais.record", Rows: 1, SHA256: strings.Repeat("0", 64)})
				}
			})
		}},
		{"an epoch far away", "no file does", func(b *Bench) {
			to := fmt.Sprintf("%s/%s-%020d-0.parquet", filepath.Dir(newest[table.Record][0]), Task(0), uint64(1)<<60)
			must(b, os.WriteFile(b.Path(to), []byte("PAR1"), 0o644))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := goOnBench(t, one.Lake)
			c.do(b)
			was := b.treeOf(Task(0).String())
			code, r := b.repairs(fromNothing)
			told := slices.ContainsFunc(r.Left, func(a repair.Action) bool {
				return a.Task == Task(0).String() && strings.Contains(a.Detail, c.why) && strings.Contains(a.Detail, "an older checkpoint was put back")
			})
			if code != cli.ExitData || !told || r.kinds()[repair.Aside] > 0 || r.kinds()[repair.Head] > partitions-1 || r.Audit.Exact {
				t.Errorf("exit code %d, told: %v: %+v", code, told, r.Result)
			}
			if now := b.treeOf(Task(0).String()); !slices.Equal(now, was) {
				t.Error("the task or its files were changed")
			}
		})
	}
}

// TestAnOlderCheckpointOverADamagedLakeIsMadeWhole: files of record and of typed tables
// between are gone or damaged. They are made again of what proves them, with what they held;
// the rest stays as it is, and the task goes on.
func TestAnOlderCheckpointOverADamagedLakeIsMadeWhole(t *testing.T) {
	base := shared.unfinished(t, olderRecords)
	one, good := withOlder(t, base)
	_, had := good.Head(t, Task(0))
	newest, before := newestOf(good, Task(0).String(), uint64(had.Epoch)), newestOf(good, Task(0).String(), uint64(had.Epoch)-1)
	position := before[table.AISPosition][0]
	for _, c := range []struct {
		name  string
		with  from
		aside int
		do    func(b *Bench)
	}{
		{"a file of a typed table is gone", fromNothing, 0, func(b *Bench) { b.Remove(before[table.AISPosition]...) }},
		{"all typed tables", fromNothing, 0, func(b *Bench) {
			for _, t := range table.TypedNames() {
				b.Remove(before[t]...)
			}
		}},
		{"a file of a typed table of the newest epoch is gone", fromNothing, 0, func(b *Bench) { b.Remove(newest[table.AISPosition]...) }},
		{"in two epochs", fromNothing, 1, func(b *Bench) {
			b.Remove(before[table.AISPosition]...)
			b.flipFile(newest[table.AISStatic][0])
		}},
		{"a bit of a page", fromNothing, 1, func(b *Bench) { b.flipFile(position) }},
		{"no Parquet file", fromNothing, 1, func(b *Bench) {
			must(b, os.Remove(b.Path(position)))
			must(b, os.WriteFile(b.Path(position), []byte("nothing"), 0o644))
		}},
		{"a file of another epoch", fromNothing, 1, func(b *Bench) {
			data, err := os.ReadFile(b.Path(newest[table.AISPosition][0]))
			must(b, err)
			must(b, os.Remove(b.Path(position)))
			must(b, os.WriteFile(b.Path(position), data, 0o644))
		}},
		{"a folder in its place", fromNothing, 1, func(b *Bench) {
			must(b, os.Remove(b.Path(position)))
			must(b, os.Mkdir(b.Path(position), 0o755))
		}},
		{"the records are gone, the landing log has them", fromLanding, 0, func(b *Bench) { b.Remove(before[table.Record]...) }},
		{"the records are gone, the gateways have them", fromEdge, 0, func(b *Bench) { b.Remove(before[table.Record]...) }},
		{"a bit of record", fromLanding, 1, func(b *Bench) { b.flipFile(before[table.Record][0]) }},
		{"a bit of record of the newest epoch", fromEdge, 1, func(b *Bench) { b.flipFile(newest[table.Record][0]) }},
		{"records and typed rows", fromLanding, 1, func(b *Bench) {
			b.Remove(before[table.Record]...)
			b.Remove(before[table.AISStatic]...)
			b.flipFile(position)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := goOnBench(t, one.Lake)
			c.do(b)
			was := b.tree()
			_, dryly := b.repairs(c.with, "--dry-run")
			if !slices.Equal(b.tree(), was) {
				t.Error("a dry run changed the lake")
			}
			code, r := b.repairs(c.with)
			if code != cli.ExitOK || !r.Audit.Exact || r.kinds()[repair.Head] != partitions || r.kinds()[repair.Aside] != c.aside || r.kinds()[repair.Replaced] < partitions+1 {
				t.Fatalf("exit code %d: %+v %+v", code, r.Result, r.Audit.Findings)
			}
			if fmt.Sprint(dryly.kinds()) != fmt.Sprint(r.kinds()) {
				t.Errorf("a dry run: %v, and then %v", dryly.kinds(), r.kinds())
			}
			if code, r := b.repairs(c.with); code != cli.ExitOK || len(r.Actions) > 0 {
				t.Errorf("a second repair: exit code %d: %+v", code, r.Result)
			}
			sameValues(t, one.Dir, b.Dir)
			b.goOnBy(t, olderParts-1, olderParts)
			if o := audited(t, b.Lake, audit.LevelValues); !o.exact {
				t.Errorf("not exact: %+v", o.findings)
			}
			if n := len(conflictFiles(b)); n > 0 {
				t.Errorf("%d files of conflict", n)
			}
		})
	}
}

// flipFile changes a bit of a page of a file, however small it is.
func (b *Bench) flipFile(name string) {
	b.Helper()
	data, err := os.ReadFile(b.Path(name))
	must(b, err)
	data[len(data)/6] ^= 1
	must(b, os.Remove(b.Path(name))) // it may be linked to the lake that it is a copy of
	must(b, os.WriteFile(b.Path(name), data, 0o644))
}

// windowOf is a file of window of the newest epoch of a task that has one.
func windowOf(b *Bench) string {
	b.Helper()
	files := Files(b, b.Dir, fmt.Sprintf("window/*/%s-*.parquet", Task(0)))
	if len(files) == 0 {
		b.Fatal("there is no file of window")
	}
	return slices.MaxFunc(files, func(x, y string) int { return strings.Compare(filepath.Base(x), filepath.Base(y)) })
}

// treeOf is tree of what belongs to a task.
func (b *Bench) treeOf(task string) []string {
	b.Helper()
	return slices.DeleteFunc(b.tree(), func(s string) bool { name, _, _ := strings.Cut(s, " "); return !strings.Contains(name, task) })
}

// setFirst changes a column of the first row of a file.
func (b *Bench) setFirst(name, column string, change func(pq.Value) pq.Value) {
	b.Helper()
	b.Edit(name, func(r *Rows) { r.Set(0, column, change(r.Get(0, column))) })
}
