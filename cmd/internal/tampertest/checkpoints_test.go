package tampertest

import (
	"bytes"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"landfall/cmd/internal/cli"
	"landfall/engine/audit"
	"landfall/engine/landing/embedded"
	"landfall/engine/ledger"
	"landfall/engine/repair"
	"landfall/engine/table"
	"landfall/sinks/sinktest"
)

// ofTask returns the newest object of the second gateway's task that matches a
// pattern.
func ofTask(b *Bench, pattern string) string {
	b.Helper()
	names := Files(b, b.Dir, path.Join("_checkpoint", Task(0).String(), pattern))
	if len(names) == 0 {
		b.Fatalf("nothing matches %s", pattern)
	}
	return names[len(names)-1]
}

// entryObject returns the object of the n-th entry, of the end where n is negative.
func entryObject(b *Bench, n int) string {
	all := b.Ledger(b, Task(0))
	if n < 0 {
		n += len(all)
	}
	return path.Join("_checkpoint", all[n].Object)
}

// bit changes a bit in the middle of an object.
func bit(of func(b *Bench) string) func(b *Bench) {
	return func(b *Bench) {
		name := of(b)
		data, err := os.ReadFile(b.Path(name))
		must(b, err)
		data = bytes.Clone(data)
		data[len(data)/2] ^= 4
		Write(b, b.Path(name), data)
	}
}

// checkpointDamages are damages of HEAD, manifests, state and ledger.
func checkpointDamages() []damage {
	type kinds = map[repair.Kind]int
	restored, head, replaced := kinds{repair.Restored: 1}, kinds{repair.Head: 1}, kinds{repair.Replaced: 1}
	newest := func(pattern string) func(b *Bench) string {
		return func(b *Bench) string { return ofTask(b, pattern) }
	}
	entry := func(n int) func(b *Bench) string {
		return func(b *Bench) string { return entryObject(b, n) }
	}
	gone := func(of ...func(b *Bench) string) func(b *Bench) {
		return func(b *Bench) {
			var names []string
			for _, one := range of {
				names = append(names, one(b))
			}
			b.Remove(names...)
		}
	}
	folder := func(name string) func(b *Bench) string {
		return func(*Bench) string { return path.Join("_checkpoint", Task(0).String(), name) }
	}
	cut := func(of func(b *Bench) string) func(b *Bench) {
		return func(b *Bench) {
			name := of(b)
			data, err := os.ReadFile(b.Path(name))
			must(b, err)
			Write(b, b.Path(name), data[:len(data)/2])
		}
	}
	return []damage{
		{"the manifest gone", "good", gone(folder("manifest")), fromNothing, head, 0, true},
		{"the manifest cut", "good", cut(newest("manifest/*")), fromNothing, head, 0, true},
		{"a bit of the manifest", "good", bit(newest("manifest/*")), fromNothing, restored, 0, true},
		{"the manifest gone, and a file of the newest epoch", "good", func(b *Bench) {
			gone(folder("manifest"))(b)
			names := slices.DeleteFunc(b.Table(table.AISPosition), func(name string) bool { return taskOf(name) != Task(0).String() })
			b.Remove(names[len(names)-1])
		}, fromLanding, kinds{repair.Head: 1, repair.Restored: 1}, 0, true},
		{"the manifest gone, and a file of record, from nothing", "good", func(b *Bench) {
			gone(folder("manifest"))(b)
			names := slices.DeleteFunc(b.Table(table.Record), func(name string) bool { return taskOf(name) != Task(0).String() })
			b.Remove(names[len(names)-1])
		}, fromNothing, nil, 2, false},
		{"HEAD and the manifest gone", "good", gone(folder("HEAD"), folder("manifest")), fromNothing, head, 0, true},
		{"the manifests of all tasks gone", "good", func(b *Bench) {
			b.Remove(path.Join("_checkpoint", Task(0).String(), "manifest"), path.Join("_checkpoint", Task(1).String(), "manifest"))
		}, fromNothing, nil, 2, false},
		{"the manifests of all tasks gone, with a landing log", "good", func(b *Bench) {
			b.Remove(path.Join("_checkpoint", Task(0).String(), "manifest"), path.Join("_checkpoint", Task(1).String(), "manifest"))
		}, fromLanding, kinds{repair.Head: 2}, 0, true},
		{"the manifests of all tasks gone, with another landing log", "good", func(b *Bench) {
			b.Remove(path.Join("_checkpoint", Task(0).String(), "manifest"), path.Join("_checkpoint", Task(1).String(), "manifest"))
			b.Kept = otherLanding(b)
		}, fromLanding, nil, 2, false},
		{"a state object gone", "good", gone(newest("state/*")), fromNothing, replaced, 0, true},
		{"all state gone", "good", gone(folder("state")), fromNothing, replaced, 0, true},
		{"a bit of a state object", "good", bit(newest("state/*")), fromNothing, restored, 0, true},
		{"a state object cut", "good", cut(newest("state/*")), fromNothing, replaced, 0, true},
		{"the manifest and all state gone", "good", gone(folder("manifest"), folder("state")), fromNothing, kinds{repair.Head: 1, repair.Replaced: 1}, 0, true},
		{"the manifest gone, and a state object of an earlier epoch in the place of all state", "good", func(b *Bench) {
			gone(folder("manifest"), folder("state"))(b)
			first := Files(b, b.Earlier, folder("state")(b)+"/*")[0] // whole, and alone
			data, err := os.ReadFile(filepath.Join(b.Earlier, first))
			must(b, err)
			Write(b, b.Path(first), data)
		}, fromNothing, kinds{repair.Head: 1, repair.Replaced: 1}, 0, true},
		{"HEAD, the manifest and all state gone", "good", gone(folder("HEAD"), folder("manifest"), folder("state")), fromNothing, kinds{repair.Head: 1, repair.Replaced: 1}, 0, true},
		{"all state gone, and a file of record", "good", func(b *Bench) {
			gone(folder("state"))(b)
			names := slices.DeleteFunc(b.Table(table.Record), func(name string) bool { return taskOf(name) != Task(0).String() })
			b.Remove(names[len(names)-1])
		}, fromNothing, nil, 2, false},
		{"a ledger entry gone", "good", gone(entry(2)), fromLanding, restored, 0, true},
		{"a ledger entry gone, from nothing", "good", gone(entry(2)), fromNothing, nil, 1, false},
		{"the first ledger entry gone", "good", gone(entry(0)), fromLanding, restored, 0, true},
		{"the newest ledger entry gone", "good", gone(entry(-1)), fromNothing, restored, 0, true},
		{"a bit of a ledger entry", "good", bit(entry(2)), fromNothing, restored, 0, true},
		{"a ledger entry cut", "good", cut(entry(2)), fromNothing, restored, 0, true},
		{"a ledger entry rewritten", "good", func(b *Bench) {
			one := b.Ledger(b, Task(0))[2]
			one.Files[0].Rows++
			line, err := one.Entry.Encode()
			must(b, err)
			Write(b, b.Path(path.Join("_checkpoint", one.Object)), line)
		}, fromNothing, restored, 0, true},
		{"two ledger entries exchanged", "good", func(b *Bench) {
			x, y := entryObject(b, 2), entryObject(b, 3)
			b.Move(x, "kept")
			b.Move(y, x)
			b.Move("kept", y)
		}, fromNothing, kinds{repair.Restored: 2}, 0, true},
		{"HEAD and the newest ledger entry gone", "good", gone(folder("HEAD"), entry(-1)), fromNothing, kinds{repair.Head: 1, repair.Restored: 1}, 0, true},
		{"HEAD and a ledger entry gone", "good", gone(folder("HEAD"), entry(2)), fromLanding, kinds{repair.Head: 1, repair.Restored: 1}, 0, true},
		{"HEAD and a ledger entry gone, from nothing", "good", gone(folder("HEAD"), entry(2)), fromNothing, kinds{}, 1, false},
		{"HEAD, the newest ledger entry and a bit of state gone", "good", func(b *Bench) {
			bit(newest("state/*"))(b)
			gone(folder("HEAD"), entry(-1))(b)
		}, fromNothing, kinds{repair.Head: 1, repair.Restored: 2}, 0, true},
		{"HEAD, the newest ledger entry and its rows of log gone", "good", func(b *Bench) {
			all := b.Ledger(b, Task(0))
			last := all[len(all)-1]
			gone(folder("HEAD"))(b)
			b.Remove(path.Join("_checkpoint", last.Object), last.Files[slices.IndexFunc(last.Files, func(f ledger.File) bool { return f.Table == string(table.Log) })].Name)
		}, fromNothing, kinds{}, 1, false},
		{"HEAD, the manifest and the newest ledger entry gone", "good", gone(folder("HEAD"), folder("manifest"), entry(-1)), fromNothing, kinds{}, 1, false},
		{"what feeds the lake gone", "good", func(b *Bench) { b.Remove("_checkpoint/_lake/landing") }, fromNothing, replaced, 0, true},
		{"what feeds the lake damaged", "good", func(b *Bench) {
			Write(b, b.Path("_checkpoint/_lake/landing"), []byte("{"))
		}, fromNothing, replaced, 0, true},
		{"two ledger entries gone that follow each other", "good", gone(entry(2), entry(3)), fromNothing, nil, 1, false},
		{"a ledger entry gone, with a file of its epoch", "good", func(b *Bench) {
			one := b.Ledger(b, Task(0))[2]
			b.Remove(path.Join("_checkpoint", one.Object), one.Files[0].Name)
		}, fromLanding, nil, 1, false},
		{"a ledger entry, the manifest and all state gone", "good", gone(entry(2), folder("manifest"), folder("state")), fromLanding,
			kinds{repair.Head: 1, repair.Replaced: 1, repair.Restored: 1}, 0, true},
	}
}

// otherLanding makes a landing log that does not feed the lake, with more partitions.
func otherLanding(b *Bench) string {
	dir := b.TempDir()
	log, err := embedded.Open(embedded.Config{Dir: dir, Partitions: 2 * partitions, ID: "other"})
	must(b, err)
	must(b, log.Close())
	return dir
}

// TestRepairedTasksGoOn: after checkpoints were put right, the task goes on and the
// lake is the one that was never damaged: every row of every table, also those that
// depend on what the task remembered.
func TestRepairedTasksGoOn(t *testing.T) {
	damaged := shared.unfinished(t, repairRecords/2)
	good := goOnBench(t, damaged)
	good.GoOn(t)
	for _, one := range checkpointDamages() {
		if one.left > 0 {
			continue
		}
		t.Run(one.name, func(t *testing.T) {
			t.Parallel()
			b := goOnBench(t, damaged)
			_, before := b.Head(t, Task(0))
			one.do(b)
			code, r := b.repairs(one.with)
			if code != 0 || !r.Audit.Exact {
				t.Fatalf("exit code %d: %+v", code, r)
			}
			for _, a := range r.Actions {
				if a.Kind == repair.Replaced && strings.HasSuffix(a.File, "/state") && !strings.Contains(a.Detail, ": all ") {
					t.Errorf("what was published does not come out again: %s", a.Detail)
				}
			}
			if _, m := b.Head(t, Task(0)); m.Epoch != before.Epoch || m.Position != before.Position || !slices.Equal(m.Watermarks, before.Watermarks) || m.Partitions != before.Partitions || m.Final {
				t.Errorf("the manifest is %+v, was %+v", m, before)
			}
			if code, _, errs := engine(t, "audit", "--lake", b.Dir, "--level", "values"); code != cli.ExitOK {
				t.Errorf("audit: exit code %d, %s", code, errs)
			}
			b.GoOn(t)
			if o := audited(t, b.Lake, audit.LevelValues); !o.exact {
				t.Errorf("not exact: %+v", o.findings)
			}
			sameRows(t, good.Dir, b.Dir)
		})
	}
}

// goOnBench is a copy of a lake with logs of its own, so that it may go on.
func goOnBench(t testing.TB, l *Lake) *Bench {
	t.Helper()
	b := NewBench(t, l)
	dir := t.TempDir()
	for _, log := range []*string{&b.Landing, &b.Kept} {
		to := filepath.Join(dir, filepath.Base(*log))
		must(t, os.CopyFS(to, os.DirFS(*log)))
		*log = to
	}
	return b
}

// sameRows compares every column of every row in DuckDB, but for some tables.
func sameRows(t testing.TB, a, b string, but ...table.Name) {
	t.Helper()
	sameColumns(t, a, b, func(name table.Name) string {
		if slices.Contains(but, name) {
			return ""
		}
		return "*"
	})
}

// sameColumns compares the rows of two lakes in DuckDB, of each table the columns that
// are given for it; empty: the table is not compared.
func sameColumns(t testing.TB, a, b string, of func(table.Name) string) {
	t.Helper()
	var queries []string
	for _, n := range table.Names() {
		columns := of(n)
		if columns == "" || len(Files(t, a, string(n)+"/*/*.parquet")) == 0 {
			continue
		}
		rows := func(dir string) string {
			return fmt.Sprintf("SELECT %s FROM read_parquet('%s/%s/*/*.parquet', hive_partitioning = false)", columns,
				dir, n)
		}
		queries = append(queries, fmt.Sprintf(
			"SELECT '%[3]s' AS t, count(*) AS n FROM ((%[1]s EXCEPT ALL %[2]s) UNION ALL (%[2]s EXCEPT ALL %[1]s))",
			rows(a), rows(b), n))
	}
	if got := sinktest.DuckDB(t, "SELECT * FROM ("+strings.Join(queries, " UNION ALL ")+") WHERE n > 0"); len(got) > 0 {
		t.Errorf("rows that differ, by table: %s", got)
	}
}
