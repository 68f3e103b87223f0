package clock

import (
	"time"

	"landfall/edge/record"
)

// Kind is a way in which something outside tells the time.
type Kind uint8

// The kinds of evidence. Those after KindSensor and before KindCloud, and KindDaytime, have no date.
const (
	KindStamp    Kind = iota // TAG block c:
	KindEnvelope             // $PGHP, USCG suffix, time before the sentence
	KindBase                 // types 4 and 11, the station's own clock; Clock is its MMSI
	KindGNSS                 // ZDA or RMC with a fix
	KindDaytime              // GGA, GLL, GNS with a fix: time of day, never a date
	KindSensor               // a sensor's own time; all of a source are one clock, for one device may bring many
	KindSecond               // UTC second of a position fix
	KindMinute               // UTC hour and minute of a communication state
	KindSlot                 // slot of a communication state
	KindCloud                // time of the ingest's answer; authenticated: over verified TLS
	KindHost                 // the kernel says that NTP or PTP disciplines the clock
	kinds
)

var kindNames = [kinds]string{"tag", "envelope", "base_station", "gnss", "gnss_time_of_day", "sensor", "utc_second", "utc_minute", "slot", "ingest", "host_ntp"}

// String gives the name used by status and command line.
func (k Kind) String() string {
	if k < kinds {
		return kindNames[k]
	}
	return "unknown"
}

// Evidence is one thing that told the time. UTC is what it said, microseconds
// since 1970, or since the beginning of the period of its kind; Mono is when
// that was received, microseconds since boot.
type Evidence struct {
	Kind     Kind
	Observer int    // number of the source it came through; Local for cloud and host
	Clock    uint32 // whose clock, where one source brings several
	Sender   uint32 // MMSI that sent it, of kinds that many share a clock in
	Mono     int64
	UTC      record.Micros
	// Before is, for KindCloud, when the question was sent: UTC lies between. For
	// KindHost it is Mono less twice the kernel's bound of the error.
	Before int64
	// Trusted says, for KindCloud, that the answer was authenticated.
	Trusted bool
}

// family groups kinds that one party is behind: two kinds of a family are not
// independent of each other.
type family uint8

const (
	ofStations family = 1 << iota // base stations
	ofGNSS                        // a receiver on the bus
	ofStamps                      // the computer that stamps
	ofSensors                     // sensors
	ofTraffic                     // what ships say of second, minute and slot
	ofIngest                      // the engine
)

var families = [kinds]family{
	KindStamp: ofStamps, KindEnvelope: ofStamps, KindBase: ofStations, KindGNSS: ofGNSS, KindDaytime: ofGNSS,
	KindSensor: ofSensors,
	KindSecond: ofTraffic, KindMinute: ofTraffic, KindSlot: ofTraffic, KindCloud: ofIngest,
}

// Local is the Observer of evidence that came through no source.
const Local = -1

// delays are what is known of how late a kind of evidence comes. With x = UTC -
// Mono, the offset that is looked for lies in x+early … x+late, if the clock is
// right and the way not slow; typical is the likeliest. All in microseconds.
type delays struct {
	period               int64 // what it says repeats after this; 0: it has a date
	spread               int64 // of x within one clock, when nothing is wrong
	early, typical, late int64
	keep                 int   // samples kept of one clock
	lasts                int64 // and for how long
	share                float64
}

// daytime tells whether a kind tells the time of day and no date.
func (m *delays) daytime() bool { return m.period == day }

const (
	micro  = int64(1)
	milli  = 1000 * micro
	sec    = 1000 * milli
	minute = 60 * sec
	day    = 24 * 60 * minute
)

// models, by kind. Delays are those of recorded feeds, in which the envelope has
// milliseconds: base stations show their second up to 2 s late; the second of a
// position fix lies -0.6 to 3.3 s before receipt, its median 0.0 to 2.6 s; a
// slot begins 19 to 105 ms before receipt (90%), of which 26.7 ms are its length.
var models = [kinds]delays{
	KindStamp:    {spread: 10 * sec, early: -500 * milli, typical: 300 * milli, late: 10 * sec, keep: 64, lasts: 15 * minute, share: 0.5},
	KindEnvelope: {spread: 10 * sec, early: -500 * milli, typical: 300 * milli, late: 10 * sec, keep: 64, lasts: 15 * minute, share: 0.5},
	KindBase:     {spread: 3 * sec, early: -500 * milli, typical: 950 * milli, late: 2500 * milli, keep: 5, lasts: 15 * minute, share: 0.5},
	KindGNSS:     {spread: 1500 * milli, early: 0, typical: 300 * milli, late: 1500 * milli, keep: 16, lasts: 15 * minute, share: 0.5},
	KindDaytime:  {period: day, spread: 1500 * milli, early: 0, typical: 300 * milli, late: 1500 * milli, keep: 16, lasts: 15 * minute, share: 0.5},
	KindSensor:   {spread: minute, early: -500 * milli, typical: 500 * milli, late: minute, keep: 32, lasts: 15 * minute, share: 0.5},
	KindSecond:   {period: minute, spread: 8 * sec, early: -500 * milli, typical: 1200 * milli, late: 3500 * milli, keep: 128, lasts: 15 * minute, share: 0.5},
	KindMinute:   {period: day, spread: 64 * sec, early: -sec, typical: 30 * sec, late: 61 * sec, keep: 64, lasts: 15 * minute, share: 0.5},
	KindSlot:     {period: minute, spread: 80 * milli, early: 0, typical: SlotLatency, late: 90 * milli, keep: 256, lasts: 10 * minute, share: 0.3},
	KindCloud:    {keep: 1, lasts: 60 * minute},
	KindHost:     {keep: 1, lasts: 5 * minute},
}

// SlotLatency is the usual time from the start of a slot to its line: its
// length, 60/2250 s, and what receiver and line take, 15 ms. In microseconds.
const SlotLatency = 26_667 + 15_000

// slotSpreads are tried for slots one after the other: a receiver that stamps
// at once, one behind a network, one that is read in whole seconds.
var slotSpreads = [...]struct {
	spread int64
	share  float64
}{{80 * milli, 0.3}, {300 * milli, 0.5}, {1500 * milli, 0.5}}

// rollover is the period of the week number of GPS as old receivers count it:
// ten bits (IS-GPS-200, section 20.3.3.3.1.1).
const rollover = record.Micros(1024 * 7 * 24 * time.Hour / time.Microsecond)

// Floor is a time before which this program was not written: a clock that says
// less is wrong.
const Floor record.Micros = 1_767_225_600_000_000 // 2026-01-01

// mod gives the remainder of x in [0, period).
func mod(x, period int64) int64 {
	if x %= period; x < 0 {
		x += period
	}
	return x
}

// nearest gives the value equal to x, but for whole periods, that is nearest to
// at.
func nearest(x, at, period int64) int64 {
	if period == 0 {
		return x
	}
	d := mod(x-at, period)
	if d >= period/2 {
		d -= period
	}
	return at + d
}
