package repair

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"landfall/engine/checkpoint"
	"landfall/engine/table"
)

// strays lists what lies in the tables, was published by nothing, and is read by
// some reader of the tables. What a task published whose ledger cannot be read is
// none of it.
func (r *run) strays(ctx context.Context) (all []string, err error) {
	published, folders := r.published()
	for _, t := range table.Names() {
		names, err := r.Lake.List(ctx, string(t)+"/")
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if !isRead(name) || published[name] || r.unknown(taskName(name)) {
				continue
			}
			if inHiddenFolder(name) {
				r.left("", t, name, "it belongs to another program, whose folder this is; readers that look for Parquet files in every folder of the table read it: "+
					"move it, or have them look in dt=* only")
				continue
			}
			if _, err := r.hash(ctx, name); err != nil {
				return nil, err
			}
			if folders[name] && r.odd[name] == Folder {
				continue // a link to where published files lie
			}
			all = append(all, name)
		}
	}
	return all, nil
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
	return slices.ContainsFunc(r.tasks, func(t *taskState) bool { return t.id.String() == task && !t.readable })
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
	var files []string
	for _, name := range *strays {
		if r.odd[name] == "" {
			files = append(files, name)
			continue
		}
		if err := r.setStrayAside(ctx, name, "nothing published it, and it is no file but "+r.odd[name]); err != nil {
			return err
		}
	}
	*strays = files
	return nil
}

// setStraysAside sets files aside that nothing has published, meanwhile neither.
func (r *run) setStraysAside(ctx context.Context, strays []string) error {
	for _, name := range strays {
		published, err := r.publishedSince(ctx, name)
		if err != nil {
			return err
		}
		if published {
			continue
		}
		if err := r.setStrayAside(ctx, name, "nothing published it"); err != nil {
			return err
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

// publishedSince tells whether a task that went on since it was looked at may have
// published a file.
func (r *run) publishedSince(ctx context.Context, name string) (bool, error) {
	for _, t := range r.tasks {
		epoch := epochOf(name)
		if t.id.String() != taskName(name) || epoch <= t.manifest.Epoch {
			continue
		}
		m, err := checkpoint.Load(ctx, r.Store, t.id)
		if errors.Is(err, checkpoint.ErrNotExist) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("read HEAD of %s again: %w", t.id, err)
		}
		return epoch <= m.Epoch, nil
	}
	return false, nil
}
