package enginecli

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"landfall/edge/durable"
	"landfall/engine/checkpoint"
	"landfall/engine/repair"
	"landfall/engine/server"
	"landfall/engine/stream"
	"landfall/engine/table"
	"landfall/sinks/parquet"
)

// busyStore lets an engine claim the task and commit an epoch just before HEAD is
// moved, some times.
type busyStore struct {
	checkpoint.Store
	epoch func()
	times int
}

func (s *busyStore) Swap(ctx context.Context, name string, old checkpoint.Version, data []byte) (checkpoint.Version, error) {
	if s.times > 0 && strings.HasSuffix(name, "/HEAD") {
		s.times--
		s.epoch()
	}
	return s.Store.Swap(ctx, name, old, data)
}

// TestRepairBesideAnEngineThatCommits: a repair gives way to epochs that an engine
// commits meanwhile, and is tried again; not for ever.
func TestRepairBesideAnEngineThatCommits(t *testing.T) {
	file := write(t, filepath.Join(t.TempDir(), "a.nmea"), traffic(t, 30_000))
	for times, want := range map[int]error{0: nil, 2: nil, 4: nil, 5: stream.ErrFenced} {
		lake := filepath.Join(t.TempDir(), "lake")
		if code, out, errs := engine(t, "replay", file, "--lake", lake, "--epoch-records", "3000"); code != 0 {
			t.Fatalf("replay: exit %d\n%s%s", code, out, errs)
		}
		positions, err := filepath.Glob(filepath.Join(lake, "ais_position", "*", "*.parquet"))
		if err != nil || len(positions) < 6 { // the last ones may not be published
			t.Fatalf("%v: %d files", err, len(positions))
		}
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		kept := filepath.Join(lake, "kept") // two files exchanged: each is set aside, and found there by the next attempt
		must(errors.Join(os.Rename(positions[0], kept), os.Rename(positions[1], positions[0]), os.Rename(kept, positions[1])))
		r, err := repairBeside(t, lake, times)
		if !errors.Is(err, want) {
			t.Fatalf("%d epochs meanwhile: %v", times, err)
		}
		if err == nil && (len(r.Left) > 0 || len(r.Actions) != 4) {
			t.Errorf("%d epochs meanwhile: %+v", times, r)
		}
		if code, out, errs := engine(t, "audit", "--lake", lake, "--level", "bytes"); err == nil && code != 0 {
			t.Errorf("%d epochs meanwhile: audit: exit %d\n%s%s", times, code, out, errs)
		}
	}
}

// repairBeside repairs a lake of one task while an engine claims it and commits an epoch
// before each of the first times that HEAD is moved.
func repairBeside(t *testing.T, lake string, times int) (*repair.Result, error) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	where := place{lake: lake, checkpoints: server.Checkpoints(lake)}
	files, err := where.openFiles(t.Context(), false)
	must(err)
	store, err := where.openStore(t.Context(), false)
	must(err)
	sink, err := parquet.New(parquet.Config{Files: files})
	must(err)
	busy := &busyStore{Store: store, times: times, epoch: func() {
		tasks, err := checkpoint.Tasks(t.Context(), store)
		must(err)
		c, err := checkpoint.Claim(t.Context(),
			checkpoint.Config{Store: store, Sinks: []stream.Sink{sink}, Task: tasks[0], Partitions: 1,
				Schema: table.SchemaVersion})
		must(err)
		stages, err := c.Begin()
		must(err)
		must(c.Commit(t.Context(), checkpoint.Cut{Position: c.Manifest().Position, Stages: stages}))
		must(c.Close(t.Context()))
	}}
	made, err := newScratch(lake, false)
	must(err)
	r, err := repair.Run(t.Context(),
		repair.Config{Lake: dirLake{filesLake{files}, durable.OS{}, lake}, Store: busy, Sink: sink, Scratch: made})
	must(made.remove())
	return r, err
}

// TestRepairOfStateBesideAnEngineThatCommits: state that is made again is that of one
// epoch, so a repair of it ends when the task went on meanwhile, and says so; nothing of
// it is committed, and it does its work when it is run again.
func TestRepairOfStateBesideAnEngineThatCommits(t *testing.T) {
	file := write(t, filepath.Join(t.TempDir(), "a.nmea"), traffic(t, 3_000))
	lake := filepath.Join(t.TempDir(), "lake")
	if code, out, errs := engine(t, "replay", file, "--lake", lake, "--epoch-records", "1000"); code != 0 {
		t.Fatalf("replay: exit %d\n%s%s", code, out, errs)
	}
	states, err := filepath.Glob(filepath.Join(lake, "_checkpoint", "replay-*", "state", "*"))
	if err != nil || len(states) == 0 {
		t.Fatalf("%v: %d objects of state", err, len(states))
	}
	for _, name := range states {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := repairBeside(t, lake, 1); !errors.Is(err, stream.ErrFenced) ||
		!strings.Contains(err.Error(), "the task went on meanwhile; repair again") {
		t.Fatalf("an epoch meanwhile: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(lake, "_checkpoint", "replay-*", "state", "*")); err != nil ||
		len(left) > 0 {
		t.Errorf("state was written: %v, %v", left, err)
	}
	if r, err := repairBeside(t, lake, 0); err != nil || len(r.Left) > 0 || len(r.Actions) == 0 {
		t.Fatalf("nothing meanwhile: %+v, %v", r, err)
	}
	if code, out, errs := engine(t, "audit", "--lake", lake, "--level", "bytes"); code != 0 {
		t.Errorf("audit: exit %d\n%s%s", code, out, errs)
	}
}
