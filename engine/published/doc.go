// Package published knows how far each log of each gateway is in the lake: in an
// epoch whose outputs are visible, were read back, and stand in the ledger of a
// checkpoint that HEAD named (C5). A gateway lets go of what is below that, so
// what is told here is never more than that.
//
// In:  a task that runs in this engine tells when it has claimed its partition
// (Claimed), with each published epoch (Published), and which offsets are missing
// in the landing log (Want, Filled).
// Out: engine/ingest asks with each request (Of, Wanted).
//
// Invariants
//
//  1. While a task is known, what is told of a log never goes back.
//  2. A task that has not told yet, or is not this engine's any more, is not
//     known: that is another answer than "nothing is published".
//  3. Everything told of a task is of one checkpoint: Claimed replaces it.
//
// A Registry may be used from any goroutine.
package published
