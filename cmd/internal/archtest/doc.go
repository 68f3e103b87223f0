// Package archtest holds the rules of the tree that a compiler does not know,
// as tests: which folder may import which, that everything exported is
// documented, that files are touched in one place, that commit points and
// failpoints are where they are said to be.
//
// In:  the source of the whole module, parsed; `go list`; layers.txt;
// the pages of docs and README.md.
// Out: a list of violations, each with its file and line.
//
// Invariants
//
//  1. Each rule is a function from a tree to a list of problems, and each has
//     a test that feeds it a small tree that breaks it: no rule is there that
//     cannot fail.
//  2. An exception is a line in a table with its reason, and an exception that
//     nothing needs any more is a problem too.
//
// There is no code here but tests.
package archtest
