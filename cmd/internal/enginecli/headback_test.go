package enginecli

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"landfall/cmd/internal/cli"
	"landfall/engine/stream"
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
	killedReplay(t, file, lake, "g", 500, func(s stream.Sink) stream.Sink { return unpublished{s} })
	old := filepath.Join(dir, "old")
	if err := os.CopyFS(old, os.DirFS(lake+"/_checkpoint")); err != nil {
		t.Fatal(err)
	}
	if code, out, errs := again(); code != 0 {
		t.Fatalf("replay: exit %d\n%s%s", code, out, errs)
	}
	err := filepath.WalkDir(old, func(path string, d os.DirEntry, err error) error {
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
	killedReplay(t, file, lake, "g", 500, func(s stream.Sink) stream.Sink { return begunTo{s, 3} })
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
