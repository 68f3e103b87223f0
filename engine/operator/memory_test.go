package operator

import (
	"fmt"
	"runtime"
	"testing"

	"landfall/decoders/ais"
	"landfall/edge/record"
	"landfall/engine/table"
)

// heapOf returns by how many bytes the heap grows while something is made, and keeps it.
func heapOf(t *testing.T, make func() any) (bytes int64) {
	t.Helper()
	read := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := read()
	kept := make()
	bytes = read() - before
	runtime.KeepAlive(kept)
	return bytes
}

// TestStateTakesWhatIsCountedForIt: windows, receptions and ships of two gateways, as
// many as they may have, take no more memory each than StateMemory counts; nor does it
// take more to write them into a checkpoint.
func TestStateTakesWhatIsCountedForIt(t *testing.T) {
	const t0 = 1_790_000_040 * second
	of := func(what string, n int, counted int64, fill func(o operators, gateway string, i int)) {
		t.Helper()
		var o operators
		bytes := heapOf(t, func() any {
			o = newOperators(t)
			for i := range n / 2 {
				fill(o, "a gateway", i)
				fill(o, "another gateway", i)
			}
			return o
		})
		object, _ := o.state.Snapshot()
		wrote := int64(len(object)) * 9 / 4 // while it grows, with the one that it is copied from
		t.Logf("%s: %d of them, %d bytes each, %d counted; to write them takes %d each", what, n, bytes/int64(n), counted, wrote/int64(n))
		if bytes > int64(n)*counted {
			t.Errorf("%s: %d bytes each, %d are counted", what, bytes/int64(n), counted)
		}
		if wrote > int64(n)*counted/2 {
			t.Errorf("%s: %d bytes each to write, %d are counted", what, wrote/int64(n), counted/2)
		}
	}
	var out table.Batch
	of("windows", MaxAllWindows, windowMemory, func(o operators, gateway string, i int) {
		row := table.ReadingRow{
			Lineage: table.Lineage{Gateway: gateway}, Times: table.Times{EventTime: t0 + record.Micros(i)*60*second, TimeQuality: record.QualitySynchronised},
			Source: "bus", Sensor: "x", Metric: fmt.Sprint(i), Value: ais.Some(1.5),
		}
		o.window.take(&Context{Gateway: gateway, LandedAt: record.NoTime, Watermark: record.NoTime}, &row, &out)
	})
	of("receptions", MaxAllReceptions, receptionMemory, func(o operators, gateway string, i int) {
		o.hear(heard{gateway, uint64(i), t0 + record.Micros(i)*1000}, record.Offset(i), record.NoTime)
	})
	of("ships", MaxAllShips, shipMemory, func(o operators, gateway string, i int) {
		c := Context{Gateway: gateway, Watermark: record.NoTime}
		times := table.Times{EventTime: t0 + record.Micros(i)*1000, TimeSource: record.TimeTag}
		o.static.fill(&c, times, &ais.Static{Header: ais.Header{MMSI: uint32(i)}, Part: 'A', Shipname: ais.Some(fmt.Sprintf("SHIP OF TWENTY %05d", i))})
		o.static.fill(&c, times, &ais.Static{Header: ais.Header{MMSI: uint32(i)}, Part: 'B', Callsign: ais.Some(fmt.Sprintf("CALL%03d", i%1000)), VendorID: ais.Some("VND")})
	})
	if len(out.Lates) > 0 {
		t.Errorf("%d readings found no window", len(out.Lates))
	}
}
