// Package ais turns the payload of an AIS message (ITU-R M.1371-5) into typed
// rows, the message-derived columns of the ais_* tables.
//
// Way in: the armoured six-bit payload of one whole message and its fill bits,
// as decoders/nmea hands them out. Way out: Decode fills a reusable Rows; its
// error carries the stable reason stored in record.reject_reason. DedupeKey
// names a message's content.
//
// The hot types (1, 2, 3 and 18, most of all traffic) are read by hand from the
// bits; the others by go-ais (FastParse), whose known gaps are closed here:
// short type 5 and 24B, six fill bits, text after the first '@', sentinels. In
// tests go-ais is the model the hot types must agree with.
//
// Invariants:
//
//  1. Each of the 27 types that is long enough gives at least one row.
//  2. "Not available" is an invalid Opt, never the sentinel: latitude 91,
//     longitude 181, SOG 102.3 (63 in type 27, 1023 whole knots in type 9), COG
//     360 (511 in type 27), heading 511, ROT -128 and ±127 (ROTRaw stays), UTC
//     second 60, ETA 0/0/24/60, IMO, draught and ship type 0, altitude 4095,
//     all four dimensions 0, empty text. Other values are as sent, also
//     impossible ones.
//  3. Text ends at the first '@'; trailing spaces are cut.
//  4. No input makes Decode panic. It allocates nothing for the hot types.
//  5. DedupeKey does not change between versions: it is kept in state.
//
// Functions are pure. A Rows belongs to one goroutine at a time.
package ais
