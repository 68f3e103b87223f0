package object

import (
	"context"
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

// Reopen implements StagedFile: it opens the file by its name.
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
	f, err := l.root.open(path)
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
//  1. read the target: with another hash nothing is touched; with this hash
//     and nothing staged all is done. If both exist, an earlier attempt crashed
//     between 3 and 5. We cannot know that its fsync worked, so step 3 renames a
//     fresh copy over the target.
//  2. read the staged bytes and compare them with the manifest: others are
//     damaged, and stay where they are, unseen.
//  3. give the file its target's name beside its staged one (readers may see
//     it; power loss may take it back, the staged name stays).
//  4. fsync the target's folder: published permanently.
//  5. remove the staged name and fsync its folder; before that both are there,
//     and publishing again ends here.
func (l *Lake) Publish(ctx context.Context, staged stream.Staged) error {
	from, to, err := l.paths(staged)
	if err == nil {
		err = l.publish(ctx, staged, from, to)
	}
	if err != nil {
		return fmt.Errorf("publish %s as %s: %w", staged.Name, staged.Target, absent(err))
	}
	return nil
}

// paths returns where a file lies staged and where it is to be seen.
func (l *Lake) paths(staged stream.Staged) (from, to string, err error) {
	if from, err = l.root.file(staged.Name); err != nil {
		return "", "", err
	}
	to, err = l.root.file(staged.Target)
	return from, to, err
}

func (l *Lake) publish(ctx context.Context, staged stream.Staged, from, to string) error {
	if err := l.root.ensure(filepath.Dir(to)); err != nil {
		return err
	}
	err := l.sameContent(ctx, staged, from, to)
	placed := false
	if errors.Is(err, fs.ErrNotExist) {
		err = l.place(ctx, staged, from, to)
		placed = err == nil
		if errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) {
			err = l.sameContent(ctx, staged, from, to) // another publisher was faster
		}
	}
	if err == nil && !placed {
		err = l.again(ctx, staged, from, to)
	}
	if err != nil {
		return err
	}
	failpoint.Hit("c5.after-rename")
	return l.settle(from, to)
}

// place is steps 2 and 3.
func (l *Lake) place(ctx context.Context, staged stream.Staged, from, to string) error {
	if err := l.compare(ctx, staged, staged.Name, from); err != nil {
		return err
	}
	return l.root.place(ctx, from, to)
}

// settle is steps 4 and 5.
func (l *Lake) settle(from, to string) error {
	if err := l.root.fsys.SyncDir(filepath.Dir(to)); err != nil {
		return err
	}
	if err := gone(l.root.fsys.Remove(from)); err != nil {
		return err
	}
	return gone(l.root.fsys.SyncDir(filepath.Dir(from)))
}

// again is step 3 where the target is there. The staged name is still there, so
// step 4 may not have finished; rename again.
func (l *Lake) again(ctx context.Context, staged stream.Staged, from, to string) error {
	if _, err := l.root.fsys.Stat(from); err != nil {
		return gone(err)
	}
	temp, err := l.copy(ctx, staged, staged.Target, to, from)
	if err != nil {
		return err
	}
	return l.root.fsys.Rename(temp, to)
}

// copy copies a file, read under a name, to a new one, durable but for its
// name. Only the manifest's bytes are copied, others are a DamagedError. The
// copy is made beside the staged file, where it is swept if it stays.
func (l *Lake) copy(ctx context.Context, staged stream.Staged, name, path, beside string) (string, error) {
	source, err := l.root.open(path)
	if err != nil {
		return "", err
	}
	temp := tempBeside(beside)
	f, err := l.root.create(temp)
	if err != nil {
		return "", errors.Join(err, source.Close())
	}
	sum := newSum()
	err = fill(f, io.TeeReader(readerWithContext{ctx, source}, sum))
	if err == nil {
		err = sum.compare(staged, name)
	}
	if err := errors.Join(err, source.Close()); err != nil {
		_ = l.root.fsys.Remove(temp) // else Sweep finds it
		return "", err
	}
	return temp, nil
}

// compare reads a file and compares it with the manifest: fs.ErrNotExist, or a
// DamagedError with the name it was read under.
func (l *Lake) compare(ctx context.Context, staged stream.Staged, name, path string) error {
	f, err := l.root.open(path)
	if err != nil {
		return err
	}
	return errors.Join(Compare(ctx, f, staged, name), f.Close())
}

// sameContent compares a target with the manifest: fs.ErrNotExist, ErrContent;
// a DamagedError where the staged file has the same wrong bytes: both names are
// of one file, which changed after it got its second.
func (l *Lake) sameContent(ctx context.Context, staged stream.Staged, from, to string) error {
	err := l.compare(ctx, staged, staged.Target, to)
	var target, source *stream.DamagedError
	if !errors.As(err, &target) {
		return err
	}
	err = gone(l.compare(ctx, staged, staged.Name, from))
	switch {
	case errors.As(err, &source) && source.SHA256 == target.SHA256:
		return target
	case err != nil && !errors.As(err, &source):
		return err
	}
	return fmt.Errorf("%w: %s: %s", ErrContent, to, target.Detail)
}

// Verify implements Files. The bytes come from the device where the system lets
// them (durable.DropCached).
func (l *Lake) Verify(ctx context.Context, staged stream.Staged) error {
	path, err := l.root.file(staged.Target)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	f, err := l.root.open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Missing(staged)
	}
	if err == nil {
		durable.DropCached(f)
		err = errors.Join(Compare(ctx, f, staged, staged.Target), f.Close())
	}
	if err != nil {
		return fmt.Errorf("read back %s: %w", staged.Target, err)
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

// Next implements Files. It reads the folders that after leads to, and the first
// one with a file behind it.
func (l *Lake) Next(ctx context.Context, prefix, after string) (string, error) {
	name, err := l.root.next(ctx, prefix, after)
	if err != nil {
		return "", fmt.Errorf("list %q after %q: %w", prefix, after, err)
	}
	return name, nil
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
