package source

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"landfall/edge/durable"
	"landfall/edge/record"
)

// rotator writes numbered lines to a file that logrotate rotates.
type rotator struct {
	t      *testing.T
	dir    string // of the files
	path   string
	state  string
	conf   string
	round  int
	wrote  []string
	script string // directives, %d is the number of the rotation
}

func newRotator(t *testing.T, name, directives string) *rotator {
	t.Helper()
	if _, err := exec.LookPath("logrotate"); err != nil {
		t.Skip("no logrotate here")
	}
	r := &rotator{t: t, dir: t.TempDir(), script: directives}
	own := t.TempDir()
	r.path, r.state, r.conf = filepath.Join(r.dir, name), filepath.Join(own, "state"), filepath.Join(own, "conf")
	return r
}

// write adds n lines.
func (r *rotator) write(n int) {
	r.t.Helper()
	var b strings.Builder
	for range n {
		l := fmt.Sprintf("line %06d %s", len(r.wrote), strings.Repeat("x", len(r.wrote)%61))
		r.wrote = append(r.wrote, l)
		b.WriteString(l + "\n")
	}
	write2(r.t, r.path, b.String(), os.O_APPEND)
}

// rotate runs the real logrotate once.
func (r *rotator) rotate() {
	r.t.Helper()
	r.round++
	script := r.script
	if strings.Contains(script, "%d") {
		script = fmt.Sprintf(script, r.round)
	}
	text := fmt.Sprintf("%s {\nrotate 50\nmissingok\n%s\n}\n", r.path, script)
	if err := os.WriteFile(r.conf, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
	if out, err := exec.Command("logrotate", "-f", "-s", r.state, r.conf).CombinedOutput(); err != nil {
		r.t.Fatalf("logrotate: %v: %s", err, out)
	}
}

// rotations are the ways of logrotate that are tried; cut: it cuts the file in place.
var rotations = []struct {
	name, file, directives string
	cut                    bool
}{
	{"create", "ais.log", "create", false},
	{"nocreate", "ais.log", "nocreate", false},
	{"compress", "ais.log", "create\ncompress", false},
	{"delaycompress", "ais.log", "create\ncompress\ndelaycompress", false},
	{"dateext", "ais.log", "create\ndateext\ndateformat -%%Y%%m%%d-1%03d", false},
	{"dateext with extension, compressed", "in.nmea", "create\ncompress\ndateext\nextension .nmea\ndateformat -%%Y%%m%%d-1%03d", false},
	{"copytruncate", "ais.log", "copytruncate", true},
	{"copytruncate, delaycompress", "ais.log", "copytruncate\ncompress\ndelaycompress", true},
	{"copytruncate, compressed", "ais.log", "copytruncate\ncompress", true},
}

// hookSink does something once a number of lines is there, before it takes more.
type hookSink struct {
	*testSink
	at int
	do func()
	on sync.Once
}

func (s *hookSink) Deliver(b *Batch) error {
	err := s.testSink.Deliver(b)
	if len(s.lines()) >= s.at {
		s.on.Do(s.do)
	}
	return err
}

// TestFileLogrotateLive rotates a file that is being read, line by line as they come.
func TestFileLogrotateLive(t *testing.T) {
	for _, way := range rotations {
		t.Run(way.name, func(t *testing.T) {
			r := newRotator(t, way.file, way.directives)
			r.write(3)
			sink := newTestSink()
			f := newTestFile(t, r.path, true)
			stop := start(t, f.Run, sink)
			for range 4 {
				expect(t, sink.await(t, len(r.wrote)), r.wrote...)
				r.rotate()
				r.write(3)
			}
			expect(t, sink.await(t, len(r.wrote)), r.wrote...)
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			want := 0
			if way.cut {
				want = 4
			}
			if gaps := sink.gaps(); len(gaps) != want || uint64(want) != f.Status().Gaps {
				t.Errorf("gaps %q, status %+v", gaps, f.Status())
			}
		})
	}
}

// TestFileLogrotateWhileDown rotates a file many times while nobody reads it, and
// again while the reader catches up.
func TestFileLogrotateWhileDown(t *testing.T) {
	for _, way := range rotations {
		t.Run(way.name, func(t *testing.T) {
			r := newRotator(t, way.file, way.directives)
			r.write(5)
			first := newTestSink()
			stop := start(t, newTestFile(t, r.path, true).Run, first)
			first.await(t, 5)
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			r.write(4)
			for range 5 {
				r.rotate()
				r.write(6)
			}
			before := len(r.wrote) - 5
			second := &hookSink{testSink: newTestSink(), at: 9}
			second.positions["f"] = first.last()
			second.do = func() {
				for range 3 {
					r.rotate()
					r.write(6)
				}
			}
			f := newTestFile(t, r.path, true)
			stop = start(t, f.Run, second)
			expect(t, second.await(t, before+18), r.wrote[5:]...)
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			if gaps := second.gaps(); !way.cut && len(gaps) > 0 || way.cut && len(gaps) == 0 {
				t.Errorf("gaps %q", gaps)
			}
		})
	}
}

// rotatedFasterThanLooks follows a file that is rotated ten times between two looks,
// and has every line of it.
func rotatedFasterThanLooks(t *testing.T, config string) (r *rotator, sink *hookSink, stop func() error) {
	t.Helper()
	r = newRotator(t, "ais.log", config)
	r.write(10)
	sink = &hookSink{testSink: newTestSink(), at: 10}
	sink.do = func() {
		for range 10 {
			r.write(30)
			r.rotate()
		}
		r.write(10)
	}
	stop = start(t, newTestFile(t, r.path, true).Run, sink)
	expect(t, sink.await(t, 320), r.wrote...)
	return r, sink, stop
}

// TestFileRotatedFasterThanLooks rotates ten times between two looks.
func TestFileRotatedFasterThanLooks(t *testing.T) {
	_, sink, stop := rotatedFasterThanLooks(t, "create")
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if gaps := sink.gaps(); len(gaps) > 0 {
		t.Errorf("gaps %q", gaps)
	}
}

// TestFileCutFasterThanLooks copies and cuts a file ten times between two looks, and
// goes on with it afterwards.
func TestFileCutFasterThanLooks(t *testing.T) {
	r, sink, stop := rotatedFasterThanLooks(t, "copytruncate\ncompress\ndelaycompress")
	for range 3 {
		r.rotate()
		r.write(5)
		expect(t, sink.await(t, len(r.wrote)), r.wrote...)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if gaps := sink.gaps(); len(gaps) != 5 { // the first cut, the nine after it, three more
		t.Errorf("gaps %q", gaps)
	}
}

// TestFileTenRotationsASecond rotates and writes as fast as logrotate can be run,
// beside the reader.
func TestFileTenRotationsASecond(t *testing.T) {
	r := newRotator(t, "ais.log", "create\nnocompress")
	r.write(1)
	sink := newTestSink()
	stop := start(t, newTestFile(t, r.path, true).Run, sink)
	sink.await(t, 1) // at its first start it reads what lies under the path, and no older file
	for range 25 {
		r.write(20)
		r.rotate()
	}
	r.write(1)
	expect(t, sink.await(t, len(r.wrote)), r.wrote...)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if gaps := sink.gaps(); len(gaps) > 0 {
		t.Errorf("gaps %q", gaps)
	}
}

// TestFileResumesInAChain goes on from every position of a run over rotated files,
// with the files as they are in the end: each line comes exactly once.
func TestFileResumesInAChain(t *testing.T) {
	r := newRotator(t, "ais.log", "create\ncompress\ndelaycompress")
	r.write(4)
	sink := newTestSink()
	stop := start(t, newTestFile(t, r.path, true).Run, sink)
	for range 5 {
		sink.await(t, len(r.wrote))
		r.rotate()
		r.write(4)
	}
	sink.await(t, len(r.wrote))
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	for i, b := range sink.batches {
		taken := (&testSink{batches: sink.batches[:i+1]}).lines()
		rest := newTestSink()
		rest.positions["f"] = b.Position
		f := newTestFile(t, r.path, false)
		if err := f.Run(t.Context(), rest); err != nil {
			t.Fatal(err)
		}
		expect(t, append(taken, rest.lines()...), r.wrote...)
		if gaps := rest.gaps(); len(gaps) > 0 {
			t.Errorf("from batch %d: gaps %q", i, gaps)
		}
	}
}

// handClock stands still until it is moved, and counts who asks.
type handClock struct{ now, asked atomic.Int64 }

func (c *handClock) Now() (record.Micros, int64) {
	c.asked.Add(1)
	now := c.now.Load()
	return record.Micros(1_700_000_000_000_000 + now), now
}

// looked waits until the source has looked again some times.
func (c *handClock) looked(t *testing.T) {
	t.Helper()
	before := c.asked.Load()
	eventually(t, "some looks", func() bool { return c.asked.Load() > before+50 })
}

// TestFileWriterKeepsRotatedFile: who writes goes on writing to the renamed file for
// less than the grace; what comes after the grace is a declared gap.
func TestFileWriterKeepsRotatedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ais.log")
	write2(t, path, "one\n", 0)
	clock, sink := &handClock{}, newTestSink()
	f, err := NewFile(FileConfig{
		Options: Options{Name: "f", Clock: clock}, FS: durable.OS{}, Path: path, Follow: true, PollInterval: time.Millisecond, Grace: 5 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	stop := start(t, f.Run, sink)
	sink.await(t, 1)
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	write2(t, path, "new\n", 0)
	want := []string{"one"}
	for i := range 8 {
		clock.looked(t)
		clock.now.Add(1_200_000)
		line := fmt.Sprint("held ", i)
		write2(t, path+".1", line+"\n", os.O_APPEND)
		want = append(want, line)
		expect(t, sink.await(t, len(want)), want...)
	}
	clock.now.Add(5_000_000)
	want = append(want, "new")
	expect(t, sink.await(t, len(want)), want...)
	if gaps := sink.gaps(); len(gaps) > 0 {
		t.Fatalf("gaps %q", gaps)
	}
	write2(t, path+".1", "too late\n", os.O_APPEND)
	eventually(t, "the gap", func() bool { return slices.Equal(sink.gaps(), []string{"late_lines"}) })
	if s := f.Status(); s.Gaps != 1 || !strings.HasPrefix(s.LastGap, "late_lines, from 20") {
		t.Errorf("status %+v", s)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	again := newTestSink()
	again.positions["f"] = sink.last()
	write2(t, path, "more\n", os.O_APPEND)
	f = newTestFile(t, path, false)
	if err := f.Run(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	if s := f.Status(); s.Gaps != 1 || !strings.HasPrefix(s.LastGap, "late_lines, from 20") {
		t.Errorf("after a restart: %+v", s)
	}
	expect(t, again.lines(), "more")
}

// interrupted reads a file to its end and returns the position there.
func interrupted(t *testing.T, path string) []byte {
	t.Helper()
	sink := newTestSink()
	if err := newTestFile(t, path, false).Run(t.Context(), sink); err != nil {
		t.Fatal(err)
	}
	return sink.last()
}

// resumed reads on from a position, to the end of what there is.
func resumed(t *testing.T, path string, position []byte, siblings ...string) *testSink {
	t.Helper()
	sink := newTestSink()
	sink.positions["f"] = position
	f, err := NewFile(FileConfig{Options: options("f"), FS: durable.OS{}, Path: path, Siblings: siblings})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Run(t.Context(), sink); err != nil {
		t.Fatal(err)
	}
	return sink
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// TestFileSiblings: what lies beside the path after a downtime.
func TestFileSiblings(t *testing.T) {
	cases := []struct {
		name     string
		make     func(t *testing.T, path string)
		siblings string // pattern, below the folder of the path
		want     []string
		gaps     []string
	}{
		{"equal times of writing", func(t *testing.T, path string) {
			rename(t, path, path+".3")
			write2(t, path+".2", "two\n", 0)
			write2(t, path+".1", "three\n", 0)
			write2(t, path, "four\n", 0)
			at := time.Unix(1_700_000_000, 0)
			for _, suffix := range []string{".3", ".2", ".1", ""} {
				if err := os.Chtimes(path+suffix, at, at); err != nil {
					t.Fatal(err)
				}
			}
		}, "", []string{"two", "three", "four"}, nil},
		{"a date before the extension", func(t *testing.T, path string) {
			rename(t, path, strings.TrimSuffix(path, ".nmea")+"-20261130.nmea")
			write2(t, strings.TrimSuffix(path, ".nmea")+"-20261130.nmea", "two\n", os.O_APPEND)
			write2(t, path, "three\n", 0)
		}, "", []string{"two", "three"}, nil},
		{"another folder", func(t *testing.T, path string) {
			if err := os.Mkdir(filepath.Join(filepath.Dir(path), "old"), 0o700); err != nil {
				t.Fatal(err)
			}
			rename(t, path, filepath.Join(filepath.Dir(path), "old", "day-a"))
			write2(t, filepath.Join(filepath.Dir(path), "old", "day-a"), "two\n", os.O_APPEND)
			write2(t, path, "three\n", 0)
		}, "old/day-*", []string{"two", "three"}, nil},
		{"packed", func(t *testing.T, path string) {
			write2(t, path+".2.gz", gzipped("one\ntwo\n"), 0)
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			write2(t, path+".1", "three\n", 0)
			write2(t, path, "four\n", 0)
		}, "", []string{"two", "three", "four"}, nil},
		{"packed halfway beside the plain one", func(t *testing.T, path string) {
			rename(t, path, path+".1")
			write2(t, path+".1", "two\n", os.O_APPEND)
			write2(t, path+".1.gz", gzipped("one\ntwo\n")[:12], 0)
			write2(t, path, "three\n", 0)
		}, "", []string{"two", "three"}, nil},
		{"one between is missing", func(t *testing.T, path string) {
			rename(t, path, path+".3")
			write2(t, path+".1", "three\n", 0)
			write2(t, path, "four\n", 0)
		}, "", []string{"three", "four"}, []string{"files_missing"}},
		{"the file is nowhere", func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			write2(t, path+".1", "three\n", 0)
			write2(t, path, "four\n", 0)
		}, "", []string{"three", "four"}, []string{"file_gone"}},
		{"packed as something else", func(t *testing.T, path string) {
			rename(t, path, path+".2")
			write2(t, path+".1.xz", "\xfd7zXZ\x00rest", 0)
			write2(t, path, "four\n", 0)
		}, "", []string{"four"}, []string{"not_unpacked"}},
		{"packed as bzip2 of another level", func(t *testing.T, path string) {
			rename(t, path, path+".2")
			write2(t, path+".1.bz2", "BZh61AY&SYrest", 0)
			write2(t, path, "four\n", 0)
		}, "", []string{"four"}, []string{"not_unpacked"}},
		{"cut in place", func(t *testing.T, path string) {
			write2(t, path, "2\n", os.O_TRUNC)
		}, "", []string{"2"}, []string{"truncated"}},
		{"copied, cut in place", func(t *testing.T, path string) {
			write2(t, path+".1", "one\ntwo\n", 0)
			write2(t, path, "three\n", os.O_TRUNC)
		}, "", []string{"two", "three"}, []string{"truncated"}},
		{"the same lines under another inode", func(t *testing.T, path string) {
			write2(t, path+"~", "one\ntwo\n", 0)
			rename(t, path+"~", path)
		}, "", []string{"two"}, []string{"file_gone"}},
		{"the new file begins like the old one", func(t *testing.T, path string) {
			rename(t, path, path+".1")
			write2(t, path, "one\ntwo\n", 0)
		}, "", []string{"one", "two"}, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "in.nmea")
			write2(t, path, "one\n", 0)
			position := interrupted(t, path)
			c.make(t, path)
			var siblings []string
			if c.siblings != "" {
				siblings = []string{filepath.Join(filepath.Dir(path), c.siblings)}
			}
			sink := resumed(t, path, position, siblings...)
			expect(t, sink.lines(), c.want...)
			if !slices.Equal(sink.gaps(), c.gaps) {
				t.Errorf("gaps %q, want %q", sink.gaps(), c.gaps)
			}
			declared := uint64(0)
			for _, b := range sink.batches {
				if gapOf(b.Lines[0]) != "" {
					declared++
				}
				if p, err := decodeFilePosition(b.Position); err != nil || p.gaps != declared {
					t.Errorf("a position counts %d gaps of %d, %v", p.gaps, declared, err)
				}
			}
			again := resumed(t, path, sink.last(), siblings...)
			if len(again.batches) > 0 {
				t.Errorf("a second start: %q, gaps %q", again.lines(), again.gaps())
			}
		})
	}
}

// TestFileGrowingGzip: a gzip file that is followed and gets more members, the last
// of them in pieces, is read on.
func TestFileGrowingGzip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ais.gz")
	write2(t, path, gzipped("one\n"), 0)
	sink := newTestSink()
	f := newTestFile(t, path, true)
	stop := start(t, f.Run, sink)
	expect(t, sink.await(t, 1), "one")
	more := gzipped("two\nthree\n")
	write2(t, path, more[:15], os.O_APPEND)
	write2(t, path, more[15:], os.O_APPEND)
	expect(t, sink.await(t, 3), "one", "two", "three")
	if s := f.Status(); s.State != StateOpen {
		t.Errorf("status %+v", s)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// TestFileBrokenGzipIsFollowed: a gzip file that is followed and cannot be unpacked to
// its end does not end the source: it says so, and goes on where a whole one takes its
// place.
func TestFileBrokenGzipIsFollowed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ais.gz")
	write2(t, path, gzipped("one\ntwo\nthr")+"this is no gzip", 0)
	sink := newTestSink()
	f := newTestFile(t, path, true)
	stop := start(t, f.Run, sink)
	expect(t, sink.await(t, 2), "one", "two")
	eventually(t, "what is said of the file", func() bool { return f.Status().State == StateFailed })
	write2(t, path+".new", gzipped("one\ntwo\nthree\nfour\n"), 0)
	rename(t, path+".new", path)
	expect(t, sink.await(t, 4), "one", "two", "three", "four")
	if s := f.Status(); s.State != StateOpen || s.Gaps != 0 {
		t.Errorf("status %+v", s)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// TestFileInodeUsedAgain: an inode that was judged is not believed when its file is
// another one.
func TestFileInodeUsedAgain(t *testing.T) {
	var c chain
	id := durable.Identity{Device: 1, Inode: 2}
	old := &sibling{about: durable.Description{Identity: id, Size: 10, Modified: 20}}
	c.pass(old)
	if !c.isPassed(old) {
		t.Error("what was passed is not known")
	}
	if c.isPassed(&sibling{about: durable.Description{Identity: id, Size: 11, Modified: 21}}) {
		t.Error("another file of the same inode is taken for it")
	}
	born := id
	born.Born = 30
	if c.isPassed(&sibling{about: durable.Description{Identity: born, Size: 10, Modified: 20}}) {
		t.Error("another birth is not seen")
	}
}

func TestFileConfigSiblings(t *testing.T) {
	for _, bad := range []string{"/a/[", "/a*/b"} {
		c := FileConfig{Options: options("f"), FS: durable.OS{}, Path: "/x", Siblings: []string{bad}}
		if err := c.Validate(); !errors.Is(err, ErrConfig) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// failingFS has the first reads of a file fail.
type failingFS struct {
	durable.OS
	read func(path string) error
}

type failingFile struct {
	durable.File
	read func() error
}

func (f failingFS) Open(name string) (durable.File, error) {
	file, err := f.OS.Open(name)
	if err != nil {
		return nil, err
	}
	return failingFile{file, func() error { return f.read(name) }}, nil
}

func (f failingFile) Describe() (durable.Description, error) { return durable.Describe(f.File) }

func (f failingFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.read(); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

// TestFileNextCannotBeReadAtFirst: the file that comes next cannot be opened, and is
// rotated before it is tried again: its lines are not skipped, and a gap that was to be
// declared before it is. The one before it is read on.
func TestFileNextCannotBeReadAtFirst(t *testing.T) {
	for _, cut := range []bool{false, true} {
		s := &shifter{t: t, path: filepath.Join(t.TempDir(), "ais.log"), keep: 9, cut: cut}
		write2(t, s.path, "one\n", 0)
		position := interrupted(t, s.path)
		write2(t, s.path, "two\nwithout an end", os.O_APPEND)
		s.rotate()
		write2(t, s.path, "three\n", os.O_APPEND)
		failed, sink := false, newTestSink()
		sink.positions["f"] = position
		fs := failingFS{read: func(path string) error {
			if failed || path != s.path || len(sink.lines()) == 0 {
				return nil
			}
			failed, s.cut = true, false
			s.rotate()
			write2(t, s.path, "four\n", os.O_APPEND)
			write2(t, s.path+".2", "more\n", os.O_APPEND)
			return errors.New("not now")
		}}
		f, err := NewFile(FileConfig{Options: options("f"), FS: fs, Path: s.path})
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Run(t.Context(), sink); err != nil || !failed {
			t.Fatal(err, failed)
		}
		expect(t, sink.lines(), "two", "without an end~", "more", "three", "four")
		if gaps := sink.gaps(); len(gaps) > 0 != cut {
			t.Errorf("cut %v: gaps %q", cut, gaps)
		}
	}
}

// TestFileLeftThatGrowsIsNotReadAgain: a file whose name has no number was left, and
// grows while the next one is rotated: that is a gap, and its lines come once.
func TestFileLeftThatGrowsIsNotReadAgain(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "ais.log")
	write2(t, path, "one\n", 0)
	sink := newTestSink()
	f, err := NewFile(FileConfig{
		Options: options("f"), FS: durable.OS{}, Path: path, Follow: true, PollInterval: time.Millisecond, Grace: 10 * time.Millisecond,
		Siblings: []string{filepath.Join(dir, "old-*")},
	})
	if err != nil {
		t.Fatal(err)
	}
	stop := start(t, f.Run, sink)
	sink.await(t, 1)
	rename(t, path, filepath.Join(dir, "old-b"))
	write2(t, path, "two\n", 0)
	sink.await(t, 2)
	rename(t, path, filepath.Join(dir, "old-a"))
	write2(t, filepath.Join(dir, "old-b"), "too late\n", os.O_APPEND)
	write2(t, path, "three\n", 0)
	eventually(t, "the gap", func() bool { return slices.Equal(sink.gaps(), []string{"late_lines"}) })
	expect(t, sink.await(t, 3), "one", "two", "three")
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}
