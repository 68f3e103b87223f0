package parquet

import (
	"testing"

	"landfall/edge/record"
	"landfall/engine/table"
)

// BenchmarkRows is the cost of a record row and a position row together, from
// batch to finished file bytes, on one core: staging, sorting, encoding.
func BenchmarkRows(b *testing.B) {
	const n, batchRows = 1 << 18, 1024
	batch := harbour(1, 32*batchRows)
	batch.Losses, batch.Conflicts, batch.Statics, batch.BaseStations, batch.AtoNs, batch.Binaries, batch.Safeties, batch.Others = nil, nil, nil, nil, nil, nil, nil, nil
	e, err := newEncoder()
	if err != nil {
		b.Fatal(err)
	}
	var size [2]int64
	all := newTables()
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		for _, t := range all.stagers() {
			t.reset()
		}
		s := &Stage{tables: all}
		part := new(table.Batch)
		for i := 0; i < n; i += batchRows {
			at := i % len(batch.Records)
			part.Records, part.Positions = batch.Records[at:at+batchRows], batch.Positions[at:at+batchRows]
			for j := range part.Records {
				part.Records[j].Offset, part.Positions[j].Offset = record.Offset(i+j), record.Offset(i+j)
			}
			if err := s.Write(part); err != nil {
				b.Fatal(err)
			}
		}
		for i, t := range []stager{&s.tables.records, &s.tables.positions} {
			size[i] = 0
			for _, bk := range t.buckets() {
				var out counter
				e.out = newOutput(&out)
				if err := writeFile(e, bk.cols, e.rowOrder(bk), bk.sorted, nil); err != nil {
					b.Fatal(err)
				}
				size[i] += int64(out)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/sentence")
	b.ReportMetric(float64(size[0])/n, "record-B/row")
	b.ReportMetric(float64(size[1])/n, "position-B/row")
}
