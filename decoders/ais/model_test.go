package ais_test

import (
	"errors"
	"math"
	"testing"

	goais "github.com/BertoldVdb/go-ais"

	"landfall/decoders/ais"
	"landfall/decoders/aissim"
)

// armour turns bits, one a byte, into a payload and its fill bits.
func armour(bits []byte) (payload []byte, fill int) {
	for i := 0; i < len(bits); i += 6 {
		v := byte(0)
		for j := range 6 {
			v <<= 1
			if i+j < len(bits) {
				v |= bits[i+j]
			} else {
				fill++
			}
		}
		payload = append(payload, armourChar(v))
	}
	return payload, fill
}

func armourChar(v byte) byte {
	if v < 40 {
		return v + 48
	}
	return v + 56
}

// bitsOf is the slow, obvious way back.
func bitsOf(payload []byte, fill int) []byte {
	var bits []byte
	for _, c := range payload {
		v := c - 48
		if v > 40 {
			v -= 8
		}
		for j := 5; j >= 0; j-- {
			bits = append(bits, v>>j&1)
		}
	}
	return bits[:min(len(bits), max(0, len(bits)-fill))]
}

// model is go-ais, as it comes, giving raw integers.
func model() *goais.Codec {
	c := goais.CodecNewFast(false, false, true)
	c.FloatWithoutConversion = true
	return c
}

// same tells whether a column holds what the raw value and its sentinel say.
func same(o ais.Opt[float64], raw, sentinel, unit float64) bool {
	if raw == sentinel {
		return !o.Valid
	}
	return o.Valid && math.Abs(o.Value*unit-raw) < 1e-6
}

// compareModel checks the hot types' row against go-ais, field by field.
func compareModel(t *testing.T, packet goais.Packet, r *ais.Rows) {
	t.Helper()
	p := &r.Position
	bad := func(field string, want any) { t.Fatalf("%s: %+v, go-ais says %v", field, p, want) }
	h := packet.GetHeader()
	if !r.HasPosition || r.Count() != 1 || p.MMSI != h.UserID || p.MsgType != h.MessageID || p.RepeatIndicator != h.RepeatIndicator {
		bad("header", h)
	}
	motion := func(sog goais.Field10, acc bool, lon, lat goais.FieldLatLonFine, cog goais.Field10, heading uint16, second uint8, raim bool) {
		switch {
		case !same(p.SOG, float64(sog), 1023, 10):
			bad("sog", sog)
		case p.PositionAccuracy != acc:
			bad("accuracy", acc)
		case !same(p.Lon, float64(lon), 181*600000, 600000):
			bad("lon", lon)
		case !same(p.Lat, float64(lat), 91*600000, 600000):
			bad("lat", lat)
		case !same(p.COG, float64(cog), 3600, 10):
			bad("cog", cog)
		case p.TrueHeading.Valid != (heading != 511) || p.TrueHeading.Valid && p.TrueHeading.Value != heading:
			bad("heading", heading)
		case p.UTCSecond.Valid != (second != 60) || p.UTCSecond.Valid && p.UTCSecond.Value != second:
			bad("second", second)
		case !p.RAIM.Valid || p.RAIM.Value != raim:
			bad("raim", raim)
		case p.Altitude.Valid:
			bad("altitude", nil)
		}
	}
	switch m := packet.(type) {
	case goais.PositionReport:
		motion(m.Sog, m.PositionAccuracy, m.Longitude, m.Latitude, m.Cog, m.TrueHeading, m.Timestamp, m.Raim)
		fast := m.RateOfTurn == -128 || m.RateOfTurn == 127 || m.RateOfTurn == -127
		switch {
		case p.NavStatus != ais.Some(m.NavigationalStatus):
			bad("status", m.NavigationalStatus)
		case p.ROTRaw != ais.Some(int8(m.RateOfTurn)):
			bad("rot raw", m.RateOfTurn)
		case p.ROT.Valid == fast:
			bad("rot", m.RateOfTurn)
		case p.ROT.Valid && math.Abs(math.Copysign(4.733*math.Sqrt(math.Abs(p.ROT.Value)), p.ROT.Value)-float64(m.RateOfTurn)) > 1e-6:
			bad("rot", m.RateOfTurn)
		case p.CommState != ais.Some(m.CommunicationState):
			bad("state", m.CommunicationState)
		}
	case goais.StandardClassBPositionReport:
		motion(m.Sog, m.PositionAccuracy, m.Longitude, m.Latitude, m.Cog, m.TrueHeading, m.Timestamp, m.Raim)
		state := m.CommunicationState
		if m.CommunicationStateIsItdma {
			state |= 1 << 19
		}
		if p.CommState != ais.Some(state) || p.NavStatus.Valid || p.ROT.Valid || p.ROTRaw.Valid {
			bad("state", state)
		}
	default:
		t.Fatalf("go-ais gives a %T", packet)
	}
}

// checkDecode runs one payload through Decode and the model.
func checkDecode(t *testing.T, rows *ais.Rows, payload []byte, fill int) {
	t.Helper()
	err := ais.Decode(payload, fill, rows)
	var reason ais.Error
	if err != nil && (!errors.As(err, &reason) || reason.Reason() == "") {
		t.Fatalf("error %v has no reason", err)
	}
	if (err == nil) != (rows.Count() > 0) {
		t.Fatalf("%d rows, error %v", rows.Count(), err)
	}
	switch reason {
	case ais.ErrEmpty, ais.ErrArmour, ais.ErrFill, ais.ErrLong:
		return // never came to bits
	}
	packet := model().DecodePacket(bitsOf(payload, fill))
	if packet == nil {
		return
	}
	if m, ok := packet.(goais.StaticDataReport); ok && m.Reserved == 1 {
		return // parts 2 and 3 are not defined
	}
	if err != nil {
		t.Fatalf("%s fill %d: %v, go-ais takes it: %+v", payload, fill, err, packet)
	}
	h := packet.GetHeader()
	if rows.Header != (ais.Header{MsgType: h.MessageID, RepeatIndicator: h.RepeatIndicator, MMSI: h.UserID}) {
		t.Fatalf("header %+v, go-ais says %+v", rows.Header, h)
	}
	switch h.MessageID {
	case 1, 2, 3, 18:
		compareModel(t, packet, rows)
	}
}

// TestModel compares with go-ais on traffic and on the same with bits flipped.
func TestModel(t *testing.T) {
	h, err := aissim.New(aissim.Config{Seed: 11, Start: 1_767_225_600_000_000, Rate: 100})
	if err != nil {
		t.Fatal(err)
	}
	var rows ais.Rows
	for range 20_000 {
		l := h.Next()
		checkDecode(t, &rows, l.Payload, l.Fill)
		flipped := append([]byte(nil), l.Payload...)
		i := int(l.Message) % len(flipped)
		flipped[i] = armourChar(byte(l.Message*7) & 63)
		checkDecode(t, &rows, flipped, int(l.Message)%7)
	}
}

// FuzzDecode: no panic, every error has a reason, and what go-ais takes we take
// with the same values.
func FuzzDecode(f *testing.F) {
	h, err := aissim.New(aissim.Config{Seed: 5, Start: 1_767_225_600_000_000, Rate: 100})
	if err != nil {
		f.Fatal(err)
	}
	seen := map[uint8]bool{}
	for len(seen) < 27 {
		if l := h.Next(); !seen[l.MsgType] {
			seen[l.MsgType] = true
			f.Add(l.Payload, l.Fill)
		}
	}
	f.Add([]byte("15M"), 6)
	f.Add([]byte("!"), 0)
	f.Add([]byte(""), -25)
	var rows ais.Rows
	f.Fuzz(func(t *testing.T, payload []byte, fill int) {
		checkDecode(t, &rows, payload, fill)
		ais.DedupeKey(payload, fill)
		for i := range payload { // the same, made valid
			payload[i] = armourChar(payload[i] & 63)
		}
		checkDecode(t, &rows, payload, fill&3)
		ais.DedupeKey(payload, fill&3)
	})
}
