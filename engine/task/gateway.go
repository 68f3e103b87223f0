package task

import (
	"encoding/binary"
	"fmt"

	"landfall/edge/record"
)

// gatewayState is what a task remembers of one gateway.
type gatewayState struct {
	Watermark record.Micros // NoTime until the gateway has told one
	Log       record.LogID  // its newest log
}

// gatewayCodec writes version 1. Key: the name. Value: varint watermark, 16
// bytes log.
type gatewayCodec struct{}

// Version implements state.Codec.
func (gatewayCodec) Version() uint16 { return 1 }

// AppendKey implements state.Codec.
func (gatewayCodec) AppendKey(dst []byte, k string) []byte { return append(dst, k...) }

// AppendValue implements state.Codec.
func (gatewayCodec) AppendValue(dst []byte, v gatewayState) []byte {
	return append(binary.AppendVarint(dst, int64(v.Watermark)), v.Log[:]...)
}

// DecodeKey implements state.Codec.
func (gatewayCodec) DecodeKey(_ uint16, p []byte) (string, error) { return string(p), nil }

// DecodeValue implements state.Codec.
func (gatewayCodec) DecodeValue(_ uint16, p []byte) (gatewayState, error) {
	at, k := binary.Varint(p)
	if k <= 0 || len(p) != k+16 {
		return gatewayState{}, fmt.Errorf("decode gateway state of %d bytes: %w", len(p), record.ErrCorrupt)
	}
	return gatewayState{Watermark: record.Micros(at), Log: record.LogID(p[k:])}, nil
}
