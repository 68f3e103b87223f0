package server

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"landfall/edge/record"
)

// TestCompleteThrough: it is the least watermark of those that are heard and
// keep up; the silent, the untimed and the one with days of backlog are named.
func TestCompleteThrough(t *testing.T) {
	const now, minute = record.Micros(1_790_000_000_000_000), record.Micros(60_000_000)
	marks := map[string]record.Micros{
		"a": now - minute, "b": now - 2*minute, "back": now - 3*1440*minute, "gone": now - 60*minute, "untimed": record.NoTime, "before": now,
	}
	seen := map[string]record.Micros{
		"a": now, "b": now - minute, "back": now, "gone": now - 59*minute, "untimed": now, "new": now,
	}
	got := completeThrough(marks, seen, now, 10*time.Minute)
	if got.Through != text(now-2*minute) || fmt.Sprint(got.Gateways) != "[a b]" || len(got.LeftOut) != 5 {
		t.Fatalf("%+v", got)
	}
	for i, name := range []string{"back", "before", "gone", "new", "untimed"} {
		if got.LeftOut[i].Gateway != name || got.LeftOut[i].Reason == "" || got.LeftOut[i].Watermark != text(or(marks, name)) {
			t.Errorf("%+v, want %s", got.LeftOut[i], name)
		}
	}
	for _, i := range []int{3, 4} { // new, untimed: what is told and not taken is a reason too
		if !strings.Contains(got.LeftOut[i].Reason, "its clock is ahead") {
			t.Errorf("%+v", got.LeftOut[i])
		}
	}
	if got := completeThrough(nil, nil, now, time.Minute); got.Through != "" || len(got.Gateways)+len(got.LeftOut) != 0 {
		t.Errorf("nothing: %+v", got)
	}
}

// TestOneAheadLeavesNobodyOut: a gateway whose watermark is as far ahead as is taken does
// not make others fall behind, and nothing is complete beyond now.
func TestOneAheadLeavesNobodyOut(t *testing.T) {
	const now, minute = record.Micros(1_790_000_000_000_000), record.Micros(60_000_000)
	seen := map[string]record.Micros{"ahead": now, "honest": now}
	got := completeThrough(map[string]record.Micros{"ahead": now + 5*minute, "honest": now - 9*minute}, seen, now, 10*time.Minute)
	if got.Through != text(now-9*minute) || len(got.LeftOut) != 0 {
		t.Errorf("%+v", got)
	}
	got = completeThrough(map[string]record.Micros{"ahead": now + 5*minute, "honest": now - 11*minute}, seen, now, 10*time.Minute)
	if got.Through != text(now) || fmt.Sprint(got.Gateways) != "[ahead]" || len(got.LeftOut) != 1 {
		t.Errorf("%+v", got)
	}
}

// or gives a gateway's watermark, NoTime where it has none.
func or(marks map[string]record.Micros, name string) record.Micros {
	if at, ok := marks[name]; ok {
		return at
	}
	return record.NoTime
}
