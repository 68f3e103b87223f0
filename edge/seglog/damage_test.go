package seglog

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"landfall/edge/durable"
	"landfall/edge/durable/faultfs"
	"landfall/edge/record"
)

// damage is one way to hurt a file: p is its content, blocks are the frames in
// it; a nil result removes the file.
type damage struct {
	name string
	hurt func(p []byte, frames []span, rng *rand.Rand) []byte
}

func flip(at func(f span) int64) func([]byte, []span, *rand.Rand) []byte {
	return func(p []byte, frames []span, rng *rand.Rand) []byte {
		p[at(frames[rng.IntN(len(frames))])] ^= 1 << rng.IntN(8)
		return p
	}
}

func damages() []damage {
	last := func(fill func(p []byte, rng *rand.Rand)) func([]byte, []span, *rand.Rand) []byte {
		return func(p []byte, frames []span, rng *rand.Rand) []byte {
			end := frames[len(frames)-1]
			n := 1 + rng.Int64N(min(64, end.size))
			fill(p[end.at+end.size-n:end.at+end.size], rng)
			return p
		}
	}
	return []damage{
		{"cut anywhere", func(p []byte, _ []span, rng *rand.Rand) []byte { return p[:rng.IntN(len(p))] }},
		{"last bytes zero", last(func(p []byte, _ *rand.Rand) { clear(p) })},
		{"last bytes garbage", last(func(p []byte, rng *rand.Rand) {
			for i := range p {
				p[i] = byte(rng.Uint32())
			}
		})},
		{"bit in payload", flip(func(f span) int64 { return f.at + frameBytes + record.BlockHeaderBytes + 20 })},
		{"bit in block header", flip(func(f span) int64 { return f.at + frameBytes + 50 })},
		{"bit in block length", flip(func(f span) int64 { return f.at + frameBytes + 8 })},
		{"bit in block CRC", flip(func(f span) int64 { return f.at + frameBytes + 4 })},
		{"bit in frame magic", flip(func(f span) int64 { return f.at })},
		{"bit in frame length", flip(func(f span) int64 { return f.at + 9 })},
		{"bit in frame CRC", flip(func(f span) int64 { return f.at + 5 })},
		{"bit in frame offset", flip(func(f span) int64 { return f.at + 16 })},
		{"bit in segment header", func(p []byte, _ []span, rng *rand.Rand) []byte {
			p[rng.IntN(headerFixed)] ^= 1 << rng.IntN(8)
			return p
		}},
		{"bit in segment version", func(p []byte, _ []span, rng *rand.Rand) []byte {
			p[3] ^= 1 << rng.IntN(8)
			return p
		}},
		{"bit in block version", flip(func(f span) int64 { return f.at + frameBytes + 3 })},
		{"4 KiB page zeroed", func(p []byte, _ []span, rng *rand.Rand) []byte {
			page := rng.IntN(len(p) / 4096)
			clear(p[page*4096 : page*4096+4096])
			return p
		}},
		{"segment missing", func([]byte, []span, *rand.Rand) []byte { return nil }},
	}
}

// readBytes and writeBytes go around the Store, as damage does.
func readBytes(t testing.TB, fsys durable.FS, name string) []byte {
	t.Helper()
	p, err := durable.ReadFile(fsys, name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func writeBytes(t testing.TB, fsys durable.FS, name string, p []byte) {
	t.Helper()
	if err := fsys.Remove(name); err != nil {
		t.Fatal(err)
	}
	if p == nil {
		return
	}
	if err := durable.WriteFileAtomic(fsys, name, p); err != nil {
		t.Fatal(err)
	}
}

// framesOf lists the frames of an undamaged segment.
func framesOf(t testing.TB, name string, p []byte) (frames []span, offsets []offsetRange) {
	t.Helper()
	_, id, _, ok := parseSegmentName(filepath.Base(name))
	if !ok {
		t.Fatalf("name %s", name)
	}
	sc := &scanner{file: bytes.NewReader(p), id: id, at: headerAlign}
	for {
		at := sc.at
		b, _, ok, err := sc.next(int64(len(p)))
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return frames, offsets
		}
		frames = append(frames, span{at, sc.at - at})
		offsets = append(offsets, offsetRange{b.First, b.End()})
	}
}

func segmentNames(t testing.TB, fsys durable.FS, dir string) (names []string) {
	t.Helper()
	entries, err := fsys.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), segmentSuffix) {
			names = append(names, filepath.Join(dir, e.Name()))
		}
	}
	return names
}

// damagedStore makes two logs of several segments.
func damagedStore(t testing.TB, l *ledger) (*faultfs.FS, Config) {
	t.Helper()
	fsys := faultfs.New()
	cfg := testConfig(fsys, "/log")
	cfg.NewLogID = testLogIDs(0)
	for range 2 {
		s, err := Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		for range 40 {
			if err := l.append(s, 3, 500); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return fsys, cfg
}

// judgeDamage reads everything, appends, and reads again. It returns how many
// records are in gaps.
func judgeDamage(t testing.TB, cfg Config, l *ledger) (lost int, s *Store) {
	t.Helper()
	s, err := Open(cfg)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	before := readable(t, s, l)
	for range 3 {
		if err := l.append(s, 2, 900); err != nil {
			t.Fatalf("appending stopped: %v", err)
		}
	}
	if after := readable(t, s, l); after != before+6 {
		t.Fatalf("%d records readable, then %d and 6 more", before, after)
	}
	return len(l.acked) - before - 6, s
}

// readable counts the records that can be read, and fails on a wrong one.
func readable(t testing.TB, s *Store, l *ledger) int {
	t.Helper()
	n := 0
	for _, in := range s.Logs() {
		got, _ := readLog(t, s, in.ID, 0) // nothing was released
		for off, text := range got {
			if l.acked[place{in.ID, off}] != text {
				t.Fatalf("log %s offset %d: wrong record %.40q", in.ID, off, text)
			}
		}
		n += len(got)
	}
	return n
}

func TestDamage(t *testing.T) {
	var out strings.Builder
	fmt.Fprintf(&out, "\n%-22s %5s %6s %9s %9s %8s %10s\n", "damage", "runs", "wrong", "lost/run", "max lost", "counted", "quarantine")
	for i, d := range damages() {
		runs, lost, worst, counted, quarantined := 40, 0, 0, 0, 0
		for seed := range runs {
			n, st := damageRun(t, d, uint64(i*1000+seed))
			lost, worst = lost+n, max(worst, n)
			if st.CorruptBlocks+st.CutTails+st.UnreadableMeta+st.CorruptOffsets+st.Truncated+st.Beheaded > 0 || n == 0 {
				counted++
			}
			quarantined += int(st.Quarantined)
		}
		fmt.Fprintf(&out, "%-22s %5d %6d %9.1f %9d %8d %10d\n", d.name, runs, 0, float64(lost)/float64(runs), worst, counted, quarantined)
	}
	t.Log(out.String())
}

// damageRun hurts one segment and judges: at most the blocks touched are lost.
func damageRun(t *testing.T, d damage, seed uint64) (int, Stats) {
	rng := rand.New(rand.NewPCG(seed, 1))
	l := newLedger()
	fsys, cfg := damagedStore(t, l)
	names := segmentNames(t, fsys, cfg.Dir)
	which := rng.IntN(len(names))
	p := readBytes(t, fsys, names[which])
	frames, offsets := framesOf(t, names[which], p)
	hurt := d.hurt(bytes.Clone(p), frames, rng)
	writeBytes(t, fsys, names[which], hurt)
	touched := 0
	for i, f := range frames {
		if int64(len(hurt)) < f.at+f.size || !bytes.Equal(hurt[f.at:f.at+f.size], p[f.at:f.at+f.size]) {
			touched += int(offsets[i].to - offsets[i].from)
		}
	}
	lost, s := judgeDamage(t, cfg, l)
	st := s.Stats()
	if told := st.CorruptOffsets + st.CutTailBytes + st.Truncated + st.Beheaded; lost > 0 && told == 0 {
		t.Errorf("%s, seed %d: %d records lost in silence", d.name, seed, lost)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if lost > touched {
		t.Errorf("%s, seed %d: %d records lost, %d touched", d.name, seed, lost, touched)
	}
	if again, s := judgeDamage(t, cfg, l); again != lost {
		t.Errorf("%s, seed %d: %d records lost, %d at the next Open", d.name, seed, lost, again)
		_ = s.Close()
	}
	return lost, st
}

// FuzzSegment damages a valid log anywhere: no wrong record, no hang, nothing
// lost but the blocks touched, and appending goes on.
func FuzzSegment(f *testing.F) {
	f.Add(uint8(0), uint32(4100), []byte{0xff})
	f.Add(uint8(1), uint32(0), []byte("LFS\x01 damaged header"))
	f.Add(uint8(3), uint32(5000), bytes.Repeat([]byte("LFF\x01LFB\x01"), 600))
	f.Add(uint8(2), uint32(9000), make([]byte, 4096))
	f.Add(uint8(1), uint32(0), []byte("LFS0"))
	f.Add(uint8(1), uint32(4096+frameBytes), []byte("LFB0"))
	l := newLedger()
	base, cfg := damagedStore(f, l)
	names := segmentNames(f, base, cfg.Dir)
	f.Fuzz(func(t *testing.T, which uint8, at uint32, patch []byte) {
		fsys := base.Clone()
		cfg := cfg
		cfg.FS, cfg.NewLogID = fsys, testLogIDs(100)
		name := names[int(which)%len(names)]
		p := readBytes(t, fsys, name)
		frames, offsets := framesOf(t, name, p)
		hurt := bytes.Clone(p)
		copy(hurt[int(at)%len(hurt):], patch)
		writeBytes(t, fsys, name, hurt)
		touched := 0
		for i, fr := range frames {
			if !bytes.Equal(hurt[fr.at:fr.at+fr.size], p[fr.at:fr.at+fr.size]) {
				touched += int(offsets[i].to - offsets[i].from)
			}
		}
		mine := *l
		mine.acked, mine.meaning, mine.tried = cloneMap(l.acked), cloneMap(l.meaning), cloneMap(l.tried)
		lost, s := judgeDamage(t, cfg, &mine)
		defer s.Close()
		if lost > touched {
			t.Errorf("%d records lost, %d touched", lost, touched)
		}
	})
}

func cloneMap[K comparable, V any](m map[K]V) map[K]V {
	c := make(map[K]V, len(m))
	for k, v := range m {
		c[k] = v
	}
	return c
}

// TestDamageIsKeptAside: the block that was hurt is a gap of its own reason,
// counted, and a file in quarantine; the blocks beside it are served.
func TestDamageIsKeptAside(t *testing.T) {
	fsys := faultfs.New()
	cfg := testConfig(fsys, "/log")
	s := mustOpen(t, cfg)
	appendTexts(t, s, "before")
	appendTexts(t, s, "the words that are hurt")
	appendTexts(t, s, "after")
	log := activeLog(t, s)
	_ = s.Close()
	name := segmentNames(t, fsys, cfg.Dir)[0]
	p := readBytes(t, fsys, name)
	p[bytes.Index(p, []byte("hurt"))] = 'H'
	writeBytes(t, fsys, name, p)
	s = mustOpen(t, cfg)
	got, gaps := readLog(t, s, log, 0)
	if len(gaps) != 1 || gaps[0] != (Gap{2, 3, ReasonCorrupt}) || got[1] != "before" || got[3] != "after" {
		t.Errorf("gaps %v, records %q", gaps, got)
	}
	if st := s.Stats(); st.CorruptOffsets != 1 || st.Quarantined != 1 {
		t.Errorf("stats %+v", st)
	}
	dir := filepath.Join(cfg.Dir, quarantineName)
	entries, err := fsys.ReadDir(dir)
	if err != nil || len(entries) != 1 || !bytes.Contains(readBytes(t, fsys, filepath.Join(dir, entries[0].Name())), []byte("the words that are Hurt")) {
		t.Errorf("quarantine holds %v, %v", entries, err)
	}
}
