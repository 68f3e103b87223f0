package task

import (
	"testing"

	"landfall/edge/record"
	"landfall/engine/landing"
	"landfall/engine/operator"
	"landfall/engine/stream"
	"landfall/engine/table"
)

// bootBlock is a block of one AIS message captured in a boot whose clock said
// 1970, sealed after prev.
func bootBlock(t *testing.T, first record.Offset, prev record.Hash, mono int64, quality record.TimeQuality, at record.Micros) []byte {
	t.Helper()
	var b record.Builder
	b.Reset()
	r := record.Record{
		Kind: record.KindAIS, ReceivedAt: record.Micros(mono), EventTime: at, TimeSource: record.TimeReceipt, TimeQuality: quality,
		Monotonic: mono, Raw: []byte("!AIVDM,1,1,,A,12vg24002gPm3WtPqina@WJ>2L0i,0*49"),
	}
	if err := b.Add(&r); err != nil {
		t.Fatal(err)
	}
	boot := [16]byte{9}
	if err := b.Annotate(record.Annotation{Type: record.AnnBoot, Body: boot[:]}); err != nil {
		t.Fatal(err)
	}
	return append([]byte(nil), b.Seal(record.LogID{1}, first, prev)...)
}

// TestInterleavingsOfSendingAndKnowing: what a record's time is depends on what
// the gateway knew when the copy that landed first was sent, and on nothing
// else: the block is the same bytes, copies that come later change nothing, and
// all of it done again gives the same rows.
func TestInterleavingsOfSendingAndKnowing(t *testing.T) {
	const utc = record.Micros(1_790_000_000_000_000)
	const mono, later = int64(60_000_000), int64(90_000_000)
	block := bootBlock(t, 0, record.Hash{}, mono, record.QualityUnsynchronised, record.Micros(mono))
	after := bootBlock(t, 1, record.HashBlock(block), later, record.QualitySynchronised, utc+record.Micros(later-mono))
	rough := record.EncodeAnchors([]record.Anchor{{Boot: [16]byte{9}, Begin: later, Mono: later, UTC: utc + record.Micros(later-mono) + 300_000, Uncertainty: 600_000, Quality: record.QualityAsserted}})
	known := record.EncodeAnchors([]record.Anchor{
		{Boot: [16]byte{8}, Begin: 1, Mono: 1, UTC: 77, Quality: record.QualitySynchronised},
		{Boot: [16]byte{9}, Begin: later, Mono: later, UTC: utc + record.Micros(later-mono), Uncertainty: 40_000, Quality: record.QualitySynchronised, Radio: true},
	})
	other := record.EncodeAnchors([]record.Anchor{{Boot: [16]byte{8}, Mono: 1, UTC: 77, Quality: record.QualitySynchronised}})
	type sent struct {
		block []byte
		clock []byte
	}
	const lag = 26_666 + 15_000
	for _, c := range []struct {
		name    string
		landed  []sent
		event   record.Micros
		quality record.TimeQuality
		source  record.TimeSource
	}{
		{"sent before it was known", []sent{{block, nil}, {after, nil}}, record.Micros(mono), record.QualityUnsynchronised, record.TimeReceipt},
		{"sent after", []sent{{block, known}, {after, nil}}, utc - lag, record.QualitySynchronised, record.TimeRadio},
		{"sent after, roughly known", []sent{{block, rough}, {after, known}}, utc + 300_000 - lag, record.QualityAsserted, record.TimeClock},
		{"sent before, the answer lost, again after", []sent{{block, nil}, {block, known}, {after, known}}, record.Micros(mono), record.QualityUnsynchronised, record.TimeReceipt},
		{"sent after, a late copy of before", []sent{{block, known}, {block, nil}, {after, nil}}, utc - lag, record.QualitySynchronised, record.TimeRadio},
		{"sent in another boot", []sent{{block, other}, {after, nil}}, record.Micros(mono), record.QualityUnsynchronised, record.TimeReceipt},
	} {
		for again := range 2 {
			p, err := newProcessor(new(Counters), operator.WindowConfig{})
			if err != nil {
				t.Fatal(err)
			}
			var out table.Batch
			for i, s := range c.landed {
				l := landing.Landed{Gateway: "gw", LandedAt: utc + 1_000_000, Block: s.block, Clock: s.clock}
				if err := p.block(&l, stream.Position{Log: "l", Offset: int64(i) + 1}, &out); err != nil {
					t.Fatal(err)
				}
			}
			if len(out.Records) != 2 || len(out.Positions) != 2 || len(out.Conflicts) != 0 {
				t.Fatalf("%s: %d records, %d positions, %d conflicts", c.name, len(out.Records), len(out.Positions), len(out.Conflicts))
			}
			r := &out.Records[0]
			if r.EventTime != c.event || r.TimeQuality != c.quality || r.TimeSource != c.source || r.Monotonic != mono || r.BootID == "" {
				t.Errorf("%s (%d): %+v, want %d %v", c.name, again, r, c.event, c.quality)
			}
			if p := &out.Positions[0]; p.Times != r.Times || p.IsLate {
				t.Errorf("%s: position %+v", c.name, p)
			}
			if r := &out.Records[1]; r.TimeQuality != record.QualitySynchronised || r.EventTime != utc+record.Micros(later-mono) {
				t.Errorf("%s: the next record is %+v", c.name, r)
			}
		}
	}
}
