package seglog

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"landfall/edge/durable"
	"landfall/edge/durable/faultfs"
	"landfall/edge/record"
)

// diskBytes is what the files of segments, spares, marks and quarantine take on the disk.
func diskBytes(t *testing.T, fsys durable.FS, dir string) (n int64) {
	t.Helper()
	for _, d := range []string{dir, filepath.Join(dir, quarantineName)} {
		entries, err := fsys.ReadDir(d)
		if err != nil {
			continue
		}
		for _, e := range entries {
			_, spare := parseSpareName(e.Name())
			if info, err := fsys.Stat(filepath.Join(d, e.Name())); err == nil && !e.IsDir() && (d != dir || spare || strings.HasSuffix(e.Name(), segmentSuffix) || strings.HasSuffix(e.Name(), marksSuffix)) {
				n += info.Size()
			}
		}
	}
	return n
}

// strayScenario fills segments, one of them larger than the others, releases, sheds where
// the policy does, and has damage met by a Reader.
func strayScenario(t *testing.T, s *Store, fsys *faultfs.FS, l *ledger, check func(step string)) {
	for g := range 14 {
		size := 700
		if g%5 == 4 {
			size = 9000
		}
		_ = l.append(s, 2, size) // the fault may meet it
		check(fmt.Sprintf("append %d", g))
		if log, ok := s.Active(); ok && !l.shed {
			l.released[log] = s.Logs()[0].End - 1
			_ = s.Release(log, l.released[log])
			check(fmt.Sprintf("release %d", g))
		}
	}
}

// TestNoFileOutsideTheQuota meets each operation with each fault, and the removal that may
// follow with another one: whatever then lies on the disk is counted, or the quota would
// be none; and it is gone again when files can be removed.
func TestNoFileOutsideTheQuota(t *testing.T) {
	for _, policy := range []Policy{Block, ShedOldest} {
		for _, mode := range []faultfs.Mode{faultfs.FailNotStored, faultfs.FailStored, faultfs.FailPartly, faultfs.NoSpace, faultfs.MediaError} {
			for _, stays := range []bool{false, true} {
				for k := 1; noFileOutside(t, policy, k, mode, stays); k++ {
				}
			}
		}
	}
}

// noFileOutside meets operation k, and says whether there was one.
func noFileOutside(t *testing.T, policy Policy, k int, mode faultfs.Mode, stays bool) (met bool) {
	t.Helper()
	l, fsys := newLedger(), faultfs.New()
	l.shed = policy == ShedOldest
	s := mustOpen(t, faultConfig(fsys, policy))
	defer func() { _ = s.Close() }()
	faults := []faultfs.Fault{{On: faultfs.OpAny &^ (faultfs.OpReadDir | faultfs.OpStat), N: k, Mode: mode}}
	if stays {
		faults = append(faults, faultfs.Fault{On: faultfs.OpRemove, N: 1, Mode: faultfs.FailNotStored})
	}
	fsys.Script(faults...)
	strayScenario(t, s, fsys, l, func(step string) {
		t.Helper()
		if disk, held := diskBytes(t, fsys, s.cfg.Dir), s.Stats().Bytes; disk > held {
			t.Errorf("%s, operation %d %s, removal fails %t, %s: %d bytes on the disk, %d counted", policy, k, mode, stays, step, disk, held)
		}
	})
	met = fsys.Count(faultfs.OpAny&^(faultfs.OpReadDir|faultfs.OpStat)) >= k
	fsys.Script()
	if err := s.sweep(); err != nil {
		t.Errorf("operation %d %s: %v", k, mode, err)
	}
	if disk, st := diskBytes(t, fsys, s.cfg.Dir), s.Stats(); st.Strays > 0 || disk != st.Bytes {
		t.Errorf("%s, operation %d %s, removal fails %t: in the end %d bytes on the disk, %+v", policy, k, mode, stays, disk, st)
	}
	return met
}

// stuckFiles is a file system on which files that are full-sized can be neither removed
// nor renamed, while stuck.
type stuckFiles struct {
	*faultfs.FS
	stuck bool
}

func (f *stuckFiles) Remove(name string) error {
	if f.stuck && strings.HasSuffix(name, segmentSuffix) {
		return errors.New("it is stuck")
	}
	return f.FS.Remove(name)
}

func (f *stuckFiles) Rename(from, to string) error {
	if f.stuck && strings.HasSuffix(from, segmentSuffix) {
		return errors.New("it is stuck")
	}
	return f.FS.Rename(from, to)
}

// TestSheddingThatMakesNoRoom: where files cannot be removed, shed-oldest gives up two
// segments in vain and no more; it goes on when they can.
func TestSheddingThatMakesNoRoom(t *testing.T) {
	fsys := &stuckFiles{FS: faultfs.New()}
	cfg := faultConfig(nil, ShedOldest)
	cfg.FS = fsys
	l, s := newLedger(), mustOpen(t, cfg)
	l.shed = true
	defer s.Close()
	for s.Stats().ShedSegments == 0 {
		if err := l.append(s, 2, 3000); err != nil {
			t.Fatal(err)
		}
	}
	before := s.Stats().ShedSegments
	fsys.stuck = true
	for range 20 {
		_ = l.append(s, 2, 3000)
	}
	st := s.Stats()
	if st.ShedSegments > before+maxStrays || st.Strays != maxStrays || st.FailedRemovals < maxStrays || st.Bytes > cfg.QuotaBytes {
		t.Errorf("%d segments shed, %+v", st.ShedSegments-before, st)
	}
	fsys.stuck = false
	for range 20 {
		if err := l.append(s, 2, 3000); err != nil {
			t.Fatal(err)
		}
	}
	if st := s.Stats(); st.Strays != 0 || st.StrayBytes != 0 || st.ShedSegments <= before+maxStrays {
		t.Errorf("free again: %+v", st)
	}
	if err := l.read(s); err != nil {
		t.Error(err)
	}
}

// TestQuarantineIsInTheQuota: copies of damaged places count, over a restart too, and give
// way to records, the oldest first; where there is no room for one it is not made.
func TestQuarantineIsInTheQuota(t *testing.T) {
	fsys := faultfs.New()
	cfg := testConfig(fsys, "/log")
	s := mustOpen(t, cfg)
	for range 4 {
		appendTexts(t, s, string(bytes.Repeat([]byte{'x'}, 20_000)))
	}
	log := activeLog(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range segmentNames(t, fsys, cfg.Dir) {
		p := readBytes(t, fsys, name)
		p[bytes.Index(p, []byte("xxxxx"))] = 'y'
		writeBytes(t, fsys, name, p)
	}
	cfg.QuotaBytes = 9 * cfg.SegmentBytes
	s = mustOpen(t, cfg)
	readLog(t, s, log, 0)
	st := s.Stats()
	if st.Quarantined < 3 || st.QuarantineBytes < 60_000 || st.Bytes != diskBytes(t, fsys, cfg.Dir) {
		t.Fatalf("%d bytes on the disk, %+v", diskBytes(t, fsys, cfg.Dir), st)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, cfg)
	if again := s.Stats(); again.QuarantineBytes != st.QuarantineBytes {
		t.Errorf("after a restart %+v", again)
	}
	n := 0
	for ; ; n++ {
		if _, err := s.Append(fill(new(record.Builder), strings.Repeat("z", 20_000))); errors.Is(err, ErrFull) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if held := s.Stats().Bytes; held > cfg.QuotaBytes || held != diskBytes(t, fsys, cfg.Dir) {
			t.Fatalf("%d bytes held, %d on the disk", held, diskBytes(t, fsys, cfg.Dir))
		}
	}
	if st := s.Stats(); n != 5 || st.QuarantineBytes != 0 || st.QuarantineDropped < 3 {
		t.Errorf("%d segments more, %+v", n, st)
	}
	readLog(t, s, log, 0)
	if st := s.Stats(); st.Quarantined != 0 || st.Bytes > cfg.QuotaBytes {
		t.Errorf("a copy without room: %+v", st)
	}
	_ = s.Close()
}
