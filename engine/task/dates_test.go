package task

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/engine/checkpoint"
	"landfall/engine/landing"
	"landfall/engine/stream"
	"landfall/engine/table"
	"landfall/sinks/object"
	"landfall/sinks/parquet"
)

const dayMicros = record.Micros(24 * 3600 * 1_000_000)

// texts are the blocks of a log with a text for each event time, so many a block.
func texts(t *testing.T, log byte, perBlock int, at []record.Micros) (blocks [][]byte) {
	t.Helper()
	var prev record.Hash
	for first := 0; first < len(at); first += perBlock {
		var b record.Builder
		for i, e := range at[first:min(first+perBlock, len(at))] {
			r := record.Record{
				Kind: record.KindText, TimeSource: record.TimeClock, TimeQuality: record.QualitySynchronised,
				EventTime: e, ReceivedAt: e, Raw: fmt.Appendf(nil, "%d", first+i),
			}
			if err := b.Add(&r); err != nil {
				t.Fatal(err)
			}
		}
		block := slices.Clone(b.Seal(record.LogID{log}, record.Offset(first), prev))
		blocks, prev = append(blocks, block), record.HashBlock(block)
	}
	return blocks
}

// lakeOf runs the task over everything that is landed, with the real sink, and returns
// how many files each date of record has, and how the task stood at its end.
func lakeOf(t *testing.T, r *rig, c *Counters) (files map[string]int, last Status) {
	t.Helper()
	dir := t.TempDir()
	at, err := object.OpenLake(durable.OS{}, dir)
	if err != nil {
		t.Fatal(err)
	}
	sink, err := parquet.New(parquet.Config{Files: at, Writers: 1})
	if err != nil {
		t.Fatal(err)
	}
	cfg := r.config(c)
	cfg.Sinks = []stream.Sink{sink}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n, end := int64(0), r.landed(t)
	cfg.Look = func(*landing.Landed, *table.Batch) {
		if n++; n == end {
			cancel()
		}
	}
	cfg.Progress = func(s Status) { last = s }
	cfg.Claimed = func(Status, func() checkpoint.Stats) {}
	if err := Run(ctx, cfg); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(dir, "record", "*", "*.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	files = map[string]int{}
	for _, name := range names {
		files[filepath.Base(filepath.Dir(name))]++
	}
	return files, last
}

// TestWildDatesDoNotHoldUpANeighbour: a gateway with event times of 20,000 dates opens
// its share of files and ends no epoch; its rows are all there, and status names it.
func TestWildDatesDoNotHoldUpANeighbour(t *testing.T) {
	r := newRig(t)
	var times []record.Micros
	for i := range 16_000 { // fewer than end an epoch
		times = append(times, record.Micros(i+100)*dayMicros)
	}
	honest := texts(t, 2, 10, slices.Repeat([]record.Micros{1}, 320))
	for i, b := range texts(t, 1, 500, times) {
		r.land(t, "evil", b)
		r.land(t, "honest", honest[i])
	}
	var c Counters
	files, last := lakeOf(t, r, &c)
	if len(files) != stream.MaxFarDates+1 || files["dt=1970-01-01"] != 1 || c.Epochs.Load() != 1 {
		t.Errorf("files of %d dates in %d epochs", len(files), c.Epochs.Load())
	}
	if n := c.FarDates.Load(); n != 16_000-stream.MaxFarDates || c.Rows.Load() != 16_000+320+2 {
		t.Errorf("%d rows are under the date on which they landed, of %d", n, c.Rows.Load())
	}
	want := []Over{{Gateway: "evil", What: OverDates, Count: 16_000 - stream.MaxFarDates, LandedAt: 1}}
	if !slices.Equal(last.Over, want) {
		t.Errorf("status says %+v", last.Over)
	}
}

// TestHistoryKeepsItsDates: a gateway that brings months is given epochs that end before
// it has more dates than its share.
func TestHistoryKeepsItsDates(t *testing.T) {
	r := newRig(t)
	var times []record.Micros
	for i := range 100 * 600 {
		times = append(times, record.Micros(1000+i/600)*dayMicros+record.Micros(i%600))
	}
	r.land(t, "g", texts(t, 1, 500, times)...)
	var c Counters
	files, last := lakeOf(t, r, &c)
	if len(files) != 100 || c.FarDates.Load() != 0 || len(last.Over) != 0 || c.Epochs.Load() < 3 {
		t.Errorf("files of %d dates in %d epochs, %d rows elsewhere", len(files), c.Epochs.Load(), c.FarDates.Load())
	}
}
