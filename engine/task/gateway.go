package task

import (
	"encoding/binary"
	"fmt"

	"landfall/edge/record"
)

// gatewayState is what a task remembers of one gateway.
type gatewayState struct {
	Watermark record.Micros // NoTime until the gateway has told one
	Log       record.LogID  // its newest log; zero: nothing of it was taken
	// Conflicts counts what the gateway sent that contradicts a log: its blocks in the
	// table conflict, but for those that were set aside, and what it said of other
	// gateways' logs that turned out false later. A version before this one kept none.
	Conflicts  uint64
	ConflictAt record.Micros // when the newest of these landed, or was found; 0: none
}

// gatewayCodec writes version 2. Key: the name. Value: varint watermark, 16
// bytes log, uvarint Conflicts, uvarint ConflictAt. Version 1 ended with the log.
type gatewayCodec struct{}

// Version implements state.Codec.
func (gatewayCodec) Version() uint16 { return 2 }

// AppendKey implements state.Codec.
func (gatewayCodec) AppendKey(dst []byte, k string) []byte { return append(dst, k...) }

// AppendValue implements state.Codec.
func (gatewayCodec) AppendValue(dst []byte, v gatewayState) []byte {
	dst = append(binary.AppendVarint(dst, int64(v.Watermark)), v.Log[:]...)
	return binary.AppendUvarint(binary.AppendUvarint(dst, v.Conflicts), uint64(max(v.ConflictAt, 0)))
}

// DecodeKey implements state.Codec.
func (gatewayCodec) DecodeKey(_ uint16, p []byte) (string, error) { return string(p), nil }

// DecodeValue implements state.Codec.
func (gatewayCodec) DecodeValue(version uint16, p []byte) (gatewayState, error) {
	f := record.NewFields(p)
	v := gatewayState{Watermark: record.Micros(f.Varint())}
	copy(v.Log[:], f.Take(uint64(len(v.Log))))
	if version >= 2 {
		v.Conflicts, v.ConflictAt = f.Uvarint(), record.Micros(f.Uvarint())
	}
	if f.Bad() || len(f.Rest()) > 0 {
		return gatewayState{}, fmt.Errorf("decode gateway state of %d bytes: %w", len(p), record.ErrCorrupt)
	}
	return v, nil
}
