package capture

import (
	"time"

	"landfall/decoders/nmea"
	"landfall/edge/record"
)

// The span in which a stated time is believed: 2000 to 2100 UTC. Others are of
// clocks that were never set.
const (
	sanestTime record.Micros = 946_684_800_000_000
	latestTime record.Micros = 4_102_444_800_000_000
)

// stated is a time that came with a sentence; source TimeNone: none did.
type stated struct {
	at     record.Micros
	source record.TimeSource
}

func (t stated) is() bool { return t.source != record.TimeNone }

// ownTime gives the time that stands with a piece: in its TAG block's c:, in the
// $PGHP before it, else after its checksum or before it. The latter two are the
// clocks of whoever stored the line, which may be later by hours in a satellite's
// feed; so they come last.
func (c *Capturer) ownTime(s *Stream, p *nmea.Sentence) stated {
	if len(p.Tag) > 0 {
		if t, ok := sane(p.TagTime()); ok {
			return stated{t, record.TimeTag}
		}
	}
	if t, ok := c.announcedTime(s, p); ok {
		return stated{t, record.TimeEnvelope}
	}
	if p.Flags&nmea.FlagSuffix != 0 {
		if m := p.Metadata(); m.HasTime {
			if t, ok := sane(m.Time, true); ok {
				return stated{t, record.TimeEnvelope}
			}
		}
	}
	if p.Flags&nmea.FlagPrefix != 0 {
		if t, ok := sane(p.PrefixTime()); ok {
			return stated{t, record.TimeEnvelope}
		}
	}
	return stated{}
}

func sane(micros int64, ok bool) (record.Micros, bool) {
	at := record.Micros(micros)
	return at, ok && at >= sanestTime && at < latestTime
}

// announcement is what a $PGHP said of the AIS sentence after it; at 0: nothing.
type announcement struct {
	at  record.Micros
	sum byte
}

// announcedTime gives the time of the $PGHP before p, which is good for the next
// AIS sentence only, and for that only when it states that sentence's checksum.
// What it states of a message of several sentences is known when all have come;
// there the first has it. A $PGHP itself has its own.
func (c *Capturer) announcedTime(s *Stream, p *nmea.Sentence) (record.Micros, bool) {
	switch p.Kind {
	case nmea.KindVDM:
		a := s.announced
		if a.at == 0 {
			return 0, false
		}
		c.announce(s, announcement{})
		v, err := nmea.ParseVDM(p.Body)
		sum, ok := p.Sum()
		return a.at, err == nil && ok && (v.Total > 1 && v.Number == 1 || v.Total == 1 && sum == a.sum)
	case nmea.KindOther:
		h, ok := p.PGHP()
		at, ok := sane(h.Time, ok)
		if ok && h.HasSum {
			c.announce(s, announcement{at, h.Sum})
		}
		return at, ok
	}
	return 0, false
}

func (c *Capturer) announce(s *Stream, a announcement) {
	s.announced = a
	switch {
	case a.at == 0:
		delete(c.announced, s)
	case s.resends:
		c.announced[s] = struct{}{}
	}
}

// replayClock stands in for the clocks of a gateway when a file is replayed.
// Its time is the last stated time seen, before the first one the base time. Its
// monotonic time, by which fragments expire, goes a millisecond a sentence and
// along with the newest stated time: a step of that is bounded, because one
// wrong time must not pull the clock on for ever.
type replayClock struct {
	base   record.Micros
	last   record.Micros // stated time believed last
	seen   bool          // last is set
	doubt  record.Micros // the last one that was not believed
	newest record.Micros // of those believed
	now    int64
}

// replayLeap is how far a stated time may be from the one before and be believed
// alone. Farther, it is when the next one agrees: a gap in the recording shows
// in all that follows, a wrong date in one line.
const replayLeap = record.Micros(24 * time.Hour / time.Microsecond)

// believes takes a stated time, and tells whether it is one to go by.
func (r *replayClock) believes(at record.Micros) bool {
	near := func(other record.Micros) bool { return at-other < replayLeap && other-at < replayLeap }
	if r.seen && !near(r.last) && !near(r.doubt) {
		r.doubt = at
		return false
	}
	return true
}

const replayStep = int64(time.Millisecond / time.Microsecond)

// tick takes note of the next sentence and its own time, and gives the
// monotonic time.
func (r *replayClock) tick(own stated) int64 {
	step := replayStep
	if own.is() && r.believes(own.at) {
		if r.newest != record.NoTime && own.at > r.newest {
			step = max(step, min(int64(own.at-r.newest), time.Hour.Microseconds()))
		}
		r.newest = max(r.newest, own.at)
		r.last, r.seen = own.at, true
	}
	r.now += step
	return r.now
}

// time is the receipt time of the sentence just taken note of.
func (r *replayClock) time() record.Micros {
	if r.seen {
		return r.last
	}
	return r.base
}

// recordFlags gives the record's flags for a sentence's. The header of an IEC
// 61162-450 datagram is no flaw.
func recordFlags(f nmea.Flags) record.Flags {
	if f == 0 {
		return 0
	}
	var flags record.Flags
	for _, m := range [...]struct {
		from nmea.Flags
		to   record.Flags
	}{
		{nmea.FlagNoChecksum, record.FlagNoChecksum},
		{nmea.FlagBadChecksum, record.FlagBadChecksum},
		{nmea.FlagBadTagChecksum, record.FlagBadTagChecksum},
		{nmea.FlagPrefix, record.FlagPrefix},
		{nmea.FlagSuffix, record.FlagSuffix},
		{nmea.FlagUnknownTalker, record.FlagUnknownTalker},
		{nmea.FlagTruncated, record.FlagTruncated},
		{nmea.FlagMalformed, record.FlagMalformed},
	} {
		if f&m.from != 0 {
			flags |= m.to
		}
	}
	return flags
}
