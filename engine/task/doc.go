// Package task is the loop over one partition of the landing log:
//
//	read ─► judge ─► decode ─► operators over keyed state ─► stage ─► commit
//
// In:  landed blocks, in order, from the position of the last checkpoint.
// Out: rows in the sinks, one epoch at a time, through checkpoint.Committer, and
// with each epoch how far it took each log: rows of the table log, and the same
// for the ledger.
//
// Invariants
//
//  1. A task reads one partition, alone; it waits for no other task, and none
//     waits for it.
//  2. The judge checks contiguity instead of trusting it: of each log every
//     offset is taken once and in order. What was taken before is dropped and
//     counted, what contradicts is kept in the table conflict and advances no
//     log. What comes behind offsets that are missing in the landing log is passed
//     over while its gateway keeps both: it is asked to send them again, and the
//     landing log is kept from there on.
//  3. Rows of an epoch depend only on the landed blocks and on the state
//     restored with them: an epoch done again gives the same rows.
//  4. Nothing is visible before the epoch's manifest is (C4), and nothing is
//     released from the landing log before it is visible and was read back (C5).
//  5. A block of a newer format stops the task; nothing is passed over.
//  6. The digest of a log is copied from the block that ends at its next offset,
//     never computed here: record, loss and log are two accounts of one thing, of
//     which the gateway made one.
//
// Run belongs to one goroutine. Counters may be read from any.
package task
