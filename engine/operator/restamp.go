package operator

import (
	"landfall/decoders/aistime"
	"landfall/edge/record"
	"landfall/engine/table"
)

// receiptLag is from the start of a slot to the line of its message, beside the
// slot's own length, where nothing better is known; as at the gateway.
const receiptLag = 15_000

// slotWithin is how long before its receipt a slot may begin to be that of the
// message, and how uncertain the time may be to tell, in microseconds.
const slotWithin = 10_000_000

// restamp gives a record that was captured before the gateway knew the time, and
// sent after, its event time: its boot and monotonic time never were wrong. A
// record that nobody can give a time keeps its receipt and stays
// unsynchronised.
//
// It depends on the landed copy alone, which is the first that landed: a copy
// that is sent again knowing more is a duplicate.
func (d *Decode) restamp(c *Context, r *record.Record, t *table.Times) {
	if t.TimeQuality != record.QualityUnsynchronised || c.Anchor == nil {
		return
	}
	at, uncertain := c.Anchor.At(r.Monotonic)
	t.EventTime, t.TimeSource, t.TimeQuality = at, record.TimeClock, c.Anchor.Quality
	if c.Anchor.Radio {
		t.TimeSource = record.TimeRadio
	}
	if r.Kind != record.KindAIS || d.message.Parse(r.Raw) != nil {
		return
	}
	m := &d.message
	heard := aistime.Read(m.Payload, m.Fill)
	if heard.Slot != aistime.Absent && uncertain <= slotWithin && !m.First.Own {
		begin := record.Micros(aistime.Start(heard.Slot, int64(at)+uncertain))
		if begin >= at-slotWithin-record.Micros(uncertain) {
			t.EventTime, t.TimeSource = begin, record.TimeRadio
			return
		}
	}
	slots := max(1, aistime.Slots(6*len(m.Payload)-m.Fill))
	t.EventTime -= record.Micros(receiptLag + int64(slots)*aistime.Slot.Microseconds())
}
