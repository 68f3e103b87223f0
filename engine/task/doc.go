// Package task is the loop over one partition of the landing log:
//
//	read ─► judge ─► decode ─► operators over keyed state ─► stage ─► commit
//
// In:  landed blocks, in order, from the position of the last checkpoint.
// Out: rows in the sinks, one epoch at a time, through checkpoint.Committer.
//
// Invariants
//
//  1. A task reads one partition, alone; it waits for no other task, and none
//     waits for it.
//  2. The judge checks contiguity instead of trusting it: of each log every
//     offset is taken once and in order. What was taken before is dropped and
//     counted, what contradicts is kept in the table conflict.
//  3. Rows of an epoch depend only on the landed blocks and on the state
//     restored with them: an epoch done again gives the same rows.
//  4. Nothing is visible before the epoch's manifest is (C4), and nothing is
//     released from the landing log before it is visible (C5).
//  5. A block of a newer format stops the task; nothing is passed over.
//
// Run belongs to one goroutine. Counters and Status may be read from any.
package task
