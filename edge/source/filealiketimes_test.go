package source

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestFileAlikeThatWasThereBefore: beside a file of which only the banner was read lies an
// older one that begins with it. It is no copy of it: neither when lines are added to it,
// nor when the file is cut.
func TestFileAlikeThatWasThereBefore(t *testing.T) {
	banner := alike("", 0, 0)
	for gap, c := range map[string]struct {
		do   func(path string)
		want []string
	}{
		"late_lines": {func(path string) { write2(t, path+".1", "late\n", os.O_APPEND); touched(t, path+".1", 9) }, nil},
		"truncated":  {func(path string) { write2(t, path, "new\n", os.O_TRUNC) }, []string{"new"}},
	} {
		path := filepath.Join(t.TempDir(), "ais.log")
		write2(t, path+".1", text(append(slices.Clone(banner), "old")), 0)
		touched(t, path+".1", -9)
		write2(t, path, text(banner), 0)
		position := interrupted(t, path)
		c.do(path)
		sink := resumed(t, path, position)
		expect(t, sink.lines(), c.want...)
		if gaps := sink.gaps(); !slices.Equal(gaps, []string{gap}) {
			t.Errorf("gaps %q, want %q", gaps, gap)
		}
	}
}

// TestFileThatWaitedIsLookedAt: a file that was cut, and is read behind its copy, is noted
// as it is then, not as it was before the cut.
func TestFileThatWaitedIsLookedAt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ais.log")
	write2(t, path, "one\n", 0)
	touched(t, path, -9)
	sink := &hookSink{testSink: newTestSink(), at: 1, do: func() {
		write2(t, path+".1", "one\ntwo\n", 0)
		write2(t, path, "three\n", os.O_TRUNC)
	}}
	if err := newTestFile(t, path, false).Run(t.Context(), sink); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := decodeFilePosition(sink.last()); err != nil || p.modified != info.ModTime().UnixNano() {
		t.Errorf("written at %d, noted as %d, %v", info.ModTime().UnixNano(), p.modified, err)
	}
}
