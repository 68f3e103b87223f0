package task

import (
	"fmt"
	"os"
	"slices"
	"testing"

	"landfall/edge/record"
	"landfall/engine/landing"
	"landfall/engine/operator"
	"landfall/engine/stream"
	"landfall/engine/table"
)

// aisBlock is a block of AIS lines that were heard at one time.
func aisBlock(t *testing.T, log byte, first record.Offset, prev record.Hash, at record.Micros, lines ...string) []byte {
	t.Helper()
	var b record.Builder
	for _, l := range lines {
		r := record.Record{
			Kind: record.KindAIS, TimeSource: record.TimeClock, TimeQuality: record.QualitySynchronised, EventTime: at, ReceivedAt: at, Raw: []byte(l),
		}
		if err := b.Add(&r); err != nil {
			t.Fatal(err)
		}
	}
	return slices.Clone(b.Seal(record.LogID{log}, first, prev))
}

// oldGateways are the gateways of the frozen states.
var oldGateways = []string{"north-pier", "south"}

const (
	oldAt  = record.Micros(1_780_000_000_000_000)
	oldFix = "!AIVDM,1,1,,A,12vg24002gPm3WtPqina@WJ>2L0i,0*49"
	halfA  = "!AIVDM,1,1,,A,H42O57i18tMET00000000000000,2*6F"
	halfB  = "!AIVDM,1,1,,A,H42O57lti4hhhilD3nink000?050,0*42"
)

// oldBlocks are what the frozen states have seen.
func oldBlocks(t *testing.T) (blocks []landing.Landed) {
	for i, name := range oldGateways {
		lines := []string{oldFix, halfA}
		if i == 1 {
			lines = []string{oldFix, halfB}
		}
		blocks = append(blocks, landing.Landed{Gateway: name, LandedAt: oldAt, Block: aisBlock(t, byte(i+1), 0, record.Hash{}, oldAt, lines...)})
	}
	return blocks
}

// oldState are the frozen objects, one a block.
func oldState(t *testing.T) [][]byte {
	t.Helper()
	var all [][]byte
	for i := range oldGateways {
		object, err := os.ReadFile(fmt.Sprintf("testdata/formats/state-numbered-%d.state", i+1))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, object)
	}
	return all
}

// hears lands a second block of each gateway: the fix again, and the half that the
// first did not have.
func hears(t *testing.T, p *processor) (out table.Batch) {
	t.Helper()
	for i, l := range oldBlocks(t) {
		lines := []string{oldFix, halfB}
		if i == 1 {
			lines = []string{oldFix, halfA}
		}
		l.Block = aisBlock(t, byte(i+1), 2, record.HashBlock(l.Block), oldAt+2_000_000, lines...)
		if err := p.block(&l, stream.Position{Log: "l", Offset: int64(i) + 10}, &out); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// TestStateOfAnOlderVersionKnowsItsGateways: keys of state had a number in place of the
// gateway's name. What was remembered under it is remembered under the name, by the
// task that goes on, by the next one, and by those of another landing log.
func TestStateOfAnOlderVersionKnowsItsGateways(t *testing.T) {
	restored := func(chain ...[]byte) *processor {
		t.Helper()
		p, err := newProcessor(new(Counters), operator.WindowConfig{})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.restoreFrom(objects(chain...)); err != nil {
			t.Fatal(err)
		}
		return p
	}
	moved := func() *processor {
		t.Helper()
		h, err := NewHandover(1)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Take(t.Context(), stream.TaskID{Landing: "old"}, objects(oldState(t)...)); err != nil {
			t.Fatal(err)
		}
		return restored(h.Part(0).State)
	}
	again := func() *processor {
		t.Helper()
		object, keep := restored(oldState(t)...).state.Snapshot()
		old := oldState(t)
		return restored(append(old[len(old)-keep:], object)...)
	}
	for name, p := range map[string]*processor{"goes on": restored(oldState(t)...), "once more": again(), "moved": moved()} {
		t.Run(name, func(t *testing.T) {
			out := hears(t, p)
			for i, r := range out.Positions {
				if !r.IsDuplicate || r.DupOffset != 0 || r.DupLog != (record.LogID{byte(i + 1)}).String() {
					t.Errorf("%s: is_duplicate %v of %s+%d", r.Gateway, r.IsDuplicate, r.DupLog, r.DupOffset)
				}
			}
			for _, r := range out.Statics {
				if !r.Shipname.Valid || !r.Callsign.Valid {
					t.Errorf("%s: the half %c has name %q, call sign %q", r.Gateway, r.Part, r.Shipname.Value, r.Callsign.Value)
				}
			}
			if len(out.Positions) != 2 || len(out.Statics) != 2 {
				t.Fatalf("%d positions, %d halves", len(out.Positions), len(out.Statics))
			}
		})
	}
}
