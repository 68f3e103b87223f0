// Package sensor is the vocabulary of sensor readings and the byte format in
// which they are captured: a Report is what one sensor source gave at once, its
// payload as received and the readings that the gateway's mapping found in it.
//
// In:  a source of the edge fills a Report and appends it with Append.
// Out: the Raw of a record of kind reading, which the engine reads with Decode.
//
// Invariants
//
//  1. A report is self-contained: rows are made of it without the gateway's
//     configuration, and a wrong mapping is repaired from the payload.
//  2. Append writes a report of every Report: what cannot be captured with its
//     readings is captured without them, with the reason why. Readings and a
//     reason exclude each other.
//  3. Decode never panics, bounds a length before it allocates, and reads what
//     any earlier version wrote. ErrVersion (newer format) is not ErrCorrupt.
//
// Everything here is pure: no I/O, no clock, no goroutines.
package sensor

import (
	"errors"
	"strconv"
)

// Errors of this package, to be tested with errors.Is.
var (
	// ErrCorrupt says that bytes are no report.
	ErrCorrupt = errors.New("corrupt report")
	// ErrVersion says that a report is of a newer format than this binary's.
	ErrVersion = errors.New("unsupported report version")
)

// The bounds of a report.
const (
	MaxReadings     = 4096      // of one report
	MaxNameBytes    = 1 << 10   // of an address, a sensor, a metric, a unit, a reason
	MaxTextBytes    = 64 << 10  // of one text value
	MaxPayloadBytes = 256 << 10 // kept of a payload
	MaxReportBytes  = 1 << 20   // of a whole report; a record's Raw is no longer
)

// Origin says what kind of source a report came from, and so what its address
// is. The numbers are part of the format.
type Origin uint8

// The origins known so far.
const (
	OriginMQTT      Origin = 1 // address: the topic
	OriginSparkplug Origin = 2 // address: the topic
	OriginModbus    Origin = 3 // address: <unit>/<table>/<register, zero-based>
	OriginNode      Origin = 4 // address: the node's name
	OriginFile      Origin = 5 // address: the source's name; the gateway's own report of a gap in what it read
)

var originNames = []string{"", "mqtt", "sparkplug", "modbus", "node", "file"}

// String gives the name.
func (o Origin) String() string {
	if o > 0 && int(o) < len(originNames) {
		return originNames[o]
	}
	return "origin_" + strconv.Itoa(int(o))
}

// Quality says how far a reading may be trusted. The numbers are part of the
// format; every name of a value that is not to be used begins with "bad".
type Quality uint8

// The qualities known so far.
const (
	QualityUnknown       Quality = 0 // the source says nothing of it
	QualityGood          Quality = 1
	QualityUncertain     Quality = 2 // the source itself doubts it
	QualityBad           Quality = 3 // the source says that it is wrong
	QualityBadTimeout    Quality = 4 // the device did not answer
	QualityBadException  Quality = 5 // the device refused
	QualityBadFrame      Quality = 6 // the answer was garbled
	QualityBadConnection Quality = 7 // the device or its line is not there
	QualityBadValue      Quality = 8 // what came is no such value
	QualityBadStale      Quality = 9 // its publisher is gone; the value no longer holds
)

var qualityNames = []string{"unknown", "good", "uncertain", "bad", "bad_timeout", "bad_exception", "bad_frame", "bad_connection", "bad_value", "bad_stale"}

// String gives the name used in the column quality.
func (q Quality) String() string {
	if int(q) < len(qualityNames) {
		return qualityNames[q]
	}
	return "quality_" + strconv.Itoa(int(q))
}

// Usable says that the value may be reckoned with.
func (q Quality) Usable() bool { return q <= QualityUncertain }

// ValueKind says which value a reading has.
type ValueKind uint8

// The kinds of value.
const (
	NoValue ValueKind = iota // there is none: not measured, or not read
	Number
	Text
)

// Reading is one value of one metric of one sensor.
type Reading struct {
	Sensor     string // what measures; rows are sorted by it
	Metric     string // what is measured
	Unit       string // of the value, as the configuration or the source says; may be empty
	Kind       ValueKind
	Number     float64 // of kind Number: finite
	Text       string  // of kind Text
	Quality    Quality
	Historical bool  // the source kept it for later: it does not tell of now
	HasTime    bool  // Time is set
	Time       int64 // when it was sampled, by the source's clock: microseconds since 1970 UTC
}

// Report is what a source gave at once: one message, one poll, one frame.
type Report struct {
	Origin   Origin
	Address  string    // where it came from, see Origin
	Payload  []byte    // as received; its first MaxPayloadBytes
	Cut      bool      // the payload was longer
	Reason   string    // why there are no readings; empty: nothing was wrong
	Readings []Reading // in the payload's order; none when there is a Reason
}

// Reasons why a report has no readings, which become a record's reject reason;
// sources have others of their own.
const (
	RejectTooManyReadings = "too_many_readings" // more than MaxReadings, or than fit
	RejectNameTooLong     = "name_too_long"     // a sensor, metric or unit beyond MaxNameBytes, or a text beyond MaxTextBytes
)

// The span in which a time of a source is believed, in microseconds: 2000 to
// 2100 UTC. Others are of clocks that were never set.
const (
	earliest = 946_684_800_000_000
	latest   = 4_102_444_800_000_000
)

// Believable says whether a sampling time, in microseconds since 1970 UTC, can
// be one; a reading with another one is given its record's time.
func Believable(micros int64) bool { return micros >= earliest && micros < latest }
