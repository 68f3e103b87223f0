//go:build unix

package tampertest

import (
	"errors"
	"os"
	"path"
	"path/filepath"
	"syscall"
	"testing"

	"landfall/cmd/internal/cli"
	"landfall/engine/repair"
	"landfall/engine/table"
)

// TestRepairPassesWhatIsNoObject: a pipe, a folder or a file that is longer than any
// object, in the place of an object of the checkpoints or beside one, is told by its
// name and set aside; what was there is made again like what is gone, and the rest of
// the lake is repaired as ever.
func TestRepairPassesWhatIsNoObject(t *testing.T) {
	good := shared.good(t, 3_000)
	task := func(pattern string) func(b *Bench) string {
		return func(b *Bench) string { return ofTask(b, pattern) }
	}
	kinds := map[string]func(path string) error{
		"a pipe": func(path string) error { return syscall.Mkfifo(path, 0o644) },
		"a folder": func(path string) error {
			return errors.Join(os.Mkdir(path, 0o755), os.WriteFile(filepath.Join(path, "x"), nil, 0o644))
		},
		"an empty folder":           func(path string) error { return os.Mkdir(path, 0o755) },
		"a link that leads nowhere": func(path string) error { return os.Symlink("nowhere", path) },
		"too long": func(path string) error {
			return errors.Join(os.WriteFile(path, nil, 0o644), os.Truncate(path, 1<<30+1))
		},
	}
	for _, place := range []struct {
		name string
		of   func(b *Bench) string
		is   []string
	}{
		{"HEAD", task("HEAD"), []string{"a pipe", "a folder", "an empty folder", "a link that leads nowhere", "too long"}},
		{"the manifest", task("manifest/*"), []string{"a pipe", "an empty folder"}},
		{"the state", task("state/*"), []string{"a pipe"}},
		{"the newest entry", func(b *Bench) string { return entryObject(b, -1) }, []string{"a pipe"}},
		{"an entry", func(b *Bench) string { return entryObject(b, 2) }, []string{"a pipe", "too long"}},
		{"a second entry", func(b *Bench) string {
			return path.Join(path.Dir(entryObject(b, 2)), path.Base(entryObject(b, 2))[:20]+"-00000000000000000000000000000000.json")
		}, []string{"a pipe"}},
		{"the folder of state", task("state"), []string{"a pipe"}},
		{"what feeds the lake", func(*Bench) string { return "_checkpoint/_lake/landing" }, []string{"a pipe", "a folder"}},
		{"what nobody reads", func(*Bench) string { return "_checkpoint/note" }, []string{"a pipe"}},
	} {
		for _, what := range place.is {
			t.Run(place.name+" is "+what, func(t *testing.T) {
				t.Parallel()
				b := NewBench(t, good)
				name, lost := place.of(b), middle(b, table.AISPosition)
				b.Remove(name, lost)
				must(t, kinds[what](b.Path(name)))
				if code, _, errs := engine(t, "audit", "--lake", b.Dir); code != cli.ExitData {
					t.Errorf("audit: exit code %d, %s", code, errs)
				}
				before := tree(t, b.Dir)
				_, dry := b.repairs(fromLanding, "--dry-run")
				if tree(t, b.Dir) != before {
					t.Error("a dry run changed something")
				}
				code, r := b.repairs(fromLanding)
				if code != 0 || len(r.Left) > 0 || r.kinds()[repair.Restored] == 0 || len(dry.Actions) != len(r.Actions) {
					t.Errorf("exit code %d: %+v %+v; a dry run: %+v", code, r.Result, r.Audit.Findings, dry.Actions)
				}
				if other := differing(t, good.Dir, b.Dir); len(other) > 0 {
					t.Errorf("other files than before: %v", other)
				}
				if code, r := b.repairs(fromLanding); code != 0 || len(r.Actions) > 0 {
					t.Errorf("again: exit code %d: %+v", code, r.Result)
				}
			})
		}
	}
}
