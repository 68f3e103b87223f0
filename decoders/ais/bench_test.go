package ais_test

import (
	"testing"

	"landfall/decoders/ais"
	"landfall/decoders/aissim"
)

// traffic is a mix of lines as a harbour's receiver writes them.
func traffic(b *testing.B, n int) []aissim.Line {
	b.Helper()
	h, err := aissim.New(aissim.Config{Seed: 1, Start: 1_767_225_600_000_000, Ships: 500, BaseStations: 10, AtoNs: 20, Rate: 1000})
	if err != nil {
		b.Fatal(err)
	}
	lines := make([]aissim.Line, n)
	for i := range lines {
		lines[i] = h.Next()
	}
	return lines
}

// BenchmarkDecode: the payload alone, by type.
func BenchmarkDecode(b *testing.B) {
	byType := map[uint8]aissim.Line{}
	for _, l := range traffic(b, 20_000) {
		byType[l.MsgType] = l
	}
	for _, c := range []struct {
		name    string
		msgType uint8
	}{{"type 1", 1}, {"type 18", 18}, {"type 4", 4}, {"type 5", 5}, {"type 8", 8}, {"type 24", 24}} {
		b.Run(c.name, func(b *testing.B) {
			l := byType[c.msgType]
			var rows ais.Rows
			b.ReportAllocs()
			for b.Loop() {
				if err := ais.Decode(l.Payload, l.Fill, &rows); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDedupeKey(b *testing.B) {
	l := traffic(b, 1)[0]
	var rows ais.Rows
	if err := ais.Decode(l.Payload, l.Fill, &rows); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		rows.Key()
	}
}
