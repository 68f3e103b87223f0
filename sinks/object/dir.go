package object

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"landfall/edge/durable"
	"landfall/engine/checkpoint"
)

// maxObject bounds what Read allocates.
const maxObject = 1 << 30

// Dir keeps whole objects in a local directory: a checkpoint.Store. A Version
// is the content's hash, so a content that recurs is the same version; HEAD's
// never does.
type Dir struct{ root *root }

var _ checkpoint.Store = (*Dir)(nil)

// OpenDir makes the directory if need be, durable with its parents, and gives
// the store in it. Any number of them may be open on one directory.
func OpenDir(fsys durable.FS, path string) (*Dir, error) {
	r, err := openRoot(fsys, path)
	if err != nil {
		return nil, fmt.Errorf("open object directory %s: %w", path, err)
	}
	return &Dir{root: r}, nil
}

func versionOf(data []byte) checkpoint.Version {
	sum := sha256.Sum256(data)
	return checkpoint.Version(hex.EncodeToString(sum[:]))
}

// Read implements checkpoint.Store. Objects of more than 1 GiB are refused.
func (d *Dir) Read(ctx context.Context, name string) ([]byte, checkpoint.Version, error) {
	path, err := d.root.file(name)
	if err != nil {
		return nil, "", err
	}
	if err := ctx.Err(); err != nil {
		return nil, "", err
	}
	data, err := d.read(path)
	if err != nil {
		return nil, "", absent(err)
	}
	return data, versionOf(data), nil
}

func (d *Dir) read(path string) ([]byte, error) {
	info, err := d.root.fsys.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // a pipe would never answer
		return nil, fmt.Errorf("read %s: %w: it is no regular file (%s)", path, checkpoint.ErrCorrupt, info.Mode().Type())
	}
	if info.Size() > maxObject {
		return nil, fmt.Errorf("read %s: %w: %d bytes are more than an object may have", path, checkpoint.ErrCorrupt, info.Size())
	}
	return durable.ReadFile(d.root.fsys, path)
}

// Create implements checkpoint.Store. A crash leaves nothing, a temporary file,
// or the object whole; the name is durable only on return.
func (d *Dir) Create(ctx context.Context, name string, data []byte) error {
	path, err := d.root.file(name)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	temp, err := d.root.writeTemp(path, data)
	if err != nil {
		return fmt.Errorf("create %s: %w", name, err)
	}
	err = d.root.place(ctx, temp, path)
	_ = d.root.fsys.Remove(temp) // a second name at most; Sweep finds it
	if err != nil {
		return fmt.Errorf("create %s: %w", name, absent(err))
	}
	if err := d.root.fsys.SyncDir(filepath.Dir(path)); err != nil {
		return fmt.Errorf("create %s: %w", name, err)
	}
	return nil
}

// Swap implements checkpoint.Store. Steps, and what a crash after each leaves:
// take the folder's lock file (the kernel drops it), compare (nothing), write
// and fsync a temporary file (that file), rename (the old content or the new,
// after power loss either), fsync the folder (the new).
func (d *Dir) Swap(ctx context.Context, name string, old checkpoint.Version, data []byte) (checkpoint.Version, error) {
	path, err := d.root.file(name)
	if err != nil {
		return "", err
	}
	if err := d.root.ensure(filepath.Dir(path)); err != nil {
		return "", fmt.Errorf("swap %s: %w", name, err)
	}
	lock, err := d.root.lock(ctx, filepath.Dir(path))
	if err != nil {
		return "", fmt.Errorf("swap %s: %w", name, err)
	}
	err = d.swapLocked(path, old, data)
	if err := errors.Join(err, lock.Close()); err != nil {
		return "", fmt.Errorf("swap %s: %w", name, err)
	}
	return versionOf(data), nil
}

func (d *Dir) swapLocked(path string, old checkpoint.Version, data []byte) error {
	var have checkpoint.Version
	current, err := d.read(path)
	switch {
	case err == nil:
		have = versionOf(current)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if have != old {
		return checkpoint.ErrChanged
	}
	return d.replace(path, data)
}

// replace renames a new file over path, durable on return. The caller holds the
// folder's lock.
func (d *Dir) replace(path string, data []byte) error {
	temp, err := d.root.writeTemp(path, data)
	if err != nil {
		return err
	}
	if err := d.root.fsys.Rename(temp, path); err != nil {
		return err
	}
	return d.root.fsys.SyncDir(filepath.Dir(path))
}

// List implements checkpoint.Store.
func (d *Dir) List(ctx context.Context, prefix string) ([]string, error) {
	names, err := d.root.list(ctx, prefix)
	if err != nil {
		return nil, fmt.Errorf("list %q: %w", prefix, err)
	}
	return names, nil
}

// Delete implements checkpoint.Store. Power loss may bring the object back.
func (d *Dir) Delete(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := d.root.remove(name); err != nil {
		return fmt.Errorf("delete %s: %w", name, err)
	}
	return nil
}

// Settle implements checkpoint.Store: it writes the object once more, under the
// folder's lock, and renames that over it. Only a new file under a new name
// entry is certain: the writer's own fsync of file or folder may have failed,
// and the next one would say nothing about that.
func (d *Dir) Settle(ctx context.Context, name string) error {
	path, err := d.root.file(name)
	if err != nil {
		return err
	}
	if err := d.root.ensure(filepath.Dir(path)); err != nil {
		return fmt.Errorf("settle %s: %w", name, err)
	}
	lock, err := d.root.lock(ctx, filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("settle %s: %w", name, err)
	}
	data, err := d.read(path)
	if err == nil {
		err = d.replace(path, data)
	}
	if err := errors.Join(err, lock.Close()); err != nil {
		return fmt.Errorf("settle %s: %w", name, absent(err))
	}
	return nil
}

// Sweep implements checkpoint.Store.
func (d *Dir) Sweep(ctx context.Context, prefix string) error {
	if err := d.root.sweep(ctx, prefix, nil); err != nil {
		return fmt.Errorf("sweep %s: %w", prefix, err)
	}
	return nil
}
