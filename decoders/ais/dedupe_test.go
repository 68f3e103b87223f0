package ais_test

import (
	"testing"

	goais "github.com/BertoldVdb/go-ais"

	"landfall/decoders/ais"
	"landfall/decoders/aissim"
)

// keyOf decodes a message and gives its key.
func keyOf(t *testing.T, payload []byte, fill int) ais.Key {
	t.Helper()
	var rows ais.Rows
	if err := ais.Decode(payload, fill, &rows); err != nil {
		t.Fatalf("%s: %v", payload, err)
	}
	return rows.Key()
}

// TestDedupeKeyFrozen: keys are kept in state, so these may never change.
func TestDedupeKeyFrozen(t *testing.T) {
	for _, c := range []struct {
		payload string
		fill    int
		want    ais.Key
	}{
		{"100000P000000000000000000000", 0, ais.Key{Hi: 0x842450947b8458ec, Lo: 0xe12069b7f9fdf647}},
		{"500000P0000000000000000000000000000000000000000000000000000000000000000", 2, ais.Key{Hi: 0xa1a11bb7beb5d209, Lo: 0xf8572e6e86296c32}},
	} {
		if got := keyOf(t, []byte(c.payload), c.fill); got != c.want {
			t.Errorf("{%q, %d, ais.Key{Hi: %#x, Lo: %#x}},", c.payload, c.fill, got.Hi, got.Lo)
		}
	}
}

func TestDedupeKeyRepeatAndFill(t *testing.T) {
	packet := goais.PositionReport{Header: head(1), Valid: true, Sog: 100}
	payload, fill := encode(t, packet)
	key := keyOf(t, payload, fill)
	packet.RepeatIndicator = 3
	if payload, fill = encode(t, packet); keyOf(t, payload, fill) != key {
		t.Error("the repeat indicator changes the key")
	}
	packet.Sog = 101
	if payload, fill = encode(t, packet); keyOf(t, payload, fill) == key {
		t.Error("another speed, the same key")
	}
	bits := bitsOf(encode(t, goais.ShipStaticData{Header: head(5), Valid: true, ImoNumber: 1}))
	full, fill := armour(bits)
	short, shortFill := armour(bits[:422])
	if keyOf(t, full, fill) != keyOf(t, short, shortFill) {
		t.Error("zero bits at the end change the key")
	}
	dirty := append([]byte(nil), short...)
	dirty[len(dirty)-1] += 8 // the first of the four fill bits
	if keyOf(t, short, shortFill) != keyOf(t, dirty, shortFill) || shortFill == 0 {
		t.Error("a fill bit changes the key")
	}
}

// TestDedupeKeySpread: no two messages share a key, or half of one, and each
// bit of the key is set about every other time.
func TestDedupeKeySpread(t *testing.T) {
	h, err := aissim.New(aissim.Config{Seed: 3, Start: 1_767_225_600_000_000, Rate: 100})
	if err != nil {
		t.Fatal(err)
	}
	hi, lo := map[uint64]string{}, map[uint64]string{}
	var ones [128]int
	for range 100_000 {
		l := h.Next()
		k := keyOf(t, l.Payload, l.Fill)
		for _, half := range []struct {
			m map[uint64]string
			v uint64
		}{{hi, k.Hi}, {lo, k.Lo}} {
			if p, ok := half.m[half.v]; ok && p != string(l.Payload) {
				t.Fatalf("%s and %s share %x", p, l.Payload, half.v)
			}
			half.m[half.v] = string(l.Payload)
		}
	}
	for k := range hi {
		for i := range 64 {
			ones[i] += int(k >> i & 1)
		}
	}
	for k := range lo {
		for i := range 64 {
			ones[64+i] += int(k >> i & 1)
		}
	}
	for i, n := range ones {
		if share := float64(n) / float64(len(hi)); share < 0.48 || share > 0.52 {
			t.Errorf("bit %d is set in %.3f of the keys", i, share)
		}
	}
}
