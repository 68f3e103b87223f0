package repair

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"landfall/engine/checkpoint"
	"landfall/engine/ledger"
	"landfall/engine/parquetfile"
	"landfall/engine/stream"
	"landfall/engine/table"
)

// listed lists what lies in the tables and is read by some reader of them. It is
// called before any checkpoint is read: what a task publishes later is not in the
// list, and what it published before is in the ledger that is read after it.
func (r *run) listed(ctx context.Context) (all []string, err error) {
	for _, t := range table.Names() {
		names, err := r.Lake.List(ctx, string(t)+"/")
		if err != nil {
			return nil, err
		}
		all = append(all, slices.DeleteFunc(names, func(name string) bool { return !isRead(name) })...)
	}
	return all, nil
}

// strays returns those of the listed files that nothing published. A file of
// which the checkpoints cannot say so is none of them: of a task whose ledger
// cannot be read, that has no checkpoint, whose checkpoint ends before an
// epoch that lies in the lake, or that gave the file's epoch to other rows.
func (r *run) strays(ctx context.Context, listed []string) (all []string, err error) {
	published, folders := r.published()
	behind := r.behind(listed)
	spared := map[string][]string{} // by task; empty: of none
	for _, name := range listed {
		task := taskName(name)
		if published[name] || r.unknown(task) || r.isBad(task, name) {
			continue
		}
		if inHiddenFolder(name) {
			r.left("", tableOf(name), name, "it belongs to another program, whose folder this is; readers that look for Parquet files in every folder of the table read it: "+
				"move it, or have them look in dt=* only")
			continue
		}
		if r.isCut(task, name) {
			all = append(all, name)
			continue
		}
		if len(r.tasks) == 0 || task != "" && (r.task(task) == nil || behind[task] > 0) {
			spared[task] = append(spared[task], name)
			continue
		}
		if _, err := r.hash(ctx, name); err != nil {
			return nil, err
		}
		if folders[name] && r.odd[name] == Folder {
			continue // a link to where published files lie
		}
		ofTask, err := r.saysItIsOf(ctx, name)
		if err != nil {
			return nil, err
		}
		if ofTask {
			r.left(task, tableOf(name), name, "the ledger of %s has another epoch %s, which did not publish it, and the file says that epoch %s of this task did: "+
				"an older checkpoint was put back, and the number was used again. It may hold the only copy of its rows, and it is not moved", task, epochOf(name), epochOf(name))
			continue
		}
		all = append(all, name)
	}
	for _, task := range sortedKeys(spared) {
		r.tellSpared(task, behind[task], spared[task])
	}
	return all, nil
}

// behind returns the newest epoch that lies in the lake of each task whose
// checkpoint does not reach it. Such a checkpoint is of an earlier time, or a new
// one in the place of one that was lost.
func (r *run) behind(listed []string) map[string]stream.Epoch {
	newest := map[string]stream.Epoch{}
	for _, name := range listed {
		task := taskName(name)
		if t := r.task(task); t != nil && epochOf(name) > t.manifest.Epoch && !inHiddenFolder(name) {
			newest[task] = max(newest[task], epochOf(name))
		}
	}
	return newest
}

// saysItIsOf tells whether a file has the name of a published one and says of itself
// that it is this one, while no published file has its bytes: an epoch of its task made
// it. No crash leaves one, for a file gets such a name after HEAD names it.
func (r *run) saysItIsOf(ctx context.Context, name string) (bool, error) {
	task, sum := r.task(taskName(name)), r.hashes[name]
	if task == nil || sum == "" || name != publishedName(tableOf(name), dayOf(name), task.id, epochOf(name)) {
		return false, nil
	}
	for _, f := range task.files {
		if f.SHA256 == sum {
			return false, nil // a copy
		}
	}
	file, err := r.Lake.Open(ctx, name)
	if err != nil {
		return false, except(err)
	}
	p, err := parquetfile.Open(file, file.Size())
	is := err == nil && saysOf(p, tableOf(name), task.id, epochOf(name)) == nil
	return is, file.Close()
}

// isCut tells a file of an epoch that is not whole, the newest of its task in the lake, or
// that is dropped.
func (r *run) isCut(task, name string) bool {
	t := r.task(task)
	return t != nil && t.rebuilt != nil && t.rebuilt.why == "" && (slices.Contains(t.rebuilt.cut, name) || t.rebuilt.isDropped(name))
}

// isBad tells a damaged file of an epoch whose ledger is rebuilt, which is made again.
func (r *run) isBad(task, name string) bool {
	t := r.task(task)
	if t == nil || t.rebuilt == nil || t.rebuilt.why != "" {
		return false
	}
	_, bad := t.rebuilt.isBad(name)
	return bad
}

// tellSpared says why files of a task, of which nothing says who published them,
// stay where they are.
func (r *run) tellSpared(task string, newest stream.Epoch, names []string) {
	why := "it belongs to no task with a checkpoint"
	if newest > 0 {
		why = fmt.Sprintf("the checkpoint of %s ends at epoch %s, and epoch %s of it lies in the lake", task, r.task(task).manifest.Epoch, newest)
	}
	if t := r.task(task); t != nil && t.rebuilt != nil && t.rebuilt.why != "" {
		why += ", an older checkpoint was put back; " + t.rebuilt.why
	}
	if n := len(names) - 1; n > 0 {
		why += fmt.Sprintf(" (and %d files like it)", n)
	}
	r.left(task, tableOf(names[0]), names[0], "%s: nothing says whether it was published, and it is not moved; "+
		"name the place of the lake's checkpoints (--checkpoint), or put them back from a backup", why)
}

// task returns what is known of a task by its name; nil: it has no checkpoint.
func (r *run) task(name string) *taskState {
	i := slices.IndexFunc(r.tasks, func(t *taskState) bool { return t.id.String() == name })
	if i < 0 {
		return nil
	}
	return r.tasks[i]
}

// published returns the names of all published files, and of their folders.
func (r *run) published() (files, folders map[string]bool) {
	files, folders = map[string]bool{}, map[string]bool{}
	for _, t := range r.tasks {
		for name := range t.files {
			files[name] = true
			for dir := path.Dir(name); dir != "." && !folders[dir]; dir = path.Dir(dir) {
				folders[dir] = true
			}
		}
	}
	return files, folders
}

// unknown tells a task whose published files are not known.
func (r *run) unknown(task string) bool {
	t := r.task(task)
	return t != nil && !t.readable
}

// isRead tells what readers of a table read: pyarrow, Spark and Hive everything
// but names that begin with '_' or '.', below folders whose names do not; DuckDB,
// as the documentation shows it, every file in a folder of the table whose name
// ends with .parquet.
func isRead(name string) bool {
	parts := strings.Split(name, "/")
	hidden := slices.ContainsFunc(parts[1:], func(p string) bool { return p == "" || strings.HasPrefix(p, "_") || strings.HasPrefix(p, ".") })
	return !hidden || strings.HasSuffix(name, ".parquet") && len(parts) <= 3
}

// clearFolders sets aside what is no file first: it may have the name of a folder
// into which files go.
func (r *run) clearFolders(ctx context.Context, strays *[]string) error {
	var files, others []string
	for _, name := range *strays {
		if r.odd[name] == "" {
			files = append(files, name)
		} else {
			others = append(others, name)
		}
	}
	*strays = files
	return r.setStraysAside(ctx, others)
}

// setStraysAside sets aside what nothing has published, after a last look at the
// checkpoints.
func (r *run) setStraysAside(ctx context.Context, strays []string) error {
	if len(strays) == 0 {
		return nil
	}
	now := map[string]bool{}
	for _, t := range r.tasks {
		if err := r.lookAgain(ctx, t, now); err != nil {
			return err
		}
	}
	for _, name := range strays {
		t := r.task(taskName(name))
		switch {
		case now[name]:
			continue // another repair put it back
		case t != nil && t.gone:
			r.left(taskName(name), tableOf(name), name, "the checkpoint of its task is not what it was when this began, and it is not moved; repair again")
			continue
		case t != nil && t.unable && r.isCut(taskName(name), name):
			r.left(taskName(name), tableOf(name), name, "epoch %s is not whole, and it is moved when the task goes on", epochOf(name))
			continue
		}
		why := "nothing published it"
		switch {
		case !r.isCut(taskName(name), name):
		case t.rebuilt.isDropped(name):
			why = fmt.Sprintf("an engine began its epoch %s from an older checkpoint, and it was not published whole: its records come again from the landing log or their gateways", epochOf(name))
		default:
			why = fmt.Sprintf("its epoch %s was being published and is not whole (%s): its records come again from the landing log or their gateways", epochOf(name), t.rebuilt.cutWhy)
		}
		if r.odd[name] != "" {
			why += ", and it is no file but " + r.odd[name]
		}
		if err := r.setStrayAside(ctx, name, why); err != nil {
			return err
		}
	}
	return nil
}

// lookAgain reads a task's HEAD again: it adds to published what the ledger names
// since, and notes a checkpoint that is gone or went back.
func (r *run) lookAgain(ctx context.Context, t *taskState, published map[string]bool) error {
	if !t.readable {
		return nil
	}
	m, err := checkpoint.Load(ctx, r.Store, t.id)
	if errors.Is(err, checkpoint.ErrNotExist) || errors.Is(err, checkpoint.ErrCorrupt) || errors.Is(err, checkpoint.ErrVersion) {
		t.gone = true
		return nil
	}
	if err != nil {
		return fmt.Errorf("read HEAD of %s again: %w", t.id, err)
	}
	known := uint64(0)
	if t.manifest.Ledger != nil {
		known = t.manifest.Ledger.Number
	}
	if m.Ledger == nil || m.Ledger.Number < known {
		t.gone = t.gone || known > 0
		return nil
	}
	for one, err := range ledger.Walk(ctx, checkpoint.LedgerOf(r.Store), t.id.String(), *m.Ledger) {
		if err != nil {
			return fmt.Errorf("read the ledger of %s again: %w", t.id, err)
		}
		if one.Number <= known {
			break
		}
		for _, f := range one.Files {
			published[f.Name] = published[f.Name] || f.Sink == LakeSink
		}
	}
	return nil
}

// setStrayAside is setAside; what cannot be moved is told and stays.
func (r *run) setStrayAside(ctx context.Context, name, why string) error {
	err := r.setAside(ctx, taskName(name), name, why)
	if err != nil && ctx.Err() == nil {
		r.left(taskName(name), tableOf(name), name, "%s, and it cannot be moved: %v", why, err)
		return nil
	}
	return err
}
