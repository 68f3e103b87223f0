package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"landfall/edge/durable"
	"landfall/engine/stream"
)

// Files is how the audit reads a lake: names with '/' between their parts,
// relative to it.
type Files interface {
	// List gives the names below one table's folder, "<table>/". A table that is
	// absent has none.
	List(ctx context.Context, folder string) ([]string, error)
	// Open opens a file; fs.ErrNotExist or checkpoint.ErrNotExist. What cannot be
	// read like a file, such as a pipe, is an error at once.
	Open(ctx context.Context, name string) (File, error)
	// Holds tells whether a committed file is there, published or staged, also
	// when it is published meanwhile.
	Holds(ctx context.Context, committed stream.Staged) (bool, error)
}

// File is one of them.
type File interface {
	io.ReaderAt
	io.Closer
	// Size gives the size in bytes.
	Size() int64
}

// directory is a lake on a file system.
type directory struct {
	fs   durable.FS
	path string
}

func (d directory) at(name string) string { return filepath.Join(d.path, filepath.FromSlash(name)) }

// maxDepth is how deep below a table's folder files are looked for.
const maxDepth = 8

// List implements Files. Symbolic links count as what they lead to, as for
// readers of the table.
func (d directory) List(ctx context.Context, folder string) ([]string, error) {
	return d.list(ctx, strings.TrimSuffix(folder, "/"), nil, maxDepth)
}

func (d directory) list(ctx context.Context, folder string, names []string, depth int) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	info, err := d.fs.Stat(d.at(folder))
	if err == nil && !info.IsDir() {
		return append(names, folder), nil // in the place of a folder
	}
	var entries []fs.DirEntry
	if err == nil {
		entries, err = d.fs.ReadDir(d.at(folder))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return names, nil
	}
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		name := path.Join(folder, e.Name())
		isDir := e.IsDir()
		if e.Type()&fs.ModeSymlink != 0 {
			info, err := d.fs.Stat(d.at(name))
			isDir = err == nil && info.IsDir()
		}
		switch {
		case !isDir:
			names = append(names, name)
		case depth == 0:
			names = append(names, name+"/…")
		default:
			if names, err = d.list(ctx, name, names, depth-1); err != nil {
				return nil, err
			}
		}
	}
	return names, nil
}

// Open implements Files.
func (d directory) Open(_ context.Context, name string) (File, error) {
	info, err := d.fs.Stat(d.at(name))
	if errors.Is(err, fs.ErrNotExist) && d.named(name) {
		return nil, fmt.Errorf("%w: a link that leads nowhere", errNoFile)
	}
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w (%s)", errNoFile, info.Mode().Type())
	}
	f, err := d.fs.Open(d.at(name))
	if err != nil {
		return nil, err
	}
	size, err := f.Size()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return sized{f, size}, nil
}

// errNoFile says that a name leads to something else than a file.
var errNoFile = errors.New("it is no regular file")

// named tells whether a folder holds a name, wherever that leads.
func (d directory) named(name string) bool {
	entries, err := d.fs.ReadDir(d.at(path.Dir(name)))
	return err == nil && slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == path.Base(name) })
}

type sized struct {
	durable.File
	size int64
}

// Size implements File.
func (s sized) Size() int64 { return s.size }

// Holds implements Files.
func (d directory) Holds(_ context.Context, committed stream.Staged) (bool, error) {
	for _, name := range []string{committed.Target, committed.Name, committed.Target} {
		info, err := d.fs.Stat(d.at(name))
		if !errors.Is(err, fs.ErrNotExist) && (err != nil || info.Mode().IsRegular()) {
			return err == nil, err
		}
	}
	return false, nil
}
