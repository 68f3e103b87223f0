package task

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
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

// unpublishing is a sink that is fenced before it publishes.
type unpublishing struct{ stream.Sink }

func (unpublishing) Publish(context.Context, []stream.Staged) error { return stream.ErrFenced }

// TestAnEpochOfManyDatesIsMadeAgain: byte for byte, where rows went under the date on
// which they landed because too many dates were open.
func TestAnEpochOfManyDatesIsMadeAgain(t *testing.T) {
	var times []record.Micros
	for i := range 1000 {
		times = append(times, record.Micros(100+i*7919%3000)*dayMicros)
	}
	publish := func(damage bool) (files []string) {
		r, dir := newRig(t), t.TempDir()
		honest := texts(t, 2, 10, slices.Repeat([]record.Micros{1, 40 * dayMicros}, 50))
		for i, b := range texts(t, 1, 100, times) {
			r.land(t, "evil", b)
			r.land(t, "honest", honest[i])
		}
		at, err := object.OpenLake(durable.OS{}, dir)
		if err != nil {
			t.Fatal(err)
		}
		sink, err := parquet.New(parquet.Config{Files: at, Writers: 1})
		if err != nil {
			t.Fatal(err)
		}
		var c Counters
		run := func(sink stream.Sink) error {
			cfg := r.config(&c)
			cfg.Sinks = []stream.Sink{sink}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			n, end := int64(0), r.landed(t)
			cfg.Look = func(*landing.Landed, *table.Batch) {
				if n++; n == end {
					cancel()
				}
			}
			cfg.Claimed = func(s Status, _ func() checkpoint.Stats) {
				if s.Epoch > 0 {
					cancel()
				}
			}
			return Run(ctx, cfg)
		}
		if damage {
			if err := run(unpublishing{sink}); err == nil {
				t.Fatal("a sink that is fenced published")
			}
			if n := flipStaged(t, dir); n < stream.MaxFarDates {
				t.Fatalf("%d staged files", n)
			}
		}
		if err := run(sink); err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if c.Remade.Load() > 0 != damage || c.FarDates.Load() == 0 {
			t.Errorf("%d epochs were made again, %d rows are under their landing", c.Remade.Load(), c.FarDates.Load())
		}
		names, err := filepath.Glob(filepath.Join(dir, "*", "dt=*", "*.parquet"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, fmt.Sprintf("%s %x", strings.TrimPrefix(name, dir), sha256.Sum256(data)))
		}
		return files
	}
	want := publish(false)
	if got := publish(true); !slices.Equal(got, want) || len(want) < stream.MaxFarDates {
		t.Errorf("%d files, want %d\n%s", len(got), len(want), strings.Join(got, "\n"))
	}
}

// flipStaged changes one bit of each staged file, and returns how many there are.
func flipStaged(t *testing.T, lake string) (n int) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(lake, "_staging"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		n++
		data[len(data)/3] ^= 4
		return os.WriteFile(path, data, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
