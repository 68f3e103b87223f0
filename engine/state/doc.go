// Package state keeps what a task remembers between records, by key, and gives
// it to checkpoints in small objects: each holds what changed since the one
// before.
//
// In:  operators Put and Delete through a Table; Restore takes the objects that
// a manifest names.
// Out: operators Get and range over All; Snapshot gives the next object and says how
// many of those before it are still needed.
//
// Invariants
//
//  1. Restoring the needed objects, oldest first, gives the tables as they were
//     at the Snapshot that made the newest of them: keys, values, and what the
//     next Snapshot will write, to the byte.
//  2. A key stands in at most one place of a table's order: by the object that
//     holds its newest value, oldest first, and within it as written. A removed
//     key stands there too, as a tombstone, while an older object may hold it.
//  3. An object is needed while any key that it holds the newest value of has
//     it in the order; the needed objects are always the newest ones, without
//     a hole.
//  4. Each Snapshot writes again some of the oldest keys, so that an object is
//     needed by at most MaxChain-1 snapshots after it, and the needed objects
//     together stay within a small multiple of the tables' own size. The work
//     is spread: a share of the keys each time, never all at once.
//  5. Equal histories give equal bytes and an equal order of All, in whatever
//     process and across restores. No clock, no random number, no map order.
//
// A State with its Tables belongs to one goroutine, its task's. It does no I/O.
package state
