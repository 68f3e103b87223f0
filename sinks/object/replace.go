package object

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"landfall/engine/stream"
)

// Replace implements Files. Steps, and what a crash after each leaves:
//
//  1. read the target: with the manifest's hash it was done before, and its name
//     is made again as in step 1 of Publish; absent, the file is published; with
//     another hash than damaged nothing is touched.
//  2. copy the staged bytes to a new file beside them, fsynced, compared with
//     the manifest on the way: a file that Sweep removes; the target is as it
//     was.
//  3. give the damaged file a second name in quarantine and fsync that folder:
//     the target is as it was. That this cannot be done keeps nothing back: the
//     right bytes are worth more than the evidence.
//  4. rename the copy over the target: readers see the new bytes; power loss may
//     bring back the old ones, and the staged name is still there.
//  5. fsync the target's folder: replaced permanently.
//  6. remove the staged name and fsync its folder; before that replacing again
//     ends here.
func (l *Lake) Replace(ctx context.Context, staged stream.Staged, damaged string) error {
	from, to, err := l.paths(staged)
	if err == nil {
		err = l.replace(ctx, staged, damaged, from, to)
	}
	if err != nil {
		return fmt.Errorf("replace %s with %s: %w", staged.Target, staged.Name, absent(err))
	}
	return nil
}

func (l *Lake) replace(ctx context.Context, staged stream.Staged, damaged, from, to string) error {
	err := l.compare(ctx, staged, staged.Target, to)
	var found *stream.DamagedError
	switch {
	case err == nil || errors.Is(err, fs.ErrNotExist):
		return l.publish(ctx, staged, from, to)
	case !errors.As(err, &found):
		return err
	case found.SHA256 != damaged:
		return fmt.Errorf("%w: %s: %s; what was found damaged had SHA-256 %q", ErrContent, to, found.Detail, damaged)
	}
	temp, err := l.copy(ctx, staged, staged.Name, from, from)
	if err != nil {
		return err
	}
	l.keep(to, Kept(staged.Target, damaged))
	if err := l.root.fsys.Rename(temp, to); err != nil {
		return err
	}
	return l.settle(from, to)
}

// keep gives a damaged file a second name, durable; or does not, where the file
// system has no links, is full, or fails.
func (l *Lake) keep(path, name string) {
	kept, err := l.root.file(name)
	if err != nil {
		return
	}
	if err := l.root.ensure(filepath.Dir(kept)); err != nil {
		return
	}
	if err := l.root.fsys.Link(path, kept); err == nil {
		_ = l.root.fsys.SyncDir(filepath.Dir(kept))
	}
}
