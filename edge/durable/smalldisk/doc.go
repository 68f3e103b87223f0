// Package smalldisk is for tests only: it mounts file systems of a few bytes, to be filled.
// It is there on Linux alone.
//
// In:  how large the disk is to be.
// Out: a directory on it.
//
// Invariants
//
//  1. It is unmounted when the test ends, and when its process ends in any other way.
//
// It may be called from any goroutine.
package smalldisk
