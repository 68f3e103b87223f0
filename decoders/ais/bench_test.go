package ais_test

import (
	"testing"

	"landfall/decoders/ais"
	"landfall/decoders/aissim"
	"landfall/decoders/nmea"
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

// BenchmarkSentenceToRows: split, parse, assemble, decode, one core.
func BenchmarkSentenceToRows(b *testing.B) {
	lines := traffic(b, 20_000)
	var rows ais.Rows
	var pieces []nmea.Sentence
	a := nmea.NewAssembler(nmea.AssemblerConfig{})
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		l := &lines[i%len(lines)]
		i++
		pieces = nmea.Split(l.Text, pieces[:0])
		v, err := nmea.ParseVDM(pieces[0].Body)
		if err != nil {
			b.Fatal(err)
		}
		for _, g := range a.Add(0, &pieces[0], v, l.At) {
			if g.Complete {
				if err := ais.Decode(g.Payload, g.Fill, &rows); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "sentences/s")
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
