package object

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"landfall/edge/durable"
	"landfall/engine/checkpoint"
)

const (
	tempPrefix = ".tmp-"
	lockName   = ".lock"
)

// root is a directory whose names are durable: what Dir and Lake share.
type root struct {
	fsys durable.FS
	path string

	mu   sync.Mutex
	kept map[string]bool // directories known to be durable; guarded by mu
}

func openRoot(fsys durable.FS, path string) (*root, error) {
	path = filepath.Clean(path)
	if err := durable.MkdirAllSync(fsys, path); err != nil {
		return nil, err
	}
	return &root{fsys: fsys, path: path, kept: map[string]bool{path: true}}, nil
}

// file gives the path of a name.
func (r *root) file(name string) (string, error) {
	if err := checkName(name); err != nil {
		return "", err
	}
	return filepath.Join(r.path, filepath.FromSlash(name)), nil
}

// ensure makes a directory below the root with its parents, durable; what was
// done once is remembered. A new directory whose name could not be made durable
// is removed again: the next fsync of its parent would say nothing about it.
func (r *root) ensure(dir string) error {
	r.mu.Lock()
	known := r.kept[dir]
	r.mu.Unlock()
	if known {
		return nil
	}
	parent := filepath.Dir(dir)
	if err := r.ensure(parent); err != nil {
		return err
	}
	made := r.fsys.Mkdir(dir)
	if made != nil && !errors.Is(made, fs.ErrExist) {
		return made
	}
	if err := r.fsys.SyncDir(parent); err != nil {
		if made == nil {
			_ = r.fsys.Remove(dir)
		}
		return err
	}
	r.mu.Lock()
	r.kept[dir] = true
	r.mu.Unlock()
	return nil
}

// forget makes the next ensure look again.
func (r *root) forget(dir string) {
	r.mu.Lock()
	delete(r.kept, dir)
	r.mu.Unlock()
}

// create makes a new file, and its folder when somebody swept it away.
func (r *root) create(path string) (durable.File, error) {
	for again := true; ; again = false {
		if err := r.ensure(filepath.Dir(path)); err != nil {
			return nil, err
		}
		f, err := r.fsys.Create(path)
		if errors.Is(err, fs.ErrNotExist) && again {
			r.forget(filepath.Dir(path))
			continue
		}
		return f, err
	}
}

func tempBeside(path string) string {
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails: the runtime ends the process instead
	return filepath.Join(filepath.Dir(path), tempPrefix+hex.EncodeToString(id[:]))
}

// writeTemp writes data to a new temporary file beside path, durable but for
// its name.
func (r *root) writeTemp(path string, data []byte) (string, error) {
	temp := tempBeside(path)
	f, err := r.create(temp)
	if err != nil {
		return "", err
	}
	if err := fill(f, bytes.NewReader(data)); err != nil {
		_ = r.fsys.Remove(temp) // else Sweep finds it
		return "", err
	}
	return temp, nil
}

// fill writes, fsyncs and closes a new file.
func fill(f durable.File, from io.Reader) error {
	_, err := io.Copy(f, from)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// place gives the file from a name that is free, atomically: fs.ErrExist when
// it is not. A link, not a rename: it cannot replace, and both names stay until
// the new one is durable. Where the file system has no links, a rename under a
// lock does the same among all that go through here.
func (r *root) place(ctx context.Context, from, to string) error {
	err := r.fsys.Link(from, to)
	if !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	lock, err := r.lock(ctx, r.path)
	if err != nil {
		return err
	}
	_, err = r.fsys.Stat(to)
	switch {
	case err == nil:
		err = fmt.Errorf("rename to %s: %w", to, fs.ErrExist)
	case errors.Is(err, fs.ErrNotExist):
		err = r.fsys.Rename(from, to)
	}
	return errors.Join(err, lock.Close())
}

// lockPatience is how long somebody else may have a lock: much longer than writing a
// small file takes.
const lockPatience = 10 * time.Second

// lock takes the lock file of a directory; it waits until ctx ends, or for lockPatience:
// durable.ErrLocked. A process that was stopped, or hangs, may have it for ever, and
// nobody can take it away: it might go on.
func (r *root) lock(ctx context.Context, dir string) (io.Closer, error) {
	from := time.Now()
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		name := filepath.Join(dir, lockName)
		lock, err := r.fsys.Lock(name)
		if !errors.Is(err, durable.ErrLocked) {
			return lock, err
		}
		if time.Since(from) >= lockPatience {
			return nil, fmt.Errorf("wait for another process, which has %s locked for more than %s: an engine or a command of this lake that was stopped, or hangs; end it: %w",
				name, lockPatience, err)
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, fmt.Errorf("wait for lock of %s: %w", dir, ctx.Err())
		}
	}
}

// list gives the names that start with prefix, sorted by folder and name.
func (r *root) list(ctx context.Context, prefix string) ([]string, error) {
	folder := prefix[:strings.LastIndexByte(prefix, '/')+1]
	if folder != "" {
		if err := checkName(strings.TrimSuffix(folder, "/")); err != nil {
			return nil, err
		}
	}
	var names []string
	err := r.walk(ctx, folder, func(name string, entry fs.DirEntry) error {
		if !entry.IsDir() && entry.Name()[0] != '.' && strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
		return nil
	}, nil)
	return names, err
}

// next returns the first file below a folder, which ends with '/', whose name comes
// after one in the order of bytes; empty: none.
func (r *root) next(ctx context.Context, folder, after string) (string, error) {
	if err := checkName(strings.TrimSuffix(folder, "/")); err != nil {
		return "", err
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	entries, err := r.fsys.ReadDir(filepath.Join(r.path, filepath.FromSlash(folder)))
	if err != nil {
		return "", gone(err)
	}
	var names []string
	for _, e := range entries {
		name := folder + e.Name()
		if e.IsDir() {
			name += "/"
		}
		if e.Name()[0] != '.' && (name > after || e.IsDir() && strings.HasPrefix(after, name)) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if strings.HasSuffix(name, "/") {
			if name, err = r.next(ctx, name, after); err != nil {
				return "", err
			}
		}
		if name != "" {
			return name, nil
		}
	}
	return "", nil
}

// walk visits all entries below folder ("" or ending with '/'), then leaves
// each folder; a folder that vanishes meanwhile is empty.
func (r *root) walk(ctx context.Context, folder string, visit func(name string, entry fs.DirEntry) error, leave func(folder string)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	entries, err := r.fsys.ReadDir(filepath.Join(r.path, filepath.FromSlash(folder)))
	if nothingThere(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := visit(folder+e.Name(), e); err != nil {
			return err
		}
		if e.IsDir() && e.Name()[0] != '.' {
			if err := r.walk(ctx, folder+e.Name()+"/", visit, leave); err != nil {
				return err
			}
			if leave != nil {
				leave(folder + e.Name())
			}
		}
	}
	return nil
}

// sweep removes temporary files below prefix and calls leave for each folder
// below it.
func (r *root) sweep(ctx context.Context, prefix string, leave func(folder string)) error {
	if !strings.HasSuffix(prefix, "/") {
		return fmt.Errorf("%w: %q is not a folder", ErrName, prefix)
	}
	if err := checkName(strings.TrimSuffix(prefix, "/")); err != nil {
		return err
	}
	return r.walk(ctx, prefix, func(name string, entry fs.DirEntry) error {
		if entry.IsDir() || !strings.HasPrefix(entry.Name(), tempPrefix) {
			return nil
		}
		return gone(r.fsys.Remove(filepath.Join(r.path, filepath.FromSlash(name))))
	}, leave)
}

// removeEmpty removes a folder unless anything is in it.
func (r *root) removeEmpty(folder string) {
	dir := filepath.Join(r.path, filepath.FromSlash(folder))
	if r.fsys.Remove(dir) == nil {
		r.forget(dir)
	}
}

// remove removes a file; absent is success.
func (r *root) remove(name string) error {
	path, err := r.file(name)
	if err != nil {
		return err
	}
	return gone(r.fsys.Remove(path))
}

// gone takes absence for success.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// absent adds checkpoint.ErrNotExist and ErrExist to the file system's own.
func absent(err error) error {
	switch {
	case nothingThere(err):
		return fmt.Errorf("%w: %w", checkpoint.ErrNotExist, err)
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%w: %w", checkpoint.ErrExist, err)
	}
	return err
}

// nothingThere tells the error for a name under which there is nothing, or the folder
// of which is no folder.
func nothingThere(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// open opens a regular file. Anything else is ErrContent, at once: a pipe under the
// name would wait for its other end.
func (r *root) open(path string) (durable.File, error) {
	info, err := r.fsys.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %s is no regular file (%s): move it away", ErrContent, path, info.Mode().Type())
	}
	return r.fsys.Open(path)
}
