// Package server is the engine assembled: ingest, the landing log (embedded, or
// a topic that several engines share), one supervised task a partition or those
// partitions that the consumer group assigns, and a status page.
//
// In:  a Config; requests of gateways; from cmd, the checkpoint store and the
// sinks, which engine does not import.
// Out: rows in the sinks; Status, as JSON, metrics and health.
//
// Invariants
//
//  1. Parts are made in data's order backwards (landing log, tasks, ingest), so
//     that nothing is taken in that has no way out, and closed in data's order:
//     ingest first, then the tasks, which commit what they read, then the
//     landing log, each with a deadline.
//  2. A task that stops stops nobody else, but a panic ends the process. A partition that the group takes
//     back is committed or abandoned before another engine has it, and one that
//     was lost is fenced by HEAD: never half of an epoch. What may pass is tried again with
//     backoff, without end; what needs an operator (another claim, another
//     identity, damage, a newer format) stops that partition, red.
//  3. While there is less free space than the reserve, nothing is landed, so
//     that every task can finish its epoch; ingest says so to the gateways.
//  4. Nothing but a stop, or a listener that fails, ends Run.
//
// New and Run belong to one goroutine. Status may be called from any.
package server
