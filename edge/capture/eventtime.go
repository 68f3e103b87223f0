package capture

import (
	"time"

	"landfall/decoders/nmea"
	"landfall/edge/record"
)

// The span in which a TAG time is believed: 2000 to 2100 UTC. Others are of
// clocks that were never set.
const (
	sanestTime record.Micros = 946_684_800_000_000
	latestTime record.Micros = 4_102_444_800_000_000
)

// ownTime gives the time a piece states itself, in its TAG block's c:.
func ownTime(p *nmea.Sentence) (record.Micros, bool) {
	if len(p.Tag) == 0 {
		return 0, false
	}
	t, ok := p.TagTime()
	at := record.Micros(t)
	if !ok || at < sanestTime || at >= latestTime {
		return 0, false
	}
	return at, true
}

// replayClock stands in for the clocks of a gateway when a file is replayed.
// Its time is the last TAG time seen, before the first one the base time. Its
// monotonic time, by which fragments expire, goes a millisecond a sentence and
// along with the newest TAG time: a step of that is bounded, because one wrong
// time must not pull the clock on for ever.
type replayClock struct {
	base   record.Micros
	last   record.Micros // TAG time seen last
	seen   bool          // last is set
	newest record.Micros
	now    int64
}

const replayStep = int64(time.Millisecond / time.Microsecond)

// tick takes note of the next sentence and its own time, and gives the
// monotonic time.
func (r *replayClock) tick(own record.Micros, hasOwn bool) int64 {
	step := replayStep
	if hasOwn {
		if r.newest != record.NoTime && own > r.newest {
			step = max(step, min(int64(own-r.newest), time.Hour.Microseconds()))
		}
		r.newest = max(r.newest, own)
		r.last, r.seen = own, true
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
