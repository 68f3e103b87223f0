package source

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// touched sets when a file was written last, in seconds from now.
func touched(t *testing.T, path string, from int) {
	t.Helper()
	at := time.Now().Add(time.Duration(from) * time.Second)
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
}

// TestFileReturns: the path is a link to files in turn. One that was left is gone on with
// where it was left, and read from its beginning where it was cut meanwhile.
func TestFileReturns(t *testing.T) {
	dir := t.TempDir()
	path, file := filepath.Join(dir, "current"), func(name string) string { return filepath.Join(dir, name) }
	turn := func(to string) {
		t.Helper()
		if err := os.Symlink(to, file("link")); err != nil {
			t.Fatal(err)
		}
		rename(t, file("link"), path)
	}
	write2(t, file("a"), "one\ntwo\n", 0)
	turn("a")
	sink := newTestSink()
	stop := start(t, newTestFile(t, path, true).Run, sink)
	sink.await(t, 2)
	write2(t, file("b"), "three\n", 0)
	turn("b")
	sink.await(t, 3)
	write2(t, file("c"), "four\n", 0)
	turn("c")
	sink.await(t, 4)
	write2(t, file("a"), "five\n", os.O_APPEND)
	turn("a")
	sink.await(t, 5)
	write2(t, file("b"), "six, of another length\nseven\n", os.O_TRUNC)
	turn("b")
	expect(t, sink.await(t, 7), "one", "two", "three", "four", "five", "six, of another length", "seven")
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// TestFileBackupOfLogrotate: logrotate moves a file that a writer made before it could
// out of its way, under a name of its own.
func TestFileBackupOfLogrotate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ais.log")
	write2(t, path, "one\n", 0)
	position := interrupted(t, path)
	rename(t, path, path+".2")
	write2(t, path+"-2026120106.backup", "two\n", 0)
	write2(t, path+".1", "three\n", 0)
	write2(t, path, "four\n", 0)
	for i, name := range []string{".2", "-2026120106.backup", ".1", ""} {
		touched(t, path+name, i-9)
	}
	sink := resumed(t, path, position)
	expect(t, sink.lines(), "two", "three", "four")
	if gaps := sink.gaps(); len(gaps) > 0 {
		t.Errorf("gaps %q", gaps)
	}
}

// TestFileDoubtfulName: a file whose number says that it is older was written later: it
// is not passed over in silence.
func TestFileDoubtfulName(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ais.log")
	write2(t, path, "one\n", 0)
	position := interrupted(t, path)
	rename(t, path, path+".0")
	touched(t, path+".0", -9)
	write2(t, path+".1", "two\n", 0)
	write2(t, path, "three\n", 0)
	sink := resumed(t, path, position)
	expect(t, sink.lines(), "three")
	if gaps := sink.gaps(); !slices.Equal(gaps, []string{"files_missing"}) {
		t.Errorf("gaps %q", gaps)
	}
}

// TestFileLateLines: files that were left gain lines: one of many rotations ago while
// it is held, one that is held no more, and one while nobody looked.
func TestFileLateLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ais.log")
	write2(t, path, "line 0\n", 0)
	f, sink := newTestFile(t, path, true), newTestSink()
	stop := start(t, f.Run, sink)
	s := &shifter{t: t, path: path, keep: 99}
	turn := func(n int) {
		for range n {
			lines := len(sink.await(t, 1))
			s.rotate()
			write2(t, path, fmt.Sprintf("line %d\n", lines), os.O_APPEND)
			sink.await(t, lines+1)
		}
	}
	turn(8)
	write2(t, path+".8", "late\n", os.O_APPEND)
	eventually(t, "the first gap", func() bool { return len(sink.gaps()) == 1 })
	turn(maxOpenLeft)
	write2(t, path+fmt.Sprintf(".%d", maxOpenLeft+4), "late\n", os.O_APPEND)
	turn(1)
	eventually(t, "the second gap", func() bool { return len(sink.gaps()) == 2 })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	position := sink.last()
	if again := resumed(t, path, position); len(again.batches) > 0 {
		t.Errorf("nothing happened: %q, gaps %q", again.lines(), again.gaps())
	}
	write2(t, path+".9", "late\n", os.O_APPEND)
	touched(t, path+".9", 1)
	again := resumed(t, path, position)
	if gaps := again.gaps(); !slices.Equal(gaps, []string{"late_lines"}) || len(again.lines()) > 0 {
		t.Errorf("lines %q, gaps %q", again.lines(), gaps)
	}
	for _, g := range sink.gaps() {
		if g != "late_lines" {
			t.Errorf("gap %s", g)
		}
	}
	touched(t, path+".9", -1)
	if again := resumed(t, path, again.last()); len(again.batches) > 0 {
		t.Errorf("told again: %q, gaps %q", again.lines(), again.gaps())
	}
}

// TestFileWrittenAgain: an editor moves the file to a name that is no rotated one, and
// writes it again with a line more: that is read on. What is added to the old one is a
// gap, and another file that only begins alike is read from its beginning.
func TestFileWrittenAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ais.log")
	text, lines := numbered(0, 200)
	write2(t, path, text, 0)
	sink := newTestSink()
	stop := start(t, newTestFile(t, path, true).Run, sink)
	sink.await(t, 200)
	rename(t, path, path+"~")
	write2(t, path+".new", text+"edited\n", 0)
	rename(t, path+".new", path)
	expect(t, sink.await(t, 201), append(slices.Clone(lines), "edited")...)
	write2(t, path, "more\n", os.O_APPEND)
	sink.await(t, 202)
	if gaps := sink.gaps(); len(gaps) > 0 {
		t.Errorf("gaps %q", gaps)
	}
	write2(t, path+"~", "too late\n", os.O_APPEND)
	eventually(t, "the gap", func() bool { return slices.Equal(sink.gaps(), []string{"late_lines"}) })
	rename(t, path+"~", path)
	expect(t, sink.await(t, 203)[202:], "too late")
	rename(t, path, path+"~")
	write2(t, path+".new", text[:headBytes]+"\nother\n", 0)
	rename(t, path+".new", path)
	if got := sink.await(t, 204); got[203] != lines[0] {
		t.Errorf("another file: %q", got[203:])
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// TestFileThatOnlyBeginsAlike: a new file under the path begins with the same kilobyte as
// the one that was moved away, and has the same lines where that ended. It is another one,
// of which each line is read.
func TestFileThatOnlyBeginsAlike(t *testing.T) {
	t.Run("moved", func(t *testing.T) { beginsAlike(t, func(path string) { rename(t, path, path+"-aside") }) })
	t.Run("removed", func(t *testing.T) {
		beginsAlike(t, func(path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		})
	})
}

func beginsAlike(t *testing.T, away func(path string)) {
	dir := t.TempDir()
	path := filepath.Join(dir, "ais.log")
	const constant = "$IIXDR,C,19.5,C,n1*00\n"
	text := func(what string, end int) string {
		all := strings.Repeat(constant, 60)
		for i := range 400 {
			all += fmt.Sprintf("%s %03d\n", what, i)
		}
		return all + strings.Repeat(constant, end)
	}
	write2(t, path, text("old", 250), 0)
	sink := newTestSink()
	stop := start(t, newTestFile(t, path, true).Run, sink)
	sink.await(t, 710)
	write2(t, filepath.Join(dir, "next"), text("new", 260), 0)
	away(path)
	rename(t, filepath.Join(dir, "next"), path)
	// The same lines behind it, so that it is found to be another one, or not.
	write2(t, path, "end\n", os.O_APPEND)
	eventually(t, "the end of the new one", func() bool { return slices.Contains(sink.lines(), "end") })
	n := 0
	for _, line := range sink.lines() {
		if strings.HasPrefix(line, "new ") {
			n++
		}
	}
	if n != 400 {
		t.Errorf("%d of 400 lines of the new file are read", n)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}
