package sensor

import (
	"encoding/binary"
	"fmt"
	"math"
)

// A report, version 1. A string is a uvarint length and that many bytes.
//
//	1 byte   version (1)
//	1 byte   origin
//	1 byte   bits: 1 the payload was cut
//	string   address
//	string   reason; empty: none
//	string   payload
//	uvarint  number of readings, each:
//	    1 byte   bits: 1 number, 2 text, 4 own time, 8 historical,
//	             16 the sensor of the reading before, 32 there is a unit
//	    1 byte   quality
//	    string   sensor, unless bit 16
//	    string   metric
//	    string   unit, with bit 32
//	    8 bytes  number, IEEE 754 binary64, little-endian, with bit 1
//	    string   text, with bit 2
//	    varint   time, microseconds since 1970 UTC, with bit 4
//
// Nothing follows. What vouches for the bytes is the block that they are in.
const reportVersion = 1

const bitCut = 1

const (
	bitNumber = 1 << iota
	bitText
	bitTime
	bitHistorical
	bitSameSensor
	bitUnit
)

// Append appends the report to dst. What exceeds a bound is cut, or is the reason why
// there are no readings, which r.Reason then says, too: see Report.
func (r *Report) Append(dst []byte) []byte {
	if r.Reason == "" {
		r.Reason = r.misfit()
	}
	start := len(dst)
	out := r.appendHead(dst, r.Reason)
	if r.Reason != "" {
		return append(out, 0)
	}
	out = binary.AppendUvarint(out, uint64(len(r.Readings)))
	for i := range r.Readings {
		out = appendReading(out, &r.Readings[i], i > 0 && r.Readings[i].Sensor == r.Readings[i-1].Sensor)
		if len(out)-start > MaxReportBytes {
			r.Reason = RejectTooManyReadings
			return append(r.appendHead(out[:start], r.Reason), 0)
		}
	}
	return out
}

// misfit is why the readings are beyond what a report holds; empty: they fit.
func (r *Report) misfit() string {
	if len(r.Readings) > MaxReadings {
		return RejectTooManyReadings
	}
	for i := range r.Readings {
		g := &r.Readings[i]
		if len(g.Sensor) > MaxNameBytes || len(g.Metric) > MaxNameBytes || len(g.Unit) > MaxNameBytes || len(g.Text) > MaxTextBytes {
			return RejectNameTooLong
		}
	}
	return ""
}

func (r *Report) appendHead(dst []byte, reason string) []byte {
	payload, bits := r.Payload, byte(0)
	if len(payload) > MaxPayloadBytes {
		payload = payload[:MaxPayloadBytes]
	}
	if r.Cut || len(payload) < len(r.Payload) {
		bits = bitCut
	}
	dst = append(dst, reportVersion, byte(r.Origin), bits)
	dst = appendString(dst, r.Address[:min(len(r.Address), MaxNameBytes)])
	dst = appendString(dst, reason[:min(len(reason), MaxNameBytes)])
	return append(binary.AppendUvarint(dst, uint64(len(payload))), payload...)
}

func appendReading(dst []byte, g *Reading, sameSensor bool) []byte {
	kind, text := g.Kind, g.Text
	quality := g.Quality
	if kind == Number && (math.IsNaN(g.Number) || math.IsInf(g.Number, 0)) {
		kind, text = Text, fmt.Sprint(g.Number)
		if quality.Usable() {
			quality = QualityBadValue
		}
	}
	bits := bit(kind == Number, bitNumber) | bit(kind == Text, bitText) | bit(g.HasTime, bitTime) |
		bit(g.Historical, bitHistorical) | bit(sameSensor, bitSameSensor) | bit(g.Unit != "", bitUnit)
	dst = append(dst, bits, byte(quality))
	if !sameSensor {
		dst = appendString(dst, g.Sensor)
	}
	dst = appendString(dst, g.Metric)
	if g.Unit != "" {
		dst = appendString(dst, g.Unit)
	}
	switch kind {
	case Number:
		dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(g.Number))
	case Text:
		dst = appendString(dst, text)
	}
	if g.HasTime {
		dst = binary.AppendVarint(dst, g.Time)
	}
	return dst
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func bit(set bool, b byte) byte {
	if set {
		return b
	}
	return 0
}
