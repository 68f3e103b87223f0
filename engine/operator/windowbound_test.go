package operator

import (
	"fmt"
	"strings"
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
	o, over := newOperators(t), 0
	o.window.over = func(gateway string, n int) {
		if over += n; gateway != "g" {
			t.Errorf("%s is over its share", gateway)
		}
	}
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
	if len(out.Lates) != 10 || over != 10 {
		t.Fatalf("%d in late, %d counted", len(out.Lates), over)
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

// TestTheWindowsOfATaskAreBounded: when all gateways together have many windows open,
// each may have an equal share of them, and nobody's are closed for another.
func TestTheWindowsOfATaskAreBounded(t *testing.T) {
	const t0 = 1_790_000_040 * second
	var out table.Batch
	o := newOperators(t)
	read := func(gateway string, from, until int) (late int) {
		before := len(out.Lates)
		for i := from; i < until; i++ {
			row := table.ReadingRow{
				Lineage: table.Lineage{Gateway: gateway}, Times: table.Times{EventTime: t0, TimeQuality: record.QualitySynchronised},
				Source: "bus", Sensor: "x", Metric: fmt.Sprint(i), Value: ais.Some(1.5),
			}
			o.window.take(&Context{Gateway: gateway, LandedAt: record.NoTime, Watermark: record.NoTime}, &row, &out)
		}
		return len(out.Lates) - before
	}
	if late := read("a", 0, MaxOpenWindows) + read("b", 0, MaxOpenWindows); late != 0 {
		t.Fatalf("%d in late while there is room", late)
	}
	const share = MaxAllWindows / 3
	if late := read("honest", 0, share+5); late != 5 {
		t.Errorf("%d of %d readings of a third gateway are in late, want 5", late, share+5)
	}
	if late := read("a", MaxOpenWindows-10, MaxOpenWindows); late != 0 {
		t.Errorf("%d readings of windows that are open are in late", late)
	}
	object, _ := o.state.Snapshot()
	if o = o.restart(t, [][]byte{object}); read("honest", share, share+1) != 1 || read("fourth", 0, 10) != 0 {
		t.Error("the shares are others after a restart")
	}
	o.window.Advance("a", t0+1000*second, &out)
	if late := read("honest", share, share+10); late != 0 {
		t.Errorf("%d in late after windows closed", late)
	}
}

// TestNamesOfWindowsAreBounded: long names, and long units that come later, take no more
// than their share of memory, also after a restart; and what closes gives it back.
func TestNamesOfWindowsAreBounded(t *testing.T) {
	const t0 = 1_790_000_040 * second
	var out table.Batch
	o := newOperators(t)
	long := strings.Repeat("x", 1000)
	read := func(gateway string, i int, unit string) bool {
		row := table.ReadingRow{
			Lineage: table.Lineage{Gateway: gateway}, Times: table.Times{EventTime: t0, TimeQuality: record.QualitySynchronised},
			Source: "bus", Sensor: long, Metric: fmt.Sprint(i), Unit: unit, Value: ais.Some(1.5),
		}
		before := len(out.Lates)
		o.window.take(&Context{Gateway: gateway, LandedAt: record.NoTime, Watermark: record.NoTime}, &row, &out)
		return len(out.Lates) == before
	}
	n := 0
	for n < 2*MaxWindowNames/1000 && read("evil", n, "") {
		n++
	}
	if most := MaxWindowNames / 1000; n > most || n < most*9/10 {
		t.Errorf("%d windows with names of 1,000 bytes are open", n)
	}
	for i := range n {
		read("units", i, "")
	}
	if !read("honest", 1, "m") {
		t.Error("a neighbour with a share has no window")
	}
	if read("units", 1, strings.Repeat("u", 40_000)) {
		t.Error("a longer unit is taken where there is no room for it")
	}
	m := 0
	for m < n && read("third", m, "") {
		m++
	}
	if share := MaxAllWindowNames / 4 / 1000; m > share || m < share*9/10 {
		t.Errorf("the fourth gateway has %d windows open, want a share of %d", m, share)
	}
	before := o.window.names
	object, _ := o.state.Snapshot()
	if o = o.restart(t, [][]byte{object}); o.window.names != before || read("evil", n, "") {
		t.Errorf("%d bytes of names after a restart, %d before", o.window.names, before)
	}
	for _, gateway := range []string{"evil", "units", "honest", "third"} {
		o.window.Advance(gateway, t0+1000*second, &out)
	}
	if o.window.names != 0 || o.window.n != 0 {
		t.Errorf("%d bytes of names in %d windows are left", o.window.names, o.window.n)
	}
}

// TestLongNamesAreNotShared: they would stay when nothing has them any more.
func TestLongNamesAreNotShared(t *testing.T) {
	n := interner{}
	for i := range 100 {
		n.of(fmt.Append(nil, strings.Repeat("y", maxInternedBytes), i))
		n.of(fmt.Append(nil, "short", i%3))
	}
	if len(n) != 3 {
		t.Errorf("%d strings are shared", len(n))
	}
}

// TestManyGatewaysShareTheWindowsOfATask: of gateways that come one after the other, each
// with as many windows as it may open, all together have no more than twice as many as
// are open before shares begin, and the least of each one; one that comes last has that.
func TestManyGatewaysShareTheWindowsOfATask(t *testing.T) {
	const t0, gateways = 1_790_000_040 * second, 150
	var out table.Batch
	o := newOperators(t)
	fill := func(gateway string) (open int) {
		for i := range MaxOpenWindows {
			row := table.ReadingRow{
				Lineage: table.Lineage{Gateway: gateway}, Times: table.Times{EventTime: t0, TimeQuality: record.QualitySynchronised},
				Source: "bus", Sensor: "x", Metric: fmt.Sprint(i), Value: ais.Some(1.5),
			}
			o.window.take(&Context{Gateway: gateway, LandedAt: record.NoTime, Watermark: record.NoTime}, &row, &out)
			if len(out.Lates) > 0 {
				out.Reset()
				return i
			}
		}
		return MaxOpenWindows
	}
	for i := range gateways {
		fill(fmt.Sprint("g", i))
	}
	if most := 2*MaxAllWindows + gateways*leastWindows; o.window.n > most || o.window.n < 2*MaxAllWindows {
		t.Errorf("%d windows are open, want %d at most", o.window.n, most)
	}
	if open := fill("honest"); open != leastWindows {
		t.Errorf("the last one has %d windows open", open)
	}
}
