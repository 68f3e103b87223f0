package repair

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/engine/landing"
	"landfall/engine/landing/embedded"
	"landfall/engine/ledger"
	"landfall/engine/table"
	"landfall/engine/task"
)

// TestABlockIsTakenInAsItWasCaptured: only where it is one that its epoch took, and none
// of its offsets is in record; and with what its gateway knew of the clock, where a
// landing log still holds that very block.
func TestABlockIsTakenInAsItWasCaptured(t *testing.T) {
	log, boot := record.LogID{7}, [16]byte{1, 2}
	block := func(raw string) []byte {
		var b record.Builder
		b.Reset()
		for range 3 {
			if err := b.Add(&record.Record{Kind: record.KindText, EventTime: record.NoTime, Raw: []byte(raw)}); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.Annotate(record.Annotation{Type: record.AnnBoot, Body: boot[:]}); err != nil {
			t.Fatal(err)
		}
		return bytes.Clone(b.Seal(log, 4, record.Hash{5}))
	}
	dir := t.TempDir()
	l, err := embedded.Open(embedded.Config{Dir: dir, Partitions: 1})
	if err != nil {
		t.Fatal(err)
	}
	clock := record.EncodeAnchors([]record.Anchor{{Boot: boot, Mono: 1, UTC: 1_790_000_000_000_000}})
	if err := l.Append(t.Context(), landing.Landed{Gateway: "g", LandedAt: 9, Block: block("held"), Clock: clock}); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	held, err := openBlocks(t.Context(), Config{FS: durable.OS{}, Landing: []string{dir}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = held.close() }()
	took := func(from, next record.Offset) *ledger.Entry {
		return &ledger.Entry{Logs: []ledger.Log{{Gateway: "g", Log: log.String(), From: from, Next: next}}}
	}
	for name, c := range map[string]struct {
		block  string
		change func(row *table.ConflictRow)
		took   *ledger.Entry
		known  []*group
		clock  bool
		why    string
	}{
		"held in the landing log": {block: "held", took: took(4, 7), clock: true},
		"not held":                {block: "another", took: took(0, 9)},
		"of another epoch":        {block: "held", took: took(7, 9), why: "is not one that its epoch took"},
		"half of another epoch":   {block: "held", took: took(5, 9), why: "is not one that its epoch took"},
		"of another gateway":      {block: "held", took: took(4, 7), change: func(row *table.ConflictRow) { row.Gateway = "h" }, why: "is not one that its epoch took"},
		"other offsets":           {block: "held", took: took(0, 9), change: func(row *table.ConflictRow) { row.Offset++ }, why: "is not one that its epoch took"},
		"damaged":                 {block: "held", took: took(4, 7), change: func(row *table.ConflictRow) { row.Block[90] ^= 1 }, why: "cannot be read"},
		"in record already":       {block: "held", took: took(4, 7), known: []*group{{log: log, records: []one{{offset: 6}}}}, why: "record has rows of offsets"},
		"others in record":        {block: "held", took: took(0, 9), known: []*group{{log: log, records: []one{{offset: 3}, {offset: 7}}}}, clock: true},
	} {
		t.Run(name, func(t *testing.T) {
			row := table.ConflictRow{Gateway: "g", Log: log.String(), Offset: 4, Count: 3, Reason: task.ReasonPoison, Block: slices.Clone(block(c.block)), LandedAt: 9}
			if c.change != nil {
				c.change(&row)
			}
			g, why := (&run{blocks: held}).takenGroup(&row, c.took, c.known)
			if (why == "") != (c.why == "") || !strings.Contains(why, c.why) {
				t.Fatalf("it says %q, want %q", why, c.why)
			}
			if why == "" && (len(g.records) != 3 || g.landedAt != 9 || (g.anchor != nil) != c.clock) {
				t.Errorf("%d records, landed at %d, clock %v", len(g.records), g.landedAt, g.anchor)
			}
		})
	}
}
