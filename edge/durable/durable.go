// Package durable is the one place where the daemons touch files: operations that
// survive power loss, behind the interface FS. OS is the real file system, ReadOnly
// one on which nothing changes; faultfs is an in-memory twin that fails and crashes
// on script.
//
// Invariants
//
//  1. What a File's Sync returned nil for survives power loss; nothing else
//     does.
//  2. A name (created, renamed, removed) survives power loss only after
//     SyncDir of its directory returned nil, and of every new parent.
//  3. After a Sync that returned an error the File is dead: the caller closes
//     it and writes the bytes elsewhere, and never calls Sync on it again.
//  4. Helpers built on FS (WriteFileAtomic, MkdirAllSync) keep 1 and 2 for
//     their callers.
//
// An FS may be used from many goroutines, a File from one, except ReadAt,
// which may run beside anything.
package durable

import (
	"io"
	"io/fs"
)

// FS is the file operations Landfall needs. Paths are the operating system's.
// Errors wrap those of io/fs (fs.ErrNotExist, fs.ErrExist) and, for a full
// disk, ErrNoSpace.
type FS interface {
	// Open opens for reading.
	Open(name string) (File, error)
	// Create makes a new file for reading and writing; fs.ErrExist if there.
	Create(name string) (File, error)
	// OpenWrite opens an existing file for reading and overwriting in place.
	OpenWrite(name string) (File, error)
	// Rename replaces newname atomically; durable after SyncDir of both
	// directories.
	Rename(oldname, newname string) error
	// Link gives a file a second name; fs.ErrExist if newname is there.
	Link(oldname, newname string) error
	// Remove removes a file or an empty directory.
	Remove(name string) error
	// Mkdir makes one directory; fs.ErrExist if there.
	Mkdir(name string) error
	// ReadDir lists a directory, sorted by name.
	ReadDir(name string) ([]fs.DirEntry, error)
	// Stat describes a file.
	Stat(name string) (fs.FileInfo, error)
	// SyncDir makes the directory's names durable.
	SyncDir(name string) error
	// Free gives the bytes an unprivileged writer may still use on the file
	// system that holds name.
	Free(name string) (uint64, error)
	// Lock takes an exclusive advisory lock on the file name, made if absent
	// and never renamed, until the Closer is closed or the process ends.
	// ErrLocked when another holder, in this process or another, has it.
	Lock(name string) (io.Closer, error)
}

// File is an open file.
type File interface {
	io.Reader
	io.Writer
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Sync makes the file's bytes and size durable (fsync).
	Sync() error
	// SyncData makes the file's bytes durable where the size did not change
	// (fdatasync).
	SyncData() error
	// Truncate sets the size.
	Truncate(size int64) error
	// Size gives the size in bytes.
	Size() (int64, error)
}
