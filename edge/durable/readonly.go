package durable

import (
	"errors"
	"io"
)

// ErrReadOnly answers whatever would change files of ReadOnly.
var ErrReadOnly = errors.New("opened for reading only")

// ReadOnly returns fsys without what changes files: writing, renaming and linking
// are refused; removing and making names durable are passed over; no lock is
// taken, so that a directory can be read beside the process that owns it, or from
// a medium that cannot be written. Sync still syncs: it changes nothing, and what
// was read before it is durable after it, whoever wrote it.
func ReadOnly(fsys FS) FS { return readOnly{fsys} }

type readOnly struct{ FS }

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
