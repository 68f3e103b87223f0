// Package sparkplug makes readings of Sparkplug B messages (Eclipse Sparkplug 3.0):
// births that name metrics and give them aliases, data that refers to them,
// deaths after which nothing holds any more, and the sequence numbers that tell
// what is missing.
//
// In:  messages in their order, as topic and payload.
// Out: readings, how many messages are missing, and which node should be asked
// to give its birth again.
//
// Invariants
//
//  1. Every message gives readings or a reason; nothing panics, and a length is
//     bounded before anything is allocated for it.
//  2. A gap in a node's sequence is counted once, and its node is asked for a
//     birth, because what was missed may have been one.
//
// Everything is pure: no I/O, no clock, no goroutines. A Host belongs to one
// goroutine.
package sparkplug

import (
	"encoding/binary"
	"errors"
	"math"
)

// errPayload says that bytes are no Sparkplug B payload.
var errPayload = errors.New("no Sparkplug B payload")

// The data types of metrics that need care (Sparkplug 3.0, 6.4.16).
const (
	typeInt8     = 1
	typeInt16    = 2
	typeInt32    = 3
	typeInt64    = 4
	typeBoolean  = 11
	typeDateTime = 13
)

// payload is a decoded Payload.
type payload struct {
	timestamp uint64 // milliseconds since 1970; 0: none
	seq       uint64
	hasSeq    bool
	metrics   []metric
}

// metric is a decoded Metric. Which of the values is set, has says.
type metric struct {
	name       string
	alias      uint64
	hasAlias   bool
	timestamp  uint64
	datatype   uint64
	historical bool
	null       bool
	has        valueField
	number     uint64 // int, long, boolean, float and double as they came
	text       string
	unit       string // property engUnit
	quality    uint64 // property Quality
	hasQuality bool
}

// valueField is the number of a metric's value field.
type valueField uint64

// The value fields of Metric.
const (
	noField      valueField = 0
	intField     valueField = 10
	longField    valueField = 11
	floatField   valueField = 12
	doubleField  valueField = 13
	booleanField valueField = 14
	stringField  valueField = 15
)

// fields walks the fields of a protocol buffer message (Protocol Buffers
// Encoding): varint gives a varint or a fixed number, bytes a delimited field.
func fields(p []byte, varint func(field, v uint64), bytes func(field uint64, v []byte) error) error {
	for len(p) > 0 {
		tag, n := binary.Uvarint(p)
		if n <= 0 || tag>>3 == 0 {
			return errPayload
		}
		p = p[n:]
		var v uint64
		switch tag & 7 {
		case 0:
			if v, n = binary.Uvarint(p); n <= 0 {
				return errPayload
			}
		case 1:
			if n = 8; len(p) < n {
				return errPayload
			}
			v = binary.LittleEndian.Uint64(p)
		case 5:
			if n = 4; len(p) < n {
				return errPayload
			}
			v = uint64(binary.LittleEndian.Uint32(p))
		case 2:
			size, k := binary.Uvarint(p)
			if k <= 0 || size > uint64(len(p)-k) {
				return errPayload
			}
			if err := bytes(tag>>3, p[k:k+int(size)]); err != nil {
				return err
			}
			p = p[k+int(size):]
			continue
		default:
			return errPayload
		}
		varint(tag>>3, v)
		p = p[n:]
	}
	return nil
}

// maxMetrics bounds the metrics of a payload.
const maxMetrics = 1 << 16

// decode reads a Payload.
func decode(p []byte) (out payload, err error) {
	err = fields(p, func(field, v uint64) {
		switch field {
		case 1:
			out.timestamp = v
		case 3:
			out.seq, out.hasSeq = v, true
		}
	}, func(field uint64, v []byte) error {
		if field != 2 {
			return nil
		}
		if len(out.metrics) >= maxMetrics {
			return errPayload
		}
		m, err := decodeMetric(v)
		out.metrics = append(out.metrics, m)
		return err
	})
	return out, err
}

func decodeMetric(p []byte) (m metric, err error) {
	err = fields(p, func(field, v uint64) {
		switch field {
		case 2:
			m.alias, m.hasAlias = v, true
		case 3:
			m.timestamp = v
		case 4:
			m.datatype = v
		case 5:
			m.historical = v != 0
		case 7:
			m.null = v != 0
		case uint64(intField), uint64(longField), uint64(floatField), uint64(doubleField), uint64(booleanField):
			m.has, m.number = valueField(field), v
		}
	}, func(field uint64, v []byte) error {
		switch field {
		case 1:
			m.name = string(v)
		case 9:
			return m.properties(v)
		case uint64(stringField):
			m.has, m.text = stringField, string(v)
		case 16, 17, 18, 19:
			m.has = valueField(field)
		}
		return nil
	})
	return m, err
}

// properties reads the two of a PropertySet that say something of the value.
func (m *metric) properties(p []byte) error {
	var keys []string
	var values [][]byte
	err := fields(p, func(uint64, uint64) {}, func(field uint64, v []byte) error {
		switch {
		case len(keys) > maxMetrics || len(values) > maxMetrics:
			return errPayload
		case field == 1:
			keys = append(keys, string(v))
		case field == 2:
			values = append(values, v)
		}
		return nil
	})
	if err != nil || len(keys) != len(values) {
		return errPayload
	}
	for i, key := range keys {
		err := fields(values[i], func(field, v uint64) {
			if key == "Quality" && (field == 3 || field == 4) {
				m.quality, m.hasQuality = v, true
			}
		}, func(field uint64, v []byte) error {
			if key == "engUnit" && field == 8 {
				m.unit = string(v)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// value gives a metric's number, by its field and the data type of its birth.
func (m *metric) value(datatype uint64) float64 {
	switch m.has {
	case floatField:
		return float64(math.Float32frombits(uint32(m.number)))
	case doubleField:
		return math.Float64frombits(m.number)
	case booleanField:
		return float64(min(m.number, 1))
	}
	switch datatype {
	case typeInt8:
		return float64(int8(m.number))
	case typeInt16:
		return float64(int16(m.number))
	case typeInt32:
		return float64(int32(m.number))
	case typeInt64:
		return float64(int64(m.number))
	case typeBoolean:
		return float64(min(m.number, 1))
	}
	return float64(m.number)
}

// Rebirth gives the payload of the command that asks a node for its births
// (Sparkplug 3.0, 6.4.25): Node Control/Rebirth, true.
func Rebirth(millis uint64) []byte {
	const name = "Node Control/Rebirth"
	m := append([]byte{1<<3 | 2, byte(len(name))}, name...)
	m = binary.AppendUvarint(append(m, 3<<3), millis)
	m = append(m, 4<<3, typeBoolean, 14<<3, 1)
	p := binary.AppendUvarint([]byte{1 << 3}, millis)
	return append(append(p, 2<<3|2, byte(len(m))), m...)
}
