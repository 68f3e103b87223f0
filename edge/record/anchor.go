package record

import (
	"encoding/binary"
	"fmt"
)

// Anchor says of one boot of a gateway what UTC was at one monotonic time. With
// it every record of the boot can be given its time, also those captured before
// anybody knew it. Anchors travel beside blocks, outside their hash.
type Anchor struct {
	Boot        [16]byte
	Begin       int64 // monotonic time at which the boot's time became known
	Mono        int64
	UTC         Micros // at Mono
	Uncertainty int64  // microseconds, at Mono
	Quality     TimeQuality
	Radio       bool // AIS traffic settled it
	// Basis is what it rests on. It is kept (EncodeKept) and does not travel
	// (EncodeAnchors); BasisNone: not known.
	Basis Basis
}

// Basis is what a belief of the time rests on. Higher ones are never overruled by
// lower ones, beyond seconds.
type Basis uint8

// What a belief rests on.
const (
	BasisNone   Basis = iota // nobody's word: the day is that of the machine's clock
	BasisWord                // one stranger's word
	BasisRadio               // strangers that agree, independent in number and kind
	BasisHost                // the kernel says that NTP or PTP keeps the machine's clock
	BasisEngine              // the engine's answer, over TLS that was verified
)

// Authenticated tells whether no stranger can have said it.
func (b Basis) Authenticated() bool { return b >= BasisHost }

// String returns the name used by status and command line.
func (b Basis) String() string {
	switch b {
	case BasisWord:
		return "one_word"
	case BasisRadio:
		return "radio"
	case BasisHost:
		return "host"
	case BasisEngine:
		return "engine"
	}
	return "nobody"
}

// MaxDrift is how far a gateway's monotonic clock may run off, in parts per
// million: ten times a common crystal's ±5, and above the ±30 of the cheapest.
const MaxDrift = 50

// Drift is how far a clock may have run off in a time, in microseconds.
func Drift(elapsed int64) int64 { return max(elapsed, -elapsed) / 1_000_000 * MaxDrift }

// Offset gives UTC - Mono.
func (a *Anchor) Offset() int64 { return int64(a.UTC) - a.Mono }

// At gives UTC at a monotonic time of the anchor's boot, and how uncertain it is.
func (a *Anchor) At(mono int64) (Micros, int64) {
	return a.UTC + Micros(mono-a.Mono), a.Uncertainty + Drift(mono-a.Mono)
}

// MaxAnchors is how many boots are remembered.
const MaxAnchors = 8

// MaxAnchorBytes bounds what EncodeAnchors gives.
const MaxAnchorBytes = 1 + MaxAnchors*(16+4*binary.MaxVarintLen64+2)

// anchorsVersion is what EncodeAnchors writes.
const anchorsVersion = 1

// EncodeAnchors gives the bytes of anchors, oldest first:
//
//	1 byte version (1) | for each:
//	16 bytes boot id | varint Begin | varint Mono | varint UTC | uvarint Uncertainty
//	1 byte Quality | 1 byte, 1 Radio
func EncodeAnchors(all []Anchor) []byte {
	p := []byte{anchorsVersion}
	for i := range all {
		p = all[i].append(p)
	}
	return p
}

func (a *Anchor) append(p []byte) []byte {
	p = append(p, a.Boot[:]...)
	p = binary.AppendVarint(p, a.Begin)
	p = binary.AppendVarint(p, a.Mono)
	p = binary.AppendVarint(p, int64(a.UTC))
	p = binary.AppendUvarint(p, uint64(a.Uncertainty))
	radio := byte(0)
	if a.Radio {
		radio = 1
	}
	return append(p, byte(a.Quality), radio)
}

// DecodeAnchors reads what EncodeAnchors wrote; no bytes, no anchors. Errors:
// ErrCorrupt, ErrVersion.
func DecodeAnchors(p []byte) ([]Anchor, error) {
	if len(p) == 0 {
		return nil, nil
	}
	if p[0] != anchorsVersion {
		return nil, fmt.Errorf("decode clock anchors, version %d: %w", p[0], ErrVersion)
	}
	f := NewFields(p[1:])
	return decodeAnchors(&f, false)
}

func decodeAnchors(f *Fields, based bool) ([]Anchor, error) {
	var all []Anchor
	for len(f.Rest()) > 0 && !f.Bad() {
		var a Anchor
		copy(a.Boot[:], f.Take(uint64(len(a.Boot))))
		a.Begin, a.Mono, a.UTC = f.Varint(), f.Varint(), Micros(f.Varint())
		a.Uncertainty = int64(f.Uvarint())
		a.Quality = TimeQuality(f.Byte())
		a.Radio = f.Byte() == 1
		if based {
			a.Basis = Basis(f.Byte())
		}
		all = append(all, a)
		if !bounded(a.Begin, a.Mono, int64(a.UTC), a.Uncertainty) || a.Uncertainty < 0 || a.Basis > BasisEngine {
			f.Take(1 << 62)
		}
	}
	if f.Bad() || len(all) > MaxAnchors {
		return nil, fmt.Errorf("decode clock anchors: %w", ErrCorrupt)
	}
	return all, nil
}

// bounded tells whether no sum of these overflows: the years -29,000 to 33,000.
func bounded(all ...int64) bool {
	const most = 1 << 60
	for _, v := range all {
		if v > most || v < -most {
			return false
		}
	}
	return true
}

// KeptClock is what a gateway keeps of the time over restarts and reboots.
type KeptClock struct {
	// Proven is the last time that the engine told over TLS that was verified: it
	// is past, whatever anybody else says. 0: it never did.
	Proven  Micros
	Anchors []Anchor // oldest first
}

// keptVersion is what EncodeKept writes. Version 1 was that of EncodeAnchors: it
// said neither what an anchor rests on nor what was proven.
const keptVersion = 2

// EncodeKept returns the bytes of what is kept:
//
//	1 byte version (2) | varint Proven | for each anchor:
//	as EncodeAnchors, then 1 byte Basis
func EncodeKept(k *KeptClock) []byte {
	p := binary.AppendVarint([]byte{keptVersion}, int64(k.Proven))
	for i := range k.Anchors {
		p = append(k.Anchors[i].append(p), byte(k.Anchors[i].Basis))
	}
	return p
}

// DecodeKept reads what EncodeKept wrote, and version 1, in which nothing is
// proven and no anchor says what it rests on; no bytes, nothing. Errors:
// ErrCorrupt, ErrVersion.
func DecodeKept(p []byte) (k KeptClock, err error) {
	if len(p) == 0 || p[0] == anchorsVersion {
		k.Anchors, err = DecodeAnchors(p)
		return k, err
	}
	if p[0] != keptVersion {
		return k, fmt.Errorf("decode what is kept of the clock, version %d: %w", p[0], ErrVersion)
	}
	f := NewFields(p[1:])
	proven := Micros(f.Varint())
	if k.Anchors, err = decodeAnchors(&f, true); err != nil {
		return KeptClock{}, err
	}
	if proven < 0 || !bounded(int64(proven)) {
		return KeptClock{}, fmt.Errorf("decode what is kept of the clock: %w", ErrCorrupt)
	}
	k.Proven = proven
	return k, nil
}
