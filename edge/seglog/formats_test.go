package seglog

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"landfall/edge/durable"
	"landfall/edge/durable/faultfs"
	"landfall/edge/record"
)

var writeFormats = flag.Bool("write-formats", false, "write frozen files of a format version that has none yet")

const (
	formatsDir = "testdata/formats/v1"
	marksDir   = "testdata/formats/v2" // segments of version 2, files of marks, marks set aside
)

// writeFrozen makes a small directory of logs with everything version 1 knows:
// two logs, a recycled and a fresh segment, marks, a tombstone.
func writeFrozen(t *testing.T) (durable.FS, Config) {
	fsys := faultfs.New()
	cfg := testConfig(fsys, "/log")
	cfg.SegmentBytes, cfg.QuotaBytes, cfg.Policy, cfg.NewLogID = MinSegmentBytes, 3*MinSegmentBytes, ShedOldest, testLogIDs(0)
	l := newLedger()
	l.shed = true
	for range 2 {
		s := mustOpen(t, cfg)
		for range 6 {
			if err := l.append(s, 2, 800); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return fsys, cfg
}

// writeFrozenMarks makes a directory with marks beside headers: a chain of a full
// set in two files and of more sets, and the marks of a source that went.
func writeFrozenMarks(t *testing.T) (durable.FS, Config) {
	fsys := faultfs.New()
	for _, owners := range [][]string{{"ais", "plant"}, {"ais"}} {
		cfg := marksConfig(fsys, 1, owners)
		cfg.NewLogID = testLogIDs(uint64(2 - len(owners)))
		s := mustOpen(t, cfg)
		for g := range 5 {
			marks := map[string]string{"/own": string(rune('a' + g))}
			for _, o := range owners {
				marks[o+"/"+string(rune('0'+g))] = "1234567890"
			}
			if err := appendMarks(s, strings.Repeat("x", 5000), marks); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return fsys, marksConfig(fsys, 1, []string{"ais"})
}

// TestFrozenFormats: this version still writes what was frozen, and reads it.
func TestFrozenFormats(t *testing.T) {
	fsys, cfg := writeFrozen(t)
	compareFrozen(t, fsys, cfg, formatsDir, 4)
	readFrozen(t)
}

// TestFrozenMarks: the same of marks beside headers.
func TestFrozenMarks(t *testing.T) {
	fsys, cfg := writeFrozenMarks(t)
	compareFrozen(t, fsys, cfg, marksDir, 8)
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(marksDir)); err != nil {
		t.Fatal(err)
	}
	cfg = testConfig(nil, dir)
	cfg.MarkOwner, cfg.Owners = ownerOf, []string{"ais", "plant"}
	s := mustOpen(t, cfg)
	if st := s.Stats(); st.UnreadableMeta+st.CutTails+st.Orphans > 0 {
		t.Errorf("stats %+v", st)
	}
	want := map[string]string{"/own": "e"}
	for _, n := range []string{"0", "1", "2", "3", "4"} {
		want["ais/"+n], want["plant/"+n] = "1234567890", "1234567890"
	}
	wantMarks(t, s, want)
}

// compareFrozen compares a directory with a frozen one.
func compareFrozen(t *testing.T, fsys durable.FS, cfg Config, dir string, least int) {
	t.Helper()
	entries, err := fsys.ReadDir(cfg.Dir)
	if err != nil {
		t.Fatal(err)
	}
	frozen := 0
	for _, e := range entries {
		if e.Name() == lockName {
			continue
		}
		want, path := readBytes(t, fsys, filepath.Join(cfg.Dir, e.Name())), filepath.Join(dir, e.Name())
		if _, err := os.Stat(path); os.IsNotExist(err) && *writeFormats {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s differs from what this version writes (%v)", path, err)
		}
		frozen++
	}
	if frozen < least {
		t.Errorf("%d files of %s: want at least %d", frozen, dir, least)
	}
}

func readFrozen(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(formatsDir)); err != nil {
		t.Fatal(err)
	}
	s := mustOpen(t, testConfig(nil, dir))
	if st := s.Stats(); st.UnreadableMeta+st.CutTails+st.Orphans > 0 {
		t.Errorf("stats %+v", st)
	}
	if mark := s.Marks()["source"]; string(mark) != "12" {
		t.Errorf("mark %q", mark)
	}
	var ends []record.Offset
	records := 0
	for _, in := range s.Logs() {
		got, gaps := readLog(t, s, in.ID, 0)
		ends = append(ends, in.End)
		records += len(got)
		for _, g := range gaps {
			if g.Reason != ReasonShed {
				t.Errorf("gap %+v", g)
			}
		}
	}
	if !reflect.DeepEqual(ends, []record.Offset{13, 13}) || records == 0 {
		t.Errorf("logs end at %v, %d records", ends, records)
	}
}
