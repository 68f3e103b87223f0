package clock

import (
	"encoding/binary"
	"fmt"

	"landfall/edge/record"
)

// Anchor says of one boot what UTC was at one monotonic time. With it every
// record of the boot can be given its time, also those captured before anybody
// knew it.
type Anchor struct {
	Boot        BootID
	Begin       int64 // monotonic time at which the boot's time became known
	Mono        int64
	UTC         record.Micros // at Mono
	Uncertainty int64         // microseconds, at Mono
	Quality     record.TimeQuality
	Radio       bool
}

// Offset gives UTC - Mono.
func (a *Anchor) Offset() int64 { return int64(a.UTC) - a.Mono }

// At gives UTC at a monotonic time of the anchor's boot, and how uncertain it is.
func (a *Anchor) At(mono int64) (record.Micros, int64) {
	return a.UTC + record.Micros(mono-a.Mono), a.Uncertainty + drift(mono-a.Mono)
}

// MaxAnchors is how many boots are remembered.
const MaxAnchors = 8

// Anchors are the boots of a gateway of which the time is known, the newest
// last. It belongs to one goroutine.
type Anchors struct {
	boot BootID // that runs now
	all  []Anchor
}

// NewAnchors starts with what an earlier process kept, which may be nothing.
// Errors: record.ErrCorrupt, record.ErrVersion; then nothing is known.
func NewAnchors(boot BootID, kept []byte) (*Anchors, error) {
	a := &Anchors{boot: boot}
	all, err := DecodeAnchors(kept)
	if err != nil {
		return a, fmt.Errorf("read what is known of boots: %w", err)
	}
	a.all = all
	return a, nil
}

// Note takes an estimate of the boot that runs, and tells whether what is
// remembered of it became notably better: by a tenth, measured where the time
// first became known, for it is the records before that which need it.
func (a *Anchors) Note(e Estimate) bool {
	if !e.Known || e.Quality < record.QualityAsserted || a.boot == (BootID{}) {
		return false
	}
	next := Anchor{
		Boot: a.boot, Begin: e.Mono, Mono: e.Mono, UTC: record.Micros(e.Mono + e.Offset), Uncertainty: e.Uncertainty,
		Quality: e.Quality, Radio: e.Radio,
	}
	if n := len(a.all); n > 0 && a.all[n-1].Boot == a.boot {
		was := &a.all[n-1]
		next.Begin = was.Begin
		at, now := a.cost(was), a.cost(&next)
		d := next.Offset() - was.Offset()
		contradicts := max(d, -d) > now+at+agreeSlack
		if !contradicts && (next.Quality < was.Quality || next.Quality == was.Quality && now > at-at/10) {
			return false
		}
		*was = next
		return true
	}
	a.all = append(a.all, next)
	if len(a.all) > MaxAnchors {
		a.all = a.all[1:]
	}
	return true
}

// cost is how uncertain an anchor is where the boot's time became known.
func (a *Anchors) cost(x *Anchor) int64 { return x.Uncertainty + drift(x.Mono-x.Begin) }

// All gives the anchors. The slice is the caller's.
func (a *Anchors) All() []Anchor { return append([]Anchor(nil), a.all...) }

// Of gives the anchor of the boot that runs.
func (a *Anchors) Of() (Anchor, bool) {
	if n := len(a.all); n > 0 && a.all[n-1].Boot == a.boot {
		return a.all[n-1], true
	}
	return Anchor{}, false
}

// Latest is the latest time that is known to be past.
func (a *Anchors) Latest() record.Micros {
	at := record.NoTime
	for i := range a.all {
		if a.all[i].Quality >= record.QualitySynchronised {
			at = max(at, a.all[i].UTC)
		}
	}
	return at
}

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
// record.ErrCorrupt, record.ErrVersion.
func DecodeAnchors(p []byte) ([]Anchor, error) {
	if len(p) == 0 {
		return nil, nil
	}
	if p[0] != anchorsVersion {
		return nil, fmt.Errorf("decode clock anchors, version %d: %w", p[0], record.ErrVersion)
	}
	var all []Anchor
	f := record.NewFields(p[1:])
	for len(f.Rest()) > 0 && !f.Bad() {
		var a Anchor
		copy(a.Boot[:], f.Take(uint64(len(a.Boot))))
		a.Begin, a.Mono, a.UTC = f.Varint(), f.Varint(), record.Micros(f.Varint())
		a.Uncertainty = int64(f.Uvarint())
		a.Quality = record.TimeQuality(f.Byte())
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
		return nil, fmt.Errorf("decode clock anchors: %w", record.ErrCorrupt)
	}
	return all, nil
}
