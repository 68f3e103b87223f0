// Package tampertest is for tests only: it makes a good lake with the real
// parts, tampers with copies of it, and holds the audit to what it must find.
//
// In:  simulated traffic of two gateways (decoders/aissim), captured into their
// own logs, landed and worked through by engine/task into Parquet files.
// Out: a Lake, copies of it that can be damaged one by one, and a table:
// tampering, the first level of the audit that finds it, what it names.
//
// Invariants
//
//  1. The same Config makes the same tables, but for the random claim ids in
//     checkpoints.
//  2. A copy shares the bytes of files until one is written; writing replaces
//     the file and never changes the bytes of another copy.
//  3. What a tampering is expected to show is part of its table, so a level that
//     becomes worse turns the test red.
//
// LANDFALL_SOAK=1 makes the full number of records and of bit flips.
package tampertest
