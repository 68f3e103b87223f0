package nmea

import "strings"

// Flags says what is unusual about a sentence. Zero is a clean sentence. The
// values are stored in the column record.flags and never change meaning.
type Flags uint32

// The flags. A flagged sentence is still taken.
const (
	// FlagNoChecksum: the sentence has no *hh.
	FlagNoChecksum Flags = 1 << iota
	// FlagBadChecksum: *hh does not match, or is not two hex digits.
	FlagBadChecksum
	// FlagBadTagChecksum: a TAG block's *hh is missing or does not match.
	FlagBadTagChecksum
	// FlagPrefix: text other than white space or a UdPbC header stands before.
	FlagPrefix
	// FlagSuffix: text other than white space follows the checksum.
	FlagSuffix
	// FlagUnknownTalker: an AIS sentence of a talker no standard names.
	FlagUnknownTalker
	// FlagTruncated: another sentence or TAG block begins before the checksum.
	FlagTruncated
	// FlagMalformed: the address is not of the standard length.
	FlagMalformed
	// FlagUdPbC: an IEC 61162-450 datagram header stands before.
	FlagUdPbC
)

var flagNames = [...]string{
	"no_checksum", "bad_checksum", "bad_tag_checksum", "prefix", "suffix",
	"unknown_talker", "truncated", "malformed", "udpbc",
}

// String lists the set flags, joined by "|"; "" for none.
func (f Flags) String() string {
	var b strings.Builder
	for i, name := range flagNames {
		if f&(1<<i) == 0 {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('|')
		}
		b.WriteString(name)
	}
	return b.String()
}

// Error is why a sentence is not a usable AIS sentence. Its text is one short
// stable word, fit for the column record.reject_reason.
type Error string

// The errors of ParseVDM.
const (
	ErrNotVDM  Error = "not_vdm"     // no AIVDM-like address
	ErrFields  Error = "vdm_fields"  // fewer than 7 or more than 8 fields
	ErrTotal   Error = "vdm_total"   // total is not 1..9
	ErrNumber  Error = "vdm_number"  // number is not 1..total
	ErrSeq     Error = "vdm_seq"     // sequence id is not empty or 0..99
	ErrChannel Error = "vdm_channel" // channel is longer than one byte
	ErrFill    Error = "vdm_fill"    // fill bits are not 0..6
)

// Error returns the reason.
func (e Error) Error() string { return string(e) }

// Reason returns the stable word for record.reject_reason.
func (e Error) Reason() string { return string(e) }
