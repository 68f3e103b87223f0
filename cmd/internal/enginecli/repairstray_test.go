package enginecli

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"landfall/cmd/internal/cli"
	"landfall/edge/durable"
	"landfall/engine/repair"
	"landfall/sinks/object"
	"landfall/sinks/parquet"
)

// lakeOfOne returns a lake of one file, and what adds another one to it.
func lakeOfOne(t *testing.T) (lake string, more func()) {
	t.Helper()
	dir := t.TempDir()
	lake = filepath.Join(dir, "lake")
	replay := func(name string, lines int) {
		t.Helper()
		file := write(t, filepath.Join(dir, name), traffic(t, lines))
		if code, out, errs := engine(t, "replay", file, "--lake", lake, "--epoch-records", "3000", "--again"); code != 0 { // b begins as a
			t.Fatalf("replay: exit %d\n%s%s", code, out, errs)
		}
	}
	replay("a.nmea", 8_000)
	return lake, func() { replay("b.nmea", 4_000) }
}

// parquetFiles lists the files of the tables.
func parquetFiles(t *testing.T, lake string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(lake, "*", "dt=*", "*.parquet"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no files: %v", err)
	}
	return names
}

// TestRepairWithoutCheckpoints: where the checkpoints are not those of the lake,
// no file of its tables moves, and the files are told as left.
func TestRepairWithoutCheckpoints(t *testing.T) {
	for what, do := range map[string]func(t *testing.T, lake string) []string{
		"lost": func(t *testing.T, lake string) []string {
			err := os.RemoveAll(filepath.Join(lake, "_checkpoint"))
			if err == nil {
				err = os.Mkdir(filepath.Join(lake, "_checkpoint"), 0o755)
			}
			if err != nil {
				t.Fatal(err)
			}
			return nil
		},
		"another place": func(t *testing.T, _ string) []string { return []string{"--checkpoint", t.TempDir()} },
		"of another lake": func(t *testing.T, _ string) []string {
			dir := t.TempDir()
			other := write(t, filepath.Join(dir, "c.nmea"), traffic(t, 1_000))
			if code, out, errs := engine(t, "replay", other, "--lake", filepath.Join(dir, "lake")); code != 0 {
				t.Fatalf("replay: exit %d\n%s%s", code, out, errs)
			}
			return []string{"--checkpoint", filepath.Join(dir, "lake", "_checkpoint")}
		},
	} {
		t.Run(what, func(t *testing.T) {
			lake, _ := lakeOfOne(t)
			before := parquetFiles(t, lake)
			args := append([]string{"repair", "--lake", lake, "--json"}, do(t, lake)...)
			code, out, errs := engine(t, args...)
			var r repairReport
			if err := json.Unmarshal([]byte(out), &r); err != nil || code != cli.ExitData {
				t.Fatalf("exit %d, %v\n%s%s", code, err, out, errs)
			}
			told := slices.ContainsFunc(r.Left, func(a repair.Action) bool {
				return strings.Contains(a.Detail, "belongs to no task with a checkpoint") && slices.Contains(before, filepath.Join(lake, a.File))
			})
			if moved := slices.ContainsFunc(r.Actions, func(a repair.Action) bool { return a.Kind == repair.Aside }); moved || !told {
				t.Errorf("moved: %v, told: %v: %+v %+v", moved, told, r.Actions, r.Left)
			}
			if !slices.Equal(before, parquetFiles(t, lake)) {
				t.Error("files of the tables moved")
			}
		})
	}
}

// busyLake is a lake in which something happens after it was first listed.
type busyLake struct {
	repair.Lake
	meanwhile func()
	listed    *bool
}

func (l busyLake) List(ctx context.Context, prefix string) ([]string, error) {
	names, err := l.Lake.List(ctx, prefix)
	if !*l.listed {
		*l.listed = true
		l.meanwhile()
		names, err = l.Lake.List(ctx, prefix)
	}
	return names, err
}

// TestRepairBesideANewTask: what another task publishes while a repair looks is
// none of what nothing published.
func TestRepairBesideANewTask(t *testing.T) {
	lake, more := lakeOfOne(t)
	files, err := object.OpenLake(durable.OS{}, lake)
	if err != nil {
		t.Fatal(err)
	}
	store, err := object.OpenDir(durable.OS{}, filepath.Join(lake, "_checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	sink, err := parquet.New(parquet.Config{Files: files})
	if err != nil {
		t.Fatal(err)
	}
	made, err := newScratch(lake, false)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = made.remove() }()
	r, err := repair.Run(t.Context(), repair.Config{
		Lake: busyLake{dirLake{filesLake{files}, durable.OS{}, lake}, more, new(bool)}, Store: store, Sink: sink, Scratch: made,
	})
	if err != nil || len(r.Actions)+len(r.Left) > 0 {
		t.Errorf("%v: %+v", err, r)
	}
	if code, out, errs := engine(t, "audit", "--lake", lake); code != 0 {
		t.Errorf("audit: exit %d\n%s%s", code, out, errs)
	}
}
