// Package ais turns the payload of an AIS message (ITU-R M.1371-5) into typed
// rows, the message-derived columns of the ais_* tables.
//
// Way in: the armoured six-bit payload of one whole message and its fill bits,
// as decoders/nmea hands them out. Way out: Decode fills a reusable Rows; its
// error carries the stable reason stored in record.reject_reason. Rows.Key names
// the content of the message that was decoded last.
//
// Types 1 to 6, 8, 9, 11, 18 to 21, 24 and 27 are read from the bits here, nearly
// all of traffic; the rare ones, 7, 10, 12 to 17, 22, 23, 25 and 26, by go-ais,
// after their missing spare bits were filled up. In tests go-ais is the model
// that the types read here must agree with, and other decoders are asked too.
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
//  4. No input makes Decode panic. It allocates nothing for types 1, 2, 3 and 18.
//  5. Key does not change between versions: it is kept in state.
//
// Functions are pure. A Rows belongs to one goroutine at a time.
package ais
