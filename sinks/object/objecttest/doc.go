// Package objecttest is what every object.Files must pass.
//
// In:  a World: the Files under test, and a way to change bytes behind their
// back.
// Out: the test's outcome.
//
// It is for tests only; a World belongs to one goroutine.
package objecttest
