// Package replay is a landing log over one recorded file: a bounded, read-only
// landing.Log whose blocks are captured from the file whenever they are read.
//
// In:  recorded NMEA, plain or gzip, through source.Splitter and
// capture.Capturer: the code that captures on a gateway.
// Out: blocks of one log with dense offsets, in partition 0 of 1, then io.EOF;
// or, with Land, appended to a landing log that takes them.
//
// Invariants
//
//  1. The log is a function of the content, the gateway's name, the base time
//     and the versions of capture and of this package: the same bytes give the
//     same blocks under the same LogID, whatever the file is called and
//     however it is compressed. No clock is asked.
//  2. Its identity is a hash of the content alone, so that the same content
//     again finds the checkpoint of the first time; Params holds the rest, so
//     that other settings are refused there.
//  3. A position is the offset behind a block. Reading from one captures from
//     the file's beginning and leaves out what lies before, so a killed replay
//     goes on where its last epoch ended.
//
// Open reads the whole file once to hash it, piece by piece. While it is read again
// each piece is compared before anything is captured from it, so a file that is
// changed or cut meanwhile fails the replay and leaves no block that its content
// does not have; what is appended meanwhile is left out, and said.
package replay
