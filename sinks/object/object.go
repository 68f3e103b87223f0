// Package object is where the cloud side keeps things durably: Dir is a local
// directory that serves as the checkpoint.Store of manifests, HEAD and state,
// and Lake the Files in which sinks stage and publish. s3 is both in a bucket,
// faultobject the faulty twin for tests.
//
// In:  engine/checkpoint creates manifests, state and ledger entries and swaps
// HEAD; sinks/parquet and sinks/kafka create staged files and publish them.
// Out: the same names and bytes to every reader, in this process or another.
//
// Invariants
//
//  1. A call that returned nil survives power loss: the bytes, the name, and
//     every parent directory that was new. Not so Remove, Delete and Sweep: power
//     loss may bring back what they removed.
//  2. A name is seen with all its bytes or not at all. A published target is
//     never overwritten with other bytes, except by Replace where they are the
//     manifest's and the old ones are not; an object only by Swap.
//  3. Two swaps from one version never both succeed, whichever processes make
//     them: they hold a lock file of their own, which is never renamed or
//     removed, while they compare and rename.
//  4. What a crash leaves half done has a name of its own (".tmp-…"), which
//     List hides, as it hides the lock files, and Sweep removes.
//  5. A failed fsync is never repeated on the same handle: the bytes go to a
//     new file or the call fails.
//  6. A Lake makes no bytes visible that it has not just read and compared with
//     the manifest; what is visible is read back by Verify. s3 says what takes
//     the place of the first where staged bytes cannot be read.
//
// A Dir and a Lake may be used from many goroutines and processes at once, a
// StagedFile and a ReadFile from one, except ReadAt. Where the operating system
// has no flock, invariant 3 holds for mistakes of people only.
package object

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"landfall/engine/checkpoint"
	"landfall/engine/stream"
)

// Errors of Files, beside checkpoint.ErrExist, to be tested with errors.Is.
var (
	// ErrContent says that a published target has another hash than the one
	// to be published. It is stream.ErrContent.
	ErrContent = fmt.Errorf("published object: %w", stream.ErrContent)
	// ErrName says that a name is not made of parts of letters, digits and
	// "-_.=+:" separated by '/'.
	ErrName = errors.New("unusable object name")
	// ErrNotExist says that no object has this name. It is
	// checkpoint.ErrNotExist, for those who do not know checkpoints.
	ErrNotExist = checkpoint.ErrNotExist
)

// keptRoot is the folder below the lake in which replaced files are kept.
const keptRoot = "_quarantine/"

// Kept is the name under which Replace keeps a published file that had this
// SHA-256: evidence, for an operator to look at and to remove. No reader of
// tables looks there, and the name does not end like a table's files.
func Kept(target, damaged string) string {
	return keptRoot + target + "." + damaged[:min(16, len(damaged))] + ".damaged"
}

// Files is where a sink stages and publishes whole files: names with '/'
// between their parts, relative to the lake's root, staging and tables on one
// file system.
//
// Each method may be called from many goroutines and processes, and again after
// any error: none of them does harm the second time.
type Files interface {
	// Create makes a new file that is to be published as target, under a name
	// nobody reads; a store may choose another one below the same two folders
	// ("_staging/<task>/"), so the last part of target begins with the task. New
	// parents are made. checkpoint.ErrExist when the name is taken.
	Create(ctx context.Context, name, target string) (StagedFile, error)
	// Open opens a file for reading. checkpoint.ErrNotExist.
	Open(ctx context.Context, name string) (ReadFile, error)
	// Publish moves a staged file to its target, where readers see it. The
	// staged bytes are read and compared with the manifest before that, where
	// the store lets them be read: others are a stream.DamagedError, they stay
	// unseen and where they are. A target that is there already with the hash is
	// success, also when nothing is staged any more; with another hash it is
	// ErrContent and nothing is touched. checkpoint.ErrNotExist when there is
	// neither. Durable on return: both directories, new parents too.
	Publish(ctx context.Context, staged stream.Staged) error
	// Verify reads a published file back, from the device where it can, and
	// compares length and SHA-256 with the manifest: a stream.DamagedError that
	// names the target when it is missing or has other bytes.
	Verify(ctx context.Context, staged stream.Staged) error
	// Replace puts staged bytes in the place of a published file that Verify
	// found damaged. damaged is the SHA-256 that Verify found (of its
	// DamagedError; empty: nothing was there): a target with any other content
	// is ErrContent and is not touched. A target with the manifest's hash is
	// done, and where there is none the file is published. Other staged bytes
	// than the manifest's replace nothing, as in Publish. Readers see the old
	// bytes or the new ones, at every step; the old ones are kept under Kept
	// where there is room. Durable on return.
	Replace(ctx context.Context, staged stream.Staged, damaged string) error
	// List gives the names of all files that start with prefix, sorted.
	List(ctx context.Context, prefix string) ([]string, error)
	// Next returns the first name, in the order of bytes, that starts with prefix and
	// comes after a name; empty: there is none. prefix is a folder and ends with '/'.
	// In a bucket it is one request.
	Next(ctx context.Context, prefix, after string) (string, error)
	// Remove removes a file; absent is success. Not durable on return: power
	// loss may bring the file back.
	Remove(ctx context.Context, name string) error
	// Sweep removes what crashed writers left half done below the folder
	// prefix (which ends with '/'), and folders below it that became empty.
	// Only the holder of the claim on what lies there calls it; a writer it
	// races with gets an error and is not harmed.
	Sweep(ctx context.Context, prefix string) error
}

// StagedFile is a file being written. It belongs to one goroutine.
type StagedFile interface {
	io.Writer
	// Sync makes bytes, name and new parents durable. After an error the file
	// is dead: Close it, Remove it and write another.
	Sync() error
	// Place fills in where the file lies staged, Name and Parts of what goes
	// into the manifest. After Sync.
	Place(staged *stream.Staged)
	// Reopen opens what was synced, to be compared with what was written. After
	// Sync, before Close.
	Reopen(ctx context.Context) (ReadFile, error)
	// Close ends writing; without a Sync before it nothing is promised.
	Close() error
}

// ReadFile is a file being read. ReadAt may run beside anything.
type ReadFile interface {
	io.ReaderAt
	io.Closer
	// Size gives the size in bytes.
	Size() int64
}

// checkName refuses what could leave the root or hide among temporary files.
func checkName(name string) error {
	if name == "" {
		return fmt.Errorf("%w: empty", ErrName)
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || part[0] == '.' {
			return fmt.Errorf("%w: %q", ErrName, name)
		}
		for _, r := range part {
			switch {
			case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune("-_.=+:", r):
			default:
				return fmt.Errorf("%w: %q", ErrName, name)
			}
		}
	}
	return nil
}
