package operator

import (
	"testing"
	"time"

	"landfall/decoders/ais"
	"landfall/edge/record"
	"landfall/engine/table"
)

// measure gives a reading of one series to the windows.
func (o operators) measure(at, watermark record.Micros, out *table.Batch) {
	row := table.ReadingRow{
		Lineage: table.Lineage{Gateway: "g"}, Times: table.Times{EventTime: at, TimeQuality: record.QualitySynchronised},
		Source: "bus", Sensor: "SD", Metric: "depth", Value: ais.Some(1.5),
	}
	o.window.take(&Context{Gateway: "g", LandedAt: record.NoTime, Watermark: watermark}, &row, out)
}

// TestAWindowClosesOnce: a window that gave its row is not opened again by a
// longer allowed lateness, nor by what is read on after the end of the input,
// also not after a restart.
func TestAWindowClosesOnce(t *testing.T) {
	const t0 = 1_790_000_040 * second // a window begins
	for name, shut := range map[string]func(o operators, out *table.Batch){
		"by the watermark":   func(o operators, out *table.Batch) { o.window.Advance("g", t0+70*second, out) },
		"by the input's end": func(o operators, out *table.Batch) { o.window.Finish(out) },
	} {
		t.Run(name, func(t *testing.T) {
			var out table.Batch
			o := newOperators(t)
			o.measure(t0+5*second, record.NoTime, &out)
			shut(o, &out)
			if len(out.Windows) != 1 || len(out.Lates) != 0 {
				t.Fatalf("%d windows, %d late", len(out.Windows), len(out.Lates))
			}
			object, _ := o.state.Snapshot()
			o = o.restart(t, [][]byte{object})
			o.window.cfg.AllowedLateness = time.Hour
			out = table.Batch{}
			o.measure(t0+6*second, t0+70*second, &out)
			o.measure(t0+65*second, t0+70*second, &out)
			o.window.Finish(&out)
			if len(out.Lates) != 1 || out.Lates[0].EventTime != t0+6*second {
				t.Errorf("late: %+v", out.Lates)
			}
			if len(out.Windows) != 1 || out.Windows[0].WindowStart != t0+60*second {
				t.Errorf("windows: %+v", out.Windows)
			}
		})
	}
}
