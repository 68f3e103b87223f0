package source

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"landfall/edge/durable"
	"landfall/edge/record"
)

// wallClock is the clock of this machine, which that of its files is too.
type wallClock struct{ asked atomic.Int64 }

func (c *wallClock) Now() (record.Micros, int64) {
	c.asked.Add(1)
	now := time.Now().UnixMicro()
	return record.Micros(now), now
}

// newCopiedFile returns a follower of path, and what waits until it has looked again.
func newCopiedFile(t *testing.T, path string) (f *File, looked func()) {
	t.Helper()
	clock := &wallClock{}
	f, err := NewFile(FileConfig{
		Options: Options{Name: "f", Clock: clock}, FS: durable.OS{}, Path: path,
		Follow: true, PollInterval: time.Millisecond, Grace: 10 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	return f, func() {
		t.Helper()
		before := clock.asked.Load()
		eventually(t, "some looks", func() bool { return clock.asked.Load() > before+20 })
	}
}

// copyNames are names that people give a copy, and rotation a file.
var copyNames = []string{"-20261201", ".0", "-2026120106.backup"}

// TestFileCopiedBeside: somebody copies a followed file beside it, under a name that a
// rotated one may have, and then it is rotated. Its lines come once, and nothing is missing.
func TestFileCopiedBeside(t *testing.T) {
	for _, as := range copyNames {
		t.Run(as, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "ais.log")
			first, all := numbered(0, 200)
			write2(t, path, first, 0)
			f, looked := newCopiedFile(t, path)
			sink := newTestSink()
			stop := start(t, f.Run, sink)
			sink.await(t, 200)
			write2(t, path+as, first, 0)
			more, lines := numbered(200, 220)
			write2(t, path, more, os.O_APPEND)
			all = append(all, lines...)
			sink.await(t, len(all))
			touched(t, path+as, 1) // its time says nothing, as that of a copy of a file that is quiet
			nextTick(t, path)
			looked()
			for i, line := range []string{"after it", "the last"} {
				(&shifter{t: t, path: path, keep: 9}).rotate()
				write2(t, path, line+"\n", 0)
				all = append(all, line)
				expect(t, sink.await(t, len(all)), all...)
				if s := f.Status(); s.Copies != 1 || s.Gaps != 0 {
					t.Errorf("rotation %d: %d copies, gaps %q", i, s.Copies, sink.gaps())
				}
			}
			if err := stop(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestFileCopiedLater: a file that was rotated, plain or packed, is copied beside the path,
// and then the next one is rotated.
func TestFileCopiedLater(t *testing.T) {
	first, _ := numbered(0, 200)
	for suffix, content := range map[string]string{"": first, ".gz": gzipped(first)} {
		t.Run("copy"+suffix, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "ais.log")
			write2(t, path+".1"+suffix, content, 0) // nobody reads it
			write2(t, path, "one\n", 0)
			f, looked := newCopiedFile(t, path)
			sink := newTestSink()
			stop := start(t, f.Run, sink)
			sink.await(t, 1)
			write2(t, path+"-20261201"+suffix, content, 0)
			touched(t, path+"-20261201"+suffix, 1)
			nextTick(t, path)
			looked()
			(&shifter{t: t, path: path, keep: 9}).rotate()
			write2(t, path, "two\n", 0)
			eventually(t, "the last line", func() bool { return slices.Contains(sink.lines(), "two") })
			expect(t, sink.lines(), "one", "two")
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			if s := f.Status(); s.Copies != 1 || s.Gaps != 0 {
				t.Errorf("%d copies, gaps %q", s.Copies, sink.gaps())
			}
		})
	}
}

// TestFileCopiedUnseen: the copy comes, and the rotation, while nobody looks. By its
// content it may be a rotated file that only repeats what the one before it had, so that it
// is not read is a gap, once.
func TestFileCopiedUnseen(t *testing.T) {
	for _, as := range copyNames {
		for _, part := range []int{200, 150} {
			t.Run(fmt.Sprint(as, " ", part), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "ais.log")
				first, _ := numbered(0, 200)
				write2(t, path, first, 0)
				position := interrupted(t, path)
				copied, _ := numbered(0, part)
				write2(t, path+as, copied, 0)
				write2(t, path, "more\n", os.O_APPEND)
				touched(t, path+as, 1)
				rename(t, path, path+".1")
				write2(t, path, "after it\n", 0)
				touched(t, path, 2)
				sink := resumed(t, path, position)
				expect(t, sink.lines(), "more", "after it")
				if gaps := sink.gaps(); !slices.Equal(gaps, []string{"files_missing"}) {
					t.Errorf("gaps %q", gaps)
				}
				if again := resumed(t, path, sink.last()); len(again.batches) > 0 {
					t.Errorf("a second start: %q, gaps %q", again.lines(), again.gaps())
				}
			})
		}
	}
}

// TestFileRotatedIsNoCopy: each file begins with what the one before it has and no more,
// and is rotated while nobody looks. Their numbers and dates say what came when: each is
// read. So is one that begins alike and goes on otherwise, whatever it is called.
func TestFileRotatedIsNoCopy(t *testing.T) {
	beats := func(n int) string { return strings.Repeat(heartbeat+"\n", n) }
	for name, c := range map[string]struct {
		names []string // of those that were rotated, the oldest first
		want  int
	}{
		"numbers": {[]string{".3", ".2", ".1"}, 180},
		"dates":   {[]string{"-20261129", "-20261130", "-20261201"}, 180},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "ais.log")
			write2(t, path, beats(100), 0)
			position := interrupted(t, path)
			rename(t, path, path+c.names[0])
			for i, suffix := range append(c.names[1:], "") {
				write2(t, path+suffix, beats(60), 0)
				touched(t, path+suffix, i+1)
			}
			sink := resumed(t, path, position)
			if got := len(sink.lines()); got != c.want || len(sink.gaps()) > 0 {
				t.Errorf("%d lines, want %d; gaps %q", got, c.want, sink.gaps())
			}
		})
	}
	t.Run("it goes on otherwise", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "ais.log")
		write2(t, path, text(alike("first", 9, 0)), 0)
		position := interrupted(t, path)
		rename(t, path, path+".1")
		other := alike("other", 9, 0)
		write2(t, path+"-20261201", text(other), 0)
		write2(t, path, "end\n", 0)
		touched(t, path+"-20261201", 1)
		touched(t, path, 2)
		sink := resumed(t, path, position)
		expect(t, sink.lines(), append(other, "end")...)
	})
}

// TestFileCopiedTwiceAndCut: two copies that are the same lie beside a file when it is
// cut: the lines that only they have come once.
func TestFileCopiedTwiceAndCut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ais.log")
	first, all := numbered(0, 200)
	write2(t, path, first, 0)
	touched(t, path, -9)
	f, looked := newCopiedFile(t, path)
	sink := &hookSink{testSink: newTestSink(), at: 200}
	sink.do = func() { // nobody looks meanwhile
		more, lines := numbered(200, 220)
		all = append(all, lines...)
		write2(t, path+"-20261201", first+more, 0)
		write2(t, path+".1", first+more, 0)
		write2(t, path, "cut\n", os.O_TRUNC)
	}
	stop := start(t, f.Run, sink)
	eventually(t, "the cut file", func() bool { return slices.Contains(sink.lines(), "cut") })
	looked()
	expect(t, sink.lines(), append(all, "cut")...)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if gaps := sink.gaps(); !slices.Equal(gaps, []string{"truncated"}) {
		t.Errorf("gaps %q", gaps)
	}
}
