package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// OS is the real file system. The zero value is ready.
type OS struct{}

var _ FS = OS{}

// Files are readable by the group, so that an operator can inspect a log
// without being its owner; directories likewise.
const (
	fileMode = 0o640
	dirMode  = 0o750
)

// Open implements FS.
func (OS) Open(name string) (File, error) { return openFile(name, os.O_RDONLY) }

// Create implements FS.
func (OS) Create(name string) (File, error) { return openFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL) }

// OpenWrite implements FS.
func (OS) OpenWrite(name string) (File, error) { return openFile(name, os.O_RDWR) }

// Rename implements FS.
func (OS) Rename(oldname, newname string) error { return wrap(os.Rename(oldname, newname)) }

// Link implements FS.
func (OS) Link(oldname, newname string) error { return wrap(os.Link(oldname, newname)) }

// Remove implements FS.
func (OS) Remove(name string) error { return wrap(os.Remove(name)) }

// Mkdir implements FS.
func (OS) Mkdir(name string) error { return wrap(os.Mkdir(name, dirMode)) }

// ReadDir implements FS.
func (OS) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := os.ReadDir(name)
	return entries, wrap(err)
}

// Stat implements FS.
func (OS) Stat(name string) (fs.FileInfo, error) {
	info, err := os.Stat(name)
	return info, wrap(err)
}

// SyncDir implements FS.
func (OS) SyncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return wrap(err)
	}
	err = syncDir(d)
	return wrap(errors.Join(err, d.Close()))
}

// Free implements FS.
func (OS) Free(name string) (uint64, error) {
	n, err := freeBytes(name)
	if err != nil {
		return 0, fmt.Errorf("free space of %s: %w", name, wrap(err))
	}
	return n, nil
}

// Lock implements FS. On systems with flock it is flock, which the kernel
// releases when the process ends, however it ends.
func (OS) Lock(name string) (io.Closer, error) {
	abs, err := filepath.Abs(name)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	f, err := os.OpenFile(abs, os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", wrap(err))
	}
	if err := lockFile(f); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock %s: %w", name, wrap(err))
	}
	return &heldLock{f: f}, nil
}

// heldLock releases its lock by closing the file, once.
type heldLock struct {
	once sync.Once
	f    *os.File
	err  error
}

// Close releases the lock.
func (l *heldLock) Close() error {
	l.once.Do(func() { l.err = l.f.Close() })
	return l.err
}

// osFile keeps the descriptor's number beside the file, so that a data sync
// costs one system call and no allocation.
type osFile struct {
	f  *os.File
	fd uintptr
}

func openFile(name string, flag int) (File, error) {
	f, err := os.OpenFile(name, flag, fileMode)
	if err != nil {
		return nil, wrap(err)
	}
	return &osFile{f: f, fd: f.Fd()}, nil
}

func (o *osFile) Read(p []byte) (int, error)  { n, err := o.f.Read(p); return n, wrap(err) }
func (o *osFile) Write(p []byte) (int, error) { n, err := o.f.Write(p); return n, wrap(err) }
func (o *osFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := o.f.ReadAt(p, off)
	return n, wrap(err)
}
func (o *osFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := o.f.WriteAt(p, off)
	return n, wrap(err)
}
func (o *osFile) Close() error              { return wrap(o.f.Close()) }
func (o *osFile) Sync() error               { return wrap(o.f.Sync()) }
func (o *osFile) SyncData() error           { return wrap(dataSync(o)) }
func (o *osFile) Truncate(size int64) error { return wrap(o.f.Truncate(size)) }
func (o *osFile) Size() (int64, error) {
	info, err := o.f.Stat()
	if err != nil {
		return 0, wrap(err)
	}
	return info.Size(), nil
}

// wrap adds this package's sentinel to the system errors it names. io.EOF
// passes untouched.
func wrap(err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	for _, c := range errnoClasses {
		if errors.Is(err, c.errno) {
			return fmt.Errorf("%w: %w", err, c.class)
		}
	}
	return err
}

var errnoClasses = []struct {
	errno syscall.Errno
	class error
}{{syscall.ENOSPC, ErrNoSpace}, {syscall.EIO, ErrMedia}, {errnoQuota, ErrNoSpace}, {syscall.EROFS, ErrMedia}}
