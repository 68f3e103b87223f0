package task_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"landfall/decoders/aissim"
	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/engine/checkpoint"
	"landfall/engine/landing/replay"
	"landfall/engine/stream"
	"landfall/engine/task"
	"landfall/sinks/object"
	"landfall/sinks/parquet"
)

// simulated gives about n lines of harbour traffic, every line unique.
func simulated(t testing.TB, n int) []byte {
	t.Helper()
	h, err := aissim.New(aissim.Config{
		Seed: 7, Start: 1_780_000_000_000_000, Ships: 400, Tag: aissim.TagMillis, Unique: true,
		Receivers: []aissim.Receiver{{Name: "north"}, {Name: "south", Talker: "BS", Hears: 0.7}}, Rate: 2000,
		Noise: 0.01, LostFragments: 0.02, Disorder: 0.02,
	})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	for range n {
		l := h.Next()
		if l.Kind == aissim.KindLost {
			continue
		}
		b.Write(l.Text)
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// lake is the real parts of one lake in a folder.
type lake struct {
	dir   string
	store checkpoint.Store
	sink  stream.Sink
}

func newLake(t testing.TB) lake {
	t.Helper()
	dir := t.TempDir()
	store, err := object.OpenDir(durable.OS{}, filepath.Join(dir, "_checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := object.OpenLake(durable.OS{}, dir)
	if err != nil {
		t.Fatal(err)
	}
	sink, err := parquet.New(parquet.Config{Files: files})
	if err != nil {
		t.Fatal(err)
	}
	return lake{dir: dir, store: store, sink: sink}
}

func (l lake) replay(ctx context.Context, t testing.TB, path, gateway string, c *task.Counters) error {
	t.Helper()
	log, err := replay.Open(durable.OS{}, path, replay.Options{Gateway: gateway, BaseTime: record.NoTime, LandedAt: 1_780_000_000_000_000})
	if err != nil {
		t.Fatal(err)
	}
	return task.Run(ctx, task.Config{
		Log: log, Store: l.store, Sinks: []stream.Sink{l.sink}, Params: log.Params(), Counters: c, EpochRecords: 40_000,
	})
}

// files lists the published files.
func (l lake) files(t testing.TB) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(l.dir, func(p string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !strings.HasPrefix(strings.TrimPrefix(p, l.dir+"/"), "_") {
			names = append(names, strings.TrimPrefix(p, l.dir+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// TestReplayEndsPublished: a bounded log ends with everything visible; the same
// content again adds nothing; another gateway is refused, naming the first.
func TestReplayEndsPublished(t *testing.T) {
	data := simulated(t, 100_000)
	path := filepath.Join(t.TempDir(), "harbour.nmea")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	l := newLake(t)
	var c task.Counters
	if err := l.replay(t.Context(), t, path, "g", &c); err != nil {
		t.Fatal(err)
	}
	if lines := uint64(bytes.Count(data, []byte("\n"))); c.Records.Load() > lines+1 || c.Records.Load() < lines*9/10 {
		t.Errorf("%d records of %d lines", c.Records.Load(), lines)
	}
	if c.Conflicts.Load() != 0 || c.Duplicates.Load() != 0 || c.Epochs.Load() < 2 {
		t.Errorf("%d conflicts, %d duplicates, %d epochs", c.Conflicts.Load(), c.Duplicates.Load(), c.Epochs.Load())
	}
	before := l.files(t)
	var again task.Counters
	if err := l.replay(t.Context(), t, path, "g", &again); err != nil {
		t.Fatal(err)
	}
	if after := l.files(t); again.Records.Load() != 0 || strings.Join(after, "\n") != strings.Join(before, "\n") {
		t.Errorf("the same content again read %d records and left %d files of %d", again.Records.Load(), len(after), len(before))
	}
	err := l.replay(t.Context(), t, path, "h", &again)
	var identity *checkpoint.IdentityError
	if !errors.As(err, &identity) || identity.Field != "gateway" || identity.Have != "g" {
		t.Errorf("another gateway: %v", err)
	}
}

// BenchmarkReplay is bytes of a file to published Parquet.
func BenchmarkReplay(b *testing.B) {
	data := simulated(b, 1_000_000)
	path := filepath.Join(b.TempDir(), "harbour.nmea")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		b.Fatal(err)
	}
	lines := bytes.Count(data, []byte("\n"))
	for b.Loop() {
		l := newLake(b)
		log, err := replay.Open(durable.OS{}, path, replay.Options{Gateway: "g", BaseTime: record.NoTime})
		if err != nil {
			b.Fatal(err)
		}
		if err := task.Run(b.Context(), task.Config{Log: log, Store: l.store, Sinks: []stream.Sink{l.sink}, Params: log.Params()}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(lines)*float64(b.N)/b.Elapsed().Seconds(), "sentences/s")
}
