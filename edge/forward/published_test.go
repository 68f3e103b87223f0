package forward

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"landfall/edge/durable/faultfs"
	"landfall/edge/record"
	"landfall/edge/seglog"
	"landfall/edge/wire"
)

// end returns the end of the newest log of a store.
func end(s *seglog.Store) (record.LogID, record.Offset) {
	logs := s.Logs()
	l := logs[len(logs)-1]
	return l.ID, l.End
}

// boundaries lists the ends of the blocks that the cloud has of a log.
func (c *cloud) boundaries(log record.LogID) []record.Offset {
	c.mu.Lock()
	defer c.mu.Unlock()
	var ends []record.Offset
	for i := range c.blocks {
		if c.blocks[i].Log == log {
			ends = append(ends, c.blocks[i].End())
		}
	}
	return ends
}

// TestReleaseWaitsForPublished: what has landed stays in the store until it is
// published, a log that has ended too, and is released then without a record to
// send.
func TestReleaseWaitsForPublished(t *testing.T) {
	dir, state := t.TempDir(), filepath.Join(t.TempDir(), "forward")
	s := newStore(t, seglog.Config{Dir: dir, SegmentBytes: 16 << 10})
	capture(t, s, 12, 6<<10)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = newStore(t, seglog.Config{Dir: dir, SegmentBytes: 16 << 10})
	capture(t, s, 12, 6<<10)
	c, url := newCloud(t)
	c.published = map[record.LogID]record.Offset{}
	kept := s.Stats().Segments
	f, stop := start(t, Config{URL: url, Store: s, StatePath: state})
	until(t, "all has landed", func() bool { return f.Status().Pending == 0 })
	until(t, "it was asked about", func() bool { return f.Status().Counters.Questions > 4 })
	st := f.Status()
	if s.Stats().Segments != kept || st.Unpublished != 26 || st.KeptBytes < 100<<10 || st.UnpublishedSince.IsZero() || !st.Telling.Told {
		t.Fatalf("%d of %d segments kept, %+v", s.Stats().Segments, kept, st)
	}
	c.tell(func() {
		for _, h := range c.heads {
			if !h.Keeps {
				t.Error("a request does not say that its gateway keeps")
			}
		}
		for log, next := range c.next {
			c.published[log] = next
		}
	})
	until(t, "all is published", func() bool { return f.Status().Unpublished == 0 })
	until(t, "it is released", func() bool { return len(s.Logs()) == 1 && s.Stats().Segments < 3 })
	stop()
	if st := f.Status(); st.KeptBytes != 0 || !st.UnpublishedSince.IsZero() || len(st.Reds) != 0 {
		t.Errorf("%+v", st)
	}
	logs := s.Logs()
	if _, settled, err := ReadSettled(f.cfg.FS, state); err != nil || settled[logs[0].ID] != logs[0].End {
		t.Errorf("%v, %v", settled, err)
	}
}

// TestNewRecordsDoNotWaitForAQuestion: what is captured right after a request is
// sent when the linger is over, although a question about what has landed is
// planned for much later.
func TestNewRecordsDoNotWaitForAQuestion(t *testing.T) {
	s := newStore(t, seglog.Config{})
	capture(t, s, 1, 10)
	c, url := newCloud(t)
	c.published = map[record.LogID]record.Offset{}
	f, stop := start(t, Config{URL: url, Store: s, Tuning: Tuning{Linger: 100 * time.Millisecond, HearMin: time.Hour, HearMax: time.Hour}})
	for range 5 {
		until(t, "what was captured has landed", func() bool { return f.Status().Pending == 0 })
		capture(t, s, 1, 10)
	}
	until(t, "all has landed", func() bool { return f.Status().Pending == 0 })
	stop()
}

// TestWhatLandedIsLost: the cloud loses what had landed, down to what is published,
// while requests are under way and answers are lost, and once with the gateway
// restarted: all of it is sent again, and the cloud has each block.
func TestWhatLandedIsLost(t *testing.T) {
	for name, restart := range map[string]bool{"running": false, "restarted": true} {
		t.Run(name, func(t *testing.T) {
			dir, state := t.TempDir(), filepath.Join(t.TempDir(), "forward")
			s := newStore(t, seglog.Config{Dir: dir, SegmentBytes: 16 << 10})
			capture(t, s, 20, 6<<10)
			log, _ := end(s)
			c, url := newCloud(t)
			c.published = map[record.LogID]record.Offset{}
			f, stop := start(t, Config{URL: url, Store: s, StatePath: state})
			until(t, "all has landed", func() bool { return f.Status().Pending == 0 })
			c.tell(func() { c.published[log] = 7 })
			until(t, "some is published", func() bool { return f.Status().Logs[0].Published == 7 })
			if restart {
				stop()
			}
			c.tell(func() {
				c.next[log], c.lose = 7, true
				c.blocks = slices.DeleteFunc(c.blocks, func(b record.Block) bool { return b.First >= 7 })
			})
			if restart {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				s = newStore(t, seglog.Config{Dir: dir, SegmentBytes: 16 << 10})
				f, stop = start(t, Config{URL: url, Store: s, StatePath: state})
			}
			capture(t, s, 5, 6<<10)
			until(t, "answers are lost", func() bool { return f.Status().Counters.Failures > 2 })
			c.tell(func() { c.lose = false })
			until(t, "all has landed again", func() bool { return f.Status().Pending == 0 })
			until(t, "what was lost has landed again", func() bool { return len(c.boundaries(log)) >= 21 })
			if st := f.Status(); len(st.Reds) != 0 || st.Counters.Resyncs == 0 {
				t.Errorf("%+v", st)
			}
			stop()
			next := record.Offset(0)
			for _, at := range c.boundaries(log) {
				if at != next+1 {
					t.Fatalf("the cloud has a block that ends at %d after %d", at, next)
				}
				next = at
			}
		})
	}
}

// TestAnEngineThatTellsNoMore: one that told what is published is replaced by an
// older one, and by a newer one again. Nothing is released that is not published.
func TestAnEngineThatTellsNoMore(t *testing.T) {
	state := filepath.Join(t.TempDir(), "forward")
	s := newStore(t, seglog.Config{SegmentBytes: 16 << 10})
	capture(t, s, 8, 6<<10)
	c, url := newCloud(t)
	f, stop := start(t, Config{URL: url, Store: s, StatePath: state})
	until(t, "an engine of before has all", func() bool { return f.Status().Pending == 0 })
	until(t, "it is released", func() bool { return s.Stats().ReleasedSegments > 0 })
	c.tell(func() { c.published = map[record.LogID]record.Offset{} })
	capture(t, s, 8, 6<<10)
	until(t, "the next engine has all", func() bool { st := f.Status(); return st.Pending == 0 && st.Telling.Told })
	released := s.Stats().ReleasedSegments
	c.tell(func() { c.published = nil })
	capture(t, s, 8, 6<<10)
	until(t, "the engine of before has all", func() bool { st := f.Status(); return st.Pending == 0 && st.Telling.QuietSince != 0 })
	stop()
	if got := s.Stats().ReleasedSegments; got != released {
		t.Errorf("%d segments released that are not published", got-released)
	}
	f, stop = start(t, Config{URL: url, Store: s, StatePath: state})
	until(t, "it is asked", func() bool { return f.Status().Counters.Questions > 1 })
	if got := s.Stats().ReleasedSegments; got != released || f.Status().Telling.QuietSince == 0 {
		t.Errorf("%d segments released after a restart, %+v", got-released, f.Status())
	}
	log, all := end(s)
	c.tell(func() { c.published = map[record.LogID]record.Offset{log: all} })
	until(t, "it is released", func() bool { return s.Stats().ReleasedSegments > released })
	stop()
}

// TestAnotherLakeIsSeen: what the cloud calls published is compared with the
// gateway's own log before anything is released for it.
func TestAnotherLakeIsSeen(t *testing.T) {
	for name, c := range map[string]struct {
		next record.Offset
		hash record.Hash
	}{"another hash": {5, record.Hash{1}}, "inside a block": {11, record.Hash{}}} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t, seglog.Config{SegmentBytes: 16 << 10})
			capture(t, s, 9, 6<<10) // offsets 1 to 9, one a block
			var b record.Builder
			b.Reset()
			for range 4 { // offsets 10 to 13, one block
				if err := b.Add(&record.Record{Kind: record.KindText, Raw: []byte("x")}); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := s.Append(&b); err != nil {
				t.Fatal(err)
			}
			cl, url := newCloud(t)
			cl.published = map[record.LogID]record.Offset{}
			f, stop := start(t, Config{URL: url, Store: s})
			until(t, "all has landed", func() bool { return f.Status().Pending == 0 })
			cl.tell(func() {
				cl.answer = func(a *wire.Answer) { a.Published = wire.Published{Next: c.next, Hash: c.hash} }
			})
			until(t, "it is red", func() bool { return len(f.Status().Reds) == 1 })
			if s.Stats().ReleasedSegments != 0 || f.Status().Logs[0].Published != 0 {
				t.Errorf("%+v", f.Status())
			}
			stop()
		})
	}
}

// TestTheStateIsWrittenAsItIsReleased: landing alone writes nothing, until the
// session ends; and every published step is durable before it is released, with
// each operation on the file failing in each way.
func TestTheStateIsWrittenAsItIsReleased(t *testing.T) {
	for _, mode := range faultfs.Modes() {
		for n := range 8 {
			fs := faultfs.New()
			s := newStore(t, seglog.Config{SegmentBytes: 16 << 10})
			capture(t, s, 8, 6<<10)
			core := NewCore(Tuning{}, nil)
			core.Resume(ReleasePublished, ReleasePublished, Telling{Told: true}, nil)
			log := s.Logs()[0]
			f := &Session{cfg: Config{Gateway: "mv-ada", URL: "http://x", Store: s, FS: fs, StatePath: "forward"}.withDefaults(), core: core,
				bytes: map[record.LogID]sentBytes{}, stands: map[record.LogID]time.Time{}}
			core.marks[log.ID] = Mark{Next: log.End}
			f.advance(zeroTime, Progress{Log: log.ID, Mark: core.marks[log.ID]}, true)
			if got := fs.Count(faultfs.OpMutating); got != 0 || !f.unsaved {
				t.Fatalf("%d operations for what has landed", got)
			}
			fs.Script(faultfs.Fault{On: faultfs.OpMutating, N: n + 1, Mode: mode})
			kept := s.Stats().Segments
			core.marks[log.ID] = Mark{Next: log.End, Published: log.End}
			f.advance(zeroTime, Progress{Log: log.ID, Mark: core.marks[log.ID]}, true)
			if f.dirty {
				if got := s.Stats().Segments; got != kept {
					t.Errorf("%s at operation %d: %d of %d segments released", mode, n, kept-got, kept)
				}
				if fs.Crashed() {
					fs.Restart()
				}
				if f.settle(); f.dirty {
					t.Errorf("%s at operation %d: never settles", mode, n)
				}
			}
			if got := s.Stats().Segments; got >= kept || f.unsaved {
				t.Errorf("%s at operation %d: nothing released", mode, n)
			}
			if fs.Crashed() {
				fs.Restart()
			}
			if st, err := loadState(fs, "forward"); err != nil || st.marks[log.ID].Published != log.End || !st.telling.Told {
				t.Errorf("%s at operation %d: %+v, %v", mode, n, st, err)
			}
		}
	}
}

// TestALaterStartKnowsWhatHadLanded: although landing alone writes nothing, an end
// in order does.
func TestALaterStartKnowsWhatHadLanded(t *testing.T) {
	state := filepath.Join(t.TempDir(), "forward")
	s := newStore(t, seglog.Config{})
	capture(t, s, 3, 10)
	c, url := newCloud(t)
	c.published = map[record.LogID]record.Offset{}
	f, stop := start(t, Config{URL: url, Store: s, StatePath: state})
	until(t, "all has landed", func() bool { return f.Status().Pending == 0 })
	stop()
	f, err := New(Config{Gateway: "mv-ada", URL: url, Store: s, StatePath: state})
	if err != nil {
		t.Fatal(err)
	}
	if st := f.Status(); st.Pending != 0 || st.Unpublished != 4 || st.KeptBytes == 0 || st.KeptBytes > 64<<10 {
		t.Errorf("%+v", st) // what is kept is no whole segment of 8 MiB
	}
}

// TestWhatIsKeptIsWritten: of logs of earlier starts, whose segments were made in full
// size, what is kept is what was written.
func TestWhatIsKeptIsWritten(t *testing.T) {
	state, dir := filepath.Join(t.TempDir(), "forward"), t.TempDir()
	c, url := newCloud(t)
	c.published = map[record.LogID]record.Offset{}
	var f *Session
	for starts := range int64(3) {
		s := newStore(t, seglog.Config{Dir: dir})
		capture(t, s, 3, 10)
		var stop func()
		f, stop = start(t, Config{URL: url, Store: s, StatePath: state})
		until(t, "all has landed", func() bool { return f.Status().Pending == 0 && f.Status().Unpublished == 4*uint64(starts+1) })
		until(t, "what is kept is known", func() bool { return f.Status().KeptBytes < (starts+1)*4<<10 })
		if got := f.Status().KeptBytes; got < (starts+1)*4*10 {
			t.Errorf("%d bytes are kept after start %d", got, starts)
		}
		stop()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestWhatIsKeptIsNotPublished: of a log that is published but for its last record
// this record alone is said to be kept for that, although its segment holds more.
func TestWhatIsKeptIsNotPublished(t *testing.T) {
	s := newStore(t, seglog.Config{})
	capture(t, s, 12, 6<<10)
	log, all := end(s)
	c, url := newCloud(t)
	c.published = map[record.LogID]record.Offset{log: all - 1}
	f, _ := start(t, Config{URL: url, Store: s})
	until(t, "all but one record is published", func() bool { return f.Status().Pending == 0 && f.Status().Unpublished == 1 })
	if got := f.Status().KeptBytes; got == 0 || got > 7<<10 {
		t.Errorf("%d bytes are kept for one record of 6 KiB", got)
	}
}

// TestAnOldLogThatLandedIsWrittenDown: a gateway that is killed knows that a log
// before the newest one has landed, which the cloud may not be sure of.
func TestAnOldLogThatLandedIsWrittenDown(t *testing.T) {
	dir, path := t.TempDir(), filepath.Join(t.TempDir(), "forward")
	s := newStore(t, seglog.Config{Dir: dir})
	capture(t, s, 3, 10)
	old, all := end(s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = newStore(t, seglog.Config{Dir: dir})
	capture(t, s, 3, 10)
	c, url := newCloud(t)
	c.published = map[record.LogID]record.Offset{}
	f, _ := start(t, Config{URL: url, Store: s, StatePath: path})
	until(t, "all has landed", func() bool { return f.Status().Pending == 0 })
	if st, err := loadState(f.cfg.FS, path); err != nil || st.marks[old].Next != all {
		t.Errorf("%+v, %v", st, err)
	}
}

// TestNoPromiseBeforeItIsWrittenDown: while the state file cannot be written, no
// request says that its records are kept until they are published.
func TestNoPromiseBeforeItIsWrittenDown(t *testing.T) {
	s := newStore(t, seglog.Config{})
	capture(t, s, 3, 10)
	c, url := newCloud(t)
	c.published = map[record.LogID]record.Offset{}
	path := filepath.Join(t.TempDir(), "no", "forward")
	f, stop := start(t, Config{URL: url, Store: s, StatePath: path})
	until(t, "all has landed", func() bool { return f.Status().Pending == 0 })
	c.tell(func() {
		for _, h := range c.heads {
			if h.Keeps {
				t.Error("a promise that is nowhere written")
			}
		}
	})
	if err := os.Mkdir(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	until(t, "it can be written", func() bool { _, err := os.Stat(path); return err == nil })
	capture(t, s, 3, 10)
	until(t, "all has landed", func() bool { return f.Status().Pending == 0 })
	c.tell(func() {
		if h := c.heads[len(c.heads)-1]; !h.Keeps {
			t.Error("the promise is written down, and not made")
		}
	})
	stop()
}

// TestWhatWasPromisedIsKept: a gateway that is set to release what has landed
// releases nothing of what it had promised to keep, until that is published.
func TestWhatWasPromisedIsKept(t *testing.T) {
	state := filepath.Join(t.TempDir(), "forward")
	s := newStore(t, seglog.Config{SegmentBytes: 16 << 10})
	capture(t, s, 8, 6<<10)
	c, url := newCloud(t)
	c.published = map[record.LogID]record.Offset{}
	f, stop := start(t, Config{URL: url, Store: s, StatePath: state})
	until(t, "all has landed", func() bool { return f.Status().Pending == 0 })
	stop()
	f, stop = start(t, Config{URL: url, Store: s, StatePath: state, Release: ReleaseLanded})
	capture(t, s, 8, 6<<10)
	until(t, "the rest has landed", func() bool { return f.Status().Pending == 0 })
	until(t, "it was asked about", func() bool { return f.Status().Counters.Questions > 2 })
	if s.Stats().ReleasedSegments != 0 {
		t.Fatal("what was promised to be kept is released")
	}
	log, _ := end(s)
	c.tell(func() {
		if c.heads[len(c.heads)-1].Keeps {
			t.Error("a promise that is not kept")
		}
		c.published[log] = 9
	})
	until(t, "it is released", func() bool { return s.Stats().ReleasedSegments > 0 })
	capture(t, s, 8, 6<<10)
	until(t, "all has landed", func() bool { return f.Status().Pending == 0 })
	until(t, "what has landed is released", func() bool { l := s.Logs()[0]; return l.First == l.End })
	stop()
}

// TestWhatIsPartlyGoneIsNotPromised: a log of which a part was released when it had
// landed is said to be kept when that part is published, and not before.
func TestWhatIsPartlyGoneIsNotPromised(t *testing.T) {
	state := filepath.Join(t.TempDir(), "forward")
	s := newStore(t, seglog.Config{SegmentBytes: 16 << 10})
	capture(t, s, 8, 6<<10)
	log, released := end(s)
	c, url := newCloud(t)
	c.published = map[record.LogID]record.Offset{log: 2}
	_, stop := start(t, Config{URL: url, Store: s, StatePath: state, Release: ReleaseLanded})
	until(t, "what has landed is released", func() bool { l := s.Logs()[0]; return l.First == l.End })
	stop()
	f, stop := start(t, Config{URL: url, Store: s, StatePath: state})
	capture(t, s, 8, 6<<10)
	until(t, "the rest has landed", func() bool { return f.Status().Pending == 0 })
	c.tell(func() {
		for _, h := range c.heads {
			if h.Keeps {
				t.Fatal("a log is said to be kept of which a part is gone")
			}
		}
		c.published[log] = released
	})
	until(t, "that is published", func() bool { return f.Status().Logs[0].Published == released })
	capture(t, s, 1, 6<<10)
	until(t, "the next has landed", func() bool { return f.Status().Pending == 0 })
	c.tell(func() {
		if !c.heads[len(c.heads)-1].Keeps {
			t.Error("all that is not published is kept, and that is not said")
		}
	})
	stop()
}

// TestRenameWaitsForPublished: what has landed may have to be sent again, under the
// name that it was captured under.
func TestRenameWaitsForPublished(t *testing.T) {
	state := filepath.Join(t.TempDir(), "forward")
	s := newStore(t, seglog.Config{})
	capture(t, s, 3, 10)
	log, all := end(s)
	c, url := newCloud(t)
	c.published = map[record.LogID]record.Offset{}
	f, stop := start(t, Config{URL: url, Store: s, StatePath: state})
	until(t, "all has landed", func() bool { return f.Status().Pending == 0 })
	stop()
	renamed := Config{Gateway: "mv-grace", URL: url, Store: s, StatePath: state}
	if _, err := New(renamed); !errors.Is(err, ErrRenamed) {
		t.Errorf("renamed with records that are not published: %v", err)
	}
	f, stop = start(t, Config{URL: url, Store: s, StatePath: state})
	c.tell(func() { c.published[log] = all })
	until(t, "all is published", func() bool { return f.Status().Unpublished == 0 })
	stop()
	if _, err := New(renamed); err != nil {
		t.Errorf("renamed with nothing to send any more: %v", err)
	}
}

// TestShedThatHadLanded: a range that was given up after it had landed is no loss,
// unless the cloud has lost it too: then it is declared, down to what is published.
func TestShedThatHadLanded(t *testing.T) {
	for name, lost := range map[string]bool{"the cloud keeps it": false, "the cloud loses it": true} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t, seglog.Config{SegmentBytes: 32 << 10, QuotaBytes: 160 << 10, Policy: seglog.ShedOldest, CapturedRecords: true})
			c, url := newCloud(t)
			c.published = map[record.LogID]record.Offset{}
			capture(t, s, 1, 8<<10)
			log, _ := end(s)
			f, stop := start(t, Config{URL: url, Store: s})
			for range 40 {
				capture(t, s, 1, 8<<10)
				until(t, "it has landed", func() bool { return f.Status().Pending == 0 })
			}
			if st := f.Status(); st.Counters.LossBlocks != 0 || s.Stats().ShedOffsets == 0 {
				t.Fatalf("%d offsets shed, %+v", s.Stats().ShedOffsets, st)
			}
			c.tell(func() {
				c.published[log] = 5
				if lost {
					c.next[log] = 5
				}
			})
			if lost {
				until(t, "it is sent again", func() bool { return f.Status().Counters.LossBlocks > 0 })
				until(t, "all has landed again", func() bool { _, all := end(s); c.mu.Lock(); defer c.mu.Unlock(); return c.next[log] == all })
			}
			_, all := end(s)
			c.tell(func() { c.published[log] = all })
			until(t, "all is published", func() bool { return f.Status().Unpublished == 0 })
			stop()
			if st := f.Status(); len(st.Reds) != 0 || !lost && st.Counters.LossBlocks != 0 {
				t.Errorf("%+v", st)
			}
		})
	}
}
