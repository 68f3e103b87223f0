// Package capture makes records of lines and brings them to C1: it takes lines
// apart into sentences, puts multi-sentence AIS messages together, finds each
// record's event time, and commits records in groups. A report of sensor
// readings is a record as it comes.
//
// In:  lines and reports. Live takes them from sources (edge/source); a replay feeds a
// Capturer itself.
// Out: records, through Config.Emit; Live packs them into blocks, with the
// marks of resendable sources and the watermarks, and appends them to the log.
//
// Invariants
//
//  1. Every sentence of every line, and every line without one, ends in exactly
//     one record: joined by '\n', in order of fragment number, where it is part
//     of an assembled message, else alone. The bytes are those received. An
//     empty line makes no record.
//  2. A Capturer is pure: the same calls give the same records. With
//     Config.Replay its records depend on the lines only.
//  3. A block is a snapshot. Its marks say: all lines up to these positions
//     are either in records of this block or an earlier one, or among the
//     waiting fragments of the mark WaitingMark. A restart restores those and
//     reads on from the positions, so nothing is captured twice and nothing is
//     left out, wherever it was cut; and of a source that resends the records
//     are those of a run without restarts: what is joined does not depend on
//     when the process ended, nor on how long it was gone.
//  4. A sender is acknowledged after C1 of the block that covers its line.
//  5. When the log takes nothing, capture waits, and the sources with it;
//     it goes on by itself when there is room.
//  6. What waits for partners is bounded, and whoever takes most of the bound gives
//     up its own: no source, and no sender of one, loses a message to another that
//     takes more than its part (share.go).
//
// A Capturer belongs to one goroutine. Live.Run is called once; Live.Status
// may be called from any goroutine.
package capture

// Version changes whenever the same bytes would give other records.
const Version = 4
