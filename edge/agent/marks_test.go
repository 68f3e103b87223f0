package agent

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestARemovedSourceGoesOnWhereItStood: its place is set aside while another source
// runs, over restarts, and taken back with its name: no line comes twice, none is
// passed over.
func TestARemovedSourceGoesOnWhereItStood(t *testing.T) {
	c := fileGateway(t, 10, cloud(t))
	first := c.Sources[0]
	other := first
	file := *first.File
	file.Path = filepath.Join(t.TempDir(), "other.nmea")
	other.Name, other.File = "other", &file
	if err := os.WriteFile(file.Path, []byte("one\ntwo\nthree\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(want map[string]uint64, aside int, sources ...SourceConfig) {
		t.Helper()
		c.Sources = slices.Clone(sources)
		a, err := New(c, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		s := a.Status()
		for _, src := range s.Sources {
			if src.Records != want[src.Name] {
				t.Errorf("%d records of %s, want %d", src.Records, src.Name, want[src.Name])
			}
		}
		if s.Log.MarksAside != aside {
			t.Errorf("%d sources set aside, want %d", s.Log.MarksAside, aside)
		}
		if named := s.Log.AsideSources; len(named) != aside || aside > 0 && (named[0] != first.Name || s.Log.MarkAsideBytes == 0) || aside == 0 && s.Log.MarkAsideBytes != 0 {
			t.Errorf("%q are set aside, %d bytes", named, s.Log.MarkAsideBytes)
		}
		s = Status{Capture: CaptureStatus{Blocked: "full"}}
		if a.logged(&s); strings.Contains(strings.Join(s.Reasons, "; "), "landfall-edge forget") != (aside > 0) {
			t.Errorf("%d set aside, and a log that takes nothing says %q", aside, s.Reasons)
		}
	}
	run(map[string]uint64{first.Name: 10}, 0, first)
	run(map[string]uint64{"other": 3}, 1, other)
	run(map[string]uint64{}, 1, other)
	more, err := os.OpenFile(first.File.Path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := more.WriteString("eleven\n"); err != nil {
		t.Fatal(err)
	}
	if err := more.Close(); err != nil {
		t.Fatal(err)
	}
	run(map[string]uint64{first.Name: 1}, 0, other, first)
	run(map[string]uint64{}, 0, other, first)
}
