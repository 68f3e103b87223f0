package seglog

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"landfall/edge/durable"
	"landfall/edge/durable/faultfs"
	"landfall/edge/record"
)

func appendTexts(t testing.TB, s *Store, texts ...string) record.Offset {
	t.Helper()
	var b record.Builder
	first, err := s.Append(fill(&b, texts...))
	if err != nil {
		t.Fatal(err)
	}
	return first
}

func activeLog(t testing.TB, s *Store) record.LogID {
	t.Helper()
	log, ok := s.Active()
	if !ok {
		t.Fatal("no active log")
	}
	return log
}

// opening reads the record of offset 0.
func opening(t *testing.T, s *Store, log record.LogID) record.Opening {
	t.Helper()
	r, err := s.Reader(log, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	item, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	var o record.Opening
	item.Block.Payloads(func(off record.Offset, p []byte) bool {
		var rec record.Record
		if err := item.Block.DecodeRecord(p, &rec); err != nil || rec.Kind != record.KindLogOpen || off != 0 {
			t.Errorf("record %d of kind %v: %v", off, rec.Kind, err)
		}
		o, err = record.DecodeOpening(rec.Raw)
		if rec.ReceivedAt != o.OpenedAt || rec.EventTime != o.OpenedAt || o.OpenedAt == 0 {
			t.Errorf("opened at %d, received at %d, event at %d", o.OpenedAt, rec.ReceivedAt, rec.EventTime)
		}
		return true
	})
	if err != nil || item.Block.Count != 1 {
		t.Fatalf("opening: %v, block of %d", err, item.Block.Count)
	}
	return o
}

func TestOpeningNamesThePreviousLog(t *testing.T) {
	fsys := faultfs.New()
	cfg := testConfig(fsys, "/log")
	s := mustOpen(t, cfg)
	appendTexts(t, s, "a", "b", "c")
	one := activeLog(t, s)
	if o := opening(t, s, one); !o.Prev.IsZero() || o.PrevLastAt != record.NoTime {
		t.Errorf("the first log's opening is %+v", o)
	}
	_ = s.Close()
	_ = mustOpen(t, cfg).Close() // a start without a record makes no log
	s = mustOpen(t, cfg)
	appendTexts(t, s, "d")
	want := record.Opening{Prev: one, PrevEnd: 4, PrevLastAt: 1_700_000_000_000_002}
	o := opening(t, s, activeLog(t, s))
	if want.OpenedAt = o.OpenedAt; o != want || o.OpenedAt == 0 {
		t.Errorf("opening %+v, want %+v", o, want)
	}
	if logs := s.Logs(); len(logs) != 2 || logs[1].Prev != one || logs[1].PrevEnd != 4 || !logs[0].Closed || logs[1].Closed {
		t.Errorf("logs %+v", logs)
	}
}

// TestChain: each block carries the hash of the one before, small or large.
func TestChain(t *testing.T) {
	s := mustOpen(t, testConfig(faultfs.New(), "/log"))
	for i := range 20 {
		appendTexts(t, s, strings.Repeat("x", 1+i*700))
	}
	r, err := s.Reader(activeLog(t, s), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	prev, n := record.Hash{}, 0
	for {
		item, err := r.Next()
		if errors.Is(err, ErrCaughtUp) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if item.Block.Prev != prev {
			t.Errorf("block at %d carries another hash", item.Block.First)
		}
		prev, n = record.HashBlock(item.Block.Bytes), n+1
	}
	if n != 21 {
		t.Errorf("%d blocks", n)
	}
}

func TestMarksAreCarried(t *testing.T) {
	fsys := faultfs.New()
	cfg := testConfig(fsys, "/log")
	for run := range 4 {
		s := mustOpen(t, cfg)
		want := map[string]string{}
		for i := range run {
			want[fmt.Sprint("source ", i)] = fmt.Sprint("run ", i)
		}
		got := s.Marks()
		if len(got) != len(want) {
			t.Errorf("run %d: marks %q", run, got)
		}
		for name, v := range want {
			if string(got[name]) != v {
				t.Errorf("run %d: mark %s is %q", run, name, got[name])
			}
		}
		var b record.Builder
		fill(&b, "x")
		if err := b.Annotate(record.Mark{Name: fmt.Sprint("source ", run), Value: []byte(fmt.Sprint("run ", run))}.Annotation()); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Append(&b); err != nil {
			t.Fatal(err)
		}
		for range 80 { // into other segments
			appendTexts(t, s, strings.Repeat("y", 1000))
		}
		for _, in := range s.Logs() {
			if err := s.Release(in.ID, in.End); err != nil {
				t.Fatal(err)
			}
		}
		_ = s.Close()
		fsys.Crash(faultfs.LoseAll, 0)
	}
}

func TestReleaseRecyclesAndKeepsTheNewest(t *testing.T) {
	fsys := faultfs.New()
	cfg := testConfig(fsys, "/log")
	s := mustOpen(t, cfg)
	for i := range 200 {
		first := appendTexts(t, s, fmt.Sprintf("old life %d %0900d", i, i))
		if err := s.Release(activeLog(t, s), first); err != nil {
			t.Fatal(err)
		}
	}
	st := s.Stats()
	if st.Segments > 2 || st.Recycled == 0 || st.ReleasedSegments < 3 {
		t.Errorf("stats %+v", st)
	}
	in := s.Logs()[0]
	if err := s.Release(in.ID, in.End+100); err != nil {
		t.Fatal(err)
	}
	if st := s.Stats(); st.Segments != 1 {
		t.Errorf("%d segments: the newest stays, and it alone", st.Segments)
	}
	if in = s.Logs()[0]; in.First != in.End {
		t.Errorf("released to %d of %d", in.First, in.End)
	}
	_ = s.Close()
	s = mustOpen(t, cfg)
	if logs := s.Logs(); len(logs) != 1 || logs[0].End != in.End {
		t.Errorf("the next Store knows %+v", logs)
	}
	// Recycled files are full of old blocks; none of them comes back.
	for _, in := range s.Logs() {
		got, gaps := readLog(t, s, in.ID, in.First)
		if len(gaps) > 0 || len(got) != int(in.End-in.First) {
			t.Errorf("%d records from %d to %d, gaps %v", len(got), in.First, in.End, gaps)
		}
	}
	if err := s.Release(record.LogID{77}, 1); !errors.Is(err, ErrUnknownLog) {
		t.Errorf("release of an unknown log: %v", err)
	}
	appendTexts(t, s, "new log")
	if err := s.Release(in.ID, in.End); err != nil {
		t.Fatal(err)
	}
	if logs := s.Logs(); len(logs) != 1 || logs[0].ID == in.ID {
		t.Errorf("the released log is still there: %+v", logs)
	}
}

func TestFullBlocksAndResumes(t *testing.T) {
	fsys := faultfs.New()
	cfg := testConfig(fsys, "/log")
	cfg.QuotaBytes = 3 * cfg.SegmentBytes
	s := mustOpen(t, cfg)
	l := newLedger()
	var err error
	for err == nil {
		err = l.append(s, 2, 2000)
	}
	if !errors.Is(err, ErrFull) || s.Stats().Bytes > cfg.QuotaBytes {
		t.Fatalf("error %v at %d bytes", err, s.Stats().Bytes)
	}
	if err := l.read(s); err != nil {
		t.Fatal(err)
	}
	log := activeLog(t, s)
	l.released[log] = s.Logs()[0].End - 1
	if err := s.Release(log, l.released[log]); err != nil {
		t.Fatal(err)
	}
	if err := l.append(s, 2, 2000); err != nil {
		t.Errorf("no resume after a release: %v", err)
	}
	if err := l.read(s); err != nil {
		t.Fatal(err)
	}
}

func TestDiskFull(t *testing.T) {
	for _, policy := range []Policy{Block, ShedOldest} {
		fsys := faultfs.New()
		cfg := testConfig(fsys, "/log")
		cfg.Policy = policy
		s := mustOpen(t, cfg)
		l := newLedger()
		l.shed = policy == ShedOldest
		fsys.SetLimit(4*cfg.SegmentBytes + 4096)
		failed := 0
		for range 200 {
			err := l.append(s, 1, 1000)
			if err != nil && !errors.Is(err, ErrFull) {
				t.Fatalf("%s: %v", policy, err)
			}
			if err != nil {
				failed++
			}
		}
		if (failed > 0) != (policy == Block) {
			t.Errorf("%s: %d appends refused", policy, failed)
		}
		if err := l.read(s); err != nil {
			t.Errorf("%s: %v", policy, err)
		}
		fsys.SetLimit(0)
		if err := l.append(s, 1, 1000); err != nil {
			t.Errorf("%s: no resume with room: %v", policy, err)
		}
		if err := l.read(s); err != nil {
			t.Errorf("%s: %v", policy, err)
		}
	}
}

func TestReserve(t *testing.T) {
	fsys := faultfs.New()
	cfg := testConfig(fsys, "/log")
	cfg.ReserveBytes = 100 << 10
	fsys.SetLimit(cfg.ReserveBytes + 2*cfg.SegmentBytes + 1000)
	s := mustOpen(t, cfg)
	l := newLedger()
	var err error
	for err == nil {
		err = l.append(s, 1, 1000)
	}
	if free, _ := fsys.Free("/log"); !errors.Is(err, ErrFull) || free < uint64(cfg.ReserveBytes) {
		t.Errorf("%v with %d bytes free", err, free)
	}
}

// TestShedIsToldUntilReleased: what the policy gave up reads as a Gap of its
// own reason, across restarts, even of a log that is gone as a whole.
func TestShedIsToldUntilReleased(t *testing.T) {
	fsys := faultfs.New()
	cfg := testConfig(fsys, "/log")
	cfg.QuotaBytes, cfg.Policy, cfg.NewLogID = 3*cfg.SegmentBytes, ShedOldest, testLogIDs(0)
	s := mustOpen(t, cfg)
	appendTexts(t, s, strings.Repeat("a", 5000), strings.Repeat("b", 5000))
	old := activeLog(t, s)
	_ = s.Close()
	s = mustOpen(t, cfg)
	for range 20 {
		appendTexts(t, s, strings.Repeat("c", 10000))
	}
	for range 2 {
		if st := s.Stats(); st.Bytes > cfg.QuotaBytes {
			t.Errorf("%d bytes held", st.Bytes)
		}
		got, gaps := readLog(t, s, old, 0)
		if len(got) != 0 || len(gaps) != 1 || gaps[0] != (Gap{0, 3, ReasonShed}) {
			t.Errorf("the old log reads as %v, %v", got, gaps)
		}
		logs := s.Logs()
		newer := logs[len(logs)-1]
		if _, gaps := readLog(t, s, newer.ID, 0); len(gaps) != 1 || gaps[0].From != 0 || gaps[0].Reason != ReasonShed {
			t.Errorf("the newer log has gaps %v", gaps)
		}
		_ = s.Close()
		fsys.Crash(faultfs.LoseAll, 0)
		s = mustOpen(t, cfg)
	}
	if err := s.Release(old, 3); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Reader(old, 0); !errors.Is(err, ErrUnknownLog) {
		t.Errorf("the old log after its release: %v", err)
	}
	_ = s.Close()
	s = mustOpen(t, cfg)
	if _, err := s.Reader(old, 0); !errors.Is(err, ErrUnknownLog) {
		t.Errorf("the old log after its release and a restart: %v", err)
	}
}

// TestFailedSyncIsWrittenElsewhere: one failed write or fsync costs nobody
// anything; the file is never touched again.
func TestFailedSyncIsWrittenElsewhere(t *testing.T) {
	for _, kind := range []faultfs.Kind{faultfs.OpSyncData, faultfs.OpWrite, faultfs.OpRename, faultfs.OpSyncDir} {
		fsys := faultfs.New()
		s := mustOpen(t, testConfig(fsys, "/log"))
		l := newLedger()
		for range 3 {
			if err := l.append(s, 2, 100); err != nil {
				t.Fatal(err)
			}
		}
		fsys.Script(faultfs.Fault{On: kind, N: 1, Mode: faultfs.FailNotStored})
		for range 60 { // into another segment, where names change
			if err := l.append(s, 2, 500); err != nil {
				t.Fatalf("%s: %v", kind, err)
			}
		}
		if st := s.Stats(); st.FailedSegments != 1 || fsys.Hits() != 1 {
			t.Errorf("%s: %d segments failed, %d faults", kind, st.FailedSegments, fsys.Hits())
		}
		if err := l.read(s); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		fsys.Crash(faultfs.LoseAll, 0)
		if err := l.read(mustOpen(t, testConfig(fsys, "/log"))); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// TestFailedSegmentEndsTheActiveOne: a new segment that failed in all attempts
// may come back by its name after a power loss, and ends the segment before it.
// So nothing may be added there meanwhile.
func TestFailedSegmentEndsTheActiveOne(t *testing.T) {
	fsys := faultfs.New()
	cfg := testConfig(fsys, "/log")
	s := mustOpen(t, cfg)
	l := newLedger()
	if err := l.append(s, 1, 100); err != nil {
		t.Fatal(err)
	}
	var faults []faultfs.Fault
	for n := range maxAttempts {
		faults = append(faults, faultfs.Fault{On: faultfs.OpSyncDir, N: n + 1, Mode: faultfs.FailStored})
	}
	fsys.Script(faults...)
	if err := l.append(s, 1, 30000); !errors.Is(err, faultfs.ErrInjected) {
		t.Fatalf("append: %v", err)
	}
	if err := l.append(s, 1, 100); err != nil {
		t.Fatal(err)
	}
	fsys.Crash(faultfs.LoseAll, 0)
	if err := l.read(mustOpen(t, cfg)); err != nil {
		t.Error(err)
	}
}

// TestReaderKeepsItsSegment: a segment released and shed under a Reader is not
// written again before the Reader is through with it.
func TestReaderKeepsItsSegment(t *testing.T) {
	s := mustOpen(t, testConfig(faultfs.New(), "/log"))
	for i := range 6 {
		appendTexts(t, s, fmt.Sprintf("%d %04000d", i, i))
	}
	log := activeLog(t, s)
	r, err := s.Reader(log, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	r.scan.buf = nil // nothing read ahead helps it
	for i := range 60 {
		first := appendTexts(t, s, fmt.Sprintf("new %d %04000d", i, i))
		if err := s.Release(log, first); err != nil {
			t.Fatal(err)
		}
	}
	for i := 2; i < 6; i++ {
		item, err := r.Next()
		if err != nil || item.IsGap() || item.Block.First != record.Offset(i) {
			t.Fatalf("item %d is %+v %+v, %v", i, item.Gap, item.Block.Header, err)
		}
	}
}

// TestOnlySegmentStays: the newest segment is not shed, however full the disk.
func TestOnlySegmentStays(t *testing.T) {
	fsys := faultfs.New()
	cfg := testConfig(fsys, "/log")
	cfg.Policy = ShedOldest
	fsys.SetLimit(cfg.SegmentBytes + 4096)
	s := mustOpen(t, cfg)
	l := newLedger()
	var err error
	for err == nil {
		err = l.append(s, 1, 1000)
	}
	if !errors.Is(err, ErrFull) {
		t.Errorf("append: %v", err)
	}
	if err := l.read(s); err != nil {
		t.Error(err)
	}
}

func TestReaderBounds(t *testing.T) {
	s := mustOpen(t, testConfig(faultfs.New(), "/log"))
	appendTexts(t, s, "a", "b", "c")
	log := activeLog(t, s)
	if _, err := s.Reader(log, 5); !errors.Is(err, ErrBeyondEnd) {
		t.Errorf("beyond the end: %v", err)
	}
	r, err := s.Reader(log, 4)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Next(); !errors.Is(err, ErrCaughtUp) {
		t.Errorf("at the end: %v", err)
	}
	appendTexts(t, s, "d")
	if item, err := r.Next(); err != nil || item.Block.First != 4 {
		t.Errorf("after another append: %+v, %v", item.Block.Header, err)
	}
	mid, err := s.Reader(log, 2)
	if err != nil {
		t.Fatal(err)
	}
	if item, err := mid.Next(); err != nil || item.Block.First != 1 || mid.NextOffset() != 4 {
		t.Errorf("from the middle of a block: %+v, %v", item.Block.Header, err)
	}
	if err := errors.Join(r.Close(), r.Close(), mid.Close()); err != nil {
		t.Error(err)
	}
	_ = s.Close()
	if _, err := r.Next(); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	var b record.Builder
	if _, err := s.Append(fill(&b, "x")); !errors.Is(err, ErrClosed) {
		t.Errorf("append after Close: %v", err)
	}
	b.Reset()
	if _, err := s.Append(&b); !errors.Is(err, ErrEmpty) {
		t.Errorf("append of nothing: %v", err)
	}
}

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig(faultfs.New(), "/log")
		s := mustOpen(t, cfg)
		appendTexts(t, s, "a")
		log := activeLog(t, s)
		if err := s.Wait(t.Context(), log, 1); err != nil {
			t.Error(err)
		}
		done := make(chan error, 2)
		go func() { done <- s.Wait(context.Background(), log, 2) }()
		synctest.Wait()
		select {
		case err := <-done:
			t.Fatalf("wait ended early: %v", err)
		default:
		}
		appendTexts(t, s, "b")
		if err := <-done; err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		go func() { done <- s.Wait(ctx, log, 3) }()
		go func() { done <- s.Wait(context.Background(), log, 3) }()
		synctest.Wait()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		_ = s.Close()
		if err := <-done; !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
}

func TestLockedAndValidated(t *testing.T) {
	cfg := testConfig(faultfs.New(), "/log")
	s := mustOpen(t, cfg)
	if _, err := Open(cfg); !errors.Is(err, durable.ErrLocked) {
		t.Errorf("a second Store: %v", err)
	}
	_ = s.Close()
	_ = mustOpen(t, cfg)
	for _, bad := range []Config{
		{}, {Dir: "x", SegmentBytes: 1}, {Dir: "x", QuotaBytes: 1}, {Dir: "x", QuotaBytes: -1}, {Dir: "x", ReserveBytes: -1}, {Dir: "x", Policy: 9},
	} {
		if bad.Validate() == nil {
			t.Errorf("%+v is valid", bad)
		}
	}
	for _, p := range []Policy{Block, ShedOldest} {
		if got, err := ParsePolicy(p.String()); err != nil || got != p {
			t.Errorf("%s: %v, %v", p, got, err)
		}
	}
	if _, err := ParsePolicy("drop"); err == nil {
		t.Error("an unknown policy parses")
	}
}

// TestNewerVersionIsRefused: a segment of a newer format, whose CRC begins with its
// version, is not damage.
func TestNewerVersionIsRefused(t *testing.T) {
	fsys := faultfs.New()
	cfg := testConfig(fsys, "/log")
	s := mustOpen(t, cfg)
	appendTexts(t, s, "a")
	_ = s.Close()
	name := segmentNames(t, fsys, cfg.Dir)[0]
	p := readBytes(t, fsys, name)
	length, err := headerLength(p)
	if err != nil {
		t.Fatal(err)
	}
	p[3] = headerVersion + 1
	crc := crc32.Update(crc32.Checksum(p[3:4], castagnoli), castagnoli, p[8:length])
	binary.LittleEndian.PutUint32(p[4:], crc)
	writeBytes(t, fsys, name, p)
	if _, err := Open(cfg); !errors.Is(err, record.ErrVersion) {
		t.Errorf("open: %v", err)
	}
}

// TestUnreadablePages: a medium that cannot read a page costs the blocks in it.
func TestUnreadablePages(t *testing.T) {
	p := make([]byte, 3*mediaPage)
	for i := range p {
		p[i] = byte(i)
	}
	bad := badPage{p: p, at: mediaPage}
	got := make([]byte, len(p))
	n, err := readPages(bad, got, 0)
	if n != len(p) || err != nil || got[mediaPage+1] != 0 || got[2*mediaPage+1] != 1 {
		t.Errorf("%d bytes, %v", n, err)
	}
}

type badPage struct {
	p  []byte
	at int64
}

func (b badPage) ReadAt(p []byte, at int64) (int, error) {
	if at < b.at+mediaPage && at+int64(len(p)) > b.at {
		return 0, durable.ErrMedia
	}
	n := copy(p, b.p[at:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// TestBesideEachOther reads, releases and waits beside an appender, on the real
// file system with the keeper at work.
func TestBesideEachOther(t *testing.T) {
	cfg := testConfig(durable.OS{}, t.TempDir())
	cfg.inlineSpares, cfg.QuotaBytes = false, 12*cfg.SegmentBytes
	s := mustOpen(t, cfg)
	const groups = 400
	appendTexts(t, s, "first")
	log := activeLog(t, s)
	var wg sync.WaitGroup
	wg.Go(func() {
		l := newLedger()
		rng := rand.New(rand.NewPCG(5, 6))
		for i := 1; i < groups; {
			err := l.append(s, 1, 100+rng.IntN(3000))
			if err == nil {
				i++
			} else if !errors.Is(err, ErrFull) {
				t.Error(err)
				return
			}
		}
	})
	for range 2 {
		wg.Go(func() { followLog(t, s, log, groups+1) })
	}
	wg.Wait()
	if st := s.Stats(); st.CorruptBlocks+st.FailedSegments > 0 || st.Recycled == 0 {
		t.Errorf("stats %+v", st)
	}
}

// followLog reads a growing log to its end and releases behind itself.
func followLog(t *testing.T, s *Store, log record.LogID, end record.Offset) {
	r, err := s.Reader(log, 0)
	if err != nil {
		t.Error(err)
		return
	}
	defer r.Close()
	for r.NextOffset() < end {
		item, err := r.Next()
		switch {
		case errors.Is(err, ErrCaughtUp):
			if err := s.Wait(context.Background(), log, r.NextOffset()); err != nil {
				t.Error(err)
				return
			}
		case err != nil:
			t.Error(err)
			return
		case item.IsGap() && item.Gap.Reason != ReasonMissing: // the other follower may have released it
			t.Errorf("gap %+v", item.Gap)
		default:
			if err := s.Release(log, r.NextOffset()); err != nil {
				t.Error(err)
				return
			}
		}
	}
}

// TestARestoredImageStartsALogOfItsOwn: two machines that go on from the same
// disk have the old log in common, and write two new ones.
func TestARestoredImageStartsALogOfItsOwn(t *testing.T) {
	disk := faultfs.New()
	s := mustOpen(t, testConfig(disk, "/log"))
	appendTexts(t, s, "before")
	old := activeLog(t, s)
	_ = s.Close()
	image, seen := disk.Clone(), map[record.LogID]bool{old: true}
	for i, fsys := range []*faultfs.FS{disk, image} {
		s := mustOpen(t, testConfig(fsys, "/log"))
		appendTexts(t, s, "after")
		now := activeLog(t, s)
		if seen[now] {
			t.Errorf("machine %d goes on with log %s", i, now)
		}
		seen[now] = true
		if logs := s.Logs(); len(logs) != 2 || logs[0].ID != old || logs[0].End != 2 || logs[1].Prev != old {
			t.Errorf("machine %d: logs %+v", i, logs)
		}
		_ = s.Close()
	}
}

// TestReleasedRecordsStayUntilTheyAreOverwritten: what was acknowledged is not
// served any more, and its bytes lie in a file that is kept for later.
func TestReleasedRecordsStayUntilTheyAreOverwritten(t *testing.T) {
	fsys := faultfs.New()
	cfg := testConfig(fsys, "/log")
	s := mustOpen(t, cfg)
	const words = "acknowledged words"
	lie := func() bool {
		entries, err := fsys.ReadDir(cfg.Dir)
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(entries, func(e fs.DirEntry) bool {
			return !e.IsDir() && bytes.Contains(readBytes(t, fsys, filepath.Join(cfg.Dir, e.Name())), []byte(words))
		})
	}
	appendTexts(t, s, words)
	var first record.Offset
	next := func() {
		first = appendTexts(t, s, strings.Repeat("x", 20_000)) // more than half a segment
		if err := s.Release(activeLog(t, s), first); err != nil {
			t.Fatal(err)
		}
	}
	next()
	next()
	if st := s.Stats(); st.Recycled == 0 || s.Logs()[0].First < 2 {
		t.Fatalf("nothing was released: %+v", st)
	}
	if !lie() {
		t.Error("the words are gone")
	}
	for range 4 {
		next()
	}
	if lie() {
		t.Error("the words are there after their file was used again")
	}
}
