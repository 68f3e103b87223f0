// Package published knows how far each log of each gateway is in the lake: in an
// epoch whose outputs are visible, were read back, and stand in the ledger of a
// checkpoint that HEAD named (C5). A gateway lets go of what is below that, so
// what is told here is never more than that.
//
// In:  a task that runs in this engine tells when it has claimed its partition
// (Claimed), with each published epoch (Published), and which offsets are missing
// in the landing log (Want, Filled). Of the tasks of other engines that share the
// landing log a Follower reads it in the store.
// Out: engine/ingest asks with each request (Of, Wanted). Where others share the
// landing log an Announcer writes into the store what a task of this engine tells:
//
//	<task>/progress   beside the task's HEAD; see Progress
//
// Invariants
//
//  1. While a task is known, what is told of a log never goes back, but where a
//     Follower finds that HEAD's chain does not hold what was told: an older
//     checkpoint was put back. Two Registries may be at different places: that of
//     another engine hears later (Follower), and names an older entry then.
//  2. A task that has not told yet, or is not this engine's any more, is not
//     known: that is another answer than "nothing is published".
//  3. Everything told of a task is of one checkpoint: Claimed replaces it.
//  4. Of another engine's task only what stands in the chain of HEAD's ledger is
//     told, and of that only what somebody had read back. A progress of a claim that
//     has lost the task tells less, never more.
//
// A Registry may be used from any goroutine; an Announcer and a Follower belong to
// one each.
package published
