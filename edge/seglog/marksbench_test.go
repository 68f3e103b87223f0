package seglog

import (
	"fmt"
	"testing"

	"landfall/edge/durable/faultfs"
	"landfall/edge/record"
)

// BenchmarkMarksWritten is what is written for marks beside the blocks: messages of
// 200 bytes from a number of brokers of which each remembers 131,072, a mark for 16
// of them, in segments of 8 MiB. headers is how it was: all marks in each header.
func BenchmarkMarksWritten(b *testing.B) {
	for _, brokers := range []int{1, 3, 4} {
		for _, how := range []string{"headers", "files"} {
			b.Run(fmt.Sprintf("brokers=%d/%s", brokers, how), func(b *testing.B) {
				if brokers == 4 && how == "headers" {
					b.Skip("no segment can begin")
				}
				for range b.N {
					st := writeMarks(b, brokers, how == "headers")
					b.ReportMetric(100*float64(st.MarkBytesWritten)/float64(st.AppendedBytes), "%marks/blocks")
				}
			})
		}
	}
}

// writeMarks runs until each broker's memory went round three times, and returns
// what was written since it was full.
func writeMarks(b *testing.B, brokers int, headers bool) Stats {
	b.Helper()
	cfg := testConfig(faultfs.New(), "/log")
	cfg.SegmentBytes = DefaultSegmentBytes
	if headers {
		cfg.inlineMarks = 1 << 30
	}
	s := mustOpen(b, cfg)
	const chunks = 131072 / 16
	payload, value := make([]byte, 200), make([]byte, 134)
	var group record.Builder
	var before Stats
	for n := range 3 * chunks / 16 { // 16 chunks of each broker a group
		if n == chunks/16 {
			before = s.Stats()
		}
		group.Reset()
		for broker := range brokers {
			for i := range 16 {
				for range 16 {
					if err := group.AddPayload(payload); err != nil {
						b.Fatal(err)
					}
				}
				m := record.Mark{Name: fmt.Sprintf("broker-%d/%d", broker, (16*n+i)%chunks), Value: value}
				if err := group.Annotate(m.Annotation()); err != nil {
					b.Fatal(err)
				}
			}
		}
		if _, err := s.Append(&group); err != nil {
			b.Fatal(err)
		}
		log, _ := s.Active()
		if err := s.Release(log, s.app.next); err != nil {
			b.Fatal(err)
		}
	}
	st := s.Stats()
	st.MarkBytesWritten -= before.MarkBytesWritten
	st.AppendedBytes -= before.AppendedBytes
	return st
}
