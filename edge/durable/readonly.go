package durable

import (
	"errors"
	"fmt"
	"io"
)

// ErrReadOnly answers whatever would change files of ReadOnly.
var ErrReadOnly = errors.New("opened for reading only")

// ErrNoFile says that what has a file's name is a pipe, a device or a socket, which
// may never answer.
var ErrNoFile = errors.New("neither a file nor a folder")

// ReadOnly returns fsys without what changes files: writing, renaming and linking
// are refused; removing and making names durable are passed over; no lock is
// taken, so that a directory can be read beside the process that owns it, or from
// a medium that cannot be written. Sync still syncs: it changes nothing, and what
// was read before it is durable after it, whoever wrote it. Only files and folders
// are opened: ErrNoFile.
func ReadOnly(fsys FS) FS { return readOnly{fsys} }

type readOnly struct{ FS }

// Open implements FS.
func (r readOnly) Open(name string) (File, error) {
	info, err := r.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() && !info.IsDir() {
		return nil, fmt.Errorf("open %s: %w", name, ErrNoFile)
	}
	return r.FS.Open(name)
}

// OpenWrite opens for reading.
func (r readOnly) OpenWrite(name string) (File, error) {
	f, err := r.Open(name)
	if err != nil {
		return nil, err
	}
	return readOnlyFile{f}, nil
}

func (readOnly) Create(string) (File, error)    { return nil, ErrReadOnly }
func (readOnly) Rename(string, string) error    { return ErrReadOnly }
func (readOnly) Link(string, string) error      { return ErrReadOnly }
func (readOnly) Mkdir(string) error             { return ErrReadOnly }
func (readOnly) Remove(string) error            { return nil }
func (readOnly) SyncDir(string) error           { return nil }
func (readOnly) Lock(string) (io.Closer, error) { return io.NopCloser(nil), nil }

type readOnlyFile struct{ File }

func (readOnlyFile) Write([]byte) (int, error)          { return 0, ErrReadOnly }
func (readOnlyFile) WriteAt([]byte, int64) (int, error) { return 0, ErrReadOnly }
func (readOnlyFile) Truncate(int64) error               { return ErrReadOnly }
