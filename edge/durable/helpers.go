package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
)

// TempSuffix ends the name of a file that WriteFileAtomic has not finished; a
// leftover may be removed by whoever holds the directory's lock.
const TempSuffix = ".tmp"

// WriteFileAtomic makes name hold data, all or nothing, durable on return: a
// reader and a crash see the old content or the new. One caller a name.
// Steps, and what a crash after each leaves: write name.tmp (old content and
// a leftover), fsync it (the same), rename (old or new), fsync the directory
// (new).
func WriteFileAtomic(fsys FS, name string, data []byte) error {
	temp := name + TempSuffix
	if err := writeTemp(fsys, temp, data); err != nil {
		_ = fsys.Remove(temp)
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := fsys.Rename(temp, name); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return syncParent(fsys, name)
}

// syncParent makes the name of a file that was written durable.
func syncParent(fsys FS, name string) error {
	if err := fsys.SyncDir(filepath.Dir(name)); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

func writeTemp(fsys FS, temp string, data []byte) error {
	f, err := fsys.Create(temp)
	if errors.Is(err, fs.ErrExist) {
		if err := fsys.Remove(temp); err != nil {
			return err
		}
		f, err = fsys.Create(temp)
	}
	if err != nil {
		return err
	}
	return writeAndClose(f, data)
}

func writeAndClose(f File, data []byte) error {
	if _, err := f.Write(data); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Sync(); err != nil {
		return errors.Join(err, f.Close())
	}
	return f.Close()
}

// MkdirAllSync makes dir and its missing parents, each durable on return. Of a
// directory that is there already its parent is fsynced all the same, because
// a process that died may have made it without: a parent that may not be read
// is taken to be older than us.
func MkdirAllSync(fsys FS, dir string) error {
	dir = filepath.Clean(dir)
	parent := filepath.Dir(dir)
	info, err := fsys.Stat(dir)
	switch {
	case err == nil && !info.IsDir():
		return fmt.Errorf("make directory %s: %w", dir, fs.ErrExist)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("make directory %s: %w", dir, err)
	case parent == dir:
		return nil
	case err == nil:
		if err := fsys.SyncDir(parent); err != nil && !errors.Is(err, fs.ErrPermission) {
			return fmt.Errorf("make directory %s: %w", dir, err)
		}
		return nil
	}
	if err := MkdirAllSync(fsys, parent); err != nil {
		return err
	}
	if err := fsys.Mkdir(dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make directory %s: %w", dir, err)
	}
	if err := fsys.SyncDir(parent); err != nil {
		_ = fsys.Remove(dir) // a second fsync may say nil for a name the first one lost
		return fmt.Errorf("make directory %s: %w", dir, err)
	}
	return nil
}

// DropCached asks the system to forget what it keeps in memory of a file that
// was synced, so that what is read next comes from the device. It is advice: a
// file system in memory has nothing to forget, a device may answer from a cache
// of its own, and on systems without such a call nothing happens.
func DropCached(f File) {
	if d, ok := f.(interface{ dropCached() }); ok {
		d.dropCached()
	}
}

// maxFileBytes is what ReadFile reads at most.
const maxFileBytes = 1 << 30

// ReadFile reads a whole file of 1 GiB at most. Errors: fs.ErrNotExist,
// ErrTooLarge.
func ReadFile(fsys FS, name string) ([]byte, error) { return ReadFileUpTo(fsys, name, maxFileBytes) }

// ReadFileUpTo reads a whole file of so many bytes at most; nothing is allocated
// for a larger one, which a damaged file system can make of any. Errors:
// fs.ErrNotExist, ErrTooLarge.
func ReadFileUpTo(fsys FS, name string, most int64) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	data, err := readAll(f, most)
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return data, nil
}

func readAll(f File, most int64) ([]byte, error) {
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if size > most {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are read", ErrTooLarge, size, most)
	}
	data := make([]byte, size)
	_, err = io.ReadFull(f, data)
	return data, err
}
