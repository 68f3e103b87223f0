// Package kafka is the sink that brings rows to Kafka topics: each epoch in one
// transaction, together with a marker that says which epoch it was.
//
// In:  engine/task fills a Stage with batches and seals it at the epoch's end;
// engine/checkpoint commits the manifest, then calls Publish.
// Out: a message a row, JSON, keyed by ship or sensor, its lineage in headers;
// docs/kafka.md says how they look. A reader with isolation.level=read_committed
// sees each row exactly once; one that reads uncommitted messages may see rows
// of a transaction that was aborted, and again those of the one that replaced
// it.
//
// Staged rows are Arrow IPC streams, one a table, in the lake's own object
// store below "_kafka/<task>/", durable and verified before the manifest names
// them. Staging needs no broker: while Kafka is away, epochs are committed up to
// the publish backlog.
//
// Invariants
//
//  1. Nothing depends on a transaction that stays open. Publish begins anew
//     each time: it fences whoever wrote for the task before, which ends that
//     one's transaction; then it reads the marker; then it decides. Recovery is
//     this function.
//  2. Rows and marker of an epoch are in one transaction. The marker names the
//     epoch and the hash of what was staged: equal is done, another hash for
//     the same epoch is stream.ErrContent and the task stops.
//  3. The marker is read up to the high watermark that was taken after the
//     fence. Whether a marker counts is decided by the control records of its
//     own producer, not by the last stable offset, so that a task never waits
//     for another task's transaction.
//  4. The transaction commits only under the producer id and epoch that the
//     fence gave, and only when the broker has all rows and the marker.
//  5. A staged object is read and compared with the manifest's hash before a row
//     of it is sent; another is a stream.DamagedError. What a transaction holds
//     rests on the brokers: Verify reads nothing back.
//  6. What Target says of an output (topic, marker topic, task, epoch) was
//     decided when it was staged: another configuration does not change where
//     a committed epoch goes.
//
// A Sink may be used from many goroutines, a Stage from one.
package kafka
