package audit

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"landfall/engine/stream"
	"landfall/engine/table"
)

// lakeSink is the name in manifests and ledgers of the sink whose outputs are
// the lake's files.
const lakeSink = "parquet"

func isTable(t table.Name) bool { return slices.Contains(table.Names(), t) }

// lakeFile is one published file.
type lakeFile struct {
	table    table.Name
	name     string // relative to the lake, with '/'
	task     string // by its name; empty: it is not named as one of ours
	epoch    stream.Epoch
	expected *expectedFile // what the ledger says of it; nil: nothing
}

// listFiles finds every Parquet file of every audited table, in the order of
// (task, epoch), in which logs fill up from their beginning. Within an epoch
// record is first.
func (a *audit) listFiles(ctx context.Context, tables []table.Name) ([]lakeFile, error) {
	var files []lakeFile
	for _, t := range tables {
		names, err := a.Files.List(ctx, string(t)+"/")
		if err != nil {
			return nil, err
		}
		var foreign []string
		for _, name := range names {
			switch {
			case readByGlob(name):
				files = append(files, nameFile(t, name))
			case hidden(name):
				foreign = append(foreign, name)
			default:
				a.find(Finding{Kind: KindFileStray, Table: t, File: name,
					Detail: fmt.Sprintf("%s is no file of the table: some readers of the table read it all the same, and nothing published it", quoteName(name))})
			}
		}
		if len(foreign) > 0 {
			a.note("the table %s holds what is no file of it and what readers pass over, because a name in its path begins with _ or .: %s", t, several(foreign))
		}
	}
	last := func(f lakeFile) int {
		if f.table == table.Record {
			return 0
		}
		return 1
	}
	slices.SortFunc(files, func(a, b lakeFile) int {
		return cmp.Or(cmp.Compare(a.task, b.task), cmp.Compare(a.epoch, b.epoch), cmp.Compare(last(a), last(b)), cmp.Compare(a.name, b.name))
	})
	return files, nil
}

// readByGlob tells whether readers of a table take a file below its folder for
// one of the table: "*/*.parquet", and everything else that ends like it but
// for what lies deeper in folders whose names begin with '_' or '.'.
func readByGlob(name string) bool {
	if !strings.HasSuffix(name, ".parquet") {
		return false
	}
	return strings.Count(name, "/") <= 2 || !hidden(name)
}

// hidden tells a file that pyarrow, Spark and Hive pass over, whatever its name
// ends with: its name, or that of a folder below the table, begins with '_' or '.'.
func hidden(name string) bool {
	parts := strings.Split(name, "/")
	return slices.ContainsFunc(parts[1:], func(p string) bool { return p == "" || strings.HasPrefix(p, "_") || strings.HasPrefix(p, ".") })
}

// nameFile reads "<table>/dt=…/<task>-<epoch, 20 digits>-<n>.parquet". A file of
// another name counts like any other: whatever readers find in a table's folder
// is in the table.
func nameFile(t table.Name, name string) lakeFile {
	f := lakeFile{table: t, name: name}
	folders := strings.Split(name, "/")
	parts := strings.Split(strings.TrimSuffix(path.Base(name), ".parquet"), "-")
	if n := len(parts); len(folders) == 3 && strings.HasPrefix(folders[1], "dt=") && n >= 4 && len(parts[n-2]) == 20 && len(parts[n-3]) == 4 {
		if epoch, err := strconv.ParseUint(parts[n-2], 10, 64); err == nil {
			f.task, f.epoch = strings.Join(parts[:n-2], "-"), stream.Epoch(epoch)
		}
	}
	return f
}

// published leaves out the files of epochs that are not wholly visible, and
// finds those that nothing published and those that are not there.
func (a *audit) published(ctx context.Context, files []lakeFile) ([]lakeFile, error) {
	if a.Checkpoints == nil {
		a.note("no checkpoints were read: how far the lake is published is not known")
	}
	orphans := make(map[string][]string) // files of tasks without a checkpoint
	kept := files[:0]
	for _, f := range files {
		t := a.tasks[f.task]
		f.expected = a.expected[f.name]
		if f.expected != nil {
			f.expected.seen = true
		}
		stray := Finding{Kind: KindFileStray, Task: f.task, Epoch: uint64(f.epoch), Table: f.table, File: f.name}
		switch {
		case f.task == "":
			stray.Detail = fmt.Sprintf("%s is not named by a task: readers of the table read it, and nothing published it", quoteName(f.name))
			a.find(stray)
		case a.Checkpoints == nil:
		case t == nil:
			orphans[f.task] = append(orphans[f.task], f.name)
		case t.manifest == nil: // its checkpoint is a finding already
		case f.epoch > max(t.last, t.manifest.Epoch):
			stray.Detail = fmt.Sprintf("%s is of an epoch that was never committed; the last is %s", quoteName(f.name), t.last)
			a.find(stray)
			continue
		case f.epoch > t.upTo && t.ledgered && f.epoch <= t.manifest.Epoch && !a.unpublished[f.name]:
			stray.Detail = fmt.Sprintf("%s is not one of the files of epoch %s of task %s, which is not wholly published yet: readers of the table read it", quoteName(f.name), f.epoch, f.task)
			a.find(stray)
			continue
		case f.epoch > t.upTo:
			continue
		case t.since && f.epoch <= t.below && f.expected == nil:
			continue // the earlier audit read it
		case a.level.reaches(LevelFiles) && t.ledgered && f.expected == nil && f.epoch > t.below:
			stray.Detail = fmt.Sprintf("%s was published by no epoch of task %s: readers of the table read it", quoteName(f.name), f.task)
			a.find(stray)
		}
		kept = append(kept, f)
	}
	for _, task := range slices.Sorted(maps.Keys(orphans)) {
		names := orphans[task]
		a.find(Finding{Kind: KindUnknown, Task: task, File: several(names),
			Detail: fmt.Sprintf("%d files belong to task %s, and there is no task with a checkpoint of this name: %s", len(names), task, several(names))})
	}
	if !a.level.reaches(LevelFiles) {
		return kept, nil
	}
	listed := make(map[string]bool)
	for _, t := range table.Names() {
		listed[string(t)] = true
	}
	return kept, a.missingFiles(ctx, listed)
}
