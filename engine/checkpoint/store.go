package checkpoint

import (
	"context"
	"errors"
)

// Errors of a Store, to be tested with errors.Is.
var (
	// ErrNotExist says that no object has this name.
	ErrNotExist = errors.New("object does not exist")
	// ErrExist says that an object has this name already.
	ErrExist = errors.New("object exists")
	// ErrChanged says that the object is not the version the swap started from.
	ErrChanged = errors.New("object changed")
	// ErrUnfit says that a store does not keep the promises of Store, and never will.
	ErrUnfit = errors.New("store is unfit for checkpoints")
)

// Version names one content of one object, for compare-and-swap. The zero
// Version means: absent.
type Version string

// Store is where manifests, HEAD and state live: small objects under names
// with '/' between their parts. sinks/object implements it.
//
// Each method may be called from many goroutines and processes. Any error but
// the three above is ambiguous: the change may or may not have happened, or
// may happen later; the caller reads back.
type Store interface {
	// Read gives an object whole. ErrNotExist.
	Read(ctx context.Context, name string) ([]byte, Version, error)
	// Create makes an object, durable on return with all its parents.
	// ErrExist when the name is taken, whatever its content.
	Create(ctx context.Context, name string, data []byte) error
	// Swap replaces the object if it is still at version old (zero: absent),
	// durable on return. ErrChanged when it is not. Two swaps from one version
	// never both succeed.
	Swap(ctx context.Context, name string, old Version, data []byte) (Version, error)
	// List gives the names that start with prefix, sorted.
	List(ctx context.Context, prefix string) ([]string, error)
	// Delete removes an object; absent is success.
	Delete(ctx context.Context, name string) error
	// Settle makes what Read has just given durable, so that it may be acted
	// on: a crash of the writer between its rename and its fsync leaves a
	// content that power loss could take back.
	Settle(ctx context.Context, name string) error
	// Sweep removes what crashed writers left half done under prefix, which
	// List never shows. A live writer it races with gets an error and writes
	// again.
	Sweep(ctx context.Context, prefix string) error
}

// Irregular is a Store in which something else than an object can have a name, such
// as a directory in which anybody can make a pipe. Read returns ErrCorrupt for it.
type Irregular interface {
	// Irregular returns whatever has a name and is no object, folders too, sorted by
	// folder and name.
	Irregular(ctx context.Context) ([]NoObject, error)
	// SetAside moves what has a name to _quarantine, durable on return, and returns
	// its name there; what is not there is no error.
	SetAside(ctx context.Context, name string) (string, error)
}

// NoObject is something that has a name and is no object.
type NoObject struct {
	Name string
	What string // Folder, "a pipe", …
}

// Folder is what a folder is to NoObject.
const Folder = "a folder"

// FoldersOf lists the folders below a task's own that objects lie in.
func FoldersOf() []string { return []string{"ledger", "manifest", "state"} }
