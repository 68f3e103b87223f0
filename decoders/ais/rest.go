package ais

import goais "github.com/BertoldVdb/go-ais"

// The types that are too rare for their decoding to be written again: 7, 10, 12
// to 17, 22, 23, 25 and 26 are decoded by go-ais.

// fullBits is the length go-ais wants of types that real equipment sends
// without their spare bits; what is missing is filled up with zeros.
var fullBits = [28]uint16{10: 72, 16: 96, 22: 168, 23: 160}

// decoder holds what decoding with go-ais needs. go-ais takes one byte a bit.
type decoder struct {
	codec *goais.Codec
	bits  []byte
}

// decodeRest decodes with go-ais.
func (r *Rows) decodeRest(b *bits) error {
	if r.dec == nil {
		codec := goais.CodecNewFast(false, false, true)
		codec.FloatWithoutConversion = true // sentinels are compared as integers
		r.dec = &decoder{codec: codec}
	}
	packet := r.dec.codec.DecodePacket(r.dec.expand(b, int(fullBits[r.Header.MsgType])))
	switch {
	case packet != nil:
		r.fill(packet, b)
	case r.Header.MsgType == 25 || r.Header.MsgType == 26:
		r.setBinary(b, undeclaredData)
	default:
		return ErrShort
	}
	return nil
}

// undeclaredData is where the data begins in a type 25 or 26 that is too short
// for the addressee, application and communication state it announces: all of
// it is kept as bits.
const undeclaredData = 40

// expand gives the bits one a byte, at least full of them.
func (d *decoder) expand(b *bits, full int) []byte {
	d.bits = d.bits[:0]
	for _, c := range b.buf[:b.end] {
		d.bits = append(d.bits, c>>7, c>>6&1, c>>5&1, c>>4&1, c>>3&1, c>>2&1, c>>1&1, c&1)
	}
	d.bits = d.bits[:b.n]
	for len(d.bits) < full {
		d.bits = append(d.bits, 0)
	}
	return d.bits
}

// fill sets the row of a packet.
func (r *Rows) fill(packet goais.Packet, b *bits) {
	switch m := packet.(type) {
	case goais.SingleSlotBinaryMessage:
		r.singleSlot(&m)
	case goais.MultiSlotBinaryMessage:
		r.multiSlot(&m)
	case goais.AddessedSafetyMessage:
		r.addressedSafety(&m)
	case goais.SafetyBroadcastMessage:
		r.safety(&m)
	default:
		r.other(packet)
	}
}

// singleSlot: type 25.
func (r *Rows) singleSlot(m *goais.SingleSlotBinaryMessage) {
	r.setPayload(m.Payload)
	r.Binary.DestMMSI = optional(m.DestinationID, m.DestinationIDValid)
	r.Binary.setApplication(m.ApplicationID, m.ApplicationIDValid)
}

// multiSlot: type 26.
func (r *Rows) multiSlot(m *goais.MultiSlotBinaryMessage) {
	r.setPayload(m.Payload)
	r.Binary.DestMMSI = optional(m.DestinationID, m.DestinationIDValid)
	r.Binary.setApplication(m.ApplicationID, m.ApplicationIDValid)
	state := m.CommunicationState
	if m.CommunicationStateIsItdma {
		state |= 1 << 19
	}
	r.Binary.CommState = Some(state)
}

func (x *Binary) setApplication(id goais.FieldApplicationIdentifier, valid bool) {
	x.DAC, x.FID = optional(id.DesignatedAreaCode, valid), optional(id.FunctionIdentifier, valid)
}

// setPayload begins a Binary row with the data, one byte a bit, packed.
func (r *Rows) setPayload(data []byte) {
	r.data = pack(r.data[:0], data)
	r.Binary = Binary{Header: r.Header, Data: r.data, DataBits: len(data)}
	r.HasBinary = true
}

// pack appends bits, one a byte, to dst, eight a byte, the last filled with
// zeros.
func pack(dst, data []byte) []byte {
	var acc byte
	for i, bit := range data {
		acc |= bit << (7 - i&7)
		if i&7 == 7 || i == len(data)-1 {
			dst = append(dst, acc)
			acc = 0
		}
	}
	return dst
}

// addressedSafety: type 12.
func (r *Rows) addressedSafety(m *goais.AddessedSafetyMessage) {
	r.Safety = Safety{
		Header:     r.Header,
		DestMMSI:   Some(m.DestinationID),
		Sequence:   Some(m.SequenceNumber),
		Retransmit: Some(m.Retransmission),
		Text:       cut(m.Text),
	}
	r.HasSafety = true
}

// safety: type 14.
func (r *Rows) safety(m *goais.SafetyBroadcastMessage) {
	r.Safety = Safety{Header: r.Header, Text: cut(m.Text)}
	r.HasSafety = true
}
