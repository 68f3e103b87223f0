// Package kafka is the landing log on a Kafka topic: one topic a landing log,
// partition n of the one is partition n of the other, a record is an encoded
// Landed under the gateway's name as key, with the header landfall-landed.
//
// In:  engine/ingest appends blocks, at any number of instances.
// Out: engine/task reads them, a partition each, wherever it runs.
//
// A Position is (topic id, Kafka offset). The topic's id is the identity of the
// landing log, so a topic that was deleted and made again under the same name is
// another landing log, and is refused. Kafka 2.8 or later.
//
// Invariants
//
//  1. Append returns nil only after every in-sync replica has the block
//     (acks=all, C2), and Open refuses a topic where that would promise less
//     than the configuration does: see topic.go.
//  2. One Append is at most one record. The producer is idempotent, so its
//     retries are the broker's to drop; whatever else makes a promise fail
//     fails the Append, and that producer is not used again: see producer.go.
//  3. The partition is landing.Partition(gateway, P) over the configured P, set
//     by hand; how Kafka would place a key does not matter.
//  4. A Reader starts at its position or nowhere. Below the log's start, above
//     its end, another record before it than its hash says, offsets that were
//     skipped, a leader that ended the position's epoch earlier: ErrCut, and never
//     a reset. So a topic that lost its end and was written on from there is
//     recognised, by a Reader that is opened and, by the leader epoch, by one that
//     is reading.
//  5. Tail tells what this instance landed since it was opened. Others append
//     too (Shared), so more may be landed than it says; never less.
//  6. A topic feeds one lake. Nothing is released but by that lake's tasks, and
//     another lake is refused before it appends, reads or releases: see
//     registry.go.
//
// # Why a block follows all of its log that is not published
//
// Let D be a block of log L that begins at offset d. The claim: wherever a copy
// of D lies in the partition, all of L below d lies before it, or is published, or
// was lost by the topic after its promise was kept.
//
// Append is called for D by a request in one of two ways. As its first block:
// then the request begins at d, and a request begins at an offset that some
// ingest acknowledged. An offset is acknowledged for one of three reasons. The
// promises of all below it were kept, so they were in the partition, on every
// in-sync replica, at the time of the call. Or all below it is published. Or a
// task asked for the log from there on, so it has taken all below it from this
// partition, or has the state of whoever did. As a later block: then the promise
// of the block before it, in the same request, was kept before the call; and so on
// down to the first.
//
// So when Append is called for D, all of L below d was in the partition, or taken
// from it. Kafka appends at the end. Whenever a copy of D arrives (at once, after
// retries, from a producer that was given up, from a request that the gateway
// gave up long ago, from another ingest), it arrives after that call, and lies
// behind all of it that is there still. Nothing here depends on the order of
// arrival of two copies, on idempotence, on clocks, or on one ingest knowing of
// another; idempotence only keeps copies few, and the task drops those by offset.
//
// What is lost all the same, by a topic that was cut off or made again, leaves a
// hole: D follows it. Nothing wrong is taken because of that, for the task trusts
// none of the above: it takes each offset of a log once and in order. Of a gateway
// that keeps its records (Landed.Keeps) it passes over what follows the hole and
// asks for the log from its own next offset on; the gateway sends everything from
// there again, D too, and that copy lies behind what was missing. A copy of D that
// comes late to the wrong side of the hole is passed over like the first. Of another
// gateway, D goes to the table conflict, as what is missing will not come.
//
// What it does depend on: that a kept promise stays kept, or else that the gateway
// has the records still. The first is acks=all, at least two in-sync replicas, and
// no unclean leader election, which Open checks; the second, and that a gateway
// begins at an acknowledged offset, is edge/forward's. A replica that answers
// before it writes to its disk is trusted to be one of several: Kafka does not
// fsync before it acknowledges.
//
// A Log may be used from many goroutines. It has goroutines of its own, joined
// by Close; a Reader belongs to one goroutine.
package kafka
