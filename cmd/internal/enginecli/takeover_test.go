package enginecli

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"landfall/edge/config"
	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/engine/checkpoint"
	"landfall/engine/landing/replay"
	"landfall/engine/ledger"
	"landfall/engine/server"
	"landfall/engine/stream"
	"landfall/engine/task"
	"landfall/sinks/object"
)

// oldLake unpacks a lake that the version before the ledger left behind, with the
// recording rec.nmea in it. Both were killed: "pending" with the first of two
// epochs committed and nothing published, "published" with the second one committed
// when the first was published, and not named by the manifest any more.
func oldLake(t *testing.T, name string) (lake, recording string) {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "formats", "lake-v2-"+name+".tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return filepath.Join(dir, "lake"), filepath.Join(dir, "lake", "rec.nmea")
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, filepath.Clean(h.Name))
		if h.Typeflag == tar.TypeDir {
			err = os.MkdirAll(path, 0o755)
		} else if err = os.MkdirAll(filepath.Dir(path), 0o755); err == nil {
			var data []byte
			if data, err = io.ReadAll(r); err == nil {
				err = os.WriteFile(path, data, 0o644)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// entries walks the ledger of the one task of a lake, newest first.
func entries(t *testing.T, lake string) []ledger.Walked {
	t.Helper()
	store, err := object.OpenDir(durable.OS{}, filepath.Join(lake, "_checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	tasks, err := checkpoint.Tasks(t.Context(), store)
	if err != nil || len(tasks) != 1 {
		t.Fatalf("tasks %v, %v", tasks, err)
	}
	m, err := checkpoint.Load(t.Context(), store, tasks[0])
	if err != nil || m.Ledger == nil {
		t.Fatalf("manifest %+v, %v", m, err)
	}
	var all []ledger.Walked
	for one, err := range ledger.Walk(t.Context(), checkpoint.LedgerOf(store), tasks[0].String(), *m.Ledger) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
	return all
}

// TestALakeOfTheVersionBeforeIsTakenOver: it goes on where it was, every file of it
// is in the ledger, and the audit reads each byte.
func TestALakeOfTheVersionBeforeIsTakenOver(t *testing.T) {
	for name, want := range map[string][]string{
		"pending":   {"adopted, epoch 1, 5 files, 1 logs", "epoch, epoch 2, 1 files, 0 logs"},
		"published": {"adopted, epoch 2, 6 files, 1 logs"},
	} {
		t.Run(name, func(t *testing.T) {
			lake, recording := oldLake(t, name)
			code, out, errs := engine(t, "replay", recording, "--lake", lake, "--gateway", "old", "--epoch-records", "10", "--base-time", "2026-05-28T20:26:40Z", "--log-level", "info")
			if code != 0 || !strings.Contains(errs, "the ledger begins with what was published before") {
				t.Fatalf("exit %d\n%s%s", code, out, errs)
			}
			all := entries(t, lake)
			var got []string
			for _, e := range slices.Backward(all) {
				got = append(got, fmt.Sprintf("%s, epoch %s, %d files, %d logs", e.Kind, e.Epoch, len(e.Files), len(e.Logs)))
			}
			if !slices.Equal(got, want) {
				t.Errorf("ledger %q, want %q", got, want)
			}
			proven(t, lake, 1)
			if code, out, errs := engine(t, "audit", "--lake", lake, "--level", "bytes"); code != 0 || !strings.Contains(out, "EXACT at level bytes") {
				t.Errorf("audit of all bytes: exit %d\n%s%s", code, out, errs)
			}
			if code, out, errs := engine(t, "replay", recording, "--lake", lake, "--gateway", "old", "--epoch-records", "10", "--base-time", "2026-05-28T20:26:40Z"); code != 0 || !strings.Contains(out, "was in the lake already") {
				t.Errorf("once more: exit %d\n%s%s", code, out, errs)
			}
			if again := entries(t, lake); len(again) != len(want) || again[0].SHA256 != all[0].SHA256 {
				t.Errorf("ledger after another claim %+v", again)
			}
		})
	}
}

// TestDamageOfTheVersionBeforeIsNotGuessed: this version has other columns and
// cannot make its epochs again. The task stops with the damaged file unpublished,
// and says who can.
func TestDamageOfTheVersionBeforeIsNotGuessed(t *testing.T) {
	lake, recording := oldLake(t, "pending")
	staged, err := filepath.Glob(filepath.Join(lake, "_staging", "*", "*", "*-record-dt=2026-05-28-*"))
	if err != nil || len(staged) != 1 {
		t.Fatal(staged, err)
	}
	data, err := os.ReadFile(staged[0])
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	write(t, staged[0], string(data))
	code, out, errs := engine(t, "replay", recording, "--lake", lake, "--gateway", "old", "--epoch-records", "10", "--base-time", "2026-05-28T20:26:40Z")
	if code == 0 || !strings.Contains(errs, "output is damaged") || !strings.Contains(errs, "-record-") || !strings.Contains(errs, "landfall-engine repair") || !strings.Contains(errs, "landfall-engine replay") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	if files, _ := filepath.Glob(filepath.Join(lake, "record", "dt=2026-05-28", "*")); len(files) != 0 {
		t.Errorf("published: %v", files)
	}
}

// unpublished is a sink that is killed before it publishes anything.
type unpublished struct{ stream.Sink }

func (unpublished) Publish(context.Context, []stream.Staged) error { return stream.ErrFenced }

// killedReplay replays a file into a lake until a sink that wraps the lake's ends it,
// as a kill would. Zero records an epoch: the default.
func killedReplay(t *testing.T, file, lake, gateway string, records int, wrap func(stream.Sink) stream.Sink) {
	t.Helper()
	store, sinks, err := openLake(t.Context(), place{lake: lake, checkpoints: lake + "/_checkpoint"})
	if err != nil {
		t.Fatal(err)
	}
	made, err := sinks()
	if err != nil {
		t.Fatal(err)
	}
	log, err := replay.Open(durable.OS{}, file, replay.Options{Gateway: gateway, BaseTime: record.NoTime, LandedAt: 1_780_000_000_000_000})
	if err != nil {
		t.Fatal(err)
	}
	if err := noteReplay(t.Context(), store, log, "", ""); err != nil {
		t.Fatal(err)
	}
	err = task.Run(t.Context(), task.Config{
		Log: log, Store: store, Sinks: []stream.Sink{wrap(made[0])}, Params: log.Params(),
		Windows: server.Default().Windows(), EpochRecords: records,
	})
	if !errors.Is(err, stream.ErrFenced) {
		t.Fatal(err)
	}
}

// TestAReplayMakesDamagedEpochsAgain: a replay that was killed before its epoch
// was visible, and begun again later over a staged file that had changed.
func TestAReplayMakesDamagedEpochsAgain(t *testing.T) {
	dir := t.TempDir()
	file, lake := write(t, filepath.Join(dir, "a.nmea"), traffic(t, 2_000)), filepath.Join(dir, "lake")
	killedReplay(t, file, lake, "replay", 0, func(s stream.Sink) stream.Sink { return unpublished{s} })
	staged, err := filepath.Glob(filepath.Join(lake, "_staging", "*", "*", "*.staged"))
	if err != nil || len(staged) < 3 {
		t.Fatal(staged, err)
	}
	for _, name := range staged {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		data[len(data)/2] ^= 1
		write(t, name, string(data))
	}
	code, out, errs := engine(t, "replay", file, "--lake", lake)
	if code != 0 || !strings.Contains(errs, "made again with the same hash") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	proven(t, lake, 1)
}

// TestSameLake: a reload goes to no other lake and to no other checkpoints; one that is an
// ingest alone may be told its lake.
func TestSameLake(t *testing.T) {
	c := func(lake, checkpoints string) *server.Config {
		var c server.Config
		c.Lake.Dir, c.Checkpoint.Dir = lake, checkpoints
		return &c
	}
	for _, r := range []struct {
		was, is *server.Config
		key     string
	}{
		{c("/a", ""), c("/a", ""), ""},
		{c("", ""), c("/a", ""), ""},
		{c("/a", ""), c("/b", ""), "lake.dir"},
		{c("/a", ""), c("", ""), "lake.dir"},
		{c("/a", ""), c("/a", "/c"), "checkpoint.dir"},
		{c("/a", "/c"), c("/a", ""), "checkpoint.dir"},
		{c("/a", ""), c("/a", "/a/_checkpoint"), ""},
	} {
		var field *config.FieldError
		if err := sameLake(r.was, r.is); errors.As(err, &field) != (r.key != "") || field != nil && field.Key != r.key {
			t.Errorf("%+v to %+v: %v", r.was.Lake.Dir, r.is.Lake.Dir, err)
		}
	}
}
