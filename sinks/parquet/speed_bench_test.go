package parquet

import (
	"testing"

	"landfall/edge/record"
	"landfall/engine/table"
)

// BenchmarkRows is the cost of a record row and a position row together, and of
// a position row alone, from batch to finished file bytes, on one core: staging,
// sorting, encoding, hashing.
func BenchmarkRows(b *testing.B) {
	b.Run("both", func(b *testing.B) { benchRows(b, true) })
	b.Run("position", func(b *testing.B) { benchRows(b, false) })
}

func benchRows(b *testing.B, records bool) {
	const n, batchRows = 1 << 18, 1024
	batch := harbour(1, 32*batchRows)
	e, err := newEncoder()
	if err != nil {
		b.Fatal(err)
	}
	var size int64
	all := newTables()
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		size = 0
		for _, t := range all.stagers() {
			t.reset()
		}
		s := &Stage{tables: all}
		part := new(table.Batch)
		for i := 0; i < n; i += batchRows {
			at := i % len(batch.Records)
			part.Positions = batch.Positions[at : at+batchRows]
			if records {
				part.Records = batch.Records[at : at+batchRows]
			}
			shift(batch, at, batchRows, record.Offset(i))
			if err := s.Write(part); err != nil {
				b.Fatal(err)
			}
		}
		for _, t := range []stager{&all.records, &all.positions} {
			for _, bk := range t.buckets() {
				var out counter
				e.out = newOutput(&out)
				if err := writeFile(e, bk.cols, e.rowOrder(bk), bk.sorted, nil); err != nil {
					b.Fatal(err)
				}
				size += int64(out)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/sentence")
	b.ReportMetric(float64(size)/n, "B/sentence")
}

// shift gives rows [at, at+n) offsets and times as if the stream had gone on.
func shift(b *table.Batch, at, n int, offset record.Offset) {
	for j := range n {
		r, p := &b.Records[at+j], &b.Positions[at+j]
		r.Offset, p.Offset = offset+record.Offset(j), offset+record.Offset(j)
		r.EventTime += 330e6
		p.EventTime = r.EventTime
	}
}
