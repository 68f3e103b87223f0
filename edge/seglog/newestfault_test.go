package seglog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"landfall/edge/durable"
	"landfall/edge/durable/faultfs"
	"landfall/edge/record"
)

// powerCut ends a Store with the power, and starts the machine again.
func powerCut(fsys *faultfs.FS, s *Store) {
	fsys.Script(faultfs.Fault{On: faultfs.OpAny, N: 1, Mode: faultfs.CrashBefore})
	_ = s.Close() // joins its goroutines, and reaches nothing
	fsys.Crash(faultfs.LoseAll, 0)
}

// gone is a segment taken away: its name, its log, and the offsets in it.
type gone struct {
	name    string
	log     record.LogID
	offsets []offsetRange
}

// takeNewest takes the newest segment of a directory away for good.
func takeNewest(t testing.TB, fsys durable.FS, dir string) gone {
	t.Helper()
	if _, err := fsys.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return gone{}
	}
	names := segmentNames(t, fsys, dir)
	if len(names) == 0 {
		return gone{}
	}
	name := names[len(names)-1]
	_, id, _, _ := parseSegmentName(filepath.Base(name))
	_, offsets := framesOf(t, name, readBytes(t, fsys, name))
	writeBytes(t, fsys, name, nil)
	if err := fsys.SyncDir(dir); err != nil {
		t.Fatal(err)
	}
	return gone{filepath.Base(name), id.log, offsets}
}

// forget takes what is gone out of the ledger, with the marks, and tells whether
// something acknowledged was among it.
func (l *ledger) forget(g gone) (acknowledged bool) {
	for _, r := range g.offsets {
		for off := r.from; off < r.to; off++ {
			at := place{g.log, off}
			_, was := l.acked[at]
			acknowledged = acknowledged || was
			delete(l.acked, at)
		}
	}
	l.marks, l.beheaded = 0, true
	return acknowledged
}

// TestNewestGoneFaultMatrix meets each operation of the scenario with each mode,
// takes the newest segment away after the crash, and wants it told wherever it
// held something acknowledged, over further starts. A note that could not be
// written was written after the next group.
func TestNewestGoneFaultMatrix(t *testing.T) {
	ops := faultless(t, faultfs.New(), Block)
	step := len(faultfs.Losses())
	if os.Getenv("LANDFALL_SOAK") != "" {
		step = 1
	}
	runs, told := 0, 0
	for _, mode := range faultfs.Modes() {
		for i, loss := range faultfs.Losses() {
			for k := 1 + i%step; k <= ops; k += step {
				l, fsys := newLedger(), faultfs.New()
				cfg := faultConfig(fsys, Block)
				l.off = fsys.Crashed
				fsys.Script(faultfs.Fault{On: faultfs.OpAny, N: k, Mode: mode})
				if err := faultScenario(cfg, l); fatal(err) {
					t.Fatal(err)
				}
				fsys.Crash(loss, uint64(k))
				g := takeNewest(t, fsys, cfg.Dir)
				acknowledged := l.forget(g)
				if runs++; acknowledged {
					told++
				}
				if err := afterNewestGone(t, cfg, fsys, l, g, acknowledged); err != nil {
					t.Errorf("op %d %s, %s: %s: %v", k, mode, loss, g.name, err)
				}
			}
		}
	}
	t.Logf("%d runs, in %d the segment held something acknowledged", runs, told)
	if told < runs/2 {
		t.Error("too few to show anything")
	}
}

// afterNewestGone is three lives without the newest segment.
func afterNewestGone(t *testing.T, cfg Config, fsys *faultfs.FS, l *ledger, g gone, acknowledged bool) error {
	for life := range 3 {
		s, err := Open(cfg)
		if err != nil {
			return fmt.Errorf("open: %w", err)
		}
		if acknowledged {
			if err := isTold(t, s, g); err != nil {
				return fmt.Errorf("life %d: %w", life, err)
			}
		}
		for range 3 {
			if err := l.append(s, 3, 800); err != nil {
				return err
			}
		}
		if err := l.read(s); err != nil {
			return err
		}
		powerCut(fsys, s)
	}
	return nil
}

// isTold wants the first offset of what is gone in a Gap.
func isTold(t *testing.T, s *Store, g gone) error {
	for _, in := range s.Logs() {
		if in.ID != g.log {
			continue
		}
		_, gaps := readLog(t, s, in.ID, in.First)
		for _, gap := range gaps {
			if first := g.offsets[0].from; gap.From <= first && first < gap.To && gap.Reason == ReasonMissing {
				return nil
			}
		}
		return fmt.Errorf("not told: log %+v, gaps %v", in, gaps)
	}
	return errors.New("its log is not told of")
}

// TestReleasedIsNoLoss: what was released is not told as lost, whichever
// operation of the release fails in whichever way, is tried again, and is
// followed by a power cut of whichever kind.
func TestReleasedIsNoLoss(t *testing.T) {
	for _, mode := range faultfs.Modes() {
		for _, loss := range faultfs.Losses() {
			for k := 1; ; k++ {
				fsys := faultfs.New()
				cfg := testConfig(fsys, "/log")
				for range 2 {
					s := mustOpen(t, cfg)
					appendTexts(t, s, "a", "b")
					if err := s.Close(); err != nil {
						t.Fatal(err)
					}
				}
				s := mustOpen(t, cfg)
				appendTexts(t, s, "c")
				fsys.Script(faultfs.Fault{On: faultfs.OpMutating, N: k, Mode: mode})
				for range 2 {
					for _, in := range s.Logs() {
						_ = s.Release(in.ID, in.End) // it fails once, or the power is cut
					}
				}
				met := fsys.Hits() > 0
				fsys.Crash(loss, uint64(k))
				_ = s.Close()
				s = mustOpen(t, cfg)
				if st := s.Stats(); st.Beheaded > 0 {
					t.Errorf("operation %d %s, %s: a loss where there is none: %+v", k, mode, loss, s.Logs())
				}
				_ = s.Close()
				if !met {
					break
				}
			}
		}
	}
}

// TestGoneLogIsNamedByTheNextOne: though all of it was told and released, over a
// start without a record.
func TestGoneLogIsNamedByTheNextOne(t *testing.T) {
	for lives := range 3 { // lives 0: no log before it
		fsys := faultfs.New()
		cfg := testConfig(fsys, "/log")
		var log record.LogID
		for range lives + 1 {
			s := mustOpen(t, cfg)
			appendTexts(t, s, "a", "b")
			log = activeLog(t, s)
			powerCut(fsys, s)
		}
		takeNewest(t, fsys, cfg.Dir)
		for range 2 {
			s := mustOpen(t, cfg)
			for _, in := range s.Logs() {
				if err := s.Release(in.ID, in.End); err != nil {
					t.Fatal(err)
				}
			}
			powerCut(fsys, s)
		}
		s := mustOpen(t, cfg)
		for _, in := range s.Logs() {
			if err := s.Release(in.ID, in.End); err != nil {
				t.Fatal(err)
			}
		}
		appendTexts(t, s, "next log")
		if o := opening(t, s, activeLog(t, s)); o.Prev != log || o.PrevEnd != 3 || !o.PrevEndUnproven {
			t.Errorf("%d logs before it: opening %+v, want the log before %s, 3 or later", lives, o, log)
		}
		if err := s.Release(log, 3); err != nil {
			t.Fatal(err)
		}
		powerCut(fsys, s)
		s = mustOpen(t, cfg)
		if _, err := s.Reader(log, 0); !errors.Is(err, ErrUnknownLog) || s.Stats().Beheaded != 0 {
			t.Errorf("%d logs before it: told again after its release: %v", lives, err)
		}
	}
}

// TestReleaseKeepsTheNoteOfTheActiveLog: a segment that is released while the
// next one is being noted does not take that note along.
func TestReleaseKeepsTheNoteOfTheActiveLog(t *testing.T) {
	fsys := &releasing{FS: faultfs.New()}
	cfg := testConfig(fsys, "/log")
	s := mustOpen(t, cfg)
	fsys.s = s
	for i := range 40 {
		appendTexts(t, s, fmt.Sprintf("%d %04000d", i, i))
		log := activeLog(t, s)
		if n, notes := len(segmentNames(t, fsys, cfg.Dir)), noted(t, fsys, cfg, s, log); notes == 0 {
			t.Fatalf("record %d: no note, %d segments", i, n)
		}
	}
	if s.Stats().ReleasedSegments < 3 {
		t.Error("nothing was released meanwhile")
	}
}

// noted gives the number of the segment that the active log's note names; 0: no
// note.
func noted(t *testing.T, fsys durable.FS, cfg Config, s *Store, log record.LogID) uint64 {
	t.Helper()
	p, err := durable.ReadFile(fsys, filepath.Join(cfg.Dir, newestName(s.Logs()[0].Ordinal, log)))
	if err != nil {
		return 0
	}
	_, _, n, err := decodeNewest(p)
	if err != nil {
		t.Fatal(err)
	}
	return n.number
}

// releasing is a file system that releases everything while a note gets its
// name.
type releasing struct {
	*faultfs.FS
	s *Store
}

func (f *releasing) Rename(from, to string) error {
	err := f.FS.Rename(from, to)
	if err == nil && strings.HasSuffix(to, newestSuffix) {
		for _, in := range f.s.Logs() {
			err = errors.Join(err, f.s.Release(in.ID, in.End))
		}
	}
	return err
}
