package object

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"landfall/edge/durable"
	"landfall/edge/durable/failpoint"
	"landfall/engine/stream"
)

// Lake keeps files in a local directory, staging and tables below one root on
// one file system: a Files.
type Lake struct{ root *root }

var _ Files = (*Lake)(nil)

// OpenLake makes the directory if need be, durable with its parents, and gives
// the files in it. Any number of them may be open on one directory.
func OpenLake(fsys durable.FS, path string) (*Lake, error) {
	r, err := openRoot(fsys, path)
	if err != nil {
		return nil, fmt.Errorf("open lake %s: %w", path, err)
	}
	return &Lake{root: r}, nil
}

// Create implements Files.
func (l *Lake) Create(ctx context.Context, name, _ string) (StagedFile, error) {
	path, err := l.root.file(name)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f, err := l.root.create(path)
	if err != nil {
		return nil, fmt.Errorf("create %s: %w", name, absent(err))
	}
	return &stagedFile{lake: l, f: f, name: name, path: path}, nil
}

type stagedFile struct {
	lake *Lake
	f    durable.File
	name string
	path string
}

// Write implements StagedFile.
func (s *stagedFile) Write(p []byte) (int, error) { return s.f.Write(p) }

// Sync implements StagedFile.
func (s *stagedFile) Sync() error {
	if err := s.f.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", s.path, err)
	}
	if err := s.lake.root.fsys.SyncDir(filepath.Dir(s.path)); err != nil {
		return fmt.Errorf("sync folder of %s: %w", s.path, err)
	}
	return nil
}

// Place implements StagedFile.
func (s *stagedFile) Place(staged *stream.Staged) { staged.Name, staged.Parts = s.name, "" }

// Reopen implements StagedFile: it opens the file anew, by its name.
func (s *stagedFile) Reopen(ctx context.Context) (ReadFile, error) { return s.lake.Open(ctx, s.name) }

// Close implements StagedFile.
func (s *stagedFile) Close() error { return s.f.Close() }

// Open implements Files.
func (l *Lake) Open(ctx context.Context, name string) (ReadFile, error) {
	path, err := l.root.file(name)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f, err := l.root.fsys.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, absent(err))
	}
	size, err := f.Size()
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, errors.Join(err, f.Close()))
	}
	return &readFile{File: f, size: size}, nil
}

type readFile struct {
	durable.File
	size int64
}

// Size implements ReadFile.
func (r *readFile) Size() int64 { return r.size }

// Publish implements Files. Steps, and what a crash after each leaves:
//
//  1. look at the target: with another hash nothing is touched; with this hash
//     and nothing staged all is done; with both, somebody stopped between 2 and
//     4, and 2 is a rename of a copy over the target, because a name whose
//     fsync may have failed is only certain once it is made anew.
//  2. give the file its target's name beside its staged one (readers may see
//     it; power loss may take it back, the staged name stays).
//  3. fsync the target's folder: published for good.
//  4. remove the staged name and fsync its folder; before that both are there,
//     and publishing again ends here.
func (l *Lake) Publish(ctx context.Context, staged stream.Staged) error {
	from, err := l.root.file(staged.Name)
	if err != nil {
		return err
	}
	to, err := l.root.file(staged.Target)
	if err != nil {
		return err
	}
	if err := l.publish(ctx, from, to, staged.SHA256); err != nil {
		return fmt.Errorf("publish %s as %s: %w", staged.Name, staged.Target, absent(err))
	}
	return nil
}

func (l *Lake) publish(ctx context.Context, from, to, sum string) error {
	if err := l.root.ensure(filepath.Dir(to)); err != nil {
		return err
	}
	err := l.sameContent(ctx, to, sum)
	placed := false
	if errors.Is(err, fs.ErrNotExist) {
		err = l.root.place(ctx, from, to)
		placed = err == nil
		if errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) {
			err = l.sameContent(ctx, to, sum) // another publisher was faster
		}
	}
	if err == nil && !placed {
		err = l.again(ctx, from, to)
	}
	if err != nil {
		return err
	}
	failpoint.Hit("c5.after-rename")
	if err := l.root.fsys.SyncDir(filepath.Dir(to)); err != nil {
		return err
	}
	if err := gone(l.root.fsys.Remove(from)); err != nil {
		return err
	}
	return gone(l.root.fsys.SyncDir(filepath.Dir(from)))
}

// again makes the name of a target that is there anew, while its staged name
// says that nobody has seen step 3 through. The copy is made beside the staged
// file, where it is swept if it stays.
func (l *Lake) again(ctx context.Context, from, to string) error {
	if _, err := l.root.fsys.Stat(from); err != nil {
		return gone(err)
	}
	source, err := l.root.fsys.Open(to)
	if err != nil {
		return err
	}
	temp := tempBeside(from)
	f, err := l.root.create(temp)
	if err != nil {
		return errors.Join(err, source.Close())
	}
	err = fill(f, readerWithContext{ctx, source})
	if err := errors.Join(err, source.Close()); err != nil {
		_ = l.root.fsys.Remove(temp) // else Sweep finds it
		return err
	}
	return l.root.fsys.Rename(temp, to)
}

// sameContent is nil when the file has the hash; fs.ErrNotExist, ErrContent.
func (l *Lake) sameContent(ctx context.Context, path, sum string) error {
	f, err := l.root.fsys.Open(path)
	if err != nil {
		return err
	}
	h := sha256.New()
	_, err = io.Copy(h, readerWithContext{ctx, f})
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if have := hex.EncodeToString(h.Sum(nil)); have != sum {
		return fmt.Errorf("%w: %s has %s, not %s", ErrContent, path, have, sum)
	}
	return nil
}

// readerWithContext ends a long read when ctx ends.
type readerWithContext struct {
	ctx context.Context
	r   io.Reader
}

// Read implements io.Reader.
func (r readerWithContext) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// List implements Files.
func (l *Lake) List(ctx context.Context, prefix string) ([]string, error) {
	names, err := l.root.list(ctx, prefix)
	if err != nil {
		return nil, fmt.Errorf("list %q: %w", prefix, err)
	}
	return names, nil
}

// Remove implements Files.
func (l *Lake) Remove(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := l.root.remove(name); err != nil {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	return nil
}

// Sweep implements Files.
func (l *Lake) Sweep(ctx context.Context, prefix string) error {
	if err := l.root.sweep(ctx, prefix, l.root.removeEmpty); err != nil {
		return fmt.Errorf("sweep %s: %w", prefix, err)
	}
	return nil
}
