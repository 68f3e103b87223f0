package task

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"landfall/edge/record"
	"landfall/engine/landing"
	"landfall/engine/operator"
)

const (
	windowSize     = int64(60_000_000)
	windowLateness = int64(30_000_000)
	windowsBegin   = int64(1_790_000_000_000_000)
)

// measured is a log of depth soundings, some of them late, with what is known of
// each.
type measured struct {
	testLog
	at    [][]int64 // event times by block
	value [][]float64
	marks []int64 // watermark after each block
}

// measuredLog makes one: a sounding every ten seconds, the watermark 20 s behind.
func measuredLog(t testing.TB, id byte, blocks int, rng *rand.Rand) measured {
	t.Helper()
	l := measured{testLog: testLog{id: record.LogID{id}}}
	var b record.Builder
	var prev record.Hash
	next, now := record.Offset(0), windowsBegin
	for range blocks {
		b.Reset()
		var at []int64
		var values []float64
		if err := b.Annotate(record.SourceName{Source: 0, Name: "sounder"}.Annotation()); err != nil {
			t.Fatal(err)
		}
		for range 1 + rng.IntN(4) {
			now += 10_000_000
			when := now
			if rng.IntN(6) == 0 {
				when -= rng.Int64N(200_000_000)
			}
			v := float64(rng.IntN(1000)) / 10
			body := fmt.Sprintf("SDDPT,%.1f,", v)
			sum := byte(0)
			for _, c := range []byte(body) {
				sum ^= c
			}
			r := record.Record{
				Kind: record.KindSentence, TimeSource: record.TimeClock, TimeQuality: record.QualitySynchronised,
				EventTime: record.Micros(when), ReceivedAt: 5, Raw: fmt.Appendf(nil, "$%s*%02X", body, sum),
			}
			if err := b.Add(&r); err != nil {
				t.Fatal(err)
			}
			at, values = append(at, when), append(values, v)
		}
		l.marks = append(l.marks, now-20_000_000)
		if err := b.Annotate(record.Watermark{At: record.Micros(now - 20_000_000)}.Annotation()); err != nil {
			t.Fatal(err)
		}
		block := slices.Clone(b.Seal(l.id, next, prev))
		l.blocks, prev, next = append(l.blocks, block), record.HashBlock(block), next+record.Offset(len(at))
		l.at, l.value = append(l.at, at), append(l.value, values)
	}
	return l
}

// expected is the slow obvious model: for each reading, by the watermark before
// its block, whether its window had closed; and each window's numbers, found by
// looking at all readings again. nameOf names a row as the sink does.
func (l *measured) expected(gateway string) (late, windows []string) {
	type taken struct {
		at, start int64
		value     float64
		offset    record.Offset
	}
	var all []taken
	offset, before := record.Offset(0), int64(record.NoTime)
	for i := range l.blocks {
		for k, at := range l.at[i] {
			start := at / windowSize * windowSize
			if before != int64(record.NoTime) && start+windowSize+windowLateness <= before {
				late = append(late, rowName(gateway, l.id.String(), offset, fmt.Sprint("late ", start)))
			} else {
				all = append(all, taken{at, start, l.value[i][k], offset})
			}
			offset++
		}
		before = l.marks[i]
	}
	for start := windowsBegin/windowSize*windowSize - 10*windowSize; start+windowSize+windowLateness <= before; start += windowSize {
		n, sum, least, most := 0, 0.0, 0.0, 0.0
		var last taken
		for _, a := range all {
			if a.start != start {
				continue
			}
			if n == 0 {
				least, most = a.value, a.value
			}
			if n == 0 || a.at >= last.at {
				last = a
			}
			n, sum, least, most = n+1, sum+a.value, min(least, a.value), max(most, a.value)
		}
		if n > 0 {
			windows = append(windows, rowName(gateway, l.id.String(), last.offset, fmt.Sprint("window ", "sounder", sounding.sensor, sounding.metric, " ",
				record.Micros(start), record.Micros(start+windowSize), n, least, most, min(max(sum/float64(n), least), most), last.value)))
		}
	}
	return late, windows
}

// sounding is how a DPT sentence's depth is called.
var sounding = struct{ sensor, metric string }{"SD", "depth_below_transducer"}

func windowRows(rows []string) (late, windows []string) {
	for _, r := range rows {
		switch {
		case strings.Contains(r, " late "):
			late = append(late, r)
		case strings.Contains(r, " window "):
			windows = append(windows, r)
		}
	}
	return late, windows
}

// TestWindowsSurviveCrashes lands the soundings of two gateways, one of which is
// offline for days and comes back with all of its backlog, and crashes the task
// again and again. Each window is published once, with the numbers of the model;
// each late reading once; and the gateway that came back has no late rows but
// its own, and closes no window of the other.
func TestWindowsSurviveCrashes(t *testing.T) {
	lates := 0
	for seed := range uint64(8) {
		rng := rand.New(rand.NewPCG(seed, 9))
		r := newRig(t)
		logs := map[string]measured{"here": measuredLog(t, 1, 40, rng), "away": measuredLog(t, 2, 40, rng)}
		cfg := operator.WindowConfig{Size: time.Duration(windowSize) * time.Microsecond, AllowedLateness: time.Duration(windowLateness) * time.Microsecond}
		r.windows = cfg
		land := func(gateway string, i int) {
			l := landing.Landed{Gateway: gateway, LandedAt: record.Micros(windowsBegin + 300_000_000_000), Block: logs[gateway].blocks[i]}
			if err := r.log.Append(t.Context(), l); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 40 { // away is offline; a duplicate now and then
			land("here", i)
			if rng.IntN(5) == 0 {
				land("here", rng.IntN(i+1))
			}
			if rng.IntN(3) == 0 {
				crash(t, r, rng)
			}
		}
		for i := range 40 {
			land("away", i)
			if rng.IntN(6) == 0 {
				crash(t, r, rng)
			}
		}
		var c Counters
		run := r.config(&c)
		ctx, cancel := context.WithCancel(t.Context())
		run.EpochInterval = time.Millisecond
		run.Progress = func(s Status) {
			if s.Position.Offset == r.landed(t) {
				cancel()
			}
		}
		land("here", 39)
		if err := Run(ctx, run); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		cancel()
		late, windows := windowRows(r.sink.rows())
		var wantLate, wantWindows []string
		for name, l := range logs {
			a, b := l.expected(name)
			wantLate, wantWindows = append(wantLate, a...), append(wantWindows, b...)
		}
		sameRows(t, late, wantLate)
		sameRows(t, windows, wantWindows)
		lates += len(late)
		if len(windows) < 20 {
			t.Fatalf("seed %d: %d windows", seed, len(windows))
		}
	}
	if lates == 0 {
		t.Fatal("no seed made a late reading")
	}
}
