// Package repair puts a lake right that was damaged after it was published: it
// finds by the ledger which files are missing, damaged or too many, makes again
// what can be made, and commits that as an entry of its own.
//
// In:  the files of a lake; the tasks' checkpoints; if given, gateways' own logs
// and landing logs that still hold what a file was made of.
// Out: a Result: what was done, or would be, and what cannot be.
//
// Invariants
//
//  1. Nothing is guessed. A file goes back into its place with the SHA-256 that
//     the ledger names. A file with another one is committed as a replacement,
//     only where the digest or the chain of its logs proves what it was made of,
//     and the entry's note says which of its columns were computed again without
//     the state of that time.
//     A digest that a gateway states of its own log, and that its blocks do not have,
//     stands against nothing of other logs: it is told, and its rows stay.
//  2. Nothing is deleted: what is damaged or stray is moved to _quarantine,
//     under the path that it had. What lies in another program's own folder
//     (_delta_log) is told and stays, and so is a file of a task whose checkpoint
//     is missing or ends before an epoch that lies in the lake.
//  3. A dry run changes nothing. HEAD is never set back: no manifest is named that
//     is older than another one that is there, or than a file of the lake.
//  4. Whatever it is ended at, the next run ends with the same files. HEAD moves
//     by compare-and-swap: a running engine is fenced, and claims again by
//     itself.
//
// What a file can be made of, in this order: a copy with the right hash that
// lies somewhere else in the lake or in _quarantine; the blocks of its epoch in
// a landing log or in gateways' logs, proved by the chain that the ledger holds;
// the rows of record of its epoch.
//
// An object of the checkpoints gets the bytes with the hash that something names:
// they lie elsewhere, differ in one bit, or, of an entry of the ledger, come out of
// what its epoch left in the lake. State, and a manifest, of which no such bytes are
// to be had are made again of the ledger and of published rows, and committed as an
// entry whose note says how far what is remembered is what was.
//
// What has a name among the checkpoints and is no object (a pipe, a folder in an
// object's place) is set aside first, and is then an object that is gone.
//
// Run belongs to one goroutine.
package repair
