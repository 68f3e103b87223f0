package enginecli

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"landfall/edge/record"
	"landfall/engine/checkpoint"
	"landfall/engine/landing"
	"landfall/engine/landing/landingtest"
	"landfall/engine/server"
	"landfall/engine/stream"
	"landfall/engine/table"
	"landfall/engine/task"
)

// datedLake is a lake of one epoch, with records of so many dates, and of the date on
// which they landed.
func datedLake(t *testing.T, dates int, everyDate bool) (lake string) {
	t.Helper()
	lake = filepath.Join(t.TempDir(), "lake")
	log := landingtest.NewMemory("m", 1)
	var prev record.Hash
	const perBlock, landed = 10, record.Micros(1_790_000_000_000_000)
	for first := 0; first <= dates; first += perBlock {
		var b record.Builder
		for i := range perBlock {
			at := record.Micros(1_700_000_000_000_000) + record.Micros(first+i)*24*3_600_000_000
			if first == dates {
				at = landed + record.Micros(i)*60_000_000
			}
			r := record.Record{
				Kind: record.KindAIS, TimeSource: record.TimeClock, TimeQuality: record.QualitySynchronised,
				EventTime: at, ReceivedAt: at, Raw: []byte("!AIVDM,1,1,,A,12vg24002gPm3WtPqina@WJ>2L0i,0*49"),
			}
			if err := b.Add(&r); err != nil {
				t.Fatal(err)
			}
		}
		block := slices.Clone(b.Seal(record.LogID{1}, record.Offset(first), prev))
		prev = record.HashBlock(block)
		if err := log.Append(t.Context(), landing.Landed{Gateway: "g", LandedAt: landed, Block: block}); err != nil {
			t.Fatal(err)
		}
	}
	store, sinks, err := openLake(t.Context(),
		place{lake: lake, checkpoints: server.Checkpoints(lake), everyDate: everyDate})
	if err != nil {
		t.Fatal(err)
	}
	made, err := sinks()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	blocks := 0
	err = task.Run(ctx, task.Config{Log: log, Store: store, Sinks: made, Look: func(*landing.Landed, *table.Batch) {
		if blocks++; blocks == dates/perBlock+1 {
			cancel()
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if m, err := checkpoint.Load(t.Context(), store, stream.TaskID{Landing: "m"}); err != nil || m.Epoch != 1 {
		t.Fatalf("epoch %s, %v", m.Epoch, err)
	}
	return lake
}

// TestRepairOfManyDates: an epoch with more dates than a gateway may open is made again
// with the same bytes, whether it was made when there was a bound or before.
func TestRepairOfManyDates(t *testing.T) {
	for name, everyDate := range map[string]bool{"with a bound": false, "before there was one": true} {
		t.Run(name, func(t *testing.T) {
			lake := datedLake(t, 100, everyDate)
			files, err := filepath.Glob(filepath.Join(lake, string(table.AISPosition), "dt=*", "*.parquet"))
			want := 101
			if !everyDate {
				want = stream.MaxFarDates + 1
			}
			if err != nil || len(files) != want {
				t.Fatalf("%d files, want %d: %v", len(files), want, err)
			}
			lost := map[string][]byte{}
			for _, name := range []string{files[3],
				files[len(files)-1]} { // the last is of the landing, where the rest lies
				if lost[name], err = os.ReadFile(name); err == nil {
					err = os.Remove(name)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if code, out, errs := engine(t, "repair", "--lake", lake); code != 0 {
				t.Fatalf("exit %d\n%s%s", code, out, errs)
			}
			for name, before := range lost {
				if after, err := os.ReadFile(name); err != nil || !bytes.Equal(before, after) {
					t.Errorf("%s: %v; %d bytes, want %d", name, err, len(after), len(before))
				}
			}
		})
	}
}
