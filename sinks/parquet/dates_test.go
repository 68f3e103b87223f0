package parquet

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"

	"landfall/decoders/ais"
	"landfall/edge/record"
	"landfall/engine/stream"
	"landfall/engine/table"
)

// landedAt is when the blocks of these tests landed: at noon of 2026-05-28.
const landedAt = record.Micros(1_780_000_000_000_000) - 1_780_000_000_000_000%microsPerDay + microsPerDay/2

// readings is a block of a gateway: a record and a reading for each event time.
func readings(gateway string, first int, at ...record.Micros) *table.Batch {
	b := new(table.Batch)
	for i, e := range at {
		l := table.Lineage{Gateway: gateway, Log: fmt.Sprintf("%032x", len(gateway)), Offset: record.Offset(first + i),
			Rows: 1}
		times := table.Times{EventTime: landedAt, TimeSource: record.TimeClock, TimeQuality: record.QualitySynchronised,
			ReceivedAt: landedAt}
		b.Records = append(b.Records, table.RecordRow{Lineage: l, Times: times, LandedAt: landedAt,
			Kind: record.KindReading, Raw: []byte("{}")})
		times.EventTime, times.TimeSource, times.TimeQuality = e, record.TimePayload, record.QualityAsserted
		b.Readings = append(b.Readings,
			table.ReadingRow{Lineage: l, Times: times, Source: "broker", Sensor: "x", Metric: "m",
				Value: ais.Some(1.0)})
	}
	return b
}

// stageOf stages batches.
func stageOf(t *testing.T, s *Sink, batches ...*table.Batch) *Stage {
	t.Helper()
	stage, err := s.Begin(testTask, "0123456789abcdef0123456789abcdef", 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range batches {
		if err := stage.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	return stage.(*Stage)
}

// rowsOfDates are the rows of a table that a stage has by date.
func rowsOfDates[R any](t *tableStage[R]) map[string]int {
	all := map[string]int{}
	for d, b := range t.days {
		all[d.String()] = b.n
	}
	return all
}

// wild is n event times, each of another date.
func wild(n int) (at []record.Micros) {
	for i := range n {
		at = append(at, record.Micros(i)*microsPerDay+5)
	}
	return at
}

// TestAGatewayOpensAShareOfDates: one that sends event times of 20,000 dates, as an MQTT
// payload can, opens stream.MaxFarDates of them; the other rows are under the date on
// which they landed with their event time, and counted. A neighbour's rows of today, and
// of a backlog, are where they belong, and the memory is that of the rows.
func TestAGatewayOpensAShareOfDates(t *testing.T) {
	_, s := lake(t)
	var backlog []record.Micros
	for i := range 30 {
		backlog = append(backlog, landedAt-record.Micros(i)*microsPerDay)
	}
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	stage := stageOf(t, s)
	times := wild(20_000)
	for i := 0; i < len(times); i += 500 {
		for _, b := range []*table.Batch{readings("evil", i, times[i:i+500]...),
			readings("honest", i, landedAt, landedAt)} {
			if err := stage.Write(b); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := stage.Write(readings("honest", 900_000, backlog...)); err != nil {
		t.Fatal(err)
	}
	held := heap() - before
	dates := rowsOfDates(&stage.tables.readings)
	const elsewhere = 20_000 - stream.MaxFarDates
	if n := len(dates); n != stream.MaxFarDates+30 {
		t.Errorf("%d dates are open", n)
	}
	for _, at := range backlog[1:] {
		d, _ := dayOf(at)
		if dates[d.String()] != 1 {
			t.Errorf("%s has %d rows of the neighbour", d, dates[d.String()])
		}
	}
	if today := dates["2026-05-28"]; today != elsewhere+80+1 {
		t.Errorf("today has %d rows", today)
	}
	if got := stage.Elsewhere(); !maps.Equal(got, map[string]uint64{"evil": elsewhere}) {
		t.Errorf("filed elsewhere: %v", got)
	}
	t.Logf("%d dates, %d bytes of heap, Bytes says %d", len(dates), held, stage.Bytes())
	if held > 16<<20 {
		t.Errorf("%d bytes of heap", held)
	}
	staged, err := stage.Seal(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	rows := int64(0)
	for _, f := range staged {
		rows += f.Rows
	}
	if rows != 2*20_000+2*80+2*30 || len(staged) != len(dates)+1 {
		t.Errorf("%d rows in %d files", rows, len(staged))
	}
}

// TestTheDatesOfAnEpochAreBounded: whoever sends them, and only far ones count.
func TestTheDatesOfAnEpochAreBounded(t *testing.T) {
	_, s := lake(t)
	stage := stageOf(t, s)
	for i := range 12 {
		at := wild(stream.MaxFarDates)
		for k := range at {
			at[k] += record.Micros(100*i) * microsPerDay
		}
		if err := stage.Write(readings(fmt.Sprint("g", strings.Repeat("x", i)), 0, at...)); err != nil {
			t.Fatal(err)
		}
	}
	if err := stage.Write(readings("honest", 0, landedAt-microsPerDay, landedAt, landedAt+microsPerDay)); err != nil {
		t.Fatal(err)
	}
	dates := rowsOfDates(&stage.tables.readings)
	if n := len(dates); n != stream.MaxAllFarDates+3 {
		t.Errorf("%d dates are open", n)
	}
	if dates["2026-05-27"] != 1 || dates["2026-05-29"] != 1 {
		t.Errorf("the neighbour's rows are not under their dates")
	}
	if got := stage.Elsewhere(); len(got) != 4 || got["honest"] != 0 {
		t.Errorf("filed elsewhere: %v", got)
	}
}

// TestFarDatesFollowFromTheRows: the same batches give the same files, in whatever
// process; and an epoch is told to end long before anything is filed elsewhere.
func TestFarDatesFollowFromTheRows(t *testing.T) {
	batches := func() (all []*table.Batch) {
		at := wild(400)
		for i := 0; i < len(at); i += 16 {
			all = append(all, readings("g", i, at[i:i+16]...), readings("other", i, at[i:i+16]...))
		}
		return all
	}
	var want []stream.Staged
	for range 3 {
		_, s := lake(t)
		staged, err := stageOf(t, s, batches()...).Seal(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if want == nil {
			want = staged
		}
		if !slices.Equal(staged, want) {
			t.Fatalf("%d files, want the same %d", len(staged), len(want))
		}
	}
	_, s := lake(t)
	stage := stageOf(t, s)
	for i, b := range batches() {
		if many := stage.ManyDates(); many != (i > 2) || len(stage.Elsewhere()) > 0 && i <= 8 {
			t.Errorf("after %d batches: many dates %v, filed elsewhere %v", i, many, stage.Elsewhere())
		}
		if err := stage.Write(b); err != nil {
			t.Fatal(err)
		}
	}
}

// TestEveryDateIsOpened where nobody else waits.
func TestEveryDateIsOpened(t *testing.T) {
	_, s := lake(t)
	s.every = true
	stage := stageOf(t, s, readings("g", 0, wild(700)...))
	if dates := rowsOfDates(&stage.tables.readings); len(dates) != 700 || len(stage.Elsewhere()) != 0 {
		t.Errorf("%d dates are open, %v", len(dates), stage.Elsewhere())
	}
}

// TestWindowsWithoutRecordsAreFiled: those that an epoch's end closes lie near what
// landed last, or under it.
func TestWindowsWithoutRecordsAreFiled(t *testing.T) {
	_, s := lake(t)
	stage := stageOf(t, s, readings("g", 0, landedAt))
	var b table.Batch
	for _, at := range append(wild(stream.MaxFarDates+5), landedAt) {
		b.Windows = append(b.Windows, table.WindowRow{Gateway: "g", Sensor: "x", Metric: "m", WindowStart: at,
			WindowEnd: at + 1, Count: 1})
	}
	if err := stage.Write(&b); err != nil {
		t.Fatal(err)
	}
	if dates := rowsOfDates(&stage.tables.windows); len(dates) != stream.MaxFarDates+1 || dates["2026-05-28"] != 6 {
		t.Errorf("%d dates, %d windows under what landed", len(dates), dates["2026-05-28"])
	}
}
