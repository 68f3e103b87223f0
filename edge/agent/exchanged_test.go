package agent

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"landfall/edge/source"
)

// TestNamesOfFilesExchanged: sources of files get the names, or the files, of others. None
// reads again what another captured: it is red and says why, and goes on where the other one
// stood once each has its name back, or a new one.
func TestNamesOfFilesExchanged(t *testing.T) {
	for name, c := range map[string]struct {
		is   map[string]string // the name of the source of each file, which were one: a and two: b
		held []string
		then map[string]string
	}{
		"exchanged":          {map[string]string{"a": "two", "b": "one"}, []string{"one", "two"}, map[string]string{"a": "one", "b": "two"}},
		"exchanged, new":     {map[string]string{"a": "two", "b": "one"}, []string{"one", "two"}, map[string]string{"a": "three", "b": "four"}},
		"moved on":           {map[string]string{"b": "one", "c": "two"}, []string{"one", "two"}, map[string]string{"b": "three", "c": "four"}},
		"its file is new":    {map[string]string{"a": "three", "c": "one", "b": "two"}, []string{"one", "three"}, map[string]string{"a": "three", "c": "four", "b": "two"}},
		"one of them is out": {map[string]string{"b": "one"}, []string{"one"}, map[string]string{"b": "three"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := fileGateway(t, 1, cloud(t))
			dir := filepath.Dir(g.Sources[0].File.Path)
			for _, file := range []string{"a", "b", "c"} {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(file+" one\n"+file+" two\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			like := g.Sources[0]
			run := func(names map[string]string) Status {
				g.Sources = nil
				for _, file := range slices.Sorted(maps.Keys(names)) {
					s := like
					s.Name, s.File = names[file], &FileConfig{Path: filepath.Join(dir, file)}
					g.Sources = append(g.Sources, s)
				}
				a, err := New(g, Options{})
				if err != nil {
					t.Fatal(err)
				}
				if err := a.Run(t.Context()); err != nil && !errors.Is(err, source.ErrConfig) {
					t.Fatal(err)
				}
				return a.Status()
			}
			if s := run(map[string]string{"a": "one", "b": "two"}); !s.Healthy || s.Capture.Records != 4 {
				t.Fatalf("%q, %d records", s.Reasons, s.Capture.Records)
			}
			s := run(c.is)
			var held []string
			for _, src := range s.Sources {
				if src.State == "failed" && strings.Contains(src.Detail, "stood in") {
					held = append(held, src.Name)
				}
			}
			slices.Sort(held)
			if !slices.Equal(held, c.held) || s.Healthy || s.Capture.Records != 0 {
				t.Errorf("%q are held, want %q; healthy %v, %q, %d records", held, c.held, s.Healthy, s.Reasons, s.Capture.Records)
			}
			want := uint64(0)
			if _, ok := c.then["c"]; ok {
				want = 2
			}
			if s := run(c.then); !s.Healthy || s.Capture.Records != want {
				t.Errorf("then: %q, %d records, want %d", s.Reasons, s.Capture.Records, want)
			}
		})
	}
}
