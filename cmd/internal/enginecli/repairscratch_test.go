package enginecli

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"landfall/edge/durable"
)

// TestRepairWorksBesideTheTables: a repair of a lake in a directory has its folder below
// that, removes what a killed one left and nothing of one that lives, and leaves none.
func TestRepairWorksBesideTheTables(t *testing.T) {
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "absent"))
	lake := t.TempDir()
	root := filepath.Join(lake, "_repair")
	place := func(name string) string {
		dir := filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, "x"), nil, 0o600), os.WriteFile(dir+".lock", nil, 0o600)); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	dead, lives := place("dead"), place("lives")
	lock, err := durable.OS{}.Lock(lives + ".lock")
	if err != nil {
		t.Fatal(err)
	}
	s, err := newScratch(lake, false)
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Dir(s.dir) != root {
		t.Errorf("it works in %s", s.dir)
	}
	other, err := newScratch(lake, false)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{dead: false, dead + ".lock": false, lives: true, s.dir: true, other.dir: true} {
		if _, err := os.Stat(name); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := errors.Join(s.remove(), lock.Close(), other.remove()); err != nil {
		t.Error(err)
	}
	if left, err := newScratch(lake, false); err != nil || left.remove() != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(root); err == nil {
		t.Errorf("%s is still there", root)
	}
}

// TestDryRepairWorksElsewhere: nothing is written below the lake.
func TestDryRepairWorksElsewhere(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	for _, lake := range []string{t.TempDir(), "s3://bucket/lake"} {
		s, err := newScratch(lake, lake[0] == '/')
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Dir(s.dir) != tmp {
			t.Errorf("it works in %s", s.dir)
		}
		if err := s.remove(); err != nil {
			t.Error(err)
		}
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
}
