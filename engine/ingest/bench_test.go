package ingest_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"landfall/edge/forward"
	"landfall/edge/record"
	"landfall/edge/seglog"
	"landfall/engine/ingest"
	"landfall/engine/landing/embedded"
)

// BenchmarkForward carries blocks of 1,000 records from an edge log over
// loopback into the embedded landing log: read, compress, send, check, fsync,
// acknowledge. One op is one block.
func BenchmarkForward(b *testing.B) {
	s, err := seglog.Open(seglog.Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	rnd := rand.New(rand.NewPCG(1, 2))
	const armour = "0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVW`abcdefghijklmnopqrstuvw"
	var group record.Builder
	for n := range b.N {
		group.Reset()
		for i := range 1000 {
			raw := fmt.Appendf(nil, "\\s:r%d,c:%d*00\\!AIVDM,1,1,,A,", i%4, 1700000000+n)
			for range 28 {
				raw = append(raw, armour[rnd.IntN(len(armour))])
			}
			raw = append(raw, ",0*5C"...)
			r := record.Record{Kind: record.KindAIS, ReceivedAt: record.Micros(n*1000 + i), TimeSource: record.TimeTag, Raw: raw}
			if err := group.Add(&r); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := s.Append(&group); err != nil {
			b.Fatal(err)
		}
	}
	l, err := embedded.Open(embedded.Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	url := serve(b, newIngest(b, ingest.Config{Log: l}))
	b.ResetTimer()
	f, stop := start(b, forward.Config{URL: url, Store: s})
	until(b, "all is acknowledged", drained(f))
	b.StopTimer()
	stop()
	c := f.Status().Counters
	seconds := b.Elapsed().Seconds()
	b.ReportMetric(float64(c.AckedRecords)/seconds, "records/s")
	b.ReportMetric(float64(c.BlockBytes)/seconds/1e6, "MB/s")
	b.ReportMetric(float64(c.WireBytes)/float64(c.AckedRecords), "wireB/record")
	b.ReportMetric(float64(c.Requests), "requests")
	b.ReportMetric(0, "ns/op")
}
