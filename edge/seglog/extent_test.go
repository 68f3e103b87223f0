package seglog

import (
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"landfall/edge/durable"
	"landfall/edge/durable/faultfs"
	"landfall/edge/record"
)

// blockBytes is BlockBytes once nothing is being measured.
func blockBytes(s *Store, log record.LogID, from, to record.Offset) int64 {
	s.BlockBytes(log, from, to)
	for {
		s.mu.Lock()
		measuring := s.measuring
		s.mu.Unlock()
		if !measuring {
			return s.BlockBytes(log, from, to)
		}
		runtime.Gosched()
	}
}

// hurtFrame flips a bit in a frame of a segment.
func hurtFrame(t *testing.T, fsys durable.FS, path string, frame int, at int64) {
	t.Helper()
	p, err := durable.ReadFile(fsys, path)
	if err != nil {
		t.Fatal(err)
	}
	frames, _ := framesOf(t, filepath.Base(path), p)
	p[frames[frame].at+at] ^= 1
	if err := durable.WriteFileAtomic(fsys, path, p); err != nil {
		t.Fatal(err)
	}
}

// TestBlockBytesAreWritten: what blocks take is what was written of them, not the file
// that was made for them: of the log that grows, after a restart, when another log
// follows, and where a block of it is damaged.
func TestBlockBytesAreWritten(t *testing.T) {
	const records = 12
	for _, damaged := range []int64{0, 4, 40} { // which byte of the third frame; 0: none
		fsys := faultfs.New()
		cfg := testConfig(fsys, "log")
		cfg.NewLogID = testLogIDs(0)
		var b record.Builder
		add := func(s *Store) record.LogID {
			for range records / 2 {
				if _, err := s.Append(fill(&b, strings.Repeat("x", 100), strings.Repeat("y", 100))); err != nil {
					t.Fatal(err)
				}
			}
			log, _ := s.Active()
			return log
		}
		s := mustOpen(t, cfg)
		first := add(s)
		all := blockBytes(s, first, 0, records+1)
		if raw := int64(records * 100); all < raw || all > 2*raw+1024 {
			t.Fatalf("%d bytes of blocks for %d of records", all, raw)
		}
		if half := blockBytes(s, first, 7, records+1); half < all/2-100 || half > all/2+100 {
			t.Errorf("%d bytes of blocks for half of %d", half, all)
		}
		if got := blockBytes(s, record.LogID{1}, 0, 9); got != 0 {
			t.Errorf("%d bytes of a log that is not there", got)
		}
		name := s.logs[0].segments[0].name
		for start := range 4 { // starts
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if damaged > 0 && start == 1 {
				hurtFrame(t, fsys, s.path(name), 3, damaged)
			}
			s = mustOpen(t, cfg)
			if got := s.BlockBytes(first, 0, records+1); start == 0 && got != all {
				t.Errorf("%d bytes of blocks of the newest log at a start, %d before", got, all) // which was read anyway
			}
			if got := blockBytes(s, first, 0, records+1); got != all {
				t.Errorf("%d bytes of blocks after a start, %d before; byte %d damaged", got, all, damaged)
			}
			add(s)
			if got := blockBytes(s, first, 0, records+1); got != all {
				t.Errorf("%d bytes of blocks when another log follows, %d before; byte %d damaged", got, all, damaged)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
