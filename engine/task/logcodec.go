package task

import (
	"encoding/binary"
	"fmt"

	"landfall/decoders/ais"
	"landfall/edge/record"
)

// logCodec writes a log's state, version 4, under its 16 bytes:
//
//	uvarint length, gateway
//	uvarint Next
//	16 bytes Hash
//	uvarint Gaps
//	1 byte: bit 0 Digest is known, bit 1 Closed, bit 2 there is a Hole
//	8 bytes Digest, little-endian, zero where it is not known
//	16 bytes Previous
//	uvarint PreviousEnd
//	varint OpenedAt
//	uvarint End
//	uvarint ShownAt, 0 where it is not known
//	the Hole, if there is one: uvarint length and name of the link of At, uvarint
//	offset of At, varint Since, uvarints Order, From, End, Blocks and GivenUp, 0 or 1
//	the boundaries, oldest first: uvarint First, uvarint Count, 16 bytes Hash each
//
// Version 3 had no ShownAt. Version 2 had neither End nor Hole. Version 1 had the boundaries right after Gaps:
// the digest is not known then, nor what opened the log.
type logCodec struct{}

// Bits of a log's state.
const (
	bitDigest = 1 << iota
	bitClosed
	bitHole
)

// Version implements state.Codec.
func (logCodec) Version() uint16 { return 4 }

// AppendKey implements state.Codec.
func (logCodec) AppendKey(dst []byte, k record.LogID) []byte { return append(dst, k[:]...) }

// AppendValue implements state.Codec.
func (logCodec) AppendValue(dst []byte, v logState) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(v.Gateway)))
	dst = append(dst, v.Gateway...)
	dst = binary.AppendUvarint(dst, uint64(v.Next))
	dst = append(dst, v.Hash[:]...)
	dst = binary.AppendUvarint(dst, v.Gaps)
	bits, digest := byte(0), record.Digest(0)
	if v.Digest.Valid {
		bits, digest = bits|bitDigest, v.Digest.Value
	}
	if v.Closed {
		bits |= bitClosed
	}
	if v.Hole.isOpen() {
		bits |= bitHole
	}
	dst = binary.LittleEndian.AppendUint64(append(dst, bits), uint64(digest))
	dst = binary.AppendUvarint(append(dst, v.Previous[:]...), uint64(v.PreviousEnd))
	dst = binary.AppendVarint(dst, int64(v.OpenedAt))
	dst = binary.AppendUvarint(dst, uint64(v.End))
	dst = binary.AppendUvarint(dst, uint64(max(v.ShownAt, 0)))
	if v.Hole.isOpen() {
		dst = v.Hole.append(dst)
	}
	for _, b := range v.Recent {
		dst = binary.AppendUvarint(dst, uint64(b.First))
		dst = binary.AppendUvarint(dst, uint64(b.Count))
		dst = append(dst, b.Hash[:]...)
	}
	return dst
}

// DecodeKey implements state.Codec.
func (logCodec) DecodeKey(_ uint16, p []byte) (record.LogID, error) {
	if len(p) != 16 {
		return record.LogID{}, fmt.Errorf("decode log key of %d bytes: %w", len(p), record.ErrCorrupt)
	}
	return record.LogID(p), nil
}

// DecodeValue implements state.Codec.
func (logCodec) DecodeValue(version uint16, p []byte) (logState, error) {
	r := record.NewFields(p)
	st := logState{OpenedAt: record.NoTime}
	st.Gateway = string(r.Bytes())
	st.Next = record.Offset(r.Uvarint())
	copy(st.Hash[:], r.Take(16))
	st.Gaps = r.Uvarint()
	bits := byte(0)
	if version >= 2 {
		bits = r.Byte()
		if p := r.Take(8); bits&bitDigest != 0 && len(p) == 8 {
			st.Digest = ais.Some(record.Digest(binary.LittleEndian.Uint64(p)))
		}
		st.Closed = bits&bitClosed != 0
		copy(st.Previous[:], r.Take(16))
		st.PreviousEnd = record.Offset(r.Uvarint())
		st.OpenedAt = record.Micros(r.Varint())
	}
	if version >= 3 {
		st.End = record.Offset(r.Uvarint())
		if version >= 4 {
			st.ShownAt = record.Micros(r.Uvarint())
		}
		if bits&bitHole != 0 {
			st.Hole.decode(&r)
		}
	}
	for !r.Bad() && len(r.Rest()) > 0 {
		b := boundary{First: record.Offset(r.Uvarint()), Count: uint32(r.Uvarint())}
		copy(b.Hash[:], r.Take(16))
		st.Recent = append(st.Recent, b)
	}
	if r.Bad() || len(st.Recent) > keptBoundaries {
		return logState{}, fmt.Errorf("decode log state: %w", record.ErrCorrupt)
	}
	return st, nil
}
