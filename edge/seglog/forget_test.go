package seglog

import (
	"errors"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"landfall/edge/durable"
	"landfall/edge/durable/faultfs"
)

// TestMarksAsideAreInTheQuota: marks that are set aside count as what they take, by the
// source that they are of, over restarts; two segments are always allowed beside them.
// They are there until they are forgotten on purpose: that makes room in a store that is
// open, and the source then begins again.
func TestMarksAsideAreInTheQuota(t *testing.T) {
	cfg := testConfig(faultfs.New(), "/log")
	cfg.SegmentBytes, cfg.MarkOwner = MinSegmentBytes, ownerOf
	cfg.Owners = []string{"ais", "plant"}
	s := mustOpen(t, cfg)
	many := map[string]string{"ais": "1"}
	for _, name := range []string{"plant/0", "plant/1", "plant/2"} {
		many[name] = strings.Repeat("m", MinSegmentBytes)
	}
	if err := appendMarks(s, "x", many); err != nil {
		t.Fatal(err)
	}
	reopen := func(owners ...string) {
		t.Helper()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		cfg.Owners = owners
		s = mustOpen(t, cfg)
	}
	for range 2 {
		reopen("ais")
		st := s.Stats()
		if names := s.AsideSources(); !slices.Equal(names, []string{"plant"}) || st.MarksAside != 1 || st.MarkAsideBytes < 3*MinSegmentBytes || st.MarkAsideBytes > 3*MinSegmentBytes+200 {
			t.Fatalf("%q aside, %+v", names, st)
		}
	}
	if err := appendMarks(s, "x", nil); err != nil {
		t.Fatal(err)
	}
	if l := s.Logs()[0]; s.Release(l.ID, l.End) != nil || len(s.Logs()) != 1 {
		t.Fatal("the log with the marks is still there")
	}
	cfg.QuotaBytes = 5 * MinSegmentBytes
	reopen("ais") // no segment has them any more
	if names := s.AsideSources(); !slices.Equal(names, []string{"plant"}) || s.Stats().MarkAsideBytes < 3*MinSegmentBytes {
		t.Fatalf("%q aside, %+v", names, s.Stats())
	}
	fill := func() (groups int) {
		t.Helper()
		for {
			err := appendMarks(s, strings.Repeat("x", 3000), nil)
			if errors.Is(err, ErrFull) {
				return groups
			}
			if err != nil {
				t.Fatal(err)
			}
			groups++
		}
	}
	if n := fill(); n < 1 || s.Stats().Bytes != 2*MinSegmentBytes+s.Stats().MarkAsideBytes {
		t.Fatalf("%d groups beside the marks, %+v", n, s.Stats())
	}
	if n, err := Forget(cfg.FS, cfg.Dir, "ais"); n != 0 || err != nil {
		t.Fatalf("%d bytes of a source that is there were forgotten, %v", n, err)
	}
	aside := s.Stats().MarkAsideBytes
	if n, err := Forget(cfg.FS, cfg.Dir, "plant"); n != aside || err != nil {
		t.Fatalf("%d bytes of %d forgotten, %v", n, aside, err)
	}
	if n := fill(); n < 3 || s.Stats().MarksAside != 0 || s.Stats().MarkAsideBytes != 0 {
		t.Fatalf("%d groups in the room of what was forgotten, %+v", n, s.Stats())
	}
	reopen("ais", "plant")
	wantMarks(t, s, map[string]string{"ais": "1"})
}

// TestForgottenIsForgotten: marks that were forgotten do not come back after a power loss.
func TestForgottenIsForgotten(t *testing.T) {
	fsys := faultfs.New()
	cfg := testConfig(fsys, "/log")
	cfg.MarkOwner, cfg.Owners = ownerOf, []string{"plant"}
	for _, owners := range [][]string{{"plant"}, nil} {
		cfg.Owners = owners
		s := mustOpen(t, cfg)
		if err := appendMarks(s, "x", map[string]string{"/clock": "1", strings.Join(append(owners, "/"), ""): "2"}); err != nil {
			t.Fatal(err)
		}
		for _, l := range s.Logs() {
			if err := s.Release(l.ID, l.End); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := Forget(fsys, cfg.Dir, "plant"); n == 0 || err != nil {
		t.Fatalf("%d bytes forgotten, %v", n, err)
	}
	fsys.Crash(faultfs.LoseAll, 0)
	if s := mustOpen(t, cfg); s.Stats().MarksAside != 0 {
		t.Errorf("%q are aside again", s.AsideSources())
	}
}

// TestMarksTakenBackStay: a file of marks set aside that is there again after its source
// has gone on, as after a power loss, does not set the source back.
func TestMarksTakenBackStay(t *testing.T) {
	fsys := faultfs.New()
	cfg := testConfig(fsys, "/log")
	cfg.MarkOwner = ownerOf
	var aside []byte
	path := filepath.Join(cfg.Dir, asideName("plant"))
	for i, owners := range [][]string{{"plant"}, {"ais"}, {"plant"}, {"plant"}} {
		cfg.Owners = owners
		s := mustOpen(t, cfg)
		switch i {
		case 0:
			wantMarks(t, s, nil)
		case 1:
			aside = readBytes(t, fsys, path)
		case 2:
			wantMarks(t, s, map[string]string{"plant": "0"})
		case 3:
			wantMarks(t, s, map[string]string{"plant": "2"})
		}
		if err := appendMarks(s, "x", map[string]string{owners[0]: strconv.Itoa(i)}); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if i == 2 {
			if err := durable.WriteFileAtomic(fsys, path, aside); err != nil {
				t.Fatal(err)
			}
		}
	}
}
