package ais_test

import (
	"bytes"
	"errors"
	"reflect"
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

// checkDecode runs one payload through Decode and the model. Where the model
// refuses a message that real equipment sends short, it gets it filled up with
// zeros; modelRows leaves out what was not there.
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
	bits := bitsOf(payload, fill)
	packet := model().DecodePacket(bits)
	if packet == nil && err != nil {
		return
	}
	if packet == nil {
		full := fullLength[rows.Header.MsgType]
		packet = model().DecodePacket(append(bits, make([]byte, max(0, full-len(bits)))...))
	}
	if k := rows.Header.MsgType; packet == nil && err == nil && (k == 25 || k == 26) {
		// Shorter than what it announces: all of it is data.
		binary := ais.Binary{Header: rows.Header, DataBits: len(bits) - 40}
		compareModel(t, wanted{binary: &binary, data: packed(bits[40:])}, rows)
		return
	}
	if packet == nil || err != nil {
		t.Fatalf("%s fill %d, %d bits: %v; go-ais: %+v", payload, fill, len(bits), err, packet)
	}
	h := packet.GetHeader()
	if rows.Header != (ais.Header{MsgType: h.MessageID, RepeatIndicator: h.RepeatIndicator, MMSI: h.UserID}) {
		t.Fatalf("header %+v, go-ais says %+v", rows.Header, h)
	}
	compareModel(t, modelRows(packet, bits), rows)
}

// compareModel compares the rows that the model gives.
func compareModel(t *testing.T, want wanted, r *ais.Rows) {
	t.Helper()
	n := 0
	compare := func(has bool, want, got any) {
		n++
		if !has || want != got {
			t.Fatalf("%v, got\n%+v\ngo-ais says\n%+v", has, got, want)
		}
	}
	if want.position != nil {
		compare(r.HasPosition, *want.position, r.Position)
	}
	if want.static != nil {
		compare(r.HasStatic, *want.static, r.Static)
	}
	if want.base != nil {
		compare(r.HasBaseStation, *want.base, r.BaseStation)
	}
	if want.aton != nil {
		compare(r.HasAtoN, *want.aton, r.AtoN)
	}
	if want.binary != nil {
		got := r.Binary
		if !bytes.Equal(got.Data, want.data) {
			t.Fatalf("data %x, go-ais says %x", got.Data, want.data)
		}
		got.Data = nil
		n++
		if !r.HasBinary || !reflect.DeepEqual(got, *want.binary) {
			t.Fatalf("got\n%+v\ngo-ais says\n%+v", got, *want.binary)
		}
	}
	if want.fields != nil {
		compare(r.HasOther, *want.fields, r.Other.Fields)
	}
	if n > 0 && n != r.Count() {
		t.Fatalf("%d rows, go-ais says %d", r.Count(), n)
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
		for i := range payload { // the same, made valid
			payload[i] = armourChar(payload[i] & 63)
		}
		checkDecode(t, &rows, payload, fill&3)
	})
}
