package capture

import (
	"slices"
	"testing"
	"testing/synctest"

	"landfall/edge/record"
	"landfall/edge/source"
)

// TestReportIsOneRecord: a report is no line, whatever its bytes; its own time
// becomes event time where it can be one and moves the watermark; its batch has
// mark, position and acknowledgement like any other.
func TestReportIsOneRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, in := &memLog{marks: map[string][]byte{}}, make(chan *source.Batch)
		_, stop := live(t, log, feeder("a", in))
		const odd = "!AIVDM,1,1,,A,10000E0P0000000000000000000:,0*00\r\n\x00!AIVDM,2,1,1,A,x,0*11"
		b := batch("!AIVDM,2,1,1,A,x,0*00")
		wall := b.ReceivedAt
		own := wall + 5_000_000
		b.Lines = append(b.Lines,
			source.Line{Data: []byte(odd), Reading: true, Time: own},
			source.Line{Data: []byte(odd), Reading: true, Time: 1, Truncated: true},
			source.Line{Data: []byte(odd), Reading: true})
		told := 0
		b.Mark, b.Position, b.Sync, b.Durable = "a/m", []byte("7"), true, func() { told = len(log.all()) }
		in <- b
		synctest.Wait()
		if told != 1 || string(log.Marks()["a/m"]) != "7" {
			t.Fatalf("told with %d blocks, marks %q", told, log.Marks())
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		var got []kept
		for _, block := range log.all() {
			got = append(got, decode(t, &block)...)
		}
		got = slices.DeleteFunc(got, func(k kept) bool { return k.Kind != record.KindReading })
		if len(got) != 3 {
			t.Fatalf("%d records of kind reading", len(got))
		}
		for i, want := range []record.Record{
			{EventTime: own, TimeSource: record.TimePayload, TimeQuality: record.QualityAsserted},
			{EventTime: wall, TimeSource: record.TimeReceipt, TimeQuality: record.QualityUnsynchronised, Flags: record.FlagTruncated},
			{EventTime: wall, TimeSource: record.TimeReceipt, TimeQuality: record.QualityUnsynchronised},
		} {
			want.Kind, want.ReceivedAt, want.Monotonic = record.KindReading, wall, b.Monotonic
			if k := got[i]; k.raw != odd || k.EventTime != want.EventTime || k.TimeSource != want.TimeSource || k.TimeQuality != want.TimeQuality ||
				k.Flags != want.Flags || k.ReceivedAt != want.ReceivedAt || k.Monotonic != want.Monotonic {
				t.Errorf("record %d: %+v, want %+v", i, k, want)
			}
		}
		// After a time of its own, records without one do not move the watermark.
		block := log.all()[0]
		for a := range block.Annotations {
			if w, err := a.Watermark(); a.Type == record.AnnWatermark && err == nil && w.Source == "a" && w.At != own-30_000_000 {
				t.Errorf("watermark %d, want %d", w.At, own-30_000_000)
			}
		}
	})
}
