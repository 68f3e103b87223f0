package task

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"landfall/edge/record"
	"landfall/engine/checkpoint"
	"landfall/engine/landing"
	"landfall/engine/stream"
	"landfall/engine/table"
)

// TestWorkOfAnHour: what a gateway took is told for an hour, in parts of ten minutes, and
// forgotten then; a clock that goes back changes nothing.
func TestWorkOfAnHour(t *testing.T) {
	var c costs
	at := time.Unix(1_780_000_200, 0) // a part begins
	one := Work{Blocks: 1, Bytes: 100, Rows: 3, Took: time.Millisecond}
	c.add("a", one, at)
	c.add("a", one, at.Add(55*time.Minute))
	c.add("b", one, at.Add(-2*time.Hour))
	twice := Work{Blocks: 2, Bytes: 200, Rows: 6, Took: 2 * time.Millisecond}
	if got := c.end(at.Add(59 * time.Minute)); !reflect.DeepEqual(got, map[string]Cost{
		"a": {Gateway: "a", Epoch: twice, Hour: twice}, "b": {Gateway: "b", Epoch: one, Hour: one},
	}) {
		t.Errorf("%+v", got)
	}
	if got := c.end(at.Add(60 * time.Minute)); len(got) != 2 || got["a"].Hour != one || got["a"].Epoch != (Work{}) {
		t.Errorf("after an hour: %+v", got)
	}
	if got := c.end(at.Add(3 * time.Hour)); len(got) != 0 || len(c.of) != 0 {
		t.Errorf("after three hours: %+v", got)
	}
}

// TestARunTellsCosts: after an epoch each gateway's blocks, rows, time and dates are told,
// and after the next claim what is kept of them.
func TestARunTellsCosts(t *testing.T) {
	r := newRig(t)
	var times []record.Micros
	for i := range 1000 {
		times = append(times, record.Micros(i+100)*dayMicros)
	}
	evil, honest := texts(t, 1, 500, times), texts(t, 2, 10, slices.Repeat([]record.Micros{1}, 20))
	r.land(t, "evil", evil...)
	r.land(t, "honest", honest...)
	var c Counters
	_, last := lakeOf(t, r, &c)
	if last.Costs.Gateways != 2 || last.Costs.Logs != 2 || len(last.Costs.Top) != 2 || last.Costs.Hour.Rows != 1020 {
		t.Fatalf("%+v", last.Costs)
	}
	for _, one := range last.Costs.Top {
		want, dates := Work{Blocks: 2, Bytes: uint64(len(honest[0]) + len(honest[1])), Rows: 20, Took: one.Epoch.Took}, 0
		if one.Gateway == "evil" {
			want = Work{Blocks: 2, Bytes: uint64(len(evil[0]) + len(evil[1])), Rows: 1000, Took: one.Epoch.Took}
			dates = stream.MaxFarDates
		}
		if one.Epoch != want || one.Hour != want || one.Epoch.Took <= 0 || one.Dates != dates || one.Logs != 1 {
			t.Errorf("%+v, want %+v and %d dates", one, want, dates)
		}
	}
	quiet := newRig(t)
	quiet.land(t, "honest", honest...)
	for _, blocks := range []int{2, 0} { // then a claim alone
		ctx, cancel := context.WithCancel(t.Context())
		cfg := quiet.config(&c)
		cfg.Look = func(*landing.Landed, *table.Batch) {
			if blocks--; blocks == 0 {
				cancel()
			}
		}
		cfg.Claimed = func(s Status, _ func() checkpoint.Stats) {
			if last = s; blocks == 0 {
				cancel()
			}
		}
		if err := Run(ctx, cfg); err != nil {
			t.Fatal(err)
		}
		cancel()
	}
	if last.Costs.Gateways != 1 || last.Costs.Hour != (Work{}) || last.Costs.Top[0].StateBytes == 0 {
		t.Errorf("after a restart: %+v", last.Costs)
	}
}

// TestCostsAreBounded: those of the gateways that cost the most are listed, and how many
// there are besides is known.
func TestCostsAreBounded(t *testing.T) {
	f := newFeeder(t)
	of := map[string]Cost{}
	for i := range 100 {
		name := fmt.Sprintf("g%02d", i)
		f.land(name, writeLog(t, byte(i+1)).texts(1))
		if i%10 == 0 {
			of[name] = Cost{Gateway: name, Hour: Work{Bytes: 10, Took: time.Duration(i+1) * time.Second}}
		}
	}
	got := f.p.costs(of, map[string]int{"g90": 7})
	if got.Gateways != 100 || got.Logs != 100 || len(got.Top) != keptCosts || got.Hour.Bytes != 100 {
		t.Errorf("%d gateways, %d logs, %d listed", got.Gateways, got.Logs, len(got.Top))
	}
	if c := got.Top[0]; c.Gateway != "g90" || c.Dates != 7 || c.Logs != 1 || c.StateBytes == 0 || got.Top[9].Gateway != "g00" || got.Top[10].Hour != (Work{}) {
		t.Errorf("%+v", got.Top[:11])
	}
}

// TestStateBytesAreEstimated: what is said to be kept of the gateways is near to what the
// checkpoint has.
func TestStateBytesAreEstimated(t *testing.T) {
	f := newFeeder(t)
	for i, name := range []string{"north-pier", "south"} {
		var prev record.Hash
		for n := range 200 {
			at := oldAt + record.Micros(n*20_000_000)
			block := aisBlock(t, byte(i+1), record.Offset(n), prev, at, fmt.Sprintf("!AIVDM,1,1,,A,%s", line(n)))
			prev = record.HashBlock(block)
			f.land(name, block)
		}
		for n := range 50 {
			f.land(name, writeLog(t, byte(100+100*i+n)).texts(1))
		}
	}
	object, _ := f.p.state.Snapshot()
	got := f.p.costs(map[string]Cost{}, nil)
	sum := int64(0)
	for _, c := range got.Top {
		sum += c.StateBytes
	}
	if n := int64(len(object)); sum < n/2 || sum > 2*n || got.Top[0].Receptions == 0 || got.Top[0].Logs != 51 {
		t.Errorf("%d bytes are said to be kept, of %d: %+v", sum, n, got.Top)
	}
}

// line is a position report of one of many ships, with its checksum.
func line(n int) string {
	body := fmt.Sprintf("1%dvg24002gPm3WtPqina@WJ>2L0i,0", n%8)
	sum := byte(0)
	for _, b := range []byte("AIVDM,1,1,,A," + body) {
		sum ^= b
	}
	return fmt.Sprintf("%s*%02X", body, sum)
}
