// Package faultfs is a file system in memory that knows what power loss would
// leave, and that fails and crashes on script.
//
// In:  the operations of durable.FS, and faults: the N-th operation of a kind
// fails without effect, fails though it took effect, or is the last one before
// the power goes.
// Out: after Crash, the files as a disk might hold them; the list of
// operations, so that a test can repeat a scenario with a fault at each.
//
// Invariants
//
//  1. What durable.FS promises to survive power loss survives Crash, in every
//     Loss. Everything else is lost, kept or kept in pieces, as Loss and seed
//     say.
//  2. A file's bytes are written back in pages of 4 KiB. A failed Sync leaves
//     its pages clean and not written, so that a second Sync says nil and makes
//     nothing durable; what the page cache shows meanwhile is the mode's choice.
//  3. SyncData makes bytes durable up to the durable size, and never the size.
//  4. A crash takes a piece of a file (512 or 4096 bytes) whole or not at all,
//     and an operation on one directory likewise.
//  5. The same script, seed and calls give the same outcome.
//
// An FS may be used from many goroutines; the numbers of operations then depend
// on their order.
package faultfs
