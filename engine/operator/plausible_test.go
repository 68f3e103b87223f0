package operator

import (
	"fmt"
	"math"
	"testing"

	"landfall/edge/record"
	"landfall/engine/table"
)

// TestImplausibleTimesAreBounded: no row has a time with which a reader cannot compute,
// whatever a gateway says; its rows are there all the same, and it is counted.
func TestImplausibleTimesAreBounded(t *testing.T) {
	const now = 1_790_000_000_000_000
	for _, c := range []struct {
		received, event record.Micros
		mono            int64
		plausible       bool
	}{
		{now, now - 5, 7, true},
		{now, record.MinTime, record.MaxMonotonic, true},
		{record.MaxTime, record.MaxTime, 0, true},
		{now, math.MaxInt64, 7, false},
		{now, record.MaxTime + 1, 7, false},
		{now, record.MinTime - 1, 7, false},
		{math.MinInt64 + 100, now, 7, false},
		{record.MaxTime + 1, now, 7, false},
		{now, now, math.MaxInt64, false},
		{now, now, -1, false},
	} {
		t.Run(fmt.Sprint(c.received, c.event, c.mono), func(t *testing.T) {
			o := newOperators(t)
			ctx := &Context{
				Gateway: "evil", LogName: "log", LandedAt: now, Watermark: record.NoTime,
				Anchor: &record.Anchor{UTC: now, Quality: record.QualitySynchronised},
			}
			var out table.Batch
			r := record.Record{
				Kind: record.KindAIS, ReceivedAt: c.received, EventTime: c.event, Monotonic: c.mono,
				TimeSource: record.TimeTag, TimeQuality: record.QualityAsserted, Raw: []byte("!AIVDM,1,1,,A,13u?etPv2;0n:dDPwUM1U1Cb069D,0*24"),
			}
			o.decode.Record(ctx, 3, &r, &out)
			if len(out.Records) != 1 || len(out.Positions) != 1 || out.Records[0].RejectReason != "" {
				t.Fatalf("%d rows of record, %d positions", len(out.Records), len(out.Positions))
			}
			row := &out.Records[0]
			if n := o.decode.Implausible(); n != 0 == c.plausible || o.decode.Implausible() != 0 {
				t.Errorf("%d are counted", n)
			}
			if c.plausible {
				if row.ReceivedAt != c.received || row.EventTime != c.event || row.Monotonic != c.mono {
					t.Errorf("times are others: %+v", row)
				}
				return
			}
			if row.EventTime != record.NoTime || row.TimeQuality != record.QualityUnsynchronised || out.Positions[0].Times != row.Times {
				t.Errorf("event time is %+v", row.Times)
			}
			if row.ReceivedAt < record.MinTime || row.ReceivedAt > record.MaxTime || row.Monotonic < 0 || row.Monotonic > record.MaxMonotonic {
				t.Errorf("received at %d, %d after the boot", row.ReceivedAt, row.Monotonic)
			}
		})
	}
}
