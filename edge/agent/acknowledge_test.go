package agent

import (
	"os"
	"strings"
	"testing"

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
		if c.gapsAcknowledged(fsys, "a", 1) || !c.gapsAcknowledged(fsys, "a", 0) {
			t.Fatal("nothing was acknowledged, and nothing has to be")
		}
		if err := c.AcknowledgeGaps(fsys, "a", 2); err != nil {
			t.Fatal(err)
		}
		fsys.Script(faultfs.Fault{On: faultfs.OpAny, N: n, Mode: faultfs.CrashAfter})
		err := c.AcknowledgeGaps(fsys, "a", 3)
		done := !fsys.Crashed()
		fsys.Crash(faultfs.LoseAll, uint64(n))
		if err == nil && !c.gapsAcknowledged(fsys, "a", 3) {
			t.Fatalf("operation %d: what was acknowledged is not", n)
		}
		if c.gapsAcknowledged(fsys, "a", 4) || c.gapsAcknowledged(fsys, "b", 3) {
			t.Fatalf("operation %d: what was not acknowledged is", n)
		}
		if err := c.AcknowledgeGaps(fsys, "a", 3); err != nil {
			t.Fatalf("operation %d, again: %v", n, err)
		}
		if c.gapsAcknowledged(fsys, "a", 2) {
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
	if err := c.AcknowledgeGaps(durable.OS{}, "file", 1); err != nil {
		t.Fatal(err)
	}
	if s := run().Status(); !s.Healthy || s.Sources[0].Gaps != 1 || !s.Sources[0].GapsAcknowledged {
		t.Errorf("%q, %+v", s.Reasons, s.Sources[0])
	}
}
