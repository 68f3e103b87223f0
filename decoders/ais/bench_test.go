package ais_test

import (
	"bytes"
	"path/filepath"
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

// BenchmarkSentenceToRows: split, parse, assemble, decode and keep the rows in
// batches, one core; a simulated feed with TAG blocks, and a recorded one
// without.
func BenchmarkSentenceToRows(b *testing.B) {
	b.Run("simulated", func(b *testing.B) {
		var lines [][]byte
		for _, l := range traffic(b, 20_000) {
			lines = append(lines, l.Text)
		}
		sentencesToRows(b, lines)
	})
	b.Run("recorded", func(b *testing.B) {
		recording := content(b, filepath.Join(corpusDir(b), "gpsd-contrib-ais-nmea-sample.log.gz"))
		sentencesToRows(b, bytes.Split(recording, []byte("\n")))
	})
}

// rowBatch is rows as a batch keeps them.
type rowBatch struct {
	positions []ais.Position
	statics   []ais.Static
	stations  []ais.BaseStation
	aids      []ais.AtoN
	binaries  []ais.Binary
	safeties  []ais.Safety
	others    []ais.Other
	data      []byte
}

func (k *rowBatch) keep(r *ais.Rows) {
	switch {
	case r.HasPosition:
		k.positions = append(k.positions, r.Position)
		if r.HasStatic {
			k.statics = append(k.statics, r.Static)
		}
	case r.HasStatic:
		k.statics = append(k.statics, r.Static)
	case r.HasBaseStation:
		k.stations = append(k.stations, r.BaseStation)
	case r.HasAtoN:
		k.aids = append(k.aids, r.AtoN)
	case r.HasBinary:
		k.data = append(k.data, r.Binary.Data...)
		k.binaries = append(k.binaries, r.Binary)
	case r.HasSafety:
		k.safeties = append(k.safeties, r.Safety)
	case r.HasOther:
		k.others = append(k.others, r.Other)
	}
}

func (k *rowBatch) reset() {
	*k = rowBatch{
		k.positions[:0], k.statics[:0], k.stations[:0], k.aids[:0], k.binaries[:0], k.safeties[:0], k.others[:0], k.data[:0],
	}
}

func sentencesToRows(b *testing.B, lines [][]byte) {
	var rows ais.Rows
	var kept rowBatch
	var pieces []nmea.Sentence
	a := nmea.NewAssembler(nmea.AssemblerConfig{})
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		line := lines[i%len(lines)]
		i++
		if i%4096 == 0 {
			kept.reset()
		}
		pieces = nmea.Split(line, pieces[:0])
		for j := range pieces {
			v, err := nmea.ParseVDM(pieces[j].Body)
			if err != nil {
				continue
			}
			for _, g := range a.Add(0, &pieces[j], v, int64(i)) {
				if g.Complete && ais.Decode(g.Payload, g.Fill, &rows) == nil {
					kept.keep(&rows)
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
