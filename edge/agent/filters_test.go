package agent

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"landfall/edge/durable"
	"landfall/edge/durable/faultfs"
	"landfall/edge/record"
	"landfall/edge/seglog"
	"landfall/edge/source"
)

// appendTo adds one record to a log, with a mark of a source unless that is empty.
func appendTo(t *testing.T, s *seglog.Store, text, mark string) error {
	t.Helper()
	var b record.Builder
	if err := b.Add(&record.Record{Kind: record.KindText, EventTime: record.NoTime, Raw: []byte(text)}); err != nil {
		t.Fatal(err)
	}
	if mark != "" {
		if err := b.Annotate(record.Mark{Name: mark, Value: []byte("here")}.Annotation()); err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.Append(&b)
	return err
}

// TestListsOfFiltersAreInTheQuota: the list of filters of a source that is configured no
// more leaves the log as much less room, status names the source, and forgetting it
// gives the room back. That of a source that is configured takes none.
func TestListsOfFiltersAreInTheQuota(t *testing.T) {
	fsys := faultfs.New()
	c := Default()
	c.DataDir, c.Log.SegmentSize, c.Log.Quota, c.Log.Reserve = "/data", seglog.MinSegmentBytes, 6*seglog.MinSegmentBytes, 0
	c.Sources = []SourceConfig{{Name: "here", MQTT: &MQTTConfig{}}, {Name: "other", File: &FileConfig{}}}
	if err := durable.MkdirAllSync(fsys, c.DataDir); err != nil {
		t.Fatal(err)
	}
	s, err := seglog.Open(c.storeConfig(fsys, nil))
	if err != nil {
		t.Fatal(err)
	}
	fill := func() (groups int) {
		t.Helper()
		for {
			err := appendTo(t, s, strings.Repeat("x", 3000), "")
			if errors.Is(err, seglog.ErrFull) {
				return groups
			}
			if err != nil {
				t.Fatal(err)
			}
			groups++
		}
	}
	list := func(name string, bytes int) {
		t.Helper()
		if err := durable.WriteFileAtomic(fsys, c.FiltersState(name), make([]byte, bytes)); err != nil {
			t.Fatal(err)
		}
	}
	list("here", 9*seglog.MinSegmentBytes)
	list("gone", 8*seglog.MinSegmentBytes)
	list("other", 2*seglog.MinSegmentBytes) // it is a file now
	if names, bytes := c.removedFilters(fsys); !slices.Equal(names, []string{"gone", "other"}) || bytes != 10*seglog.MinSegmentBytes {
		t.Errorf("%q, %d bytes", names, bytes)
	}
	fill()
	if segments := s.Stats().Bytes / seglog.MinSegmentBytes; segments < 2 || segments > 3 { // one may be made beside another
		t.Errorf("%d segments beside lists of more than the quota", segments)
	}
	if n, err := c.ForgetSource(fsys, "gone"); n != 8*seglog.MinSegmentBytes || err != nil {
		t.Errorf("%d bytes forgotten, %v", n, err)
	}
	fill()
	if segments := s.Stats().Bytes / seglog.MinSegmentBytes; segments < 4 || segments > 5 {
		t.Errorf("%d segments in the room of the list that is forgotten", segments)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestForgettingASourceCrashed: wherever the power goes, a source that still goes on
// where it stood has its list of filters; and forgetting it again ends it.
func TestForgettingASourceCrashed(t *testing.T) {
	for n := 1; ; n++ {
		fsys := faultfs.New()
		c := Config{DataDir: "/data"}
		if err := durable.MkdirAllSync(fsys, c.DataDir); err != nil {
			t.Fatal(err)
		}
		for _, owners := range [][]string{{"gone"}, nil} {
			s, err := seglog.Open(seglog.Config{FS: fsys, Dir: c.LogDir(), MarkOwner: source.MarkOwner, Owners: owners})
			if err != nil {
				t.Fatal(err)
			}
			if err := appendTo(t, s, "x", strings.Join(owners, "")); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.AcknowledgeGaps(fsys, "gone", 2, "gap"); err != nil {
			t.Fatal(err)
		}
		if err := durable.WriteFileAtomic(fsys, c.FiltersState("gone"), []byte("list")); err != nil {
			t.Fatal(err)
		}
		left := func() (marks, list bool) {
			t.Helper()
			all, err := fsys.ReadDir(c.LogDir())
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range all {
				marks = marks || filepath.Ext(e.Name()) == ".aside"
			}
			_, err = fsys.Stat(c.FiltersState("gone"))
			return marks, err == nil
		}
		if marks, list := left(); !marks || !list {
			t.Fatalf("marks %v, list %v at first", marks, list)
		}
		fsys.Script(faultfs.Fault{On: faultfs.OpAny, N: n, Mode: faultfs.CrashAfter})
		bytes, err := c.ForgetSource(fsys, "gone")
		done := !fsys.Crashed()
		fsys.Crash(faultfs.LoseAll, uint64(n))
		marks, list := left()
		if marks && !list || err == nil && (marks || list || bytes == 0) {
			t.Fatalf("operation %d: marks %v, list %v, %d bytes, %v", n, marks, list, bytes, err)
		}
		if _, err := c.ForgetSource(fsys, "gone"); err != nil {
			t.Fatalf("operation %d, again: %v", n, err)
		}
		if marks, list := left(); marks || list {
			t.Fatalf("operation %d, again: marks %v, list %v", n, marks, list)
		}
		if done {
			return
		}
	}
}
