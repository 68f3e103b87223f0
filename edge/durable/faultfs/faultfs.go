package faultfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"landfall/edge/durable"
)

// Errors that only a test sees.
var (
	// ErrInjected is the error of a scripted fault.
	ErrInjected = errors.New("injected fault")
	// ErrCrashed is the error of everything between a crash and the next life,
	// and of files opened in an earlier life.
	ErrCrashed = errors.New("crashed")
)

// FS is a file system in memory.
type FS struct {
	mu      sync.Mutex
	root    *inode
	life    int // counts Crash and Restart
	crashed bool
	locks   map[string]bool
	limit   int64 // bytes of all files; 0: none
	faults  []*fault
	pauses  []*pause
	ops     []Op
	matched int
	made    uint64 // files made
}

var _ durable.FS = (*FS)(nil)

// New gives an empty file system with a root directory.
func New() *FS { return &FS{root: newDir(), locks: map[string]bool{}} }

// SetLimit makes the file system full beyond a number of bytes; 0 removes the
// limit.
func (f *FS) SetLimit(bytes int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.limit = bytes
}

// Used gives the bytes of all files.
func (f *FS) Used() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.root.used()
}

// Open implements durable.FS.
func (f *FS) Open(name string) (durable.File, error) { return f.open(OpOpen, name) }

// OpenWrite implements durable.FS.
func (f *FS) OpenWrite(name string) (durable.File, error) { return f.open(OpOpenWrite, name) }

func (f *FS) open(kind Kind, name string) (durable.File, error) {
	var h *handle
	err := f.do(kind, name, func() error {
		n, err := f.lookup(name)
		if err != nil {
			return err
		}
		if n.entries != nil {
			return fs.ErrInvalid
		}
		h = &handle{fs: f, life: f.life, node: n, name: name, readOnly: kind == OpOpen}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return h, nil
}

// Create implements durable.FS.
func (f *FS) Create(name string) (durable.File, error) {
	var h *handle
	err := f.do(OpCreate, name, func() error {
		dir, base, err := f.parent(name)
		if err != nil {
			return err
		}
		if dir.entries[base] != nil {
			return fs.ErrExist
		}
		f.made++
		n := &inode{number: f.made}
		dir.edit(edit{base, n})
		h = &handle{fs: f, life: f.life, node: n, name: name}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return h, nil
}

// Rename implements durable.FS.
func (f *FS) Rename(oldname, newname string) error {
	return f.do(OpRename, newname, func() error {
		from, a, err := f.parent(oldname)
		if err != nil {
			return err
		}
		to, b, err := f.parent(newname)
		if err != nil {
			return err
		}
		n := from.entries[a]
		if n == nil {
			return fs.ErrNotExist
		}
		if from == to {
			if a != b {
				from.edit(edit{a, nil}, edit{b, n})
			}
			return nil
		}
		to.edit(edit{b, n})
		from.edit(edit{a, nil})
		return nil
	})
}

// Link implements durable.FS.
func (f *FS) Link(oldname, newname string) error {
	return f.do(OpLink, newname, func() error {
		n, err := f.lookup(oldname)
		if err != nil {
			return err
		}
		dir, base, err := f.parent(newname)
		if err != nil {
			return err
		}
		if dir.entries[base] != nil {
			return fs.ErrExist
		}
		dir.edit(edit{base, n})
		return nil
	})
}

// Remove implements durable.FS.
func (f *FS) Remove(name string) error {
	return f.do(OpRemove, name, func() error {
		dir, base, err := f.parent(name)
		if err != nil {
			return err
		}
		n := dir.entries[base]
		if n == nil {
			return fs.ErrNotExist
		}
		if len(n.entries) > 0 {
			return errors.New("directory not empty")
		}
		dir.edit(edit{base, nil})
		return nil
	})
}

// Mkdir implements durable.FS.
func (f *FS) Mkdir(name string) error {
	return f.do(OpMkdir, name, func() error {
		dir, base, err := f.parent(name)
		if err != nil {
			return err
		}
		if dir.entries[base] != nil {
			return fs.ErrExist
		}
		dir.edit(edit{base, newDir()})
		return nil
	})
}

// ReadDir implements durable.FS.
func (f *FS) ReadDir(name string) ([]fs.DirEntry, error) {
	var list []fs.DirEntry
	err := f.do(OpReadDir, name, func() error {
		n, err := f.lookup(name)
		if err != nil {
			return err
		}
		if n.entries == nil {
			return fs.ErrInvalid
		}
		for base, child := range n.entries {
			list = append(list, fs.FileInfoToDirEntry(newInfo(base, child)))
		}
		slices.SortFunc(list, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
		return nil
	})
	return list, err
}

// Stat implements durable.FS.
func (f *FS) Stat(name string) (fs.FileInfo, error) {
	var in fs.FileInfo
	err := f.do(OpStat, name, func() error {
		n, err := f.lookup(name)
		if err != nil {
			return err
		}
		in = newInfo(filepath.Base(name), n)
		return nil
	})
	return in, err
}

// SyncDir implements durable.FS. After a scripted failure without effect the
// names of that time are never synced by a later SyncDir either.
func (f *FS) SyncDir(name string) error {
	find := func() (*inode, error) {
		n, err := f.lookup(name)
		if err == nil && n.entries == nil {
			err = fs.ErrInvalid
		}
		return n, err
	}
	return f.doParts(OpSyncDir, name, parts{
		effect: func() error {
			n, err := find()
			if err == nil {
				n.syncNames()
			}
			return err
		},
		drop: func(bool) {
			if n, err := find(); err == nil {
				n.dropNames()
			}
		},
	})
}

// Free implements durable.FS.
func (f *FS) Free(name string) (uint64, error) {
	free := uint64(1) << 50
	err := f.do(OpFree, name, func() error {
		if f.limit > 0 {
			free = uint64(max(0, f.limit-f.root.used()))
		}
		return nil
	})
	return free, err
}

// Lock implements durable.FS.
func (f *FS) Lock(name string) (io.Closer, error) {
	var l *heldLock
	err := f.do(OpLock, name, func() error {
		dir, base, err := f.parent(name)
		if err != nil {
			return err
		}
		if f.locks[filepath.Clean(name)] {
			return durable.ErrLocked
		}
		if dir.entries[base] == nil {
			dir.edit(edit{base, &inode{}})
		}
		f.locks[filepath.Clean(name)] = true
		l = &heldLock{fs: f, name: filepath.Clean(name), life: f.life}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}

type heldLock struct {
	fs   *FS
	name string
	life int
}

// Close frees the lock, unless a crash has done so already.
func (l *heldLock) Close() error {
	l.fs.mu.Lock()
	defer l.fs.mu.Unlock()
	if l.life == l.fs.life {
		delete(l.fs.locks, l.name)
	}
	return nil
}

// lookup finds a node. Caller holds mu.
func (f *FS) lookup(name string) (*inode, error) {
	n := f.root
	for part := range strings.SplitSeq(filepath.ToSlash(filepath.Clean(name)), "/") {
		if part == "" || part == "." {
			continue
		}
		if n = n.entries[part]; n == nil {
			return nil, fs.ErrNotExist
		}
	}
	return n, nil
}

// parent finds the directory of a name. Caller holds mu.
func (f *FS) parent(name string) (*inode, string, error) {
	dir, base := filepath.Split(filepath.Clean(name))
	n, err := f.lookup(dir)
	if err == nil && n.entries == nil {
		err = fs.ErrInvalid
	}
	return n, base, err
}

// do runs one operation under the script.
func (f *FS) do(kind Kind, name string, effect func() error) error {
	return f.doParts(kind, name, parts{effect: effect})
}

func (f *FS) doParts(kind Kind, name string, op parts) error {
	f.paused(kind)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.run(kind, name, op); err != nil {
		return fmt.Errorf("%s %s: %w", kind, name, err)
	}
	return nil
}
