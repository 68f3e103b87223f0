package record

import (
	"encoding/binary"
	"fmt"
)

// AnnType names what an annotation says. The numbers are part of the format; a
// reader passes over types it does not know.
type AnnType uint8

// The annotations known so far. They take no offset.
const (
	AnnSource    AnnType = 1 // SourceName: a source used in this block
	AnnBoot      AnnType = 2 // 16 bytes: boot id that Monotonic counts from
	AnnMark      AnnType = 3 // Mark: position or dedupe mark of a resendable source
	AnnWatermark AnnType = 4 // Watermark: of the gateway or of one source
	AnnLoss      AnnType = 5 // text: why a loss block's range was given up
	AnnDigest    AnnType = 6 // Digest: of the log at the block's end
)

// Annotation is one undecoded annotation.
type Annotation struct {
	Type AnnType
	Body []byte
}

// Annotations walks the block's annotations in order.
func (b *Block) Annotations(yield func(Annotation) bool) { walkAnnotations(b.ann, yield) }

func walkAnnotations(ann []byte, yield func(Annotation) bool) {
	for rest := ann; len(rest) > 0; {
		size, k := binary.Uvarint(rest[1:])
		a := Annotation{Type: AnnType(rest[0]), Body: rest[1+k : 1+k+int(size)]}
		if !yield(a) {
			return
		}
		rest = rest[1+k+int(size):]
	}
}

// SourceName gives a source's number within a block its name.
type SourceName struct {
	Source uint32
	Name   string
}

// Annotation encodes s: uvarint number, then the name.
func (s SourceName) Annotation() Annotation {
	return Annotation{AnnSource, append(binary.AppendUvarint(nil, uint64(s.Source)), s.Name...)}
}

// SourceName decodes an AnnSource. Error: ErrCorrupt.
func (a Annotation) SourceName() (SourceName, error) {
	d := NewFields(a.Body)
	s := SourceName{Source: uint32(d.Uvarint())}
	if d.Bad() {
		return SourceName{}, fmt.Errorf("decode source annotation: %w", ErrCorrupt)
	}
	s.Name = string(d.Rest())
	return s, nil
}

// Mark is a resendable source's own position or dedupe mark. It is durable
// exactly when the records of its block are.
type Mark struct {
	Name  string // the source's name
	Value []byte // in the source's own form
}

// Annotation encodes m: uvarint length, name, value.
func (m Mark) Annotation() Annotation {
	body := binary.AppendUvarint(nil, uint64(len(m.Name)))
	return Annotation{AnnMark, append(append(body, m.Name...), m.Value...)}
}

// Mark decodes an AnnMark; Value aliases the block. Error: ErrCorrupt.
func (a Annotation) Mark() (Mark, error) {
	d := NewFields(a.Body)
	name := d.Bytes()
	if d.Bad() {
		return Mark{}, fmt.Errorf("decode mark annotation: %w", ErrCorrupt)
	}
	return Mark{Name: string(name), Value: d.Rest()}, nil
}

// Watermark is a watermark as of the end of its block. An empty Source means
// the whole gateway: the minimum over its sources that are not idle.
type Watermark struct {
	Source string
	At     Micros // no event older than this is expected; NoTime: unknown
	Idle   bool   // the source is silent past its IdleTimeout and holds nothing back
}

// Annotation encodes w: varint time, one byte idle, then the source's name.
func (w Watermark) Annotation() Annotation {
	body := binary.AppendVarint(nil, int64(w.At))
	idle := byte(0)
	if w.Idle {
		idle = 1
	}
	return Annotation{AnnWatermark, append(append(body, idle), w.Source...)}
}

// Watermark decodes an AnnWatermark. Error: ErrCorrupt.
func (a Annotation) Watermark() (Watermark, error) {
	d := NewFields(a.Body)
	w := Watermark{At: Micros(d.Varint()), Idle: d.Byte() == 1}
	if d.Bad() || w.At != NoTime && w.At < MinTime { // one too far ahead is the engine's to refuse
		return Watermark{}, fmt.Errorf("decode watermark annotation: %w", ErrCorrupt)
	}
	w.Source = string(d.Rest())
	return w, nil
}

// Opening is the content of offset 0 of every log. It names the log before it,
// so that the audit knows where every closed log ended, and declares the
// interval in which nothing can have been captured.
type Opening struct {
	Prev         LogID  // the log before this one; zero for the first
	PrevEnd      Offset // where Prev ended
	PrevLastAt   Micros // ReceivedAt of Prev's last durable record; NoTime when none
	OpenedAt     Micros // the wall clock when this log was opened
	CutTailBytes uint64 // bytes after Prev's last valid block that were no block
	// PrevEndUnproven: Prev's newest segment is gone; it ended at PrevEnd or
	// after it.
	PrevEndUnproven bool
	// PrevChain is the hash of Prev's last block, the one that ends at PrevEnd; zero:
	// not known, or said by a version that did not keep it. Beside the cloud only the
	// gateway that wrote Prev knows it.
	PrevChain Hash
}

// Encode returns the opening's bytes, the Raw of a KindLogOpen record:
// 1 byte version, 16 bytes Prev, uvarint PrevEnd, varint PrevLastAt, varint
// OpenedAt, uvarint CutTailBytes, and, where it is known, 16 bytes PrevChain.
// Version 1, or, when PrevEndUnproven, 2. Readers pass over what follows the
// fields that they know, so PrevChain needed no version of its own.
func (o Opening) Encode() []byte {
	p := []byte{1}
	if o.PrevEndUnproven {
		p[0] = 2
	}
	p = append(p, o.Prev[:]...)
	p = binary.AppendUvarint(p, uint64(o.PrevEnd))
	p = binary.AppendVarint(p, int64(o.PrevLastAt))
	p = binary.AppendVarint(p, int64(o.OpenedAt))
	p = binary.AppendUvarint(p, o.CutTailBytes)
	if o.PrevChain != (Hash{}) {
		p = append(p, o.PrevChain[:]...)
	}
	return p
}

// Proves tells whether an opening shows that whoever wrote it held Prev: it says
// that Prev ended at an offset, and knows the hash of the block that ends there.
// A zero chain, as behind a loss, proves nothing.
func (o *Opening) Proves(end Offset, chain Hash) bool {
	return !o.PrevEndUnproven && o.PrevEnd == end && chain != (Hash{}) && o.PrevChain == chain
}

// DecodeOpening reads what Encode wrote; a time that is not Plausible is NoTime. Errors: ErrCorrupt, ErrVersion.
func DecodeOpening(p []byte) (Opening, error) {
	if len(p) < 17 {
		return Opening{}, fmt.Errorf("decode log opening of %d bytes: %w", len(p), ErrCorrupt)
	}
	if p[0] != 1 && p[0] != 2 {
		return Opening{}, fmt.Errorf("decode log opening version %d: %w", p[0], ErrVersion)
	}
	d := NewFields(p[17:])
	o := Opening{Prev: LogID(p[1:17]), PrevEndUnproven: p[0] == 2}
	o.PrevEnd = Offset(d.Uvarint())
	o.PrevLastAt = Micros(d.Varint()).OrNone()
	o.OpenedAt = Micros(d.Varint()).OrNone()
	o.CutTailBytes = d.Uvarint()
	if d.Bad() {
		return Opening{}, fmt.Errorf("decode log opening: %w", ErrCorrupt)
	}
	if len(d.Rest()) >= len(o.PrevChain) {
		copy(o.PrevChain[:], d.Rest())
	}
	return o, nil
}
