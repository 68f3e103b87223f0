package task_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"landfall/edge/durable"
	"landfall/engine/checkpoint"
	"landfall/engine/landing"
	"landfall/engine/landing/replay"
	"landfall/engine/operator"
	"landfall/engine/stream"
	"landfall/engine/task"
	"landfall/sinks/object/s3"
	"landfall/sinks/object/s3/s3test"
	"landfall/sinks/parquet"
)

// recording is a file with traffic of every kind: AIS from two receivers, and
// depths for windows.
func recording(t *testing.T) string {
	t.Helper()
	lines := strings.SplitAfter(string(simulated(t, 12_000)), "\n")
	var b strings.Builder
	for i, l := range lines {
		b.WriteString(l)
		if i%7 == 0 {
			body := fmt.Sprintf("SDDPT,%d.%d,", i%90, i%10)
			sum := byte(0)
			for _, c := range []byte(body) {
				sum ^= c
			}
			fmt.Fprintf(&b, "$%s*%02X\n", body, sum)
		}
	}
	name := filepath.Join(t.TempDir(), "recording.nmea")
	if err := os.WriteFile(name, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// take replays a file with small epochs through some sink.
func (l lake) take(t *testing.T, path string, sink stream.Sink, said io.Writer) error {
	t.Helper()
	log, err := replay.Open(durable.OS{}, path, replay.Options{Gateway: "g", BaseTime: 1_780_000_000_000_000, LandedAt: 1_780_000_000_000_000})
	if err != nil {
		t.Fatal(err)
	}
	return task.Run(t.Context(), task.Config{
		Log: log, Store: l.store, Sinks: []stream.Sink{sink}, Params: log.Params(), EpochRecords: 5_000,
		Windows: operator.WindowConfig{Size: 60e9}, Logger: slog.New(slog.NewTextHandler(said, nil)),
	})
}

// hashes lists what readers see, with hashes.
func (l lake) hashes(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, name := range l.files(t) {
		data, err := os.ReadFile(filepath.Join(l.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, fmt.Sprintf("%s %x", name, sha256.Sum256(data)))
	}
	return all
}

// stopping publishes the outputs of epochs below one, and then none.
type stopping struct {
	stream.Sink
	at stream.Epoch
}

func (s stopping) Publish(ctx context.Context, staged []stream.Staged) error {
	for _, f := range staged {
		if strings.Contains(f.Target, "-"+s.at.Padded()+"-") {
			return fmt.Errorf("killed: %w", stream.ErrFenced)
		}
	}
	return s.Sink.Publish(ctx, staged)
}

// flip changes one bit of every staged file, and says how many there are.
func (l lake) flip(t *testing.T) int {
	t.Helper()
	n := 0
	err := filepath.WalkDir(filepath.Join(l.dir, "_staging"), func(path string, d fs.DirEntry, err error) error {
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

// TestDamagedEpochsAreMadeAgainByteForByte: every file of an epoch that is
// committed and not published is damaged; in the end the lake is the one of a run
// that nothing happened to. One epoch is in the middle, one the last, which closes
// all windows.
func TestDamagedEpochsAreMadeAgainByteForByte(t *testing.T) {
	path := recording(t)
	good := newLake(t)
	if err := good.take(t, path, good.sink, io.Discard); err != nil {
		t.Fatal(err)
	}
	want, last := good.hashes(t), stream.Epoch(3)
	if !slices.ContainsFunc(want, func(s string) bool { return strings.Contains(s, "-"+last.Padded()+"-") }) {
		t.Fatalf("no epoch %s", last)
	}
	if !slices.ContainsFunc(want, func(s string) bool { return strings.HasPrefix(s, "window/") }) {
		t.Fatal("no windows")
	}
	for _, at := range []stream.Epoch{1, 2, last} {
		t.Run(fmt.Sprint("epoch ", at), func(t *testing.T) {
			l := newLake(t)
			if err := l.take(t, path, stopping{l.sink, at}, io.Discard); !errors.Is(err, stream.ErrFenced) {
				t.Fatalf("was not stopped: %v", err)
			}
			if n := l.flip(t); n == 0 {
				t.Fatal("nothing is staged")
			}
			var said strings.Builder
			if err := l.take(t, path, l.sink, &said); err != nil {
				t.Fatal(err)
			}
			if got := l.hashes(t); !slices.Equal(got, want) {
				t.Errorf("the lake is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			if !strings.Contains(said.String(), "made again with the same hash") {
				t.Errorf("the log does not say it:\n%s", said.String())
			}
		})
	}
}

// forgetful is a landing log that has let go of what lies below an offset.
type forgetful struct {
	landing.Log
	below int64
}

func (f forgetful) Reader(partition int, from stream.Position) (landing.Reader, error) {
	if from.Offset < f.below {
		return nil, fmt.Errorf("position %d: %w", from.Offset, landing.ErrPosition)
	}
	return f.Log.Reader(partition, from)
}

// TestDamageWithoutALandingLogStopsTheTask: the landing log has let go of everything
// below the checkpoint. Nothing of the epoch is visible, and the error says what to do.
func TestDamageWithoutALandingLogStopsTheTask(t *testing.T) {
	path, l := recording(t), newLake(t)
	if err := l.take(t, path, stopping{l.sink, 2}, io.Discard); !errors.Is(err, stream.ErrFenced) {
		t.Fatal(err)
	}
	l.flip(t)
	log, err := replay.Open(durable.OS{}, path, replay.Options{Gateway: "g", BaseTime: 1_780_000_000_000_000, LandedAt: 1_780_000_000_000_000})
	if err != nil {
		t.Fatal(err)
	}
	tasks, err := checkpoint.Tasks(t.Context(), l.store)
	if err != nil || len(tasks) != 1 {
		t.Fatal(tasks, err)
	}
	m, err := checkpoint.Load(t.Context(), l.store, tasks[0])
	if err != nil {
		t.Fatal(err)
	}
	err = task.Run(t.Context(), task.Config{
		Log: forgetful{log, m.Position.Offset}, Store: l.store, Sinks: []stream.Sink{l.sink}, Params: log.Params(),
		EpochRecords: 5_000, Windows: operator.WindowConfig{Size: 60e9},
	})
	if !errors.Is(err, stream.ErrDamaged) || !errors.Is(err, checkpoint.ErrGone) || !strings.Contains(err.Error(), "landfall-engine repair") {
		t.Errorf("ended with %v", err)
	}
	for _, name := range l.files(t) {
		if strings.Contains(name, "-"+stream.Epoch(2).Padded()+"-") {
			t.Errorf("%s is visible", name)
		}
	}
}

// TestDamageInABucketIsMadeAgain: what lies staged there cannot be read, so the
// damage is found when the published object is read back, and its place is taken.
func TestDamageInABucketIsMadeAgain(t *testing.T) {
	path := recording(t)
	good := newLake(t)
	if err := good.take(t, path, good.sink, io.Discard); err != nil {
		t.Fatal(err)
	}
	server := s3test.Start(t)
	store, err := s3.OpenStore(t.Context(), s3test.Config(server.URL), s3test.At("remade/_checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := s3.OpenLake(t.Context(), s3test.Config(server.URL), s3test.At("remade"))
	if err != nil {
		t.Fatal(err)
	}
	sink, err := parquet.New(parquet.Config{Files: files})
	if err != nil {
		t.Fatal(err)
	}
	l := lake{dir: t.TempDir(), store: store, sink: sink}
	if err := l.take(t, path, stopping{sink, 2}, io.Discard); !errors.Is(err, stream.ErrFenced) {
		t.Fatalf("was not stopped: %v", err)
	}
	tasks, err := checkpoint.Tasks(t.Context(), store)
	if err != nil || len(tasks) != 1 {
		t.Fatal(tasks, err)
	}
	m, err := checkpoint.Load(t.Context(), store, tasks[0])
	if err != nil {
		t.Fatal(err)
	}
	changed := 0
	for _, p := range m.Pending() {
		for _, s := range p.Staged {
			if there, err := files.Exists(t.Context(), s.Name); err != nil {
				t.Fatal(err)
			} else if there {
				server.ChangeStaged(t, s.Name, func(b []byte) []byte { b[len(b)/3] ^= 4; return b })
				changed++
			}
		}
	}
	var said strings.Builder
	if err := l.take(t, path, sink, &said); err != nil || changed < 3 || !strings.Contains(said.String(), "made again with the same hash") {
		t.Errorf("%d files changed, %v\n%s", changed, err, said.String())
	}
	var got []string
	for _, name := range good.files(t) {
		f, err := files.Open(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		h := sha256.New()
		if _, err := io.Copy(h, io.NewSectionReader(f, 0, f.Size())); err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s %x", name, h.Sum(nil)))
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if want := good.hashes(t); !slices.Equal(got, want) {
		t.Errorf("the lake is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
