package source

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"landfall/edge/durable"
	"landfall/edge/durable/faultfs"
)

func newTestFile(t *testing.T, path string, follow bool) *File {
	t.Helper()
	f, err := NewFile(FileConfig{Options: options("f"), FS: durable.OS{}, Path: path, Follow: follow, PollInterval: time.Millisecond, Grace: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func write2(t *testing.T, path, text string, flags int) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|flags, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func numbered(from, to int) (text string, lines []string) {
	var b strings.Builder
	for i := from; i < to; i++ {
		l := fmt.Sprintf("line %06d %s", i, strings.Repeat("x", i%61))
		lines = append(lines, l)
		b.WriteString(l + "\r\n")
	}
	return b.String(), lines
}

func gzipped(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return b.String()
}

// TestFileResumes stops a file after each of its batches and goes on from that
// batch's position: plain and gzip, each line comes exactly once.
func TestFileResumes(t *testing.T) {
	text, want := numbered(0, 8000)
	text += "last without end"
	want = append(want, "last without end")
	for name, content := range map[string]string{"plain": text, "gzip": gzipped(text)} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "ais.log")
			write2(t, path, content, 0)
			sink := newTestSink()
			if err := newTestFile(t, path, false).Run(context.Background(), sink); err != nil {
				t.Fatal(err)
			}
			expect(t, sink.lines(), want...)
			if len(sink.batches) < 5 {
				t.Fatalf("%d batches", len(sink.batches))
			}
			for i, b := range sink.batches {
				rest := newTestSink()
				rest.positions["f"] = b.Position
				f := newTestFile(t, path, false)
				if err := f.Run(context.Background(), rest); err != nil {
					t.Fatal(err)
				}
				before := &testSink{batches: sink.batches[:i+1]}
				expect(t, append(before.lines(), rest.lines()...), want...)
				if f.Status().State != StateFinished || f.Status().Rotations != 0 {
					t.Fatalf("status %+v", f.Status())
				}
			}
		})
	}
}

// TestFileFollows: appends, then truncation in place, then rotation by rename.
func TestFileFollows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ais.log")
	sink := newTestSink()
	f := newTestFile(t, path, true)
	stop := start(t, f.Run, sink)
	eventually(t, "absent is said", func() bool { return f.Status().State == StateAbsent })
	write2(t, path, "", 0)
	eventually(t, "open", func() bool { return f.Status().State == StateOpen })
	write2(t, path, "one\ntw", os.O_APPEND)
	sink.await(t, 1)
	write2(t, path, "o\nthree\n", os.O_APPEND)
	expect(t, sink.await(t, 3), "one", "two", "three")
	write2(t, path, "four\n", os.O_TRUNC)
	expect(t, sink.await(t, 4), "one", "two", "three", "four")
	write2(t, path, "five\nsi", os.O_APPEND)
	sink.await(t, 5)
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	write2(t, path+".1", "x\n", os.O_APPEND)
	write2(t, path, "seven\n", os.O_EXCL)
	expect(t, sink.await(t, 7), "one", "two", "three", "four", "five", "six", "seven")
	if f.Status().Rotations != 2 {
		t.Errorf("rotations %d, want 2", f.Status().Rotations)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// TestFileRotatedWhileDown: after a restart the old file's rest is read first,
// then those rotated after it, then the path.
func TestFileRotatedWhileDown(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "ais.log")
	write2(t, path, "one\ntwo\n", 0)
	first := newTestSink()
	f := newTestFile(t, path, false)
	if err := f.Run(context.Background(), first); err != nil {
		t.Fatal(err)
	}
	position := first.batches[0].Position

	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	write2(t, path+".2.gz", gzipped("one\ntwo\nthree\n"), 0)
	write2(t, path+".1", "four\n", 0)
	write2(t, path+".idx", "not a log\n", 0)
	write2(t, path, "five\n", 0)
	for i, name := range []string{path + ".2.gz", path + ".1", path} {
		at := time.Unix(1_700_000_000+int64(i), 0)
		if err := os.Chtimes(name, at, at); err != nil {
			t.Fatal(err)
		}
	}
	second := newTestSink()
	second.positions["f"] = position
	f = newTestFile(t, path, true)
	stop := start(t, f.Run, second)
	expect(t, second.await(t, 3), "three", "four", "five")
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if f.Status().Rotations == 0 {
		t.Error("the rotation was not counted")
	}
}

// TestFileRotatedByCopy: a file that is copied aside and truncated in place takes
// its last lines, which nobody had read yet, with it into the copy.
func TestFileRotatedByCopy(t *testing.T) {
	for name, after := range map[string]string{"nothing new yet": "", "new lines": "four\n"} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "ais.log")
			write2(t, path, "one\ntwo\n", 0)
			sink := newTestSink()
			f := newTestFile(t, path, true)
			stop := start(t, f.Run, sink)
			sink.await(t, 2)
			write2(t, path+".1", "one\ntwo\nthree\n", os.O_EXCL)
			write2(t, path, after, os.O_TRUNC)
			want := []string{"one", "two", "three"}
			if after != "" {
				want = append(want, "four")
			}
			expect(t, sink.await(t, len(want)), want...)
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			if f.Status().Rotations != 1 {
				t.Errorf("rotations %d, want 1", f.Status().Rotations)
			}
		})
	}
}

// TestFileReplacedWhileDown: the old content is nowhere; that is said and
// counted, and the new file is read from its beginning.
func TestFileReplacedWhileDown(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ais.log")
	write2(t, path, "one\ntwo\n", 0)
	first := newTestSink()
	if err := newTestFile(t, path, false).Run(context.Background(), first); err != nil {
		t.Fatal(err)
	}
	write2(t, path, "1\n2\n3\n4\n5\n6\n", os.O_TRUNC)
	second := newTestSink()
	second.positions["f"] = first.batches[0].Position
	f := newTestFile(t, path, false)
	if err := f.Run(context.Background(), second); err != nil {
		t.Fatal(err)
	}
	expect(t, second.lines(), "1", "2", "3", "4", "5", "6")
	if f.Status().Rotations != 1 {
		t.Errorf("rotations %d, want 1", f.Status().Rotations)
	}
}

// TestFileReadError: an error of reading is said and tried again from the last
// line delivered.
func TestFileReadError(t *testing.T) {
	text, want := numbered(0, 6000)
	fs := faultfs.New()
	w, err := fs.Create("ais.log")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	f, err := NewFile(FileConfig{Options: options("f"), FS: fs, Path: "ais.log"})
	if err != nil {
		t.Fatal(err)
	}
	fs.Script(faultfs.Fault{On: faultfs.OpRead, N: 3, Mode: faultfs.MediaError})
	sink := newTestSink()
	if err := f.Run(context.Background(), sink); err != nil {
		t.Fatal(err)
	}
	expect(t, sink.lines(), want...)
	if s := f.Status(); s.Errors != 1 || s.Connects != 2 || s.State != StateFinished {
		t.Errorf("status %+v", s)
	}
}

func TestFileGzipCut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ais.gz")
	text, _ := numbered(0, 5000)
	packed := gzipped(text)
	write2(t, path, packed[:len(packed)/2], 0)
	sink := newTestSink()
	f := newTestFile(t, path, false)
	if err := f.Run(context.Background(), sink); !errors.Is(err, errBroken) {
		t.Fatalf("error %v", err)
	}
	lines := sink.lines()
	if len(lines) == 0 || !strings.HasPrefix(text, strings.TrimSuffix(strings.Join(lines, "\r\n"), "~")) {
		t.Fatalf("%d lines, not a prefix", len(lines))
	}
	if s := f.Status(); s.State != StateFailed || s.Errors != 1 {
		t.Errorf("status %+v", s)
	}
}
