package table

import (
	"runtime"
	"testing"
	"weak"

	"landfall/decoders/ais"
)

// TestAnEmptyBatchHoldsNoBlock: what rows of a batch pointed to, which may be whole landed
// blocks, is not kept by the memory of rows that are gone, however few come after them.
func TestAnEmptyBatchHoldsNoBlock(t *testing.T) {
	var b Batch
	var blocks []weak.Pointer[byte]
	block := func() []byte {
		p := make([]byte, 1<<20)
		blocks = append(blocks, weak.Make(&p[0]))
		return p
	}
	for n := 8; n > 0; n-- { // each has fewer rows than the one before
		raw, conflict, text := block(), block(), string(make([]byte, 1<<10))
		for range n {
			b.Records = append(b.Records, RecordRow{Raw: raw[:10]})
			b.Conflicts = append(b.Conflicts, ConflictRow{Block: conflict})
			b.Readings = append(b.Readings, ReadingRow{Sensor: text, ValueText: ais.Some(text)})
			b.Lates = append(b.Lates, LateRow{ReadingRow: ReadingRow{Sensor: text, ValueText: ais.Some(text)}})
		}
		b.Reset()
	}
	for _, r := range b.Readings[:cap(b.Readings)] {
		if r.Sensor != "" || r.ValueText.Valid {
			t.Fatal("a reading that is gone holds its texts")
		}
	}
	for _, r := range b.Lates[:cap(b.Lates)] {
		if r.Sensor != "" || r.ValueText.Valid {
			t.Fatal("a late reading that is gone holds its texts")
		}
	}
	runtime.GC()
	for i, p := range blocks {
		if p.Value() != nil {
			t.Errorf("block %d is held", i)
		}
	}
	runtime.KeepAlive(&b)
}
