package enginecli

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"landfall/cmd/internal/cli"
	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/engine/landing/replay"
	"landfall/engine/server"
	"landfall/engine/stream"
	"landfall/engine/task"
)

// TestAnOlderCheckpointPutBackIsCured: HEAD, its manifest and its state of an earlier
// epoch beside what was written since. A claim refuses and names the cure, which
// points HEAD to the newest manifest; nothing of the lake is set aside, and the audit
// is exact.
func TestAnOlderCheckpointPutBackIsCured(t *testing.T) {
	dir := t.TempDir()
	file, lake := write(t, filepath.Join(dir, "a.nmea"), traffic(t, 30_000)), filepath.Join(dir, "lake")
	again := func() (int, string, string) {
		return engine(t, "replay", file, "--lake", lake, "--gateway", "g", "--epoch-records", "500")
	}
	store, sinks, err := openLake(t.Context(), place{lake: lake, checkpoints: lake + "/_checkpoint"})
	if err != nil {
		t.Fatal(err)
	}
	made, err := sinks()
	if err != nil {
		t.Fatal(err)
	}
	log, err := replay.Open(durable.OS{}, file, replay.Options{Gateway: "g", BaseTime: record.NoTime, LandedAt: 1_780_000_000_000_000})
	if err != nil {
		t.Fatal(err)
	}
	if err := noteReplay(t.Context(), store, log, "", ""); err != nil {
		t.Fatal(err)
	}
	err = task.Run(t.Context(), task.Config{Log: log, Store: store, Sinks: []stream.Sink{unpublished{made[0]}}, Params: log.Params(), Windows: server.Default().Windows(), EpochRecords: 500})
	if !errors.Is(err, stream.ErrFenced) {
		t.Fatal(err)
	}
	old := filepath.Join(dir, "old")
	if err := os.CopyFS(old, os.DirFS(lake+"/_checkpoint")); err != nil {
		t.Fatal(err)
	}
	if code, out, errs := again(); code != 0 {
		t.Fatalf("replay: exit %d\n%s%s", code, out, errs)
	}
	err = filepath.WalkDir(old, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(old, path)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(lake, "_checkpoint", name), data, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	if code, out, errs := again(); code == 0 || !strings.Contains(errs, "HEAD was set back") || !strings.Contains(errs, "landfall-engine repair") {
		t.Errorf("replay over an older checkpoint: exit %d\n%s%s", code, out, errs)
	}
	if code, out, errs := engine(t, "repair", "--lake", lake, "--dry-run"); code != cli.ExitData || !strings.Contains(out, "would be done") {
		t.Errorf("dry run: exit %d\n%s%s", code, out, errs)
	}
	if code, out, errs := engine(t, "repair", "--lake", lake); code != 0 || !strings.Contains(out, "head ") || strings.Contains(out, "aside") {
		t.Errorf("repair: exit %d\n%s%s", code, out, errs)
	}
	if code, out, errs := again(); code != 0 {
		t.Errorf("replay after the repair: exit %d\n%s%s", code, out, errs)
	}
	proven(t, lake, 1)
}

// begunTo lets a task stage so many epochs.
type begunTo struct {
	stream.Sink
	last stream.Epoch
}

// Begin implements stream.Sink.
func (s begunTo) Begin(id stream.TaskID, claim stream.ClaimID, epoch stream.Epoch) (stream.Stage, error) {
	if epoch > s.last {
		return nil, stream.ErrFenced
	}
	return s.Sink.Begin(id, claim, epoch)
}

// TestAWholeOlderCheckpointIsRefused: all of _checkpoint is put back as it was, and
// nothing of what was written since is left. A claim refuses, a repair says what is
// missing and moves nothing, and with the newest put back the audit is exact.
func TestAWholeOlderCheckpointIsRefused(t *testing.T) {
	dir := t.TempDir()
	file, lake := write(t, filepath.Join(dir, "a.nmea"), traffic(t, 30_000)), filepath.Join(dir, "lake")
	again := func() (int, string, string) {
		return engine(t, "replay", file, "--lake", lake, "--gateway", "g", "--epoch-records", "500")
	}
	store, sinks, err := openLake(t.Context(), place{lake: lake, checkpoints: lake + "/_checkpoint"})
	if err != nil {
		t.Fatal(err)
	}
	made, err := sinks()
	if err != nil {
		t.Fatal(err)
	}
	log, err := replay.Open(durable.OS{}, file, replay.Options{Gateway: "g", BaseTime: record.NoTime, LandedAt: 1_780_000_000_000_000})
	if err != nil {
		t.Fatal(err)
	}
	if err := noteReplay(t.Context(), store, log, "", ""); err != nil {
		t.Fatal(err)
	}
	err = task.Run(t.Context(), task.Config{Log: log, Store: store, Sinks: []stream.Sink{begunTo{made[0], 3}}, Params: log.Params(), Windows: server.Default().Windows(), EpochRecords: 500})
	if !errors.Is(err, stream.ErrFenced) {
		t.Fatal(err)
	}
	checkpoints, old, newest := filepath.Join(lake, "_checkpoint"), filepath.Join(dir, "old"), filepath.Join(dir, "newest")
	if err := os.CopyFS(old, os.DirFS(checkpoints)); err != nil {
		t.Fatal(err)
	}
	if code, out, errs := again(); code != 0 {
		t.Fatalf("replay: exit %d\n%s%s", code, out, errs)
	}
	if err := errors.Join(os.Rename(checkpoints, newest), os.Rename(old, checkpoints)); err != nil {
		t.Fatal(err)
	}
	if code, out, errs := again(); code == 0 || !strings.Contains(errs, "HEAD was set back: the lake holds epoch") || !strings.Contains(errs, "put the newest checkpoints back") {
		t.Errorf("replay over an older checkpoint: exit %d\n%s%s", code, out, errs)
	}
	code, out, errs := engine(t, "repair", "--lake", lake)
	if code != cli.ExitData || !strings.Contains(out, "ends at epoch") || !strings.Contains(out, "put them back from a backup") || strings.Contains(out, "aside ") {
		t.Errorf("repair: exit %d\n%s%s", code, out, errs)
	}
	if err := errors.Join(os.RemoveAll(checkpoints), os.Rename(newest, checkpoints)); err != nil {
		t.Fatal(err)
	}
	if code, out, errs := again(); code != 0 {
		t.Errorf("replay over the newest: exit %d\n%s%s", code, out, errs)
	}
	proven(t, lake, 1)
}
