package task

import (
	"fmt"
	"slices"
	"testing"

	"landfall/edge/record"
	"landfall/engine/landing"
	"landfall/engine/operator"
	"landfall/engine/stream"
	"landfall/engine/table"
)

// teller is a gateway whose blocks each tell a watermark.
type teller struct {
	t    *testing.T
	p    *processor
	log  record.LogID
	next record.Offset
	prev record.Hash
	out  table.Batch
}

// tell lands a block with one record at event time at, and a watermark.
func (g *teller) tell(landed, at, watermark record.Micros) {
	g.t.Helper()
	var b record.Builder
	body, sum := fmt.Sprintf("SDDPT,%d.0,", g.next), byte(0)
	for i := range len(body) {
		sum ^= body[i]
	}
	r := record.Record{
		Kind: record.KindSentence, TimeSource: record.TimeClock, TimeQuality: record.QualitySynchronised,
		EventTime: at, ReceivedAt: at, Raw: fmt.Appendf(nil, "$%s*%02X", body, sum),
	}
	if err := b.Add(&r); err != nil {
		g.t.Fatal(err)
	}
	if err := b.Annotate(record.Watermark{At: watermark}.Annotation()); err != nil {
		g.t.Fatal(err)
	}
	block := slices.Clone(b.Seal(g.log, g.next, g.prev))
	g.prev, g.next = record.HashBlock(block), g.next+1
	if err := g.p.block(&landing.Landed{Gateway: "g", LandedAt: landed, Block: block}, stream.Position{Offset: int64(g.next)}, &g.out); err != nil {
		g.t.Fatal(err)
	}
}

// late counts the readings that were behind the watermark, of how many.
func (g *teller) late() (late, all int) {
	for _, r := range g.out.Readings {
		if all++; r.IsLate {
			late++
		}
	}
	return late, all
}

func (g *teller) watermark() record.Micros {
	gate, _ := g.p.gateways.Get("g")
	return gate.Watermark
}

// TestAWatermarkOfTheFutureIsNotTaken: neither the end of time nor what lies an hour
// ahead of landing moves a gateway's watermark; rows that come after it are not late,
// and what a gateway tells within the bound is taken.
func TestAWatermarkOfTheFutureIsNotTaken(t *testing.T) {
	var c Counters
	p, err := newProcessor(&c, operator.WindowConfig{})
	if err != nil {
		t.Fatal(err)
	}
	const now, minute = record.Micros(1_780_000_000_000_000), record.Micros(60_000_000)
	g := &teller{t: t, p: p, log: record.LogID{1}}
	g.tell(now, now-minute, now-2*minute)
	for i, at := range []record.Micros{1<<63 - 1, 221845392000000000, now + 60*minute, now + 5*minute + 1} {
		g.tell(now, now-minute, at)
		if g.watermark() != now-2*minute || c.Ahead.Load() != uint64(i+1) {
			t.Fatalf("told %d: the watermark is %d, %d refused", at, g.watermark(), c.Ahead.Load())
		}
	}
	g.tell(now, now, now+5*minute)
	if g.watermark() != now+5*minute || c.Withdrawn.Load() != 0 {
		t.Errorf("the watermark is %d", g.watermark())
	}
	if late, all := g.late(); late != 0 || all != 6 {
		t.Errorf("%d of %d readings are late", late, all)
	}
}

// TestAWatermarkOfTheFutureIsWithdrawn: a checkpoint of a version that believed every
// watermark is healed by the gateway's next block, and what it remembers is forgotten
// in time again.
func TestAWatermarkOfTheFutureIsWithdrawn(t *testing.T) {
	var c Counters
	p, err := newProcessor(&c, operator.WindowConfig{})
	if err != nil {
		t.Fatal(err)
	}
	const now, minute = record.Micros(1_780_000_000_000_000), record.Micros(60_000_000)
	g := &teller{t: t, p: p, log: record.LogID{1}}
	g.tell(now, now-minute, now-2*minute)
	p.gateways.Put("g", gatewayState{Watermark: 221845392000000000, Log: g.log})
	p.dedupe.Advance("g", 221845392000000000)
	g.tell(now, now-minute, now-minute)
	if g.watermark() != now-minute || c.Withdrawn.Load() != 1 {
		t.Errorf("the watermark is %d, %d withdrawn", g.watermark(), c.Withdrawn.Load())
	}
	g.tell(now, now, now)
	if late, all := g.late(); late != 0 || all != 3 {
		t.Errorf("%d of %d readings are late", late, all)
	}
	if g.watermark() != now || c.Withdrawn.Load() != 1 {
		t.Errorf("the watermark is %d, %d withdrawn", g.watermark(), c.Withdrawn.Load())
	}
}
