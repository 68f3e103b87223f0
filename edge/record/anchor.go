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
		a := &all[i]
		p = append(p, a.Boot[:]...)
		p = binary.AppendVarint(p, a.Begin)
		p = binary.AppendVarint(p, a.Mono)
		p = binary.AppendVarint(p, int64(a.UTC))
		p = binary.AppendUvarint(p, uint64(a.Uncertainty))
		radio := byte(0)
		if a.Radio {
			radio = 1
		}
		p = append(p, byte(a.Quality), radio)
	}
	return p
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
	var all []Anchor
	f := NewFields(p[1:])
	for len(f.Rest()) > 0 && !f.Bad() {
		var a Anchor
		copy(a.Boot[:], f.Take(uint64(len(a.Boot))))
		a.Begin, a.Mono, a.UTC = f.Varint(), f.Varint(), Micros(f.Varint())
		a.Uncertainty = int64(f.Uvarint())
		a.Quality = TimeQuality(f.Byte())
		a.Radio = f.Byte() == 1
		all = append(all, a)
		// Bounds within which no sum overflows: the years -29,000 to 33,000.
		const most = 1 << 60
		for _, v := range [...]int64{a.Begin, a.Mono, int64(a.UTC)} {
			if v > most || v < -most {
				f.Take(1 << 62)
			}
		}
		if a.Uncertainty < 0 || a.Uncertainty > most {
			f.Take(1 << 62)
		}
	}
	if f.Bad() || len(all) > MaxAnchors {
		return nil, fmt.Errorf("decode clock anchors: %w", ErrCorrupt)
	}
	return all, nil
}
