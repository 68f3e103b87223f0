package operator

import (
	"encoding/binary"
	"fmt"
	"math"

	"landfall/edge/record"
)

// windowCodec writes version 1. Key: gateway, source, sensor and metric, each
// with its uvarint length, varint start, uvarint size. Value: uvarint count;
// sum, min, max and last, 8 bytes each (IEEE 754, big-endian); varint time of
// last, 16 bytes log, uvarint offset, uvarint row, unit.
type windowCodec struct{}

// Version implements state.Codec.
func (windowCodec) Version() uint16 { return 1 }

// AppendKey implements state.Codec.
func (windowCodec) AppendKey(dst []byte, k windowKey) []byte {
	for _, s := range [...]string{k.Gateway, k.Source, k.Sensor, k.Metric} {
		dst = append(binary.AppendUvarint(dst, uint64(len(s))), s...)
	}
	return binary.AppendUvarint(binary.AppendVarint(dst, k.Start), uint64(k.Size))
}

// AppendValue implements state.Codec.
func (windowCodec) AppendValue(dst []byte, v windowSum) []byte {
	dst = binary.AppendUvarint(dst, v.Count)
	for _, f := range [...]float64{v.Sum, v.Min, v.Max, v.Last} {
		dst = binary.BigEndian.AppendUint64(dst, math.Float64bits(f))
	}
	dst = append(binary.AppendVarint(dst, int64(v.LastAt)), v.Log[:]...)
	dst = binary.AppendUvarint(dst, uint64(v.Offset))
	return append(binary.AppendUvarint(dst, uint64(v.Row)), v.Unit...)
}

// DecodeKey implements state.Codec.
func (windowCodec) DecodeKey(_ uint16, p []byte) (windowKey, error) {
	f := record.NewFields(p)
	k := windowKey{Gateway: string(f.Bytes()), Source: string(f.Bytes()), Sensor: string(f.Bytes()), Metric: string(f.Bytes())}
	k.Start, k.Size = f.Varint(), int64(f.Uvarint())
	if f.Bad() || len(f.Rest()) > 0 || k.Size <= 0 {
		return windowKey{}, fmt.Errorf("decode window key of %d bytes: %w", len(p), record.ErrCorrupt)
	}
	return k, nil
}

// DecodeValue implements state.Codec.
func (windowCodec) DecodeValue(_ uint16, p []byte) (windowSum, error) {
	f := record.NewFields(p)
	v := windowSum{Count: f.Uvarint()}
	for _, to := range [...]*float64{&v.Sum, &v.Min, &v.Max, &v.Last} {
		if b := f.Take(8); b != nil {
			*to = math.Float64frombits(binary.BigEndian.Uint64(b))
		}
	}
	v.LastAt = record.Micros(f.Varint())
	copy(v.Log[:], f.Take(uint64(len(v.Log))))
	v.Offset, v.Row = record.Offset(f.Uvarint()), int32(f.Uvarint())
	if f.Bad() || v.Count == 0 {
		return windowSum{}, fmt.Errorf("decode window of %d bytes: %w", len(p), record.ErrCorrupt)
	}
	v.Unit = string(f.Rest())
	return v, nil
}

// closedCodec writes version 1. Key: gateway; value: varint end.
type closedCodec struct{}

// Version implements state.Codec.
func (closedCodec) Version() uint16 { return 1 }

// AppendKey implements state.Codec.
func (closedCodec) AppendKey(dst []byte, gateway string) []byte { return append(dst, gateway...) }

// AppendValue implements state.Codec.
func (closedCodec) AppendValue(dst []byte, end int64) []byte { return binary.AppendVarint(dst, end) }

// DecodeKey implements state.Codec.
func (closedCodec) DecodeKey(_ uint16, p []byte) (string, error) { return string(p), nil }

// DecodeValue implements state.Codec.
func (closedCodec) DecodeValue(_ uint16, p []byte) (int64, error) {
	end, n := binary.Varint(p)
	if n <= 0 || n != len(p) {
		return 0, fmt.Errorf("decode end of closed windows of %d bytes: %w", len(p), record.ErrCorrupt)
	}
	return end, nil
}
