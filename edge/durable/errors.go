package durable

import "errors"

// Errors of this package, to be tested with errors.Is. An FS wraps them beside
// the operating system's own error.
var (
	// ErrNoSpace says that the file system, or the user's quota on it, is full.
	ErrNoSpace = errors.New("no space left on device")
	// ErrLocked says that another holder has the lock.
	ErrLocked = errors.New("locked by another process")
	// ErrMedia says that the medium could not be read or written (EIO). Bytes
	// that cannot be read are damaged; other errors say nothing about them.
	ErrMedia = errors.New("medium error")
	// ErrTooLarge says that a file is larger than its reader takes.
	ErrTooLarge = errors.New("file is too large")
)
