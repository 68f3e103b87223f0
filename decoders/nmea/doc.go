// Package nmea takes text lines apart into NMEA 0183 / IEC 61162-1 sentences and
// puts multi-sentence AIS messages together again.
//
// Way in: one line of bytes without its CR LF, from any transport. Way out:
// Split gives the Sentences of the line; ParseVDM reads the fields of an AIS
// sentence; an Assembler turns AIS sentences into Groups, one Group a message.
// Nothing here decodes the AIS payload; decoders/ais does.
//
// Formats: NMEA 0183 v4.10 (sentences, TAG blocks), IEC 62320-1 (the older
// "xGy" grouping), IEC 61162-450 (the "UdPbC\0" datagram header), and what real
// feeds do around them (a time before the sentence, USCG metadata after it).
//
// Invariants:
//
//  1. The Raw pieces Split returns, joined, are the line: no byte is lost.
//  2. A broken envelope is flagged, never refused: bad checksum, bad TAG
//     checksum, unknown talker, text around the sentence.
//  3. Split on a piece's Raw gives that one piece again, with equal parts.
//  4. Every fragment given to an Assembler comes back exactly once: in the one
//     complete Group it belongs to, or alone as an orphan.
//  5. An Assembler would rather hand back orphans than join halves that could
//     be of two ships.
//  6. Split, ParseVDM and Assembler.Add of a single-sentence message do not
//     allocate once their buffers have grown.
//
// Split and ParseVDM are pure and may be called from any goroutine. Their
// results alias the line. An Assembler belongs to one goroutine; time comes in
// as an argument.
package nmea
