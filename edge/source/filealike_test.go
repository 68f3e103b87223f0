package source

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"landfall/edge/durable"
)

// heartbeat is a line that a sensor repeats, as long as every other line of these tests,
// so that it stands before the same offset in two files.
const heartbeat = "$IIXDR,C,19.5,C,n1*00"

// alike returns the lines of a file that begins with the same kilobyte as each other of
// them: a banner, unique lines, heartbeats.
func alike(what string, unique, beats int) (lines []string) {
	for range 60 {
		lines = append(lines, heartbeat)
	}
	for i := range unique {
		lines = append(lines, fmt.Sprintf("%-16s %04d", what, i))
	}
	for range beats {
		lines = append(lines, heartbeat)
	}
	return lines
}

func text(lines []string) string { return strings.Join(lines, "\n") + "\n" }

// put adds lines to the file.
func (r *rotator) put(lines ...string) {
	r.t.Helper()
	r.wrote = append(r.wrote, lines...)
	write2(r.t, r.path, text(lines), os.O_APPEND)
}

// TestFilesAlikeWhileDown: files that begin alike and have the same lines where reading
// ended are rotated by logrotate while nobody reads, and again while the reader catches
// up. Each line comes once.
func TestFilesAlikeWhileDown(t *testing.T) {
	ways := append(slices.Clone(rotations), []struct {
		name, file, directives string
		cut                    bool
	}{
		{"copytruncate, dateext", "ais.log", "copytruncate\ndateext\ndateformat -%%Y%%m%%d-1%03d", true},
		{"copytruncate, dateext, compressed", "in.nmea",
			"copytruncate\ncompress\ndateext\nextension .nmea\ndateformat -%%Y%%m%%d-1%03d", true},
	}...)
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			r := newRotator(t, way.file, way.directives)
			r.put(alike("first", 100, 20)...)
			first := newTestSink()
			stop := start(t, newTestFile(t, r.path, true).Run, first)
			first.await(t, len(r.wrote))
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			had := len(r.wrote)
			r.put(alike("after it", 30, 20)[60:]...)
			for i := range 3 {
				r.rotate()
				r.put(alike(fmt.Sprint("while down ", i), 90, 60)...)
				r.put(alike(fmt.Sprint("more ", i), 30, 20)[60:]...)
			}
			second := &hookSink{testSink: newTestSink(), at: 1}
			second.positions["f"] = first.last()
			second.do = func() {
				for i := range 3 {
					r.rotate()
					r.put(alike(fmt.Sprint("catching up ", i), 100, 90)...)
				}
			}
			f := newTestFile(t, r.path, true)
			stop = start(t, f.Run, second)
			eventually(t, "the last line", func() bool { return slices.Contains(second.lines(), "catching up 2    0099") })
			expect(t, second.await(t, len(r.wrote)-had), r.wrote[had:]...)
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			if gaps := second.gaps(); !way.cut && len(gaps) > 0 || way.cut && len(gaps) == 0 {
				t.Errorf("gaps %q", gaps)
			}
		})
	}
}

// TestFileAlikeInItsPlace: while nobody reads another file comes to lie under the path,
// which begins alike and has the same lines where reading ended.
func TestFileAlikeInItsPlace(t *testing.T) {
	first, other := alike("first", 100, 20), append(alike("other", 90, 60), "end")
	for name, c := range map[string]struct {
		make func(t *testing.T, path string)
		want []string
		gaps []string
	}{
		"it was cut, and no copy is there": {func(t *testing.T, path string) {
			write2(t, path, text(other), os.O_TRUNC)
		}, other, []string{"truncated"}},
		"it was removed, and another one made": {func(t *testing.T, path string) {
			write2(t, path+"~", text(other), 0)
			rename(t, path+"~", path)
		}, other, []string{"file_gone"}},
		"another one has all that was read": {func(t *testing.T, path string) {
			write2(t, path+"~", text(first)+"end\n", 0)
			rename(t, path+"~", path)
		}, []string{"end"}, []string{"file_gone"}},
		"a packed one that begins alike": {func(t *testing.T, path string) {
			write2(t, path+".1.gz", gzipped(text(other)), 0)
			write2(t, path+"~", "new\n", 0)
			rename(t, path+"~", path)
		}, append(slices.Clone(other), "new"), []string{"file_gone"}},
		"two that have all that was read": {func(t *testing.T, path string) {
			write2(t, path+".2.gz", gzipped(text(first)+"two\n"), 0)
			write2(t, path+".1.gz", gzipped(text(first)+"one\n"), 0)
			write2(t, path+"~", "new\n", 0)
			rename(t, path+"~", path)
		}, append(append([]string{"two"}, first...), "one", "new"), []string{"file_gone"}},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "ais.log")
			write2(t, path, text(first), 0)
			position := interrupted(t, path)
			c.make(t, path)
			sink := resumed(t, path, position)
			expect(t, sink.lines(), c.want...)
			if gaps := sink.gaps(); !slices.Equal(gaps, c.gaps) {
				t.Errorf("gaps %q, want %q", gaps, c.gaps)
			}
			if again := resumed(t, path, sink.last()); len(again.batches) > 0 {
				t.Errorf("a second start: %q, gaps %q", again.lines(), again.gaps())
			}
		})
	}
}

// TestFileRemovedWithOthersAlike: a file that was read is packed and removed, and the one
// after it has a name with a number already, before anybody looks. Both that one and the
// one under the path begin with all that was read: neither is the one that was read.
func TestFileRemovedWithOthersAlike(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ais.log")
	all, one, two := alike("", 0, 0), append(alike("", 0, 0), "one"), append(alike("", 0, 0), "two")
	write2(t, path, text(all), 0)
	sink := &hookSink{testSink: newTestSink(), at: 1, do: func() {
		write2(t, path+".2.gz", gzipped(text(all)), 0)
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
		write2(t, path+".1", text(one), 0)
		write2(t, path, text(two), 0)
	}}
	if err := newTestFile(t, path, false).Run(t.Context(), sink); err != nil {
		t.Fatal(err)
	}
	expect(t, sink.lines(), append(append(all, one...), two...)...)
	if gaps := sink.gaps(); len(gaps) > 0 {
		t.Errorf("gaps %q", gaps)
	}
}

// TestFileThatOnlyRepeatsItself: every line is the same one. That such a file was cut
// while nobody read cannot be seen, so a copy that may stem from a cut is a gap, once.
// One that was made after the last line was written is none.
func TestFileThatOnlyRepeatsItself(t *testing.T) {
	beats := func(n int) string { return strings.Repeat(heartbeat+"\n", n) }
	for name, c := range map[string]struct {
		make func(t *testing.T, path string)
		want int
		gaps []string
	}{
		"copied and cut": {func(t *testing.T, path string) {
			write2(t, path+".1", beats(150), 0)
			write2(t, path, beats(200), os.O_TRUNC)
		}, 100, []string{"truncated"}},
		"copied, cut and packed": {func(t *testing.T, path string) {
			write2(t, path+".1.gz", gzipped(beats(150)), 0)
			write2(t, path, beats(200), os.O_TRUNC)
		}, 100, []string{"truncated"}},
		"copied with another end, and cut": {func(t *testing.T, path string) {
			write2(t, path+".1", beats(100)+"one\n", 0)
			write2(t, path, beats(120)+"two\n", os.O_TRUNC)
		}, 122, []string{"truncated"}},
		"copied": {func(t *testing.T, path string) {
			touched(t, path, -9)
			write2(t, path+".1", beats(100), 0)
		}, 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "ais.log")
			write2(t, path, beats(100), 0)
			touched(t, path, -9)
			position := interrupted(t, path)
			c.make(t, path)
			sink := resumed(t, path, position)
			if got := len(sink.lines()); got != c.want {
				t.Errorf("%d lines, want %d", got, c.want)
			}
			if gaps := sink.gaps(); !slices.Equal(gaps, c.gaps) {
				t.Errorf("gaps %q, want %q", gaps, c.gaps)
			}
			if c.gaps == nil {
				return
			}
			if again := resumed(t, path, sink.last()); len(again.batches) > 0 {
				t.Errorf("a second start: %q, gaps %q", again.lines(), again.gaps())
			}
		})
	}
}

// cutUnseen follows a file that is copied, cut, and written again beyond where it was
// read to, with the same beginning and the same lines there, while capture takes what
// came of it, which takes some microseconds.
func cutUnseen(t *testing.T, takes int64) (clock *handClock, sink *hookSink, want []string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ais.log")
	first, rest, second := alike("first", 100, 20), alike("rest", 5, 0)[60:], append(alike("second", 90, 60), "end")
	write2(t, path, text(first), 0)
	touched(t, path, -9) // in another tick of the clock than its copy
	clock = &handClock{}
	sink = &hookSink{testSink: newTestSink(), at: 1, do: func() {
		write2(t, path+".1", text(append(slices.Clone(first), rest...)), 0)
		write2(t, path, text(second), os.O_TRUNC)
		clock.now.Add(takes)
	}}
	f, err := NewFile(FileConfig{
		Options: Options{Name: "f", Clock: clock}, FS: durable.OS{}, Path: path,
		Follow: true, PollInterval: time.Millisecond, Grace: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	stop := start(t, f.Run, sink)
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	eventually(t, "the end", func() bool { return slices.Contains(sink.lines(), "end") })
	return clock, sink, append(append(first, rest...), second...)
}

// TestFileCutWhileNobodyLooked: capture had no room for long.
func TestFileCutWhileNobodyLooked(t *testing.T) {
	_, sink, want := cutUnseen(t, unseenAfter.Microseconds())
	expect(t, sink.await(t, len(want)), want...)
	if gaps := sink.gaps(); !slices.Equal(gaps, []string{"truncated"}) {
		t.Errorf("gaps %q", gaps)
	}
}

// TestFileCutBetweenTwoLooks: only the copy that came beside it tells of the cut, when
// the rotated files are looked at. Nothing is missing then, and what may come twice is
// within a gap.
func TestFileCutBetweenTwoLooks(t *testing.T) {
	clock, sink, want := cutUnseen(t, 0)
	for range 1 + lookEvery/(unseenAfter/2) {
		clock.looked(t)
		clock.now.Add(unseenAfter.Microseconds() / 2)
	}
	eventually(t, "each line", func() bool {
		got := sink.lines()
		return !slices.ContainsFunc(want, func(line string) bool { return !slices.Contains(got, line) })
	})
	if gaps := sink.gaps(); len(gaps) == 0 || slices.ContainsFunc(gaps, func(g string) bool { return g != "truncated" }) {
		t.Errorf("gaps %q", gaps)
	}
}
