package agent

import (
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"landfall/edge/durable"
	"landfall/edge/durable/faultfs"
)

// TestGapsAreAcknowledged: the note counts for as many gaps as it was made for,
// survives power loss once it was told, and replaces the one before.
func TestGapsAreAcknowledged(t *testing.T) {
	for n := 1; ; n++ {
		fsys := faultfs.New()
		c := Config{DataDir: "/data"}
		if err := durable.MkdirAllSync(fsys, c.DataDir); err != nil {
			t.Fatal(err)
		}
		if c.gapsAcknowledged(fsys, "a", 1, "gap 1") || !c.gapsAcknowledged(fsys, "a", 0, "gap 0") {
			t.Fatal("nothing was acknowledged, and nothing has to be")
		}
		if err := c.AcknowledgeGaps(fsys, "a", 2, "gap 2"); err != nil {
			t.Fatal(err)
		}
		fsys.Script(faultfs.Fault{On: faultfs.OpAny, N: n, Mode: faultfs.CrashAfter})
		err := c.AcknowledgeGaps(fsys, "a", 3, "gap 3")
		done := !fsys.Crashed()
		fsys.Crash(faultfs.LoseAll, uint64(n))
		if err == nil && !c.gapsAcknowledged(fsys, "a", 3, "gap 3") {
			t.Fatalf("operation %d: what was acknowledged is not", n)
		}
		if c.gapsAcknowledged(fsys, "a", 3, "another gap") || c.gapsAcknowledged(fsys, "a", 4, "gap 4") || c.gapsAcknowledged(fsys, "b", 3, "gap 3") {
			t.Fatalf("operation %d: what was not acknowledged is", n)
		}
		if err := c.AcknowledgeGaps(fsys, "a", 3, "gap 3"); err != nil {
			t.Fatalf("operation %d, again: %v", n, err)
		}
		if c.gapsAcknowledged(fsys, "a", 2, "gap 2") {
			t.Fatalf("operation %d: the older note is left", n)
		}
		if done {
			return
		}
	}
}

// TestAGapTurnsHealthRed: a file that was cut in place turns health red, over a
// restart too, until the gap is acknowledged; and the gap is a record.
func TestAGapTurnsHealthRed(t *testing.T) {
	c := fileGateway(t, 10, cloud(t))
	path := c.Sources[0].File.Path
	run := func() *Agent {
		a, err := New(c, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		return a
	}
	if s := run().Status(); !s.Healthy {
		t.Fatalf("%q", s.Reasons)
	}
	if err := os.WriteFile(path, []byte("other\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, records := range []uint64{2, 0} {
		s := run().Status()
		if s.Healthy || len(s.Reasons) != 1 || !strings.Contains(s.Reasons[0], "truncated") || !strings.Contains(s.Reasons[0], "landfall-edge acknowledge file") {
			t.Errorf("reasons %q", s.Reasons)
		}
		if src := s.Sources[0]; src.Records != records || src.Gaps != 1 || src.GapsAcknowledged {
			t.Errorf("%+v", src)
		}
	}
	if err := c.AcknowledgeGaps(durable.OS{}, "file", 1, run().Status().Sources[0].LastGap); err != nil {
		t.Fatal(err)
	}
	if s := run().Status(); !s.Healthy || s.Sources[0].Gaps != 1 || !s.Sources[0].GapsAcknowledged {
		t.Errorf("%q, %+v", s.Reasons, s.Sources[0])
	}
}

// TestANoteIsOfWhatWasAcknowledged: when the number of what is told starts again and comes
// to that of a note, it is not acknowledged. A note of a version before, which says the
// number alone, is made again at a start where the number is its own, and counts for
// nothing at any other.
func TestANoteIsOfWhatWasAcknowledged(t *testing.T) {
	fsys := faultfs.New()
	const base = "/data/f.gaps"
	files := func() (names []string) {
		all, err := fsys.ReadDir("/data")
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range all {
			names = append(names, e.Name())
		}
		return names
	}
	if err := durable.MkdirAllSync(fsys, "/data"); err != nil {
		t.Fatal(err)
	}
	frozen := []string{"f.gaps-2-066085a464c84cc7"}
	for _, c := range []struct {
		name  string
		n     uint64
		last  string
		count bool
	}{{"f.gaps-2", 2, "the second", true}, {"f.gaps-2", 1, "the first", false}, {"f.gaps-2", 0, "", false}, {"f.gaps-2-other", 2, "the second", false}} {
		for _, name := range files() {
			if err := fsys.Remove("/data/" + name); err != nil {
				t.Fatal(err)
			}
		}
		if err := durable.WriteFileAtomic(fsys, "/data/"+c.name, nil); err != nil {
			t.Fatal(err)
		}
		if acknowledged(fsys, base, 2, "the second") {
			t.Errorf("%+v: a number alone counts", c)
		}
		renewNotes(fsys, slog.New(slog.DiscardHandler), base, c.n, c.last)
		if got := acknowledged(fsys, base, 2, "the second"); got != c.count || acknowledged(fsys, base, 2, "another") {
			t.Errorf("%+v: acknowledged %t", c, got)
		}
		if names := files(); c.count && !slices.Equal(names, frozen) || !c.count && c.name == "f.gaps-2" && len(names) > 0 {
			t.Errorf("%+v: left %q", c, names)
		}
	}
}

// TestGapsThatStartAgain: a gateway whose log is lost counts the gaps of its files from
// none, and the next one is as red as the first was.
func TestGapsThatStartAgain(t *testing.T) {
	c := fileGateway(t, 10, cloud(t))
	path := c.Sources[0].File.Path
	cut := func(text string) Status {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return runAgent(t, c)
	}
	runAgent(t, c)
	s := cut("other\n")
	if src := s.Sources[0]; s.Healthy || src.Gaps != 1 {
		t.Fatalf("%+v", src)
	}
	if err := c.AcknowledgeGaps(durable.OS{}, "file", 1, s.Sources[0].LastGap); err != nil {
		t.Fatal(err)
	}
	removeLog(t, &c)
	if err := c.AcknowledgeLostEnds(durable.OS{}, 1, heldAgent(t, c).Log.LastLostEnd); err != nil {
		t.Fatal(err)
	}
	if s := runAgent(t, c); !s.Healthy || s.Sources[0].Gaps != 0 {
		t.Fatalf("%q, %+v", s.Reasons, s.Sources[0])
	}
	second := time.Now().Unix()
	waitFor(t, func() bool { return time.Now().Unix() > second }) // gaps are told to the second
	if s := cut("another\n"); s.Healthy || s.Sources[0].Gaps != 1 || s.Sources[0].GapsAcknowledged {
		t.Errorf("nobody acknowledged the new gap: %q, %+v", s.Reasons, s.Sources[0])
	}
}
