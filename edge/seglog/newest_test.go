package seglog

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"landfall/edge/durable"
	"landfall/edge/durable/faultfs"
	"landfall/edge/record"
)

// killed makes the note of the newest log what it is before Close.
func killed(t *testing.T, fsys *faultfs.FS, cfg Config) {
	t.Helper()
	logs := mustOpenLogs(t, cfg)
	name := cfg.Dir + "/" + newestName(logs[len(logs)-1].Ordinal, logs[len(logs)-1].ID)
	id, ordinal, n, err := decodeNewest(readBytes(t, fsys, name))
	if err != nil || !n.closed || n.end != logs[len(logs)-1].End {
		t.Fatalf("closed at %d: noted %+v, %v", logs[len(logs)-1].End, n, err)
	}
	n.end, n.closed = n.first+3, false
	writeBytes(t, fsys, name, n.encode(id, ordinal))
}

// TestNewestSegmentsGone removes the newest segments of a directory, as many as
// it likes, up to whole logs. What is gone comes out of Readers as a gap; after
// a kill the next log says that the one before it may have been longer; and so
// it stays over further starts until it is released.
func TestNewestSegmentsGone(t *testing.T) {
	for variant := range 4 {
		released, clean := variant&1 == 1, variant&2 == 2
		for gone := 1; ; gone++ {
			l := newLedger()
			fsys, cfg := damagedStore(t, l)
			if released {
				s := mustOpen(t, cfg)
				logs := s.Logs()
				if err := s.Release(logs[0].ID, logs[0].End); err != nil {
					t.Fatal(err)
				}
				if err := s.Release(logs[1].ID, logs[1].End/3); err != nil {
					t.Fatal(err)
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if !clean {
				killed(t, fsys, cfg)
			}
			names := segmentNames(t, fsys, cfg.Dir)
			if gone > len(names) {
				break
			}
			_, id, _, _ := parseSegmentName(names[len(names)-1][len(cfg.Dir)+1:])
			_, firstID, firstGone, _ := parseSegmentName(names[len(names)-gone][len(cfg.Dir)+1:])
			if firstID.log != id.log {
				firstGone = 0 // the newest log as a whole
			}
			for _, name := range names[len(names)-gone:] {
				if err := fsys.Remove(name); err != nil {
					t.Fatal(err)
				}
			}
			name := fmt.Sprintf("%d of %d segments gone, released %t, clean %t", gone, len(names), released, clean)
			for start := range 3 {
				s := mustOpen(t, cfg)
				if st := s.Stats(); st.Beheaded == 0 {
					t.Fatalf("%s, start %d: not counted", name, start)
				}
				in := s.Logs()[0]
				for _, l := range s.Logs() {
					if l.ID == id.log {
						in = l
					}
				}
				_, gaps := readLog(t, s, id.log, max(in.First, firstGone))
				if n := len(gaps); n == 0 || gaps[0].From != max(in.First, firstGone) || gaps[n-1].To != in.End || gaps[n-1].Reason != ReasonMissing {
					t.Fatalf("%s, start %d: gaps %+v, want one from %d to %d", name, start, gaps, firstGone, in.End)
				}
				if err := l.append(s, 1, 100); err != nil {
					t.Fatal(err)
				}
				active, _ := s.Active()
				o := opening(t, s, active)
				if start == 0 && (o.Prev != id.log || o.PrevEnd != in.End || o.PrevEndUnproven == clean || clean && in.End != 121) {
					t.Errorf("%s: opening %+v, want the log before %s, end %d", name, o, id.log, in.End)
				}
				if start > 0 && o.PrevEndUnproven {
					t.Errorf("%s, start %d: opening %+v", name, start, o)
				}
				if start == 2 {
					if err := s.Release(id.log, in.End); err != nil {
						t.Fatal(err)
					}
					for _, l := range s.Logs() {
						if l.ID == id.log {
							t.Errorf("%s: released, and still there: %+v", name, l)
						}
					}
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
			s := mustOpen(t, cfg)
			for _, l := range s.Logs() {
				if l.ID == id.log {
					t.Errorf("%s: released, and there again: %+v", name, l)
				}
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestZeroedEnd zeroes the pages of the last blocks of a log that was closed, in
// a fresh segment and in a recycled one: they read as a gap, though nothing in
// the segment tells that they were ever there.
func TestZeroedEnd(t *testing.T) {
	for _, recycled := range []bool{false, true} {
		fsys := faultfs.New()
		cfg := testConfig(fsys, "/log")
		l, s := newLedger(), mustOpen(t, cfg)
		for i := 0; i < 60 || s.app.at > 8192; i++ {
			if err := l.append(s, 3, 500); err != nil {
				t.Fatal(err)
			}
			if id, _ := s.Active(); recycled {
				if err := s.Release(id, s.Logs()[0].End); err != nil {
					t.Fatal(err)
				}
			}
		}
		if n := s.Stats().Recycled; recycled == (n == 0) {
			t.Fatalf("%d segments recycled", n)
		}
		begin := s.Logs()[0].End
		for range 6 {
			if err := l.append(s, 3, 500); err != nil {
				t.Fatal(err)
			}
		}
		in := s.Logs()[0]
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		names := segmentNames(t, fsys, cfg.Dir)
		name := names[len(names)-1]
		p := readBytes(t, fsys, name)
		frames, offsets := framesOf(t, name, p)
		from := int64(0)
		for i, f := range frames {
			if offsets[i].from == begin {
				from = f.at
			}
		}
		clear(p[from:])
		writeBytes(t, fsys, name, p)
		for start := range 2 {
			s = mustOpen(t, cfg)
			_, gaps := readLog(t, s, in.ID, s.Logs()[0].First)
			if n := len(gaps); n != 1 || gaps[0].From != begin || gaps[0].To != in.End || start == 0 && s.Stats().TailLostOffsets != uint64(in.End-begin) {
				t.Fatalf("recycled %t: gaps %+v, want %d to %d; %+v", recycled, gaps, begin, in.End, s.Stats())
			}
			if err := l.append(s, 1, 10); err != nil {
				t.Fatal(err)
			}
			id, _ := s.Active()
			if o := opening(t, s, id); start == 0 && (o.Prev != in.ID || o.PrevEnd != in.End) {
				t.Errorf("recycled %t: opening %+v", recycled, o)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestWithoutNote: directories of before notes, and those whose note is damaged,
// open as ever.
func TestWithoutNote(t *testing.T) {
	for _, hurt := range []func([]byte) []byte{
		func([]byte) []byte { return nil },
		func(p []byte) []byte { p[20] ^= 1; return p },
		func(p []byte) []byte { return p[:30] },
	} {
		l := newLedger()
		fsys, cfg := damagedStore(t, l)
		notes := 0
		for _, in := range mustOpenLogs(t, cfg) {
			name := cfg.Dir + "/" + newestName(in.Ordinal, in.ID)
			p := readBytes(t, fsys, name)
			writeBytes(t, fsys, name, hurt(bytes.Clone(p)))
			notes++
		}
		s := mustOpen(t, cfg)
		if err := l.read(s); err != nil {
			t.Error(err)
		}
		if st := s.Stats(); notes != 2 || hurt(make([]byte, newestBytes)) != nil && st.UnreadableMeta != 2 {
			t.Errorf("%d notes, stats %+v", notes, st)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func mustOpenLogs(t *testing.T, cfg Config) []LogInfo {
	t.Helper()
	s := mustOpen(t, cfg)
	defer s.Close()
	return s.Logs()
}

// noNotes is a file system that has no room for notes.
type noNotes struct {
	*faultfs.FS
	full bool
}

func (f *noNotes) Create(name string) (durable.File, error) {
	if f.full && strings.HasSuffix(name, newestSuffix+durable.TempSuffix) {
		return nil, durable.ErrNoSpace
	}
	return f.FS.Create(name)
}

// TestNoteFails: a note that cannot be written costs no group, and is written
// with a later one.
func TestNoteFails(t *testing.T) {
	fsys := &noNotes{FS: faultfs.New(), full: true}
	cfg := testConfig(fsys, "/log")
	l, s := newLedger(), mustOpen(t, cfg)
	for range 30 {
		if err := l.append(s, 3, 500); err != nil {
			t.Fatal(err)
		}
	}
	logs := s.Logs()
	if _, err := fsys.Stat("/log/" + newestName(logs[0].Ordinal, logs[0].ID)); err == nil {
		t.Fatal("it was noted, without room")
	}
	fsys.full = false
	if err := l.append(s, 1, 10); err != nil {
		t.Fatal(err)
	}
	id, ordinal, n, err := decodeNewest(readBytes(t, fsys, "/log/"+newestName(logs[0].Ordinal, logs[0].ID)))
	if err != nil || id != logs[0].ID || ordinal != logs[0].Ordinal || n.end != s.Logs()[0].End {
		t.Errorf("noted %s %d %+v, %v", id, ordinal, n, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func FuzzNewest(f *testing.F) {
	good := newest{number: 7, first: 100, end: 103, closed: true}
	f.Add(good.encode(record.LogID{1}, 3))
	f.Add([]byte("LFN\x01"))
	f.Fuzz(func(t *testing.T, p []byte) {
		id, ordinal, n, err := decodeNewest(p)
		if err == nil && !bytes.Equal(n.encode(id, ordinal), p) {
			t.Errorf("%x decodes to %+v, which encodes otherwise", p, n)
		}
		if err != nil && !errors.Is(err, record.ErrCorrupt) && !errors.Is(err, record.ErrVersion) {
			t.Error(err)
		}
	})
}

// TestNewestRoundTrip also says that any flipped bit is noticed.
func TestNewestRoundTrip(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		n := newest{number: rng.Uint64(), first: record.Offset(rng.Uint64() >> 1), closed: rng.IntN(2) == 0}
		n.end = n.first + 1 + record.Offset(rng.IntN(99))
		p := n.encode(record.LogID{9}, 5)
		if id, ordinal, got, err := decodeNewest(p); err != nil || got != n || id != (record.LogID{9}) || ordinal != 5 {
			t.Fatalf("%+v became %+v, %v", n, got, err)
		}
		p[rng.IntN(len(p))] ^= 1 << rng.IntN(8)
		if _, _, _, err := decodeNewest(p); err == nil {
			t.Fatal("a flipped bit was not noticed")
		}
	}
}

// TestDeadSegmentIsNotTheEnd: a group whose fsync failed stands in two files; the
// later one, the newest, is then lost. The earlier copy is not taken for it:
// nothing in it is served, and marks stay with the records that are served.
func TestDeadSegmentIsNotTheEnd(t *testing.T) {
	fsys := faultfs.New()
	cfg := testConfig(fsys, "/log")
	l, s := newLedger(), mustOpen(t, cfg)
	for range 3 {
		if err := l.append(s, 2, 100); err != nil {
			t.Fatal(err)
		}
	}
	fsys.Script(faultfs.Fault{On: faultfs.OpSyncData, N: 1, Mode: faultfs.FailStored})
	if err := l.append(s, 2, 100); err != nil {
		t.Fatal(err)
	}
	fsys.Script()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	names := segmentNames(t, fsys, cfg.Dir)
	if len(names) != 2 {
		t.Fatalf("segments %q", names)
	}
	if err := fsys.Remove(names[1]); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, cfg)
	defer s.Close()
	in := s.Logs()[0]
	got, gaps := readLog(t, s, in.ID, 0)
	if len(got) != 6 || len(gaps) != 1 || gaps[0] != (Gap{7, 9, ReasonMissing}) || in.End != 9 {
		t.Errorf("%d records, gaps %+v, end %d", len(got), gaps, in.End)
	}
	if mark := string(s.Marks()["source"]); mark != "3" {
		t.Errorf("mark of group %s, records of group 3", mark)
	}
}
