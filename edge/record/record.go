// Package record is the vocabulary and the byte format of captured data: what
// a record is, how records are packed into blocks, and how blocks of one log
// are chained.
//
// In:  edge/capture fills a Builder with records; edge/seglog seals it, and
// engine/landing/replay for recorded files.
// Out: a block, one []byte, which is the same bytes in the edge's segment, on
// the link and in the landing log. engine/task walks it with Parse.
//
// Invariants
//
//  1. Offsets are dense: a block covers [First, First+Count) of its log.
//  2. A block is self-contained: sources, base times and annotations it needs
//     are in it.
//  3. Block k carries Prev, the hash of block k-1; the first block of a log
//     carries zero. HashBlock covers every byte of a block, Prev included, so
//     equal hashes mean equal history. The first block after a declared loss
//     names a block that nobody has any more, so there the chain starts anew
//     and Prev is not checked.
//  4. A block of captured records carries the Digest of its log at its end, a sum
//     over the bytes of every record below; a declared loss carries it where the
//     gateway knows it. Blocks of older gateways have none.
//  5. A length is bounded before anything is allocated for it. Parsing never
//     panics; ErrVersion (newer format) is not ErrCorrupt (damaged bytes).
//
// Everything here is pure: no I/O, no clock, no goroutines. A Builder belongs
// to one goroutine; a parsed Block may be read from many.
package record

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Errors of this package, to be tested with errors.Is.
var (
	// ErrCorrupt says that bytes are not what was written.
	ErrCorrupt = errors.New("corrupt")
	// ErrVersion says that bytes come from a newer format than this binary's.
	ErrVersion = errors.New("unsupported format version")
	// ErrTooLarge says that a record or block exceeds its bound.
	ErrTooLarge = errors.New("too large")
)

// Offset is the dense number of a record in one log, from 0.
type Offset uint64

// String gives the decimal number.
func (o Offset) String() string { return strconv.FormatUint(uint64(o), 10) }

// Padded gives twenty decimal digits, for file names that sort.
func (o Offset) Padded() string { return fmt.Sprintf("%020d", uint64(o)) }

// ParseOffset reads what String or Padded wrote.
func ParseOffset(s string) (Offset, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("parse offset %q: %w", s, err)
	}
	return Offset(n), nil
}

// LogID is the random identity of one log; every start of the edge opens a new
// one.
type LogID [16]byte

// String gives 32 lower-case hexadecimal digits.
func (id LogID) String() string { return hex.EncodeToString(id[:]) }

// IsZero says that no log is meant.
func (id LogID) IsZero() bool { return id == LogID{} }

// ParseLogID reads what String wrote.
func ParseLogID(s string) (LogID, error) {
	var id LogID
	if len(s) != 2*len(id) {
		return LogID{}, fmt.Errorf("parse log id %q: want %d hexadecimal digits", s, 2*len(id))
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil {
		return LogID{}, fmt.Errorf("parse log id %q: %w", s, err)
	}
	return id, nil
}

// Hash is the first 16 bytes of a SHA-256.
type Hash [16]byte

// String gives 32 lower-case hexadecimal digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// Kind says what a record holds. The numbers are part of the format.
type Kind uint8

// The kinds of records.
const (
	// KindLogOpen is offset 0 of every log; its Raw is an encoded Opening.
	KindLogOpen Kind = 1
	// KindAIS is one assembled AIS message: the lines of its VDM or VDO
	// sentences in order of fragment number, joined by '\n'.
	KindAIS Kind = 2
	// KindFragment is a fragment of a multi-sentence message that found no
	// partner.
	KindFragment Kind = 3
	// KindSentence is any other NMEA sentence ($GPRMC, $PGHP, …).
	KindSentence Kind = 4
	// KindText is a line in which no sentence was found.
	KindText Kind = 5
	// KindReading is a sensor reading in a payload of its source's own.
	KindReading Kind = 6
)

var kindNames = map[Kind]string{
	KindLogOpen: "log_open", KindAIS: "ais", KindFragment: "fragment",
	KindSentence: "sentence", KindText: "text", KindReading: "reading",
}

// String gives the name used in the column kind.
func (k Kind) String() string {
	if n, ok := kindNames[k]; ok {
		return n
	}
	return "kind_" + strconv.Itoa(int(k))
}

// Flags say what was wrong or unusual with a record's envelope; nothing is
// lost for it. The bits are part of the format.
type Flags uint32

// The flags of a record.
const (
	FlagBadChecksum    Flags = 1 << iota // the sentence's *hh does not match
	FlagNoChecksum                       // the sentence has no *hh
	FlagBadTagChecksum                   // the TAG block's *hh does not match
	FlagPrefix                           // text before the sentence
	FlagSuffix                           // text after the checksum
	FlagUnknownTalker                    // a VDM or VDO of a talker not in IEC 61162-1
	FlagMalformed                        // fields missing, out of range or in excess
	FlagTruncated                        // cut: line too long, or the stream ended inside it
	FlagCrowded                          // a fragment given up early: its sender had too many waiting
	FlagKills                            // the gateway died of the line: nothing was read in it
)

var flagNames = []string{"bad_checksum", "no_checksum", "bad_tag_checksum", "prefix", "suffix", "unknown_talker", "malformed", "truncated", "crowded", "kills"}

// String gives the names of the set bits, joined by '|'; empty when none is.
func (f Flags) String() string {
	if f == 0 {
		return ""
	}
	var names []string
	for i, n := range flagNames {
		if f&(1<<i) != 0 {
			names = append(names, n)
		}
	}
	return strings.Join(names, "|")
}

// Micros is a time in microseconds since 1970-01-01 UTC. NoTime means unknown.
type Micros int64

// NoTime stands for a time that is not known.
const NoTime Micros = -1 << 63

// TimeSource names the evidence an EventTime came from. The numbers are part
// of the format.
type TimeSource uint8

// The sources of event time known so far.
const (
	TimeNone     TimeSource = 0 // no event time
	TimeReceipt  TimeSource = 1 // the gateway's clock at receipt
	TimeTag      TimeSource = 2 // TAG block c:
	TimePayload  TimeSource = 3 // the payload's own time
	TimeBase     TimeSource = 4 // --base-time of a replayed file without any time
	TimeRadio    TimeSource = 5 // gateway clock corrected from what the radio hears
	TimeEnvelope TimeSource = 6 // $PGHP, USCG suffix or another envelope
	TimeClock    TimeSource = 7 // gateway clock corrected from GNSS, NTP or the ingest's answers
)

var timeSourceNames = []string{"none", "receipt", "tag", "payload", "base", "radio", "envelope", "clock"}

// String gives the name used in the column time_source.
func (s TimeSource) String() string {
	if int(s) < len(timeSourceNames) {
		return timeSourceNames[s]
	}
	return "source_" + strconv.Itoa(int(s))
}

// TimeQuality says how far an EventTime may be trusted. The numbers are part
// of the format.
type TimeQuality uint8

// The qualities of event time known so far.
const (
	QualityUnknown        TimeQuality = 0 // nobody vouches for it
	QualityUnsynchronised TimeQuality = 1 // a clock that nothing has confirmed
	QualityAsserted       TimeQuality = 2 // stated by the source, not checked
	QualitySynchronised   TimeQuality = 3 // agrees with independent evidence
)

var qualityNames = []string{"unknown", "unsynchronised", "asserted", "synchronised"}

// String gives the name used in the column time_quality.
func (q TimeQuality) String() string {
	if int(q) < len(qualityNames) {
		return qualityNames[q]
	}
	return "quality_" + strconv.Itoa(int(q))
}

// MaxRawBytes bounds the raw bytes of one record.
const MaxRawBytes = 1 << 20

// Record is one captured record. Raw is as received, without the line ends.
type Record struct {
	Kind        Kind
	Flags       Flags
	Source      uint32 // index into the block's sources
	ReceivedAt  Micros // gateway's wall clock, uncorrected
	EventTime   Micros // NoTime when unknown
	TimeSource  TimeSource
	TimeQuality TimeQuality
	Monotonic   int64 // microseconds since the boot named by the block's BootID
	Raw         []byte
}
