package ais

import goais "github.com/BertoldVdb/go-ais"

// addressedBinary: type 6.
func (r *Rows) addressedBinary(m *goais.AddressedBinaryMessage) {
	r.setBinary(m.BinaryData)
	x := &r.Binary
	x.DestMMSI = Some(m.DestinationID)
	x.Sequence = Some(m.SequenceNumber)
	x.Retransmit = Some(m.Retransmission)
	x.setApplication(m.ApplicationID)
}

// broadcastBinary: type 8.
func (r *Rows) broadcastBinary(m *goais.BinaryBroadcastMessage) {
	r.setBinary(m.BinaryData)
	r.Binary.setApplication(m.ApplicationID)
}

// singleSlot: type 25.
func (r *Rows) singleSlot(m *goais.SingleSlotBinaryMessage) {
	r.setBinary(m.Payload)
	r.Binary.DestMMSI = optional(m.DestinationID, m.DestinationIDValid)
	if m.ApplicationIDValid {
		r.Binary.setApplication(m.ApplicationID)
	}
}

// multiSlot: type 26.
func (r *Rows) multiSlot(m *goais.MultiSlotBinaryMessage) {
	r.setBinary(m.Payload)
	r.Binary.DestMMSI = optional(m.DestinationID, m.DestinationIDValid)
	if m.ApplicationIDValid {
		r.Binary.setApplication(m.ApplicationID)
	}
	state := m.CommunicationState
	if m.CommunicationStateIsItdma {
		state |= 1 << 19
	}
	r.Binary.CommState = Some(state)
}

func (x *Binary) setApplication(id goais.FieldApplicationIdentifier) {
	x.DAC, x.FID = Some(id.DesignatedAreaCode), Some(id.FunctionIdentifier)
}

// setBinary begins a Binary row with the data, one byte a bit, packed.
func (r *Rows) setBinary(data []byte) {
	r.data = r.data[:0]
	var acc byte
	for i, bit := range data {
		acc |= bit << (7 - i&7)
		if i&7 == 7 || i == len(data)-1 {
			r.data = append(r.data, acc)
			acc = 0
		}
	}
	r.Binary = Binary{Header: r.Header, Data: r.data, DataBits: len(data)}
	r.HasBinary = true
}

// addressedSafety: type 12.
func (r *Rows) addressedSafety(m *goais.AddessedSafetyMessage) {
	r.Safety = Safety{
		Header:     r.Header,
		DestMMSI:   Some(m.DestinationID),
		Sequence:   Some(m.SequenceNumber),
		Retransmit: Some(m.Retransmission),
		Text:       text(m.Text),
	}
	r.HasSafety = true
}

// safety: type 14.
func (r *Rows) safety(m *goais.SafetyBroadcastMessage) {
	r.Safety = Safety{Header: r.Header, Text: text(m.Text)}
	r.HasSafety = true
}
