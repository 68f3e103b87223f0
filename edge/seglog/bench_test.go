package seglog

import (
	"bytes"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"landfall/edge/durable"
	"landfall/edge/record"
)

const (
	benchRecord  = 80
	benchSegment = 64 << 20
)

func benchGroup(b *testing.B, n int) (*record.Builder, func()) {
	b.Helper()
	var builder record.Builder
	raw := bytes.Repeat([]byte("!AIVDM,1"), benchRecord/8)
	r := record.Record{Kind: record.KindAIS, TimeSource: record.TimeReceipt, Raw: raw}
	at := record.Micros(1_700_000_000_000_000)
	return &builder, func() {
		builder.Reset()
		for range n {
			at += 10
			r.ReceivedAt, r.EventTime, r.Monotonic = at, at, int64(at)
			if err := builder.Add(&r); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func benchStore(b *testing.B, dir string, captured bool) *Store {
	b.Helper()
	s, err := Open(Config{Dir: dir, SegmentBytes: benchSegment, CapturedRecords: captured})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	return s
}

// bare is the machine's own limit: the same bytes overwritten and fdatasynced
// in a file that is all there.
type bare struct {
	f  durable.File
	at int64
}

func newBare(b *testing.B, dir string) *bare {
	b.Helper()
	f, err := durable.OS{}.Create(filepath.Join(dir, "bare"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = f.Close() })
	zeros := make([]byte, 1<<20)
	for range benchSegment >> 20 {
		if _, err := f.Write(zeros); err != nil {
			b.Fatal(err)
		}
	}
	if err := f.Sync(); err != nil {
		b.Fatal(err)
	}
	return &bare{f: f}
}

func (r *bare) write(b *testing.B, p []byte) {
	if r.at+int64(len(p)) > benchSegment {
		r.at = 0
	}
	if _, err := r.f.WriteAt(p, r.at); err != nil {
		b.Fatal(err)
	}
	if err := r.f.SyncData(); err != nil {
		b.Fatal(err)
	}
	r.at += int64(len(p))
}

// release keeps a benchmark's log small, so that segments are recycled as in a
// gateway with a link.
func releaseBehind(b *testing.B, s *Store, first record.Offset) {
	log, _ := s.Active()
	if err := s.Release(log, first); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkAppend is capture to C1: fill a group and append it, with the digest
// of the log.
func BenchmarkAppend(b *testing.B) { benchAppend(b, true) }

// BenchmarkAppendWithoutDigest is the same without it: the difference is what
// the digest costs.
func BenchmarkAppendWithoutDigest(b *testing.B) { benchAppend(b, false) }

func benchAppend(b *testing.B, captured bool) {
	for _, n := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("group=%d", n), func(b *testing.B) {
			s := benchStore(b, b.TempDir(), captured)
			builder, fill := benchGroup(b, n)
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				fill()
				first, err := s.Append(builder)
				if err != nil {
					b.Fatal(err)
				}
				if i%1000 == 999 {
					releaseBehind(b, s, first)
				}
			}
			b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

// BenchmarkBare writes the bytes of BenchmarkAppend's blocks.
func BenchmarkBare(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("group=%d", n), func(b *testing.B) {
			r := newBare(b, b.TempDir())
			builder, fill := benchGroup(b, n)
			fill()
			block := bytes.Clone(builder.Seal(record.LogID{1}, 0, record.Hash{}))
			b.ResetTimer()
			for range b.N {
				r.write(b, block)
			}
			b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

// BenchmarkRatio interleaves both in one run, group by group, and reports how
// near Append comes to the machine's limit: the metric append/bare in percent.
func BenchmarkRatio(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("group=%d", n), func(b *testing.B) {
			dir := b.TempDir()
			s, r := benchStore(b, filepath.Join(dir, "log"), true), newBare(b, dir)
			builder, fill := benchGroup(b, n)
			fill()
			block := bytes.Clone(builder.Seal(record.LogID{1}, 0, record.Hash{}))
			var ours, theirs time.Duration
			const batch = 32
			for done := 0; done < b.N; done += batch {
				start := time.Now()
				var first record.Offset
				for range batch {
					fill()
					var err error
					if first, err = s.Append(builder); err != nil {
						b.Fatal(err)
					}
				}
				ours += time.Since(start)
				if done/batch%32 == 31 {
					releaseBehind(b, s, first)
				}
				start = time.Now()
				for range batch {
					r.write(b, block)
				}
				theirs += time.Since(start)
			}
			b.ReportMetric(100*theirs.Seconds()/ours.Seconds(), "%append/bare")
			rounds := float64((b.N + batch - 1) / batch * batch * n)
			b.ReportMetric(rounds/ours.Seconds(), "records/s")
			b.ReportMetric(rounds/theirs.Seconds(), "bare-records/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkOpen1GiB opens a log of 1 GiB in segments of the default size.
func BenchmarkOpen1GiB(b *testing.B) {
	dir := b.TempDir()
	s, err := Open(Config{Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	payload := make([]byte, 1<<20)
	var builder record.Builder
	for range 1 << 10 {
		builder.Reset()
		if err := builder.AddPayload(payload); err != nil {
			b.Fatal(err)
		}
		if _, err := s.Append(&builder); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for range b.N {
		s, err := Open(Config{Dir: dir})
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
