package operator

import (
	"fmt"
	"testing"

	"landfall/decoders/ais"
	"landfall/edge/record"
	"landfall/engine/table"
)

// TestAGatewaysWindowsAreBounded: readings of ever new names open MaxOpenWindows, what
// comes beyond is in late, also after a restart, and another gateway's are its own.
// Windows that are open take on, and those that close make room.
func TestAGatewaysWindowsAreBounded(t *testing.T) {
	const t0 = 1_790_000_040 * second // a window begins
	var out table.Batch
	o := newOperators(t)
	read := func(gateway, metric string, at record.Micros) {
		row := table.ReadingRow{
			Lineage: table.Lineage{Gateway: gateway}, Times: table.Times{EventTime: at, TimeQuality: record.QualitySynchronised},
			Source: "bus", Sensor: "x", Metric: metric, Value: ais.Some(1.5),
		}
		o.window.take(&Context{Gateway: gateway, LandedAt: record.NoTime, Watermark: record.NoTime}, &row, &out)
	}
	for i := range MaxOpenWindows + 10 {
		at := t0 + record.Micros(0)
		if i == 1 {
			at += 60 * second // this one stays open when the others close
		}
		read("g", fmt.Sprint(i), at)
	}
	if len(out.Lates) != 10 || o.window.Beyond() != 10 {
		t.Fatalf("%d in late, %d counted", len(out.Lates), o.window.Beyond())
	}
	var objects [][]byte
	object, _ := o.state.Snapshot()
	objects = append(objects, object)
	o, out = o.restart(t, objects), table.Batch{}
	read("g", "one more", t0)
	read("g", "0", t0+second) // that one is open
	read("other", "depth", t0)
	if len(out.Lates) != 1 || out.Lates[0].Metric != "one more" || out.Lates[0].Watermark != record.NoTime {
		t.Fatalf("late: %d", len(out.Lates))
	}
	o.window.Advance("g", t0+70*second, &out)
	if len(out.Windows) != MaxOpenWindows-1 {
		t.Errorf("%d windows closed", len(out.Windows))
	}
	read("g", "one more", t0+120*second)
	if len(out.Lates) != 1 {
		t.Error("windows that closed made no room")
	}
}
