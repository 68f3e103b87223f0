package audit

import (
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"landfall/engine/checkpoint"
	"landfall/engine/stream"
	"landfall/engine/table"
)

// strayLake is an intact lake to which a test adds something.
func strayLake(t *testing.T) *tamperedLake {
	t.Helper()
	w := &tamperedLake{t: t}
	w.dir, w.files = writeLake(t, fleet()...)
	w.store = openStore(t, checkpointsOf(w.dir))
	return w
}

// TestFilesThatReadersTakeForRows: pyarrow, Spark and Hive read every file of a
// folder whose name does not begin with '_' or '.'.
func TestFilesThatReadersTakeForRows(t *testing.T) {
	for name, stray := range map[string]bool{
		"late/dt=1970-01-01/x.parquet.bak":        true,
		"late/dt=1970-01-01/x.PARQUET":            true,
		"late/dt=1970-01-01/x":                    true,
		"late/dt=1970-01-01/d.parquet/part-0":     true,
		"late/README":                             true,
		"late/dt=1970-01-01/_x.parquet":           true, // a glob reads it
		"late/dt=1970-01-01/_SUCCESS":             false,
		"late/dt=1970-01-01/.x.parquet.crc":       false,
		"late/_delta_log/00000000000000000000.js": false,
		"late/.x/dt=1970-01-01/y":                 false,
	} {
		t.Run(name, func(t *testing.T) {
			w := strayLake(t)
			check(t, os.MkdirAll(filepath.Dir(w.path(name)), 0o755))
			copyFile(t, w.path(w.name(1, table.Late)), w.path(name))
			for _, level := range []Level{LevelOffsets, LevelFiles, LevelBytes} {
				r := runAudit(t, Config{Lake: w.dir, Level: level})
				found := slices.ContainsFunc(r.Findings, Finding{Kind: KindFileStray, Table: table.Late, File: name}.within)
				if found != stray || r.Exact == stray {
					t.Errorf("level %s: exact %v, %s", level, r.Exact, listFindings(r))
				}
			}
		})
	}
}

// TestWhatIsNoFileIsNotOpened: a pipe would never answer.
func TestWhatIsNoFileIsNotOpened(t *testing.T) {
	pipe := func(t *testing.T, name string) { check(t, syscall.Mkfifo(name, 0o644)) }
	for _, c := range []struct {
		name string
		make func(t *testing.T, name string)
		of   string // empty: in the place of a published file
		want Finding
	}{
		{"a pipe", pipe, "late/dt=1970-01-01/x.parquet", Finding{Kind: KindFile, File: "late/dt=1970-01-01/x.parquet"}},
		{"a pipe in the place of a file", pipe, "", Finding{Kind: KindFile, Table: table.Late}},
		{"a link that leads nowhere", func(t *testing.T, name string) { check(t, os.Symlink("nowhere", name)) }, "late/dt=1970-01-01/x.parquet",
			Finding{Kind: KindFile, File: "late/dt=1970-01-01/x.parquet"}},
		{"a link in the place of a file", func(t *testing.T, name string) { check(t, os.Symlink("nowhere", name)) }, "", Finding{Kind: KindFile, Table: table.Late}},
		{"a folder in the place of a file", func(t *testing.T, name string) { check(t, os.Mkdir(name, 0o755)) }, "", Finding{Kind: KindFileGone, Table: table.Late}},
		{"a file in the place of a table", func(t *testing.T, name string) { check(t, os.WriteFile(name, nil, 0o644)) }, "late", Finding{Kind: KindFileStray, File: "late"}},
		{"a pipe in the place of HEAD", pipe, "_checkpoint/test-0000/HEAD", Finding{Kind: KindHead, Task: "test-0000"}},
		{"a folder in the place of HEAD", func(t *testing.T, name string) { check(t, os.Mkdir(name, 0o755)) }, "_checkpoint/test-0000/HEAD", Finding{Kind: KindHead, Task: "test-0000"}},
		{"a link in the place of HEAD", func(t *testing.T, name string) { check(t, os.Symlink("nowhere", name)) }, "_checkpoint/test-0000/HEAD", Finding{Kind: KindHead, Task: "test-0000"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := strayLake(t)
			if c.of == "" {
				c.of = w.name(5, table.Late)
			}
			check(t, os.RemoveAll(w.path(c.of)))
			c.make(t, w.path(c.of))
			wantFinding(t, runAudit(t, Config{Lake: w.dir}), c.want)
		})
	}
	t.Run("a folder in the place of a file that is to be published", func(t *testing.T) {
		w := strayLake(t)
		entries := ledgerOf(t, w.files, claimsOf(fleet()))
		w.store = openStore(t, t.TempDir())
		writeHead(t, w.store, checkpoint.Manifest{Epoch: 5, Staged: w.files[4], Ledger: writeLedger(t, w.store, entries)})
		name := w.name(5, table.Record)
		check(t, os.Remove(w.path(name)))
		check(t, os.Mkdir(w.path(name), 0o755))
		wantFinding(t, runAudit(t, Config{Lake: w.dir, Checkpoints: w.store}), Finding{Kind: KindFileGone, File: name})
	})
}

// TestEveryPartitionHasATask: an engine makes a HEAD for each when it starts.
func TestEveryPartitionHasATask(t *testing.T) {
	other := stream.TaskID{Landing: "other", Partition: 0}
	partitions := func(task stream.TaskID, n int) func(m *checkpoint.Manifest) {
		return func(m *checkpoint.Manifest) { m.Landing, m.Partition, m.Partitions = task.Landing, task.Partition, n }
	}
	for _, c := range []struct {
		name  string
		tasks []func(m *checkpoint.Manifest)
		want  string // the task that is missing
	}{
		{name: "one of one", tasks: []func(m *checkpoint.Manifest){partitions(testTask, 1)}},
		{"one of two", []func(m *checkpoint.Manifest){partitions(testTask, 2)}, "test-0001"},
		{"the second of two", []func(m *checkpoint.Manifest){partitions(stream.TaskID{Landing: "test", Partition: 1}, 2)}, "test-0000"},
		{name: "both, and an idle one", tasks: []func(m *checkpoint.Manifest){partitions(testTask, 2), partitions(stream.TaskID{Landing: "test", Partition: 1}, 2)}},
		{name: "two landing logs", tasks: []func(m *checkpoint.Manifest){partitions(testTask, 2), partitions(stream.TaskID{Landing: "test", Partition: 1}, 2), partitions(other, 1)}},
		{"one of two landing logs", []func(m *checkpoint.Manifest){partitions(testTask, 1), partitions(other, 3), partitions(stream.TaskID{Landing: "other", Partition: 2}, 3)}, "other-0001"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := strayLake(t)
			m, err := checkpoint.Load(t.Context(), w.store, testTask)
			check(t, err)
			store := openStore(t, t.TempDir())
			for _, set := range c.tasks {
				one := checkpoint.Manifest{}
				set(&one)
				if one.TaskID() == testTask {
					one = m
					one.Ledger = writeLedger(t, store, ledgerOf(t, w.files, claimsOf(fleet())))
					set(&one)
				}
				writeHeadOf(t, store, one)
			}
			r := runAudit(t, Config{Lake: w.dir, Checkpoints: store})
			i := slices.IndexFunc(r.Findings, func(f Finding) bool { return f.Kind == KindHead })
			switch {
			case c.want == "" && i >= 0, c.want != "" && i < 0:
				t.Errorf("want %q among\n%s", c.want, listFindings(r))
			case c.want != "" && r.Findings[i].Task != c.want:
				t.Errorf("%+v", r.Findings[i])
			}
		})
	}
}

// TestEveryReplayHasATask: a content that was replayed into the lake is missed when
// its task was taken out with its files; one that went to a topic has no task.
func TestEveryReplayHasATask(t *testing.T) {
	for note, want := range map[string]string{
		`{"landing":"","topic":"","params":{"gateway":"a"},"landed_at":7}`: "replay-0f-0000",
		`{"landing":"6a","topic":"t","params":{"gateway":"a"}}`:            "",
		`{"lan`: "replay-0f-0000",
	} {
		for name, want := range map[string]string{"replay-0f": want, testTask.Landing: ""} {
			w, _ := ledgered(t, nil, nil)
			check(t, w.store.Create(t.Context(), "_replay/"+name, []byte(note)))
			r := runAudit(t, Config{Lake: w.dir, Level: LevelOffsets})
			if want == "" && !r.Exact {
				t.Errorf("%s of %s: %s", note, name, listFindings(r))
			}
			if want != "" {
				wantFinding(t, r, Finding{Kind: KindHead, Task: want})
			}
		}
	}
}
