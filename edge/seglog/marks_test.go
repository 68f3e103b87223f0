package seglog

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"landfall/edge/durable"
	"landfall/edge/durable/faultfs"
	"landfall/edge/record"
)

// appendMarks appends a group of one record with marks.
func appendMarks(s *Store, text string, marks map[string]string) error {
	var b record.Builder
	fill(&b, text)
	for _, name := range slices.Sorted(maps.Keys(marks)) {
		if err := b.Annotate(record.Mark{Name: name, Value: []byte(marks[name])}.Annotation()); err != nil {
			return err
		}
	}
	_, err := s.Append(&b)
	return err
}

// texts are the Store's marks.
func texts(s *Store) map[string]string {
	m := map[string]string{}
	for name, value := range s.Marks() {
		m[name] = string(value)
	}
	return m
}

func wantMarks(t *testing.T, s *Store, want map[string]string) {
	t.Helper()
	if got := texts(s); !maps.Equal(got, want) {
		t.Fatalf("%d marks, want %d: %.300v, want %.300v", len(got), len(want), got, want)
	}
}

// ownerOf is what the agent says of a mark: the source before the '/'.
func ownerOf(mark string) string {
	owner, _, _ := strings.Cut(mark, "/")
	return owner
}

// bigHeader returns the largest header of the Store's segments.
func bigHeader(s *Store) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	most := int64(0)
	for _, l := range s.logs {
		for _, g := range l.segments {
			most = max(most, g.dataAt)
		}
	}
	return most
}

// TestMarksDoNotGrowHeaders: with far more marks than a header of 4 MiB ever held,
// over restarts, headers stay small, files of marks are bounded by what the marks
// are, what is written for them by what changed, and every mark is there again.
func TestMarksDoNotGrowHeaders(t *testing.T) {
	cfg := testConfig(faultfs.New(), "/log")
	cfg.SegmentBytes = 1 << 20
	s := mustOpen(t, cfg)
	const names = 60_000
	want, size, changed := map[string]string{}, int64(0), uint64(0)
	value := strings.Repeat("v", 120)
	for group := range 300 {
		marks := map[string]string{}
		for i := range 800 {
			name := fmt.Sprintf("source-%d", (group*800+i)%names)
			marks[name] = fmt.Sprintf("%s%d", value, group)
			changed += uint64(len(name) + len(marks[name]))
		}
		if err := appendMarks(s, fmt.Sprint(group), marks); err != nil {
			t.Fatal(err)
		}
		maps.Copy(want, marks)
		if group%60 == 59 {
			wantMarks(t, s, want)
			if n := bigHeader(s); n > maxInlineMarks+headerAlign {
				t.Fatalf("a header of %d bytes", n)
			}
			st := s.Stats()
			if size = st.MarkBytes; st.MarkFileBytes > 4*size {
				t.Fatalf("%d bytes in files for %d of marks", st.MarkFileBytes, size)
			}
			if st.MarkBytesWritten > 3*changed {
				t.Fatalf("%d bytes written for %d that changed", st.MarkBytesWritten, changed)
			}
			log, _ := s.Active()
			if err := errors.Join(s.Release(log, s.app.next), s.Close()); err != nil {
				t.Fatal(err)
			}
			s, changed = mustOpen(t, cfg), uint64(size) // a new log may begin with a full set
			wantMarks(t, s, want)
		}
	}
	if size < 2*maxHeader*9/10 {
		t.Fatalf("%d bytes of marks prove nothing", size)
	}
}

// TestALogThatCouldNotBeAppendedToGoesOn: a header of version 1 with almost 4 MiB of
// marks, after which the program that wrote it could begin no segment any more.
func TestALogThatCouldNotBeAppendedToGoesOn(t *testing.T) {
	cfg := testConfig(faultfs.New(), "/log")
	cfg.SegmentBytes, cfg.inlineMarks = 8<<20, 1<<30 // as that program did
	s := mustOpen(t, cfg)
	want := map[string]string{}
	add := func(from, to int) {
		t.Helper()
		for at := from; at < to; at += 4000 {
			marks := map[string]string{}
			for i := at; i < at+4000; i++ {
				marks[fmt.Sprintf("gateway-%d", i)] = strings.Repeat("v", 80)
			}
			if err := appendMarks(s, fmt.Sprint(at), marks); err != nil {
				t.Fatal(err)
			}
			maps.Copy(want, marks)
		}
	}
	add(0, 40_000)
	reopen := func() {
		t.Helper()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = mustOpen(t, cfg)
	}
	reopen() // its first segment begins with all of them
	add(40_000, 44_000)
	if bigHeader(s) < maxHeader*9/10 {
		t.Fatalf("the largest header has %d bytes", bigHeader(s))
	}
	add(44_000, 60_000)
	var b record.Builder
	if _, err := s.newSegment(fill(&b, "x"), 100); !errors.Is(err, record.ErrTooLarge) {
		t.Fatalf("the header that was too large: %v", err)
	}
	cfg.inlineMarks = 0
	reopen()
	wantMarks(t, s, want)
	add(60_000, 64_000)
	reopen()
	wantMarks(t, s, want)
	if in := s.Logs(); len(in) != 3 {
		t.Fatalf("%d logs", len(in))
	}
}

// TestMarksAside: a source that is configured no more takes nothing in memory and
// headers, and goes on where it stood when it is there again; the gateway's own
// marks stay.
func TestMarksAside(t *testing.T) {
	for _, inline := range []int{1, maxInlineMarks} {
		t.Run(strconv.Itoa(inline), func(t *testing.T) {
			cfg := testConfig(faultfs.New(), "/log")
			cfg.inlineMarks, cfg.MarkOwner = inline, ownerOf
			want := map[string]string{}
			life := func(owners []string, aside int, marks map[string]string) {
				t.Helper()
				cfg.Owners = owners
				s := mustOpen(t, cfg)
				there := map[string]string{}
				for name, value := range want {
					if o := ownerOf(name); o == "" || strings.Contains(fmt.Sprint(owners), o) {
						there[name] = value
					}
				}
				wantMarks(t, s, there)
				if marks == nil { // it ends before anything was appended
					if err := s.Close(); err != nil {
						t.Fatal(err)
					}
					return
				}
				if err := appendMarks(s, "x", marks); err != nil {
					t.Fatal(err)
				}
				maps.Copy(want, marks)
				maps.Copy(there, marks)
				wantMarks(t, s, there)
				// A program that knows no marks beside headers must not go on without them.
				if v := headVersion(t, s); aside > 0 && v != headerMarked {
					t.Fatalf("a header of version %d, %d aside", v, aside)
				}
				if st := s.Stats(); st.MarksAside != aside || st.Marks != len(there) {
					t.Fatalf("%d sources aside, want %d; %d marks, want %d", st.MarksAside, aside, st.Marks, len(there))
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
			both := []string{"ais", "plant"}
			life(both, 0, map[string]string{"ais": "1", "plant/0": "a", "plant/1": "b", "/clock": "c"})
			life([]string{"ais"}, 1, nil)
			life([]string{"ais"}, 1, map[string]string{"ais": "2"})
			life([]string{"ais"}, 1, map[string]string{"ais": "3", "/clock": "d"})
			life(both, 0, nil)
			life([]string{"plant"}, 1, nil)
			life(both, 0, map[string]string{"plant/1": "e"})
			life([]string{"ais"}, 1, map[string]string{"ais": "4"})
			life(nil, 2, map[string]string{"/clock": "f"})
			life(both, 0, map[string]string{"plant/2": "g"})
			life(both, 0, map[string]string{"ais": "5"})
		})
	}
}

// headVersion is the version of the newest segment's header.
func headVersion(t *testing.T, s *Store) byte {
	t.Helper()
	return readBytes(t, s.fs, s.path(s.newestSegment().name))[3]
}

// TestMarksAreNotAheadOfBlocks: where the newest segments are gone, marks are what
// the blocks say that are left, so that sources which resend fill the hole.
func TestMarksAreNotAheadOfBlocks(t *testing.T) {
	for gone := range 4 {
		cfg := testConfig(faultfs.New(), "/log")
		cfg.SegmentBytes, cfg.inlineMarks = MinSegmentBytes, 1
		s := mustOpen(t, cfg)
		for i := range 9 {
			marks := map[string]string{"at": strconv.Itoa(i), fmt.Sprintf("only/%d", i): "x"}
			if i == 0 {
				marks["long"] = strings.Repeat("v", 500) // the sets after it stay a chain
			}
			if err := appendMarks(s, strings.Repeat("x", 5000), marks); err != nil {
				t.Fatal(err)
			}
		}
		segments := s.logs[0].segments
		if len(segments) != 9 {
			t.Fatalf("%d segments", len(segments))
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		for _, g := range segments[9-gone:] {
			if err := s.fs.Remove(s.path(g.name)); err != nil {
				t.Fatal(err)
			}
		}
		s = mustOpen(t, cfg)
		if want := strconv.Itoa(8 - gone); string(s.Marks()["at"]) != want {
			t.Errorf("%d segments are gone: mark %s, want %s", gone, s.Marks()["at"], want)
		}
		if n := len(s.Marks()) - 2; n != 9-gone {
			t.Errorf("%d segments are gone: marks of %d blocks are there", gone, n)
		}
	}
}

// TestMarksBehindDamage: whichever file of marks is damaged or gone, what the blocks
// still say is read from them; what they do not is counted.
func TestMarksBehindDamage(t *testing.T) {
	for _, release := range []bool{false, true} {
		for _, gone := range []bool{false, true} {
			for n := 0; ; n++ {
				fsys := faultfs.New()
				cfg := testConfig(fsys, "/log")
				cfg.SegmentBytes, cfg.inlineMarks, cfg.markPart = MinSegmentBytes, 1, 40
				s := mustOpen(t, cfg)
				want := map[string]string{}
				for i := range 12 {
					marks := map[string]string{fmt.Sprintf("m/%d", i%5): strings.Repeat("v", 10) + strconv.Itoa(i), fmt.Sprintf("n/%d", i): "x"}
					if i == 7 { // its next log begins here
						if err := s.Close(); err != nil {
							t.Fatal(err)
						}
						s = mustOpen(t, cfg)
					}
					if err := appendMarks(s, strings.Repeat("x", 3000), marks); err != nil {
						t.Fatal(err)
					}
					maps.Copy(want, marks)
				}
				if log, _ := s.Active(); release {
					if err := s.Release(log, s.app.next); err != nil {
						t.Fatal(err)
					}
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				var files []string
				entries, err := fsys.ReadDir(cfg.Dir)
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range entries {
					if _, ok := parseMarkFileName(e.Name()); ok {
						files = append(files, s.path(e.Name()))
					}
				}
				if s.newestSegment() == nil || len(files) < 5 {
					t.Fatalf("%d files of marks", len(files))
				}
				if n == len(files)+1 {
					break
				}
				if n == len(files) { // the newest header instead
					files = append(files, s.path(s.newestSegment().name))
				}
				if gone && n < len(files)-1 {
					err = fsys.Remove(files[n])
				} else {
					flipByte(t, fsys, files[n])
				}
				if err != nil {
					t.Fatal(err)
				}
				s = mustOpen(t, cfg)
				if s.Stats().UnreadableMeta == 0 {
					t.Errorf("file %d of %d, gone %v: nothing is counted", n, len(files), gone)
				}
				if !release {
					wantMarks(t, s, want)
				}
				if err := errors.Join(appendMarks(s, "y", nil), s.Close()); err != nil {
					t.Fatal(err)
				}
				s = mustOpen(t, cfg)
				if st := s.Stats(); st.UnreadableMeta > 0 && n < len(files)-1 || !release && st.Marks != len(want) {
					t.Errorf("file %d: at the second start %d unreadable, %d marks", n, st.UnreadableMeta, st.Marks)
				}
			}
		}
	}
}

func flipByte(t *testing.T, fsys durable.FS, path string) {
	t.Helper()
	f, err := fsys.OpenWrite(path)
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 1)
	if _, err := f.ReadAt(p, markFileFixed); err != nil {
		t.Fatal(err)
	}
	p[0] ^= 4
	if _, err := f.WriteAt(p, markFileFixed); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestMarksTakeTheRoomOfASpare: a disk without any room holds no segment up that has
// a file ready, because another one that is ready makes room for its marks.
func TestMarksTakeTheRoomOfASpare(t *testing.T) {
	fsys := faultfs.New()
	cfg := testConfig(fsys, "/log")
	cfg.SegmentBytes, cfg.inlineMarks = 16<<10, 1
	s := mustOpen(t, cfg)
	for i := range 8 {
		if err := appendMarks(s, strings.Repeat("x", 9000), map[string]string{strconv.Itoa(i): strings.Repeat("v", 300)}); err != nil {
			t.Fatal(err)
		}
	}
	log, _ := s.Active()
	if err := s.Release(log, s.app.next); err != nil {
		t.Fatal(err)
	}
	if n := s.Stats().Spares; n != maxSpares {
		t.Fatalf("%d files are ready", n)
	}
	fsys.SetLimit(fsys.Used())
	if err := appendMarks(s, strings.Repeat("x", 9000), nil); err != nil {
		t.Fatal(err)
	}
}

// TestMarksOnAFullDisk: a file that is ready to become a segment makes room for
// marks; without one Append says ErrFull, and goes on when there is room.
func TestMarksOnAFullDisk(t *testing.T) {
	fsys := faultfs.New()
	cfg := testConfig(fsys, "/log")
	cfg.SegmentBytes, cfg.inlineMarks = 16<<10, 1
	s := mustOpen(t, cfg)
	fsys.SetLimit(fsys.Used() + 100<<10)
	log, full := record.LogID{}, 0
	for i := range 60 {
		marks := map[string]string{fmt.Sprintf("m/%d", i%9): strings.Repeat("v", 300) + strconv.Itoa(i)}
		err := appendMarks(s, strings.Repeat("x", 5000), marks)
		for ; errors.Is(err, ErrFull); err = appendMarks(s, strings.Repeat("x", 5000), marks) {
			if full++; full > 200 {
				t.Fatal("it stays full though everything is released")
			}
			log, _ = s.Active()
			if err := s.Release(log, s.app.next); err != nil {
				t.Fatal(err)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if full == 0 {
		t.Fatal("it was never full")
	}
}

// TestMarksLeaveRoomForTwoSegments: a quota of two segments is enough, however many
// marks there are; beyond that marks count in it.
func TestMarksLeaveRoomForTwoSegments(t *testing.T) {
	cfg := testConfig(faultfs.New(), "/log")
	cfg.SegmentBytes, cfg.QuotaBytes, cfg.inlineMarks = MinSegmentBytes, 2*MinSegmentBytes, 1
	s := mustOpen(t, cfg)
	for i := range 20 {
		marks := map[string]string{"long": strings.Repeat("v", 2500), strconv.Itoa(i): "x"}
		if err := appendMarks(s, "x", marks); err != nil {
			t.Fatalf("group %d: %v", i, err)
		}
		log, _ := s.Active()
		if err := s.Release(log, s.app.next); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	cfg.QuotaBytes = 4 * MinSegmentBytes
	s = mustOpen(t, cfg)
	for err := error(nil); !errors.Is(err, ErrFull); err = appendMarks(s, strings.Repeat("x", 5000), nil) {
		if err != nil {
			t.Fatal(err)
		}
	}
	entries, err := cfg.FS.ReadDir(cfg.Dir)
	if err != nil {
		t.Fatal(err)
	}
	held, marks := int64(0), 0
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := parseMarkFileName(e.Name()); ok {
			marks++
		}
		if !hasNewestSuffix(e.Name()) {
			held += info.Size()
		}
	}
	if held > cfg.QuotaBytes || marks == 0 || held != s.Stats().Bytes {
		t.Errorf("%d bytes held, %d said, %d files of marks; the quota is %d", held, s.Stats().Bytes, marks, cfg.QuotaBytes)
	}
}

// TestMarkFilesAreTold from damaged and newer ones.
func TestMarkFilesAreTold(t *testing.T) {
	f := markFile{number: 7, previous: 3, last: true}
	file := f.seal(appendMark(newMarkFile(), "a", []byte("b")))
	aside := encodeAside("plant", map[string][]byte{"plant/0": []byte("x")})
	head := header{id: segmentID{record.LogID{1}, 1}, version: headerMarked, markFile: 9}
	p, err := head.encode()
	if err != nil {
		t.Fatal(err)
	}
	n, err := headerLength(p)
	if err != nil {
		t.Fatal(err)
	}
	if h, err := parseHeader(p[:n]); err != nil || h.markFile != 9 || h.version != headerMarked {
		t.Errorf("header %+v, %v", h, err)
	}
	// A program of version 1 asks just this, and refuses the directory.
	if err := record.JudgeVersion(p[:n]); !errors.Is(err, record.ErrVersion) {
		t.Errorf("a header that names a file of marks is version 1 to an older program: %v", err)
	}
	parse := map[string]func([]byte) error{
		"file":   func(p []byte) error { _, err := decodeMarkFile(p); return err },
		"aside":  func(p []byte) error { _, _, err := decodeAside(p); return err },
		"header": func(p []byte) error { _, err := parseHeader(p); return err },
	}
	for kind, good := range map[string][]byte{"file": file, "aside": aside, "header": p[:n]} {
		if err := parse[kind](good); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		for i := range good {
			bad := append([]byte(nil), good...)
			bad[i] ^= 1
			if i == 3 && kind != "header" { // the version is no part of version 1's sum
				continue
			}
			if err := parse[kind](bad); !errors.Is(err, record.ErrCorrupt) {
				t.Errorf("%s, byte %d: %v", kind, i, err)
			}
			if err := parse[kind](good[:i]); !errors.Is(err, record.ErrCorrupt) {
				t.Errorf("%s of %d bytes: %v", kind, i, err)
			}
		}
		newer := append([]byte(nil), good...)
		newer[3] = 3
		sum := versionedSum(newer)
		newer[4], newer[5], newer[6], newer[7] = byte(sum), byte(sum>>8), byte(sum>>16), byte(sum>>24)
		if err := parse[kind](newer); !errors.Is(err, record.ErrVersion) {
			t.Errorf("%s of version 3: %v", kind, err)
		}
	}
}

// TestAMarkIsHandedOn: a source with another name takes over the mark of one that is set
// aside: until a segment begins with it the file is there still, and then no more. One
// with several marks, and one that is there, hand on none.
func TestAMarkIsHandedOn(t *testing.T) {
	fsys := faultfs.New()
	cfg := testConfig(fsys, "/log")
	cfg.MarkOwner = ownerOf
	open := func(owners ...string) *Store {
		cfg.Owners = owners
		return mustOpen(t, cfg)
	}
	put := func(s *Store, marks map[string]string) {
		t.Helper()
		if err := appendMarks(s, "x", marks); err != nil {
			t.Fatal(err)
		}
	}
	closed := func(s *Store) {
		t.Helper()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s := open("file", "plant", "here")
	put(s, map[string]string{"file": "at 7", "plant/0": "x", "plant/1": "y", "here": "at 9"})
	closed(s)
	s = open("here")
	put(s, map[string]string{}) // from here on the file alone has the mark
	closed(s)
	for _, appends := range []bool{false, true} {
		s = open("new", "here")
		if aside, err := s.Aside(); err != nil || len(aside) != 1 || string(aside["file"]) != "at 7" {
			t.Fatalf("aside: %q, %v", aside, err)
		}
		if err := s.HandOn("file", "new"); err != nil {
			t.Fatal(err)
		}
		if m := s.Marks(); string(m["new"]) != "at 7" || m["file"] != nil {
			t.Fatalf("handed on: %q", m)
		}
		if appends {
			put(s, nil)
			break
		}
		closed(s)
	}
	fsys.Crash(faultfs.LoseAll, 0) // under its old name the source would go on where it stood before
	s = open("file", "new", "here")
	if m := s.Marks(); string(m["new"]) != "at 7" || m["file"] != nil {
		t.Errorf("afterwards: %q", m)
	}
	if err := s.HandOn("nobody", "new"); err == nil {
		t.Error("nobody handed on a mark")
	}
	closed(s)
}
