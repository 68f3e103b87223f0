package object

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"

	"landfall/engine/checkpoint"
)

var _ checkpoint.Irregular = (*Dir)(nil)

// quarantine is where SetAside moves what is no object.
const quarantine = "_quarantine/"

// Irregular implements checkpoint.Irregular.
func (d *Dir) Irregular(ctx context.Context) (all []checkpoint.NoObject, err error) {
	err = d.root.walk(ctx, "", func(name string, entry fs.DirEntry) error {
		if entry.Name()[0] == '.' {
			return nil
		}
		if what := d.root.kind(name); what != "" {
			all = append(all, checkpoint.NoObject{Name: name, What: what})
		}
		return nil
	}, nil)
	if err != nil {
		return nil, fmt.Errorf("look for what is no object: %w", err)
	}
	return all, nil
}

// kind says what has a name and is no object; empty: it is one, or gone.
func (r *root) kind(name string) string {
	info, err := r.fsys.Stat(filepath.Join(r.path, filepath.FromSlash(name)))
	switch {
	case err != nil && r.named(name):
		return "a link that leads nowhere"
	case err != nil:
		return ""
	case info.Mode().IsRegular() && info.Size() > maxObject:
		return fmt.Sprintf("a file of %d bytes, more than an object may have", info.Size())
	}
	return KindOf(info.Mode())
}

// KindOf says what is no regular file, in words; empty: it is one.
func KindOf(m fs.FileMode) string {
	switch {
	case m.IsRegular():
		return ""
	case m.IsDir():
		return checkpoint.Folder
	case m&fs.ModeNamedPipe != 0:
		return "a pipe"
	case m&fs.ModeSocket != 0:
		return "a socket"
	case m&fs.ModeDevice != 0:
		return "a device"
	}
	return "no regular file"
}

// named tells whether a folder holds a name, wherever that leads.
func (r *root) named(name string) bool {
	entries, err := r.fsys.ReadDir(filepath.Join(r.path, filepath.FromSlash(path.Dir(name))))
	return err == nil && slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == path.Base(name) })
}

// SetAside implements checkpoint.Irregular. It is one rename: a crash leaves what has
// the name under the one name or the other.
func (d *Dir) SetAside(_ context.Context, name string) (string, error) {
	from, err := d.root.file(name)
	if err != nil {
		return "", err
	}
	to := quarantine + name + ".no-object"
	for free, n := to, 1; d.root.named(to); n++ {
		to = fmt.Sprintf("%s.%d", free, n) // of an earlier time
	}
	target := filepath.Join(d.root.path, filepath.FromSlash(to))
	if err := d.root.ensure(filepath.Dir(target)); err != nil {
		return "", fmt.Errorf("set %s aside: %w", name, err)
	}
	err = d.root.fsys.Rename(from, target)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	d.root.forget(from)
	if err = errors.Join(err, d.root.fsys.SyncDir(filepath.Dir(target)), d.root.fsys.SyncDir(filepath.Dir(from))); err != nil {
		return "", fmt.Errorf("set %s aside: %w", name, err)
	}
	return to, nil
}
