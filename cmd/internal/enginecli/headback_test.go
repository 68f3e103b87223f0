package enginecli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
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

// TestAWholeOlderCheckpointIsCured: all of _checkpoint is put back as it was, and
// nothing of what was written since is left. A claim refuses and names the cure. A
// repair rebuilds the ledger from what lies in the lake, and moves nothing; the task
// goes on, and the audit is exact and says what nothing vouches for.
func TestAWholeOlderCheckpointIsCured(t *testing.T) {
	dir := t.TempDir()
	file, lake := write(t, filepath.Join(dir, "a.nmea"), traffic(t, 60_000)), filepath.Join(dir, "lake")
	again := func() (int, string, string) {
		return engine(t, "replay", file, "--lake", lake, "--gateway", "g", "--epoch-records", "500")
	}
	killedReplay(t, file, lake, "g", 500, func(s stream.Sink) stream.Sink { return begunTo{s, 3} })
	checkpoints, old := filepath.Join(lake, "_checkpoint"), filepath.Join(dir, "old")
	if err := os.CopyFS(old, os.DirFS(checkpoints)); err != nil {
		t.Fatal(err)
	}
	killedReplay(t, file, lake, "g", 500, func(s stream.Sink) stream.Sink { return begunTo{s, 6} })
	before := tablesOf(t, lake)
	if err := errors.Join(os.RemoveAll(checkpoints), os.Rename(old, checkpoints)); err != nil {
		t.Fatal(err)
	}
	if code, out, errs := again(); code == 0 || !strings.Contains(errs, "HEAD was set back: the lake holds epoch") ||
		!strings.Contains(errs, "landfall-engine repair") {
		t.Errorf("replay over an older checkpoint: exit %d\n%s%s", code, out, errs)
	}
	if code, out, errs := engine(t, "repair", "--lake", lake, "--dry-run"); code != cli.ExitData ||
		!strings.Contains(out, "epochs 4 to 6 is rebuilt") {
		t.Errorf("dry run: exit %d\n%s%s", code, out, errs)
	}
	code, out, errs := engine(t, "repair", "--lake", lake)
	if code != 0 || !strings.Contains(out, "epochs 4 to 6 is rebuilt") || strings.Contains(out, "aside ") ||
		!strings.Contains(out, "3 epochs of task") {
		t.Errorf("repair: exit %d\n%s%s", code, out, errs)
	}
	if after := tablesOf(t, lake); !slices.Equal(after, before) {
		t.Errorf("the tables have %d files, had %d", len(after), len(before))
	}
	if code, out, errs := again(); code != 0 {
		t.Errorf("replay after the repair: exit %d\n%s%s", code, out, errs)
	}
	proven(t, lake, 1)
}

// tablesOf lists the files of the tables with their lengths.
func tablesOf(t *testing.T, lake string) (all []string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(lake, "[a-z]*", "dt=*", "*.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, fmt.Sprint(name, " ", info.Size()))
	}
	return all
}
