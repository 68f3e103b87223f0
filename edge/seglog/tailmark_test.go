package seglog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"landfall/edge/durable"
	"landfall/edge/durable/faultfs"
	"landfall/edge/record"
)

// tailConfig is testConfig with a tail marker, for captured records.
func tailConfig(fsys durable.FS) Config {
	cfg := testConfig(fsys, "/data/log")
	cfg.TailMarker, cfg.CapturedRecords = true, true
	return cfg
}

// tailStore makes two logs of several segments; the second one ended with the power,
// or was closed. clone is the directory when the first log had ended.
func tailStore(t *testing.T, recycled, closed bool) (fsys, clone *faultfs.FS, cfg Config) {
	t.Helper()
	fsys = faultfs.New()
	cfg = tailConfig(fsys)
	cfg.NewLogID = testLogIDs(0)
	for life := range 2 {
		s := mustOpen(t, cfg)
		for g := range 40 {
			appendTexts(t, s, fmt.Sprintf("life %d group %d %0500d", life, g, g), "b", "c")
			if id := activeLog(t, s); recycled && g < 30 {
				logs := s.Logs()
				if err := s.Release(id, logs[len(logs)-1].End); err != nil {
					t.Fatal(err)
				}
			}
		}
		if life == 1 && !closed {
			powerCut(fsys, s)
			return fsys, clone, cfg
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if life == 0 {
			clone = fsys.Clone()
		}
	}
	return fsys, clone, cfg
}

// tailDamage hurts the end of the second log, and returns the offset from which on it
// cannot be read.
type tailDamage struct {
	name string
	hurt func(t *testing.T, fsys, clone *faultfs.FS, cfg Config) record.Offset
}

// lastFrames overwrites the newest segment from its n-th last frame on.
func lastFrames(n int, hurt func(p []byte, from int64) []byte) func(*testing.T, *faultfs.FS, *faultfs.FS, Config) record.Offset {
	return func(t *testing.T, fsys, _ *faultfs.FS, cfg Config) record.Offset {
		names := segmentNames(t, fsys, cfg.Dir)
		name := names[len(names)-1]
		p := readBytes(t, fsys, name)
		frames, offsets := framesOf(t, name, p)
		i := max(0, len(frames)-n)
		writeBytes(t, fsys, name, hurt(p, frames[i].at))
		return offsets[i].from
	}
}

func tailDamages() []tailDamage {
	remove := func(all bool) func(*testing.T, *faultfs.FS, *faultfs.FS, Config) record.Offset {
		return func(t *testing.T, fsys, _ *faultfs.FS, cfg Config) record.Offset {
			names := segmentNames(t, fsys, cfg.Dir)
			if all {
				names = slices.DeleteFunc(names, func(name string) bool { return !strings.Contains(name, "0000000002-") })
				notes := filepath.Join(cfg.Dir, newestName(2, record.LogID{15: 2}))
				names = append([]string{notes}, names...)
			} else {
				names = names[len(names)-1:]
			}
			for _, name := range names {
				if err := fsys.Remove(name); err != nil {
					t.Fatal(err)
				}
			}
			_, _, first, _ := parseSegmentName(filepath.Base(names[len(names)-1]))
			if all {
				first = 0
			}
			return first
		}
	}
	return []tailDamage{
		{"cut", lastFrames(3, func(p []byte, from int64) []byte { return p[:from] })},
		{"cut inside a block", lastFrames(2, func(p []byte, from int64) []byte { return p[:from+100] })},
		{"bit in the last block", lastFrames(1, func(p []byte, from int64) []byte { p[from+frameBytes+90] ^= 4; return p })},
		{"bit in the last frame's head", lastFrames(1, func(p []byte, from int64) []byte { p[from+9] ^= 4; return p })},
		{"end zeroed", lastFrames(2, func(p []byte, from int64) []byte { clear(p[from:]); return p })},
		{"all of the newest segment zeroed", lastFrames(99, func(p []byte, _ int64) []byte { clear(p); return p })},
		{"newest segment gone", remove(false)},
		{"newest log gone", remove(true)},
		{"directory of before put back", func(t *testing.T, fsys, clone *faultfs.FS, cfg Config) record.Offset {
			removeAll(t, fsys, cfg.Dir)
			copyAll(t, fsys, clone, cfg.Dir)
			return 0
		}},
	}
}

func removeAll(t *testing.T, fsys durable.FS, dir string) {
	t.Helper()
	entries, err := fsys.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		if err := fsys.Remove(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
}

func copyAll(t *testing.T, to, from durable.FS, dir string) {
	t.Helper()
	entries, err := from.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if name := filepath.Join(dir, e.Name()); !e.IsDir() {
			if err := durable.WriteFileAtomic(to, name, readBytes(t, from, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestTailLossIsTold: whatever becomes of the end of a log, what the marker covers is
// told with its number, comes out of Readers as a Gap, and its offsets go to nobody
// else. The next log says where this one ended. Without the marker most of it would be
// silent.
func TestTailLossIsTold(t *testing.T) {
	for _, d := range tailDamages() {
		for variant := range 4 {
			recycled, closed := variant&1 == 1, variant&2 == 2
			t.Run(fmt.Sprintf("%s, recycled %t, closed %t", d.name, recycled, closed), func(t *testing.T) {
				fsys, clone, cfg := tailStore(t, recycled, closed)
				log, end := record.LogID{15: 2}, record.Offset(121)
				from := d.hurt(t, fsys, clone, cfg)
				for start := range 2 { // nothing is appended in the first one
					s := mustOpen(t, cfg)
					if want := []TailLoss{{log, from, end}}; !slices.Equal(s.TailLosses(), want) || s.Stats().TailLosses != 1 || s.Stats().TailLostOffsets != uint64(end-from) {
						t.Fatalf("start %d: told %v, want %v; %+v", start, s.TailLosses(), want, s.Stats())
					}
					if tip, err := s.Tip(log); err != nil || tip.End != end || !tip.DigestKnown {
						t.Errorf("start %d: tip %+v, %v: the digest of the loss is not known", start, tip, err)
					}
					if start == 1 {
						appendTexts(t, s, "new")
						if o := opening(t, s, activeLog(t, s)); o.Prev != log || o.PrevEnd != end || o.PrevEndUnproven == closed {
							t.Errorf("opening %+v, want the log before %s, end %d", o, log, end)
						}
					}
					if err := s.Close(); err != nil {
						t.Fatal(err)
					}
				}
				for range 2 {
					s := mustOpen(t, cfg)
					if n := len(s.TailLosses()); n > 0 && s.Stats().Beheaded == 0 {
						t.Errorf("told again, though the next log names the end: %v", s.TailLosses())
					}
					first := record.Offset(0)
					for _, in := range s.Logs() {
						if in.ID == log {
							first = in.First
						}
					}
					got, gaps := readLog(t, s, log, first)
					if len(gaps) == 0 || gaps[0].From != max(from, first) || gaps[len(gaps)-1].To != end {
						t.Errorf("gaps %v, want one from %d to %d", gaps, from, end)
					}
					for off, text := range got {
						if off >= from {
							t.Errorf("offset %d is lost and is %.30q", off, text)
						}
					}
					if err := s.Close(); err != nil {
						t.Fatal(err)
					}
				}
			})
		}
	}
}

// TestTailMarkerDamaged: without a marker, or with one that says less, is torn or
// belongs to other logs, nothing is lost and nothing is told that is not so, and a good
// one is written with the next group.
func TestTailMarkerDamaged(t *testing.T) {
	other := func() []byte {
		fsys := faultfs.New()
		cfg := tailConfig(fsys)
		for range 3 {
			s := mustOpen(t, cfg)
			appendTexts(t, s, "of another gateway")
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		return readBytes(t, fsys, TailMarkerName(cfg.Dir))
	}()
	_, clone, cfg := tailStore(t, false, true)
	older := readBytes(t, clone, TailMarkerName(cfg.Dir))
	for _, d := range []struct {
		name       string
		hurt       func(p []byte) []byte
		unreadable uint64
	}{
		{"missing", func([]byte) []byte { return nil }, 0},
		{"first slot torn", func(p []byte) []byte { clear(p[64:512]); return p }, 0},
		{"second slot torn", func(p []byte) []byte { clear(p[tailPage+64 : tailPage+512]); return p }, 0},
		{"both slots torn", func(p []byte) []byte { clear(p[64:512]); clear(p[tailPage+64:]); return p }, 1},
		{"empty", func([]byte) []byte { return []byte{} }, 1},
		{"cut", func(p []byte) []byte { return p[:tailPage+60] }, 0},
		{"longer", func(p []byte) []byte { return append(p, p...) }, 0},
		{"noise", func([]byte) []byte { return bytes.Repeat([]byte("LFE\x01"), tailFile/4) }, 1},
		{"older", func([]byte) []byte { return bytes.Clone(older) }, 0},
		{"of another gateway", func([]byte) []byte { return bytes.Clone(other) }, 1},
	} {
		for _, closed := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, closed %t", d.name, closed), func(t *testing.T) {
				fsys, _, cfg := tailStore(t, false, closed)
				name := TailMarkerName(cfg.Dir)
				writeBytes(t, fsys, name, d.hurt(readBytes(t, fsys, name)))
				s := mustOpen(t, cfg)
				if st := s.Stats(); st.TailLosses+st.Beheaded > 0 || len(s.TailLosses()) > 0 || st.UnreadableMeta != d.unreadable || len(s.Logs()) != 2 {
					t.Errorf("told %v, %+v", s.TailLosses(), st)
				}
				for _, in := range s.Logs() {
					if got, gaps := readLog(t, s, in.ID, 0); in.End != 121 || len(got) != 120 || gaps != nil {
						t.Errorf("log %s: %d records, gaps %v, end %d", in.ID, len(got), gaps, in.End)
					}
				}
				appendTexts(t, s, "new")
				appendTexts(t, s, "newer")
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				s = mustOpen(t, cfg)
				defer s.Close()
				if m, ok, err := s.readTailMarker(); !ok || err != nil || m.log != (record.LogID{15: 3}) || m.end != 3 || !m.closed {
					t.Errorf("marker %+v, %t, %v", m, ok, err)
				}
			})
		}
	}
}

// TestTailMarkerOfAnotherDirectory: a marker alone, without any log of its directory,
// tells of logs that are gone; a log that is known elsewhere vouches for it too.
func TestTailMarkerOfAnotherDirectory(t *testing.T) {
	fsys, _, cfg := tailStore(t, false, false)
	removeAll(t, fsys, cfg.Dir)
	s := mustOpen(t, cfg)
	defer s.Close()
	if want := []TailLoss{{record.LogID{15: 2}, 0, 121}}; !slices.Equal(s.TailLosses(), want) {
		t.Errorf("an empty directory: told %v, want %v", s.TailLosses(), want)
	}
	mine := faultfs.New()
	cfg.FS, cfg.NewLogID = mine, testLogIDs(77)
	m := mustOpen(t, cfg)
	appendTexts(t, m, "a")
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	writeBytes(t, mine, TailMarkerName(cfg.Dir), readBytes(t, fsys, TailMarkerName(cfg.Dir)))
	cfg.Known = []KnownLog{{ID: record.LogID{15: 2}, End: 7}}
	m = mustOpen(t, cfg)
	defer m.Close()
	if want := []TailLoss{{record.LogID{15: 2}, 0, 121}}; !slices.Equal(m.TailLosses(), want) {
		t.Errorf("a log that is known elsewhere: told %v, want %v", m.TailLosses(), want)
	}
}

// TestKnownEndIsTheLeast: what is known elsewhere of a log, as that it landed, is an end
// below which its offsets go to nobody else, with or without a marker.
func TestKnownEndIsTheLeast(t *testing.T) {
	fsys, clone, cfg := tailStore(t, false, false)
	cut := lastFrames(3, func(p []byte, from int64) []byte { return p[:from] })
	from := cut(t, fsys, clone, cfg)
	if err := fsys.Remove(TailMarkerName(cfg.Dir)); err != nil {
		t.Fatal(err)
	}
	s := mustOpen(t, cfg)
	if n := len(s.TailLosses()); n > 0 {
		t.Fatalf("told %v: by what?", s.TailLosses())
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	cfg.Known = []KnownLog{{ID: record.LogID{15: 1}, End: 121, Settled: true}, {ID: record.LogID{15: 2}, End: 119}}
	s = mustOpen(t, cfg)
	defer s.Close()
	if want := []TailLoss{{record.LogID{15: 2}, from, 119}}; !slices.Equal(s.TailLosses(), want) {
		t.Errorf("told %v, want %v", s.TailLosses(), want)
	}
	appendTexts(t, s, "new")
	if o := opening(t, s, activeLog(t, s)); o.PrevEnd != 119 || !o.PrevEndUnproven {
		t.Errorf("opening %+v", o)
	}
}

// TestTailMarkerOnceASecond: while records come the marker is written at once and then
// each second; while none come it is not written; Close writes it.
func TestTailMarkerOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := tailConfig(faultfs.New())
		cfg.inlineSpares, cfg.CapturedRecords = false, false
		s := mustOpen(t, cfg)
		defer s.Close()
		marks := func() uint64 { synctest.Wait(); return s.Stats().TailMarks }
		if n := marks(); n != 0 {
			t.Errorf("%d marks before the first group", n)
		}
		for i := range 100 {
			appendTexts(t, s, "a")
			if n := marks(); n != uint64(1+i/10) {
				t.Fatalf("%d marks after %d groups in %v", n, i+1, time.Duration(i)*100*time.Millisecond)
			}
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		n := marks()
		time.Sleep(24 * time.Hour)
		if again := marks(); n != 11 || again != n {
			t.Errorf("%d marks, %d after a day without records", n, again)
		}
		if err := s.Close(); err != nil || s.Stats().TailMarks != n+1 {
			t.Errorf("%d marks after Close, %v", s.Stats().TailMarks, err)
		}
	})
}

// TestTailMarkerFails: a marker that cannot be written costs no group, its file is dead,
// and it is made again with a later one.
func TestTailMarkerFails(t *testing.T) {
	for _, kind := range []faultfs.Kind{faultfs.OpWrite, faultfs.OpSyncData} {
		fsys := faultfs.New()
		cfg := tailConfig(fsys)
		s := mustOpen(t, cfg)
		appendTexts(t, s, "a")
		appendTexts(t, s, "b")
		fsys.Script(faultfs.Fault{On: kind, N: 2, Mode: faultfs.FailPartly}) // the first is the group's
		appendTexts(t, s, "c")
		fsys.Script()
		appendTexts(t, s, "d")
		if n := fsys.Count(faultfs.OpCreate); n != 1 {
			t.Errorf("%v: %d files made for the next marker", kind, n)
		}
		powerCut(fsys, s)
		takeNewest(t, fsys, cfg.Dir)
		s = mustOpen(t, cfg)
		if want := []TailLoss{{s.Logs()[0].ID, 0, 5}}; !slices.Equal(s.TailLosses(), want) {
			t.Errorf("%v: told %v, want %v", kind, s.TailLosses(), want)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTailMarkerRoundTrip also says that any flipped bit is noticed.
func TestTailMarkerRoundTrip(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		m := tailMarker{log: record.LogID{1, 15: byte(rng.Uint32())}, ordinal: rng.Uint64(), prev: record.LogID{2}, prevEnd: record.Offset(rng.Uint64()), lastAt: record.Micros(rng.Int64())}
		m.newest = newest{number: rng.Uint64(), first: record.Offset(rng.Uint64() >> 1), closed: rng.IntN(2) == 0}
		m.end = m.first + 1 + record.Offset(rng.IntN(99))
		m.tip = Tip{End: m.end, Chain: record.Hash{byte(rng.Uint32())}}
		if m.tip.DigestKnown = rng.IntN(2) == 0; m.tip.DigestKnown {
			m.tip.Digest = record.Digest(rng.Uint64())
		}
		write := 1 + rng.Uint64()>>1
		p := m.encode(write)
		if got, n, err := decodeTailMarker(p); err != nil || got != m || n != write {
			t.Fatalf("%+v became %+v, write %d, %v", m, got, n, err)
		}
		p[rng.IntN(len(p))] ^= 1 << rng.IntN(8)
		if _, _, err := decodeTailMarker(p); err == nil {
			t.Fatal("a flipped bit was not noticed")
		}
	}
}

func FuzzTailMarker(f *testing.F) {
	m := tailMarker{log: record.LogID{1}, ordinal: 3, newest: newest{number: 7, first: 100, end: 103, closed: true}}
	f.Add(m.encode(1))
	f.Add([]byte("LFE\x01"))
	f.Fuzz(func(t *testing.T, p []byte) {
		m, write, err := decodeTailMarker(p)
		if err == nil && !m.tip.DigestKnown && m.tip.Digest != 0 {
			return // written by nobody, and of no meaning
		}
		if err == nil && !bytes.Equal(m.encode(write), p) {
			t.Errorf("%x decodes to %+v, which encodes otherwise", p, m)
		}
		if err != nil && !errors.Is(err, record.ErrCorrupt) && !errors.Is(err, record.ErrVersion) {
			t.Error(err)
		}
	})
}

// TestTornSlot: a slot that is torn leaves the marker of one write before, not an older
// one.
func TestTornSlot(t *testing.T) {
	for groups := 2; groups < 5; groups++ {
		for slot := range tailSlots {
			fsys := faultfs.New()
			cfg := tailConfig(fsys)
			s := mustOpen(t, cfg)
			for range groups {
				appendTexts(t, s, "a")
			}
			log, end := activeLog(t, s), s.Logs()[0].End
			powerCut(fsys, s)
			p := readBytes(t, fsys, TailMarkerName(cfg.Dir))
			_, write, err := decodeTailMarker(p[slot*tailPage:][:tailBytes])
			if err != nil {
				t.Fatal(err)
			}
			clear(p[slot*tailPage:][64:tailBytes])
			writeBytes(t, fsys, TailMarkerName(cfg.Dir), p)
			takeNewest(t, fsys, cfg.Dir)
			if write == uint64(groups) {
				end--
			}
			s = mustOpen(t, cfg)
			if want := []TailLoss{{log, 0, end}}; !slices.Equal(s.TailLosses(), want) {
				t.Errorf("%d groups, slot %d torn: told %v, want %v", groups, slot, s.TailLosses(), want)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestFrozenTailMarker: this version still writes the tail marker that was frozen, and
// reads it.
func TestFrozenTailMarker(t *testing.T) {
	fsys := faultfs.New()
	cfg := tailConfig(fsys)
	cfg.NewLogID = testLogIDs(0)
	for range 2 {
		s := mustOpen(t, cfg)
		appendTexts(t, s, "a", "b")
		appendTexts(t, s, "c")
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(filepath.Dir(formatsDir), "tail-v1", "log.tail")
	want := readBytes(t, fsys, TailMarkerName(cfg.Dir))
	if _, err := os.Stat(path); os.IsNotExist(err) && *writeFormats {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, want, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil || len(got) != len(want) {
		t.Fatalf("%s: %d bytes, this version writes %d (%v)", path, len(got), len(want), err)
	}
	for slot := range tailSlots {
		frozen, write, err := decodeTailMarker(got[slot*tailPage:][:tailBytes])
		if err != nil || !bytes.Equal(frozen.encode(write), got[slot*tailPage:][:tailBytes]) {
			t.Errorf("slot %d: this version writes %+v with other bytes (%v)", slot, frozen, err)
		}
		now, again, err := decodeTailMarker(want[slot*tailPage:][:tailBytes])
		now.tip.Digest, now.tip.Chain = frozen.tip.Digest, frozen.tip.Chain // openings say more since: the last block's hash
		if err != nil || again != write || now != frozen {
			t.Errorf("slot %d: this version writes %d %+v, %d %+v is frozen (%v)", slot, again, now, write, frozen, err)
		}
	}
	m, write, err := decodeTailMarker(got[tailPage:][:tailBytes])
	if err != nil || write != 6 || m.log != (record.LogID{15: 2}) || m.end != 4 || !m.closed || m.prev != (record.LogID{15: 1}) || m.prevEnd != 4 || !m.tip.DigestKnown {
		t.Errorf("write %d, %+v, %v", write, m, err)
	}
	newer := bytes.Clone(got)
	for slot := range tailSlots {
		p := newer[slot*tailPage:][:tailBytes]
		p[3] = 2
		binary.LittleEndian.PutUint32(p[4:], crc32.Update(crc32.Checksum(p[3:4], castagnoli), castagnoli, p[8:]))
	}
	writeBytes(t, fsys, TailMarkerName(cfg.Dir), newer)
	if _, err := Open(cfg); !errors.Is(err, record.ErrVersion) {
		t.Errorf("a newer version: %v", err)
	}
}

// TestKnownLogsAreMissed: a log of which nothing is in the directory, and which is known
// elsewhere, is told like any lost end where something of it is needed or where it was
// the newest, and the next log follows it; also at the starts after, without what is
// known elsewhere. One that was released, or that a newer directory had, is not.
func TestKnownLogsAreMissed(t *testing.T) {
	zero, one, two := record.LogID{15: 99}, record.LogID{15: 1}, record.LogID{15: 2}
	settled := KnownLog{ID: one, End: 121, Closed: true, Settled: true}
	newest := KnownLog{ID: two, Prev: one, End: 121, Closed: true}
	old := KnownLog{ID: zero, End: 7, Closed: true}
	released, releasedOld := newest, old
	released.Settled, releasedOld.Settled = true, true
	open := newest
	open.Closed = false
	lost := []TailLoss{{two, 0, 121}}
	for _, c := range []struct {
		name     string
		put      string // what is in the directory
		known    []KnownLog
		want     []TailLoss
		unproven bool
	}{
		{"nothing is there", "nothing", []KnownLog{settled, newest}, lost, false},
		{"nothing is there, and all is settled", "nothing", []KnownLog{settled, released}, lost, false},
		{"nothing is there, and it was not closed", "nothing", []KnownLog{open}, lost, true},
		{"an older copy", "older", []KnownLog{settled, newest}, lost, false},
		{"an older copy, and all is settled", "older", []KnownLog{settled, released}, lost, false},
		{"one from between", "all", []KnownLog{old, settled, newest}, []TailLoss{{zero, 0, 7}}, false},
		{"one from between that is settled", "all", []KnownLog{releasedOld, settled, newest}, nil, false},
		{"the directory is newer", "all", []KnownLog{old, settled}, nil, false},
		{"nothing is known", "older", nil, nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			fsys, clone, cfg := tailStore(t, false, true)
			if c.put != "all" {
				removeAll(t, fsys, cfg.Dir)
			}
			if c.put == "older" {
				copyAll(t, fsys, clone, cfg.Dir)
			}
			writeBytes(t, fsys, TailMarkerName(cfg.Dir), nil) // it tells nothing
			cfg.Known = c.known
			for start := range 2 {
				s := mustOpen(t, cfg)
				if !slices.Equal(s.TailLosses(), c.want) {
					t.Fatalf("start %d: told %v, want %v", start, s.TailLosses(), c.want)
				}
				for _, loss := range c.want {
					if _, gaps := readLog(t, s, loss.Log, 0); len(gaps) != 1 || gaps[0].To != loss.To {
						t.Errorf("start %d: gaps %v, want %v", start, gaps, loss)
					}
				}
				if start == 1 && slices.Equal(c.want, lost) {
					appendTexts(t, s, "new")
					if o := opening(t, s, activeLog(t, s)); o.Prev != two || o.PrevEnd != 121 || o.PrevEndUnproven != c.unproven {
						t.Errorf("opening %+v", o)
					}
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				if cfg.Known = nil; start == 0 {
					continue
				}
				for _, loss := range c.want { // nobody needs it any more
					s := mustOpen(t, cfg)
					appendTexts(t, s, "newer")
					if err := errors.Join(s.Release(loss.Log, loss.To), s.Close()); err != nil {
						t.Fatal(err)
					}
					s = mustOpen(t, cfg)
					if n := len(s.TailLosses()); n > 0 {
						t.Errorf("released, and told again: %v", s.TailLosses())
					}
					if err := s.Close(); err != nil {
						t.Fatal(err)
					}
				}
			}
		})
	}
}
