// Package seglog keeps logs of records in one directory, in segments that
// survive power loss, full disks and damage. The edge keeps its captured
// records in it; the embedded landing log keeps other payloads in the same
// way.
//
// In:  Append takes a filled record.Builder and returns when it is durable.
// Out: a Reader gives the blocks of one log in order, and a Gap where a range
// was shed or damaged. Release tells the Store what nobody needs any more.
//
// Invariants
//
//  1. A Store appends to one log, which it opened itself, at its first Append.
//     Older logs are only read. So an offset never gets a second meaning.
//  2. Offsets of a log are dense. Reading from an offset gives every later one
//     exactly once, in a Block or in a Gap, up to DurableOffset.
//  3. Nothing is served that is not durable, that fails a CRC, or whose CRC was
//     made for another log, segment or position.
//  4. A segment's file has its final name only after its header and first group
//     were fsynced. A segment ends where the next one of its log begins,
//     whatever bytes follow: so a group whose fsync failed, and which was
//     written again to a new segment, stands in two files and is served once.
//  5. A file on which a write or an fsync failed is never written again.
//  6. A range given up by the policy is on disk as given up before its segment
//     goes.
//  7. With Config.CapturedRecords every block carries the digest of its log. What
//     did not become durable is not in it.
//  8. The newest segment of the directory is never released or shed, because
//     the next Store learns from it where this log ended.
//  9. Marks (record.Mark) are never forgotten and never ahead of what was
//     durable. A header holds at most 64 KiB of them, files of marks hold more, and
//     those of a source that is configured no more are set aside: see marks.go.
//  10. The tail marker, like a note, never says more than was durable before it was
//     written. A log ends no earlier than they and Config.Known say; offsets that are
//     missing of that are told and come out of Readers as a Gap.
//  11. Segments, spares, files of marks, copies in quarantine and files that could not
//     be removed count in the quota.
//
// Append is for one goroutine at a time. Everything else may be called from any
// goroutine beside it; a Reader belongs to one goroutine.
package seglog
