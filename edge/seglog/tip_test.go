package seglog

import (
	"errors"
	"io"
	"strings"
	"testing"

	"landfall/edge/durable/faultfs"
	"landfall/edge/record"
)

// digests reads a log and returns the digest that each block carries, by the
// block's end, and the sum of its records up to there.
func digests(t *testing.T, s *Store, log record.LogID) (carried, summed map[record.Offset]record.Digest) {
	t.Helper()
	r, err := s.Reader(log, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	carried, summed = map[record.Offset]record.Digest{}, map[record.Offset]record.Digest{}
	sum := record.Digest(0)
	for {
		item, err := r.Next()
		if errors.Is(err, ErrCaughtUp) || errors.Is(err, io.EOF) {
			return carried, summed
		}
		if err != nil || item.IsGap() {
			t.Fatalf("%+v, %v", item.Gap, err)
		}
		sum += item.Block.DigestRecords()
		summed[item.Block.End()] = sum
		if d, ok := item.Block.Digest(); ok {
			carried[item.Block.End()] = d
		}
	}
}

// TestDigestsAtCapture: every block of captured records carries the digest of its
// log, from offset 0 on and over the ends of segments; other logs carry none.
func TestDigestsAtCapture(t *testing.T) {
	for name, captured := range map[string]bool{"captured records": true, "other payloads": false} {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig(faultfs.New(), "/log")
			cfg.CapturedRecords = captured
			s := mustOpen(t, cfg)
			for range 20 {
				appendTexts(t, s, strings.Repeat("x", 4000), "second", "")
			}
			if s.Stats().Segments < 3 {
				t.Fatal("the test wants several segments")
			}
			carried, summed := digests(t, s, activeLog(t, s))
			if !captured {
				summed = nil
			}
			if len(carried) != len(summed) {
				t.Errorf("%d blocks carry a digest, want %d", len(carried), len(summed))
			}
			for end, want := range summed {
				if got := carried[end]; got != want {
					t.Errorf("D(%d) is said to be %s, want %s", end, got, want)
				}
			}
		})
	}
}

// TestDigestAfterAFailedAppend: a group that did not become durable adds nothing,
// be it tried again or replaced by another.
func TestDigestAfterAFailedAppend(t *testing.T) {
	for name, again := range map[string]string{"the same group": "lost", "another group": "other"} {
		for when, before := range map[string]int{"at the first Append": 0, "later": 2} {
			t.Run(name+" "+when, func(t *testing.T) {
				fsys := faultfs.New()
				cfg := testConfig(fsys, "/log")
				cfg.CapturedRecords = true
				s := mustOpen(t, cfg)
				for range before {
					appendTexts(t, s, "before")
				}
				var faults []faultfs.Fault
				for n := range maxAttempts {
					faults = append(faults, faultfs.Fault{On: faultfs.OpSyncData, N: n + 1, Mode: faultfs.FailNotStored})
				}
				fsys.Script(faults...)
				var b record.Builder
				if _, err := s.Append(fill(&b, "lost")); !errors.Is(err, faultfs.ErrInjected) {
					t.Fatalf("append: %v", err)
				}
				fsys.Script()
				if again == "lost" {
					if _, err := s.Append(&b); err != nil {
						t.Fatal(err)
					}
				} else {
					appendTexts(t, s, again)
				}
				appendTexts(t, s, "after")
				carried, summed := digests(t, s, activeLog(t, s))
				for end, want := range summed {
					if carried[end] != want {
						t.Errorf("D(%d) is said to be %s, want %s", end, carried[end], want)
					}
				}
			})
		}
	}
}

// TestTip: the end of a log, its digest and its chain hash, while it is written
// and when it is read by a later Store.
func TestTip(t *testing.T) {
	cfg := testConfig(faultfs.New(), "/log")
	cfg.CapturedRecords = true
	s := mustOpen(t, cfg)
	if _, err := s.Tip(record.LogID{1}); !errors.Is(err, ErrUnknownLog) {
		t.Errorf("tip of an unknown log: %v", err)
	}
	for range 20 {
		appendTexts(t, s, strings.Repeat("x", 4000), "second")
	}
	log := activeLog(t, s)
	want := lastTip(t, s, log)
	if got, err := s.Tip(log); err != nil || got != want || !want.DigestKnown || want.End != 41 {
		t.Errorf("tip %+v, %v, want %+v", got, err, want)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, cfg)
	appendTexts(t, s, "a newer log")
	for range 2 { // the second time from memory
		if got, err := s.Tip(log); err != nil || got != want {
			t.Errorf("reopened: tip %+v, %v, want %+v", got, err, want)
		}
	}
	if got, err := s.Tip(activeLog(t, s)); err != nil || got.End != 2 || got == want {
		t.Errorf("tip of the newer log %+v, %v", got, err)
	}
	_ = s.Close()
	if _, err := s.Tip(log); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// lastTip reads a log's last block.
func lastTip(t *testing.T, s *Store, log record.LogID) (tip Tip) {
	t.Helper()
	r, err := s.Reader(log, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for {
		item, err := r.Next()
		if err != nil {
			return tip
		}
		tip = Tip{End: item.Block.End(), Chain: record.HashBlock(item.Block.Bytes)}
		tip.Digest, tip.DigestKnown = item.Block.Digest()
	}
}

// TestTipNotKnown: of a log whose last block cannot be read only the end is known,
// and of one that keeps no digests end and chain.
func TestTipNotKnown(t *testing.T) {
	for name, damaged := range map[string]bool{"last block damaged": true, "no digests": false} {
		t.Run(name, func(t *testing.T) {
			fsys := faultfs.New()
			cfg := testConfig(fsys, "/log")
			cfg.CapturedRecords = damaged
			s := mustOpen(t, cfg)
			appendTexts(t, s, "one")
			appendTexts(t, s, "two")
			log := activeLog(t, s)
			want := lastTip(t, s, log)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if damaged {
				name := segmentNames(t, fsys, cfg.Dir)[0]
				p := readBytes(t, fsys, name)
				frames, _ := framesOf(t, name, p)
				p[frames[len(frames)-1].at+frameBytes+record.BlockHeaderBytes+20] ^= 1
				writeBytes(t, fsys, name, p)
				want.Digest, want.DigestKnown, want.Chain = 0, false, record.Hash{}
			}
			if got, err := mustOpen(t, cfg).Tip(log); err != nil || got != want || got.End != 3 || got.DigestKnown {
				t.Errorf("tip %+v, %v, want %+v", got, err, want)
			}
		})
	}
}

// TestOpeningKnowsTheLastBlock: the opening of a log has the hash of the last block of the
// one before, closed in order or not; none where that block is not what the log ends with,
// where its end may be elsewhere, and in logs that keep no digests.
func TestOpeningKnowsTheLastBlock(t *testing.T) {
	for name, c := range map[string]struct {
		plain bool // keeps no digests
		hurt  func(t *testing.T, fsys *faultfs.FS, dir string)
		knows bool
	}{
		"closed":           {hurt: func(*testing.T, *faultfs.FS, string) {}, knows: true},
		"keeps no digests": {plain: true, hurt: func(*testing.T, *faultfs.FS, string) {}},
		"last block damaged": {hurt: func(t *testing.T, fsys *faultfs.FS, dir string) {
			names := segmentNames(t, fsys, dir)
			name := names[len(names)-1]
			p := readBytes(t, fsys, name)
			frames, _ := framesOf(t, name, p)
			p[frames[len(frames)-1].at+frameBytes+record.BlockHeaderBytes+20] ^= 1
			writeBytes(t, fsys, name, p)
		}},
		"newest segment gone": {hurt: func(t *testing.T, fsys *faultfs.FS, dir string) {
			names := segmentNames(t, fsys, dir)
			if err := fsys.Remove(names[len(names)-1]); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			fsys := faultfs.New()
			cfg := testConfig(fsys, "/log")
			cfg.CapturedRecords = !c.plain
			s := mustOpen(t, cfg)
			for range 20 {
				appendTexts(t, s, strings.Repeat("x", 4000), "second")
			}
			one := activeLog(t, s)
			if o := opening(t, s, one); o.PrevChain != (record.Hash{}) {
				t.Errorf("the first log knows a hash: %+v", o)
			}
			want := lastTip(t, s, one)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			c.hurt(t, fsys, cfg.Dir)
			s = mustOpen(t, cfg)
			appendTexts(t, s, "a newer log")
			o := opening(t, s, activeLog(t, s))
			if o.Prev != one || o.Proves(want.End, want.Chain) != c.knows || !c.knows && o.PrevChain == want.Chain {
				t.Errorf("opening %+v, want %+v", o, want)
			}
			appendTexts(t, s, "and once more") // it is said once, whatever follows
			if again := opening(t, s, activeLog(t, s)); again != o {
				t.Errorf("opening %+v, was %+v", again, o)
			}
		})
	}
}
