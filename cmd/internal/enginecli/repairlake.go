package enginecli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"landfall/edge/durable"
	"landfall/engine/checkpoint"
	"landfall/engine/repair"
	"landfall/engine/stream"
	"landfall/sinks/object"
)

// quarantine is the folder below a lake to which files are set aside; readers of
// tables never look into it.
const quarantine = "_quarantine/"

// filesLake stages into a lake what was made again.
type filesLake struct{ object.Files }

// Open implements repair.Lake.
func (l filesLake) Open(ctx context.Context, name string) (repair.File, error) {
	return l.Files.Open(ctx, name)
}

// Stage implements repair.Lake. Steps, and what a crash after each leaves:
// remove what an earlier attempt left (nothing), write the file, make it
// durable, read it back and compare it: a staged file that no manifest names,
// collected by the task's next claim.
func (l filesLake) Stage(ctx context.Context, content io.Reader, task stream.TaskID, claim stream.ClaimID, s *stream.Staged) error {
	return l.stage(ctx, content, fmt.Sprintf("_staging/%s/%s/", task, claim), s)
}

// stage stages below a folder.
func (l filesLake) stage(ctx context.Context, content io.Reader, folder string, s *stream.Staged) error {
	s.Name = folder + "repair-" + strings.ReplaceAll(s.Target, "/", "_") + ".staged"
	if err := l.Remove(ctx, s.Name); err != nil {
		return err
	}
	f, err := l.Create(ctx, s.Name, s.Target)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	f.Place(s)
	r, err := f.Reopen(ctx)
	if err == nil {
		err = object.Compare(ctx, io.NewSectionReader(r, 0, r.Size()), *s, s.Name)
		err = errors.Join(err, r.Close())
	}
	return errors.Join(err, f.Close())
}

// dirLake is a lake in a directory.
type dirLake struct {
	filesLake
	fs  durable.FS
	dir string
}

func (l dirLake) at(name string) string { return filepath.Join(l.dir, filepath.FromSlash(name)) }

// List implements repair.Lake: whatever has a name, also what no sink makes.
func (l dirLake) List(ctx context.Context, prefix string) (names []string, err error) {
	entries, err := l.fs.ReadDir(l.at(strings.TrimSuffix(prefix, "/")))
	if nothingThere(err) {
		return nil, nil
	}
	for _, e := range entries {
		name := prefix + e.Name()
		if !e.IsDir() || strings.HasSuffix(name, ".parquet") {
			names = append(names, name)
			continue
		}
		below, err := l.List(ctx, name+"/")
		if err != nil {
			return nil, err
		}
		names = append(names, below...)
	}
	return names, err
}

// nothingThere tells the error for a name under which there is nothing, or the
// folder of which is no folder.
func nothingThere(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// Open implements repair.Lake. Only regular files are opened: a pipe would wait
// for its other end.
func (l dirLake) Open(_ context.Context, name string) (repair.File, error) {
	info, err := l.fs.Stat(l.at(name))
	switch {
	case err == nil && !info.Mode().IsRegular():
		return nil, &repair.NotAFileError{What: object.KindOf(info.Mode())}
	case err != nil && l.named(name):
		return nil, &repair.NotAFileError{What: "a link that leads nowhere"}
	case nothingThere(err):
		return nil, fmt.Errorf("%w: %w", checkpoint.ErrNotExist, err)
	case err != nil:
		return nil, err
	}
	f, err := l.fs.Open(l.at(name))
	if err != nil {
		return nil, err
	}
	size, err := f.Size()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return sizedFile{f, size}, nil
}

// named tells whether a folder holds a name, wherever that leads.
func (l dirLake) named(name string) bool {
	entries, err := l.fs.ReadDir(l.at(path.Dir(name)))
	return err == nil && slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == path.Base(name) })
}

type sizedFile struct {
	durable.File
	size int64
}

// Size implements repair.File.
func (f sizedFile) Size() int64 { return f.size }

// Holds implements repair.Lake.
func (l dirLake) Holds(_ context.Context, committed stream.Staged) (bool, error) {
	for _, name := range []string{committed.Target, committed.Name, committed.Target} {
		if _, err := l.fs.Stat(l.at(name)); !nothingThere(err) {
			return err == nil, err
		}
	}
	return false, nil
}

// SetAside implements repair.Lake. It is one rename: a crash leaves the file
// under the one name or the other. Where a link leads stays where it is.
func (l dirLake) SetAside(_ context.Context, _, name string) (string, error) {
	if !l.named(name) {
		return "", nil
	}
	to := quarantine + name
	if info, err := l.fs.Stat(l.at(name)); err != nil || !info.Mode().IsRegular() {
		to += ".no-file" // the folder of other names, perhaps
	}
	for free, n := to, 1; l.named(to); n++ {
		to = fmt.Sprintf("%s.%d", free, n) // of an earlier repair
	}
	folder := filepath.Dir(l.at(to))
	if err := durable.MkdirAllSync(l.fs, folder); err != nil {
		return "", err
	}
	if err := l.fs.Rename(l.at(name), l.at(to)); err != nil {
		return "", err
	}
	return to, errors.Join(l.fs.SyncDir(folder), l.fs.SyncDir(filepath.Dir(l.at(name))))
}

// bucketLake is a lake in a bucket.
type bucketLake struct {
	filesLake
	holder
}

// holder is what knows uploads; *s3.Lake.
type holder interface {
	Holds(ctx context.Context, committed stream.Staged) (bool, error)
}

// SetAside implements repair.Lake. Steps, and what a crash after each leaves:
//
//  1. copy the bytes to an upload for the name in _quarantine: an upload that is
//     aborted by rule or by the next claim.
//  2. complete it: the file is in both places, and the next repair sets it aside
//     again under another name.
//  3. remove it from its place.
func (l bucketLake) SetAside(ctx context.Context, task, name string) (string, error) {
	f, err := l.Files.Open(ctx, name)
	if errors.Is(err, checkpoint.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	if task == "" {
		task = "foreign-0000"
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(f, 0, f.Size())); err != nil {
		return "", err
	}
	staged := stream.Staged{Bytes: f.Size(), SHA256: hex.EncodeToString(sum.Sum(nil))}
	staged.Target = quarantine + path.Dir(name) + "/" + task + "-aside-" + staged.SHA256[:16] + "-" + path.Base(name)
	if err := l.stage(ctx, io.NewSectionReader(f, 0, f.Size()), "_staging/"+task+"/aside/", &staged); err != nil {
		return "", err
	}
	if err := l.Publish(ctx, staged); err != nil {
		return "", err
	}
	return staged.Target, l.Remove(ctx, name)
}
