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

	"landfall/engine/checkpoint"
	"landfall/engine/stream"
	"landfall/engine/table"
)

// lakeFile is one published file.
type lakeFile struct {
	table table.Name
	name  string // relative to the lake, with '/'
	task  string // empty: the name is none of ours
	epoch stream.Epoch
}

// listFiles finds every Parquet file of every audited table, in the order of
// (task, epoch), in which logs fill up from their beginning.
func (a *audit) listFiles(ctx context.Context) ([]lakeFile, error) {
	var files []lakeFile
	for _, t := range table.Names() {
		names, err := a.Files.List(ctx, string(t)+"/")
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			parts := strings.Split(name, "/")
			if len(parts) != 3 || !strings.HasPrefix(parts[1], "dt=") {
				a.problem("%s/%s is no folder of a date", t, parts[1])
				continue
			}
			files = append(files, a.nameFile(t, name))
		}
	}
	slices.SortFunc(files, func(a, b lakeFile) int {
		return cmp.Or(cmp.Compare(a.task, b.task), cmp.Compare(a.epoch, b.epoch), cmp.Compare(a.name, b.name))
	})
	return files, nil
}

// nameFile reads "<task>-<epoch, 20 digits>-<n>.parquet". A file of another
// name counts like any other: whatever is in a table's folder is in the table.
func (a *audit) nameFile(t table.Name, name string) lakeFile {
	f := lakeFile{table: t, name: name}
	parts := strings.Split(strings.TrimSuffix(path.Base(name), ".parquet"), "-")
	if n := len(parts); n >= 4 && strings.HasSuffix(name, ".parquet") && len(parts[n-2]) == 20 && len(parts[n-3]) == 4 {
		if epoch, err := strconv.ParseUint(parts[n-2], 10, 64); err == nil {
			f.task, f.epoch = strings.Join(parts[:n-2], "-"), stream.Epoch(epoch)
		}
	}
	if f.task == "" {
		a.problem("%s is not named by a task", name)
	}
	return f
}

// heads reads the tasks' current manifests; none without a store.
func (a *audit) heads(ctx context.Context) (map[string]checkpoint.Manifest, error) {
	if a.Checkpoints == nil {
		return nil, nil
	}
	tasks, err := checkpoint.Tasks(ctx, a.Checkpoints)
	if err != nil {
		return nil, err
	}
	heads := make(map[string]checkpoint.Manifest)
	for _, id := range tasks {
		m, err := checkpoint.Load(ctx, a.Checkpoints, id)
		if err != nil {
			return nil, err
		}
		heads[id.String()] = m
	}
	return heads, nil
}

// published leaves out the files of epochs that are not wholly visible, and
// tells what the checkpoints and the files say against each other. What was
// published before the first look is in the list of files; what is newer than
// the second look nobody committed. Between them the engine may go on.
func (a *audit) published(ctx context.Context, files []lakeFile, first, second map[string]checkpoint.Manifest) []lakeFile {
	if a.Checkpoints == nil {
		a.note("no checkpoints were read: how far the lake is published is not known")
		return files
	}
	there := make(map[string]bool, len(files))
	for _, f := range files {
		there[f.name] = true
	}
	upTo := make(map[string]stream.Epoch)
	for _, name := range slices.Sorted(maps.Keys(first)) {
		m := first[name]
		t := a.judge(ctx, &m, there)
		a.result.Tasks = append(a.result.Tasks, t)
		upTo[name] = stream.Epoch(t.Epoch)
		a.final[name] = m.Final && t.Pending == 0
		if len(m.Params) > 0 && !m.Final { // only a bounded input has settings of its own
			a.note("task %s has not come to the end of its input", name)
		}
	}
	return slices.DeleteFunc(files, func(f lakeFile) bool {
		last, known := second[f.task]
		switch {
		case f.task == "":
			return false
		case !known:
			a.problem("%s belongs to no task with a checkpoint", f.name)
			return false
		case f.epoch > last.Epoch:
			a.problem("%s is of an epoch that was never committed; the last is %s", f.name, last.Epoch)
			return false
		}
		return f.epoch > upTo[f.task]
	})
}

// lakeSink is the name in manifests of the sink whose outputs are the lake's
// files.
const lakeSink = "parquet"

// judge says how far a task is published: up to its first epoch of which a
// file is not visible. A committed file that is neither visible nor staged is
// lost.
func (a *audit) judge(ctx context.Context, m *checkpoint.Manifest, there map[string]bool) Task {
	t := Task{Task: m.TaskID().String(), Epoch: uint64(m.Epoch)}
	for _, p := range m.Pending() {
		whole := true
		for _, s := range p.Staged {
			if s.Sink != lakeSink || !isTable(s.Table) || there[s.Target] {
				continue
			}
			// It may have been published since the lake was listed.
			switch held, err := a.Files.Holds(ctx, s); {
			case err != nil:
				a.problem("%s was committed in epoch %s of %s, and where it is cannot be told: %v", s.Target, p.Epoch, t.Task, err)
			case held:
				whole = false
			default:
				a.problem("%s was committed in epoch %s of %s and is neither published nor staged", s.Target, p.Epoch, t.Task)
			}
		}
		if !whole {
			t.Pending++
			t.Epoch = min(t.Epoch, uint64(p.Epoch)-1)
		}
	}
	return t
}

func isTable(t table.Name) bool { return slices.Contains(table.Names(), t) }

func (a *audit) note(format string, args ...any) {
	a.result.Notes = append(a.result.Notes, fmt.Sprintf(format, args...))
}
