package sensor

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Decode reads what Append wrote into r, whose Readings are used again; Payload
// aliases p. intern gives bytes as a string, so that names which come again and
// again need not be made anew; nil: a new string each time. It is not used for
// texts. Errors: ErrCorrupt, ErrVersion; r then holds nothing of use.
func (r *Report) Decode(p []byte, intern func([]byte) string) error {
	if intern == nil {
		intern = func(b []byte) string { return string(b) }
	}
	if len(p) < 3 {
		return fmt.Errorf("decode report of %d bytes: %w", len(p), ErrCorrupt)
	}
	if p[0] != reportVersion {
		if p[0] == 0 {
			return fmt.Errorf("decode report of version 0: %w", ErrCorrupt)
		}
		return fmt.Errorf("decode report of version %d: %w", p[0], ErrVersion)
	}
	f := fields{p: p[3:], bad: p[2]&^bitCut != 0}
	r.Origin, r.Cut, r.Readings = Origin(p[1]), p[2]&bitCut != 0, r.Readings[:0]
	r.Address = intern(f.bytes(MaxNameBytes))
	r.Reason = intern(f.bytes(MaxNameBytes))
	r.Payload = f.bytes(MaxPayloadBytes)
	n := f.uvarint()
	if n > MaxReadings || n > 0 && r.Reason != "" {
		f.fail()
	}
	for ; n > 0 && !f.bad; n-- {
		r.Readings = append(r.Readings, Reading{})
		f.reading(r.Readings, intern)
	}
	if f.bad || len(f.p) > 0 {
		return fmt.Errorf("decode report of %d bytes: %w", len(p), ErrCorrupt)
	}
	return nil
}

// fields reads fields off the front of p. One that is not there whole makes it
// bad for good, and every later one zero.
type fields struct {
	p   []byte
	bad bool
}

func (f *fields) fail() { f.bad, f.p = true, nil }

func (f *fields) byte() byte {
	b := f.take(1)
	if b == nil {
		return 0
	}
	return b[0]
}

func (f *fields) take(n uint64) []byte {
	if f.bad || n > uint64(len(f.p)) {
		f.fail()
		return nil
	}
	b := f.p[:n:n]
	f.p = f.p[n:]
	return b
}

func (f *fields) uvarint() uint64 {
	v, k := binary.Uvarint(f.p)
	if k <= 0 {
		f.fail()
		return 0
	}
	f.p = f.p[k:]
	return v
}

func (f *fields) varint() int64 {
	v, k := binary.Varint(f.p)
	if k <= 0 {
		f.fail()
		return 0
	}
	f.p = f.p[k:]
	return v
}

// bytes reads a string of at most max bytes.
func (f *fields) bytes(max uint64) []byte {
	n := f.uvarint()
	if n > max {
		f.fail()
	}
	return f.take(n)
}

// reading reads the last of all.
func (f *fields) reading(all []Reading, intern func([]byte) string) {
	g := &all[len(all)-1]
	bits := f.byte()
	if bits >= bitUnit<<1 || bits&bitNumber != 0 && bits&bitText != 0 {
		f.fail()
	}
	g.Quality = Quality(f.byte())
	switch {
	case bits&bitSameSensor == 0:
		g.Sensor = intern(f.bytes(MaxNameBytes))
	case len(all) > 1:
		g.Sensor = all[len(all)-2].Sensor
	default:
		f.fail()
	}
	g.Metric = intern(f.bytes(MaxNameBytes))
	if bits&bitUnit != 0 {
		g.Unit = intern(f.bytes(MaxNameBytes))
	}
	if bits&bitNumber != 0 {
		if b := f.take(8); b != nil {
			g.Kind, g.Number = Number, math.Float64frombits(binary.LittleEndian.Uint64(b))
		}
		if math.IsNaN(g.Number) || math.IsInf(g.Number, 0) {
			f.fail()
		}
	}
	if bits&bitText != 0 {
		g.Kind, g.Text = Text, string(f.bytes(MaxTextBytes))
	}
	g.Historical = bits&bitHistorical != 0
	if bits&bitTime != 0 {
		g.HasTime, g.Time = true, f.varint()
	}
}
