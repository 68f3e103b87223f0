package capture

import (
	"landfall/decoders/aistime"
	"landfall/decoders/nmea"
	"landfall/edge/clock"
	"landfall/edge/record"
)

// Bounds within which a time is believed, in microseconds.
const (
	// aheadOfClock is how far ahead of the gateway's clock, beside its
	// uncertainty, a stated time may be.
	aheadOfClock = 2_000_000
	// behindClock is how far a time that a live source states may lie behind:
	// satellites deliver after hours.
	behindClock = 24 * 3_600_000_000
	// agreesWithClock is how far it may lie behind and be called confirmed.
	agreesWithClock = 10_000_000
	// A slot is taken for that of a stated time when it begins at most this long
	// before, and of a receipt at most this long.
	slotBeforeStated  = 2_000_000
	slotBeforeReceipt = 10_000_000
	// slotAfterUsual bounds it, beyond the usual, where the way takes about the
	// same time for all.
	slotAfterUsual = 1_000_000
)

// timing is what a message says of its transmission.
type timing struct {
	slot  int16 // aistime.Absent: it does not say
	slots uint8 // that it took; 0: no AIS message
}

// hear takes what an AIS message of one sentence says of time, and gives it to
// the clock. Own ship's message was not received, so its slot tells nothing of
// when it was.
func (c *Capturer) hear(s *Stream, p *nmea.Sentence, v *nmea.VDM, m *meta) timing {
	if c.cfg.Clock == nil && !m.own.is() || p.Flags&(nmea.FlagBadChecksum|nmea.FlagNoChecksum) != 0 {
		return timing{slot: aistime.Absent, slots: uint8(aistime.Slots(6*len(v.Payload) - v.Fill))}
	}
	h := c.decoders.heard(v.Payload, v.Fill)
	t := timing{slot: int16(h.Slot), slots: uint8(max(h.Slots, 1))}
	if v.Own {
		t.slot = aistime.Absent
	}
	if c.cfg.Clock == nil {
		return t
	}
	e := clock.Evidence{Observer: int(s.source), Mono: m.at.Monotonic, Sender: h.MMSI}
	if c.cfg.Clock.Compares() && !v.Own && (h.Second != aistime.Absent || h.UTC != 0) {
		c.cfg.Clock.Transmission(int(s.source), hash(v.Payload), m.at.Monotonic)
	}
	if h.Second != aistime.Absent {
		e.Kind, e.UTC = clock.KindSecond, record.Micros(h.Second)*1_000_000
		c.cfg.Clock.Observe(e)
	}
	if h.UTC != 0 {
		if m.own.is() {
			s.bias.learn(h.UTC - int64(m.own.at))
		}
		e.Kind, e.UTC, e.Clock = clock.KindBase, record.Micros(h.UTC), h.MMSI
		c.cfg.Clock.Observe(e)
		e.Clock = 0
	}
	switch {
	case v.Own:
	case h.Slot != aistime.Absent:
		e.Kind, e.UTC = clock.KindSlot, record.Micros(aistime.Start(h.Slot, 60_000_000-1))
		c.cfg.Clock.Observe(e)
	case h.Minutes != aistime.Absent:
		e.Kind, e.UTC = clock.KindMinute, record.Micros(h.Minutes)*60_000_000
		c.cfg.Clock.Observe(e)
	}
	return t
}

// hash is FNV-1a of 64 bits. That strangers can make two payloads alike gains them
// nothing that sending one payload twice would not.
func hash(p []byte) uint64 {
	h := uint64(14_695_981_039_346_656_037)
	for _, b := range p {
		h = (h ^ uint64(b)) * 1_099_511_628_211
	}
	return h
}

// unbias corrects a time stated by a clock that base stations in the same feed
// show to be wrong; by whole seconds, as they do.
func (c *Capturer) unbias(s *Stream, m *meta) {
	if s.bias.value != 0 && m.own.is() {
		m.own.at += record.Micros(s.bias.value)
		m.own.source = record.TimeRadio
	}
}

// witness gives the clock the time that stands with a piece, and that of a GNSS
// receiver on the same bus.
func (c *Capturer) witness(s *Stream, p *nmea.Sentence, m *meta) {
	e := clock.Evidence{Observer: int(s.source), Mono: m.at.Monotonic, UTC: m.own.at}
	switch {
	case m.own.source == record.TimeTag && p.Flags&nmea.FlagBadTagChecksum == 0:
		e.Kind = clock.KindStamp
		c.cfg.Clock.Observe(e)
	case m.own.source == record.TimeEnvelope:
		e.Kind = clock.KindEnvelope
		c.cfg.Clock.Observe(e)
	}
	if p.Kind != nmea.KindOther || p.Flags&(nmea.FlagBadChecksum|nmea.FlagNoChecksum) != 0 {
		return
	}
	if kind, utc, ok := s.fix.Read(p.Body, m.at.Monotonic); ok {
		e.Kind, e.UTC = kind, utc
		c.cfg.Clock.Observe(e)
	}
}

// stamp gives a record its event time. For an AIS message it is the start of the
// transmission's first slot.
//
// A stated time stands unless the clock refutes it; the slot that the message
// names makes it exact. Without one it is the receipt, corrected by what the
// clock is believed to be, less the usual way from air to gateway, or the slot
// itself. Without a clock it is the receipt as it was. A clock of which only the
// wall clock states the day refutes nobody.
func (c *Capturer) stamp(r *record.Record, m *meta) {
	now, uncertain, known := r.ReceivedAt, int64(0), false
	var e clock.Estimate
	if c.cfg.Clock != nil {
		if e = c.cfg.Clock.Current(); e.Known {
			now, uncertain = e.UTC(m.at.Monotonic)
			known = true
		}
	}
	switch {
	case m.own.is() && (e.Quality < record.QualityAsserted || c.believes(m, now, uncertain)):
		r.EventTime, r.TimeSource, r.TimeQuality = m.timing.statedSlot(m.own.at), m.own.source, record.QualityAsserted
		if e.Quality == record.QualitySynchronised && m.own.at >= now-record.Micros(uncertain+agreesWithClock) {
			r.TimeQuality = record.QualitySynchronised
		}
	case known:
		c.correct(r, m, &e, now, uncertain)
	case !c.cfg.Replay:
		r.EventTime, r.TimeSource, r.TimeQuality = m.at.At, record.TimeReceipt, record.QualityUnsynchronised
	case m.at.At != record.NoTime:
		r.EventTime, r.TimeSource = m.at.At, record.TimeBase
	default:
		r.EventTime = record.NoTime
	}
}

// believes tells whether a stated time may be right, by the clock. What comes
// through a source that is shown to delay nothing was not heard long ago.
func (c *Capturer) believes(m *meta, now record.Micros, uncertain int64) bool {
	if m.own.at > now+record.Micros(uncertain+aheadOfClock) {
		return false
	}
	if _, steady := c.cfg.Clock.Delay(int(m.source)); steady {
		return m.own.source != record.TimeRadio && m.own.at >= now-record.Micros(uncertain+agreesWithClock)
	}
	resends := c.cfg.Resends != nil && c.cfg.Resends(m.source)
	return resends || m.own.at >= now-record.Micros(uncertain+behindClock)
}

// correct gives a record the time of its receipt by the believed clock.
func (c *Capturer) correct(r *record.Record, m *meta, e *clock.Estimate, now record.Micros, uncertain int64) {
	r.TimeQuality, r.TimeSource = e.Quality, record.TimeClock
	if e.Radio {
		r.TimeSource = record.TimeRadio
	}
	r.EventTime = now
	if m.timing.slots == 0 {
		return
	}
	delay, steady := c.cfg.Clock.Delay(int(m.source))
	longest := int64(slotBeforeReceipt)
	if steady {
		longest = delay + slotAfterUsual // else the station is wrong
	}
	if at, ok := m.timing.receivedSlot(now, uncertain, longest); ok {
		r.EventTime, r.TimeSource = at, record.TimeRadio
		return
	}
	r.EventTime -= record.Micros(delay + int64(m.timing.slots-1)*aistime.Slot.Microseconds())
}

// statedSlot gives the start of the slot that a stated time belongs to, or that
// time. A time of whole seconds was cut.
func (t timing) statedSlot(at record.Micros) record.Micros {
	if t.slots == 0 || t.slot == aistime.Absent {
		return at
	}
	cut := record.Micros(50_000) // clocks differ
	if at%1_000_000 == 0 {
		cut = 999_999
	}
	if begin := record.Micros(aistime.Start(int(t.slot), int64(at+cut))); begin >= at-slotBeforeStated {
		return begin
	}
	return at
}

// receivedSlot gives the start of the slot of a message received at now, when
// that is known well enough to tell which minute's it is.
func (t timing) receivedSlot(now record.Micros, uncertain, longest int64) (record.Micros, bool) {
	if t.slot == aistime.Absent || uncertain > slotBeforeReceipt {
		return 0, false
	}
	begin := record.Micros(aistime.Start(int(t.slot), int64(now)+uncertain))
	return begin, begin >= now-record.Micros(longest+uncertain)
}
