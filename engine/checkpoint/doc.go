// Package checkpoint makes an epoch true: it keeps the manifest of a task, moves
// HEAD to it, publishes what it names, and starts a task from it after a crash.
//
// In:  Claim takes a task over; the task hands Commit one Cut an epoch: sealed
// stages, a snapshot of state, the landing position.
// Out: objects in a Store: <task>/HEAD, <task>/manifest/…, <task>/state/…,
// <task>/ledger/…; calls to Publish, Verify, Replace and Collect of the sinks and
// to Release of the landing log.
//
// Invariants
//
//  1. An epoch happened when HEAD names its manifest, and only then (C4). HEAD
//     moves by compare-and-swap alone, and its bytes never recur: they hold a
//     random claim id and a claim never uses an epoch twice.
//  2. What a manifest names is durable before HEAD names the manifest: staged
//     files, state objects, the ledger entry, the manifest itself.
//  3. Bytes once sent are frozen. A call whose answer was lost is resolved by
//     reading: mine is success, unchanged is the same bytes again, anything
//     else is ErrFenced.
//  4. A staged file stands in Staged of exactly one manifest, and then in
//     Unpublished of every later one until it is known published.
//  5. Publishing after a crash is the same function as publishing on the good
//     path, and it is done before the task reads a record.
//  6. The landing log is released up to an epoch's position only when every
//     output of that epoch and of all before it is published durably and was
//     read back with the hash that its manifest names.
//  7. An object is removed only when no manifest that HEAD names or may ever
//     name reaches it: it was listed before this claim moved HEAD and this
//     claim's manifest does not name it, or this claim itself stopped naming
//     it. HEAD is read before each removal, and before the landing log is released:
//     anything but a manifest that this claim wrote, with its hash, ends all.
//  8. Each epoch has one entry in the task's ledger (engine/ledger), durable
//     before HEAD names the manifest that names it. Entries in the chain are
//     never removed, but for those that a fold holds which was read back; while
//     an epoch is not published, the manifest and the state before it stay.
//  9. A damaged output is replaced by bytes with the hash of its manifest, made
//     again from the landing log, or the task stops. History never changes.
//  10. HEAD is moved by a claim only when Config.Check could read what is needed to go
//     on from it.
//  10. A store's word is not enough: each object and HEAD is read back when it is
//     written, and written again where it is not there. A task of which anything is
//     left is never claimed from nothing, nor from a HEAD that was set back.
//
// A Committer belongs to one goroutine, its task's; it owns one more, which
// publishes, reads back, makes damaged epochs again, releases and folds beside the
// next epoch, and is joined by Close. Stats, Context, Failed and Err may be called
// from any goroutine.
package checkpoint
