package record

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var writeFormats = flag.Bool("write-formats", false, "write frozen files of a format version that has none yet")

// openings are the openings of each version.
func openings() map[string]Opening {
	o := Opening{Prev: LogID{1, 2, 3}, PrevEnd: 40, PrevLastAt: 1_700_000_000_000_000, OpenedAt: 1_700_000_100_000_000, CutTailBytes: 5}
	open := o
	open.PrevEndUnproven = true
	known := o
	known.PrevChain = Hash{6, 7, 15: 8}
	return map[string]Opening{"opening-v1.bin": o, "opening-v2.bin": open, "opening-v1-chain.bin": known}
}

// frozen are the blocks of version 1. Their files never change: every later
// reader must read them.
func frozen(t *testing.T) map[string][]byte {
	digest := Digest(7143166726811136250)
	digested := sampleBuilder(t)
	digested.SetDigest(digest)
	return map[string][]byte{
		"block-v1-data.bin":        bytes.Clone(sampleBuilder(t).Seal(LogID{1, 2, 3}, 40, Hash{4, 5})),
		"block-v1-loss.bin":        SealLoss(LogID{1, 2, 3}, 44, 6, Hash{7}, "corrupt", nil),
		"block-v1-data-digest.bin": bytes.Clone(digested.Seal(LogID{1, 2, 3}, 40, Hash{4, 5})),
		"block-v1-loss-digest.bin": SealLoss(LogID{1, 2, 3}, 44, 6, Hash{7}, "corrupt", &digest),
	}
}

// readFrozen gives a frozen file, which must be what this version writes.
func readFrozen(t *testing.T, name string, want []byte) []byte {
	t.Helper()
	path := filepath.Join("testdata", "formats", name)
	got, err := os.ReadFile(path)
	if os.IsNotExist(err) && *writeFormats {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		got, err = want, os.WriteFile(path, want, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: this version writes other bytes than the frozen file", name)
	}
	return got
}

func TestFrozenOpenings(t *testing.T) {
	for name, want := range openings() {
		if got, err := DecodeOpening(readFrozen(t, name, want.Encode())); err != nil || got != want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestFrozenAnchors(t *testing.T) {
	want := []Anchor{
		{Boot: [16]byte{1, 2}, Begin: 90_000_000, Mono: 95_000_000, UTC: 1_790_000_000_000_000, Uncertainty: 40_000, Quality: QualitySynchronised, Radio: true},
		{Boot: [16]byte{3}, Begin: -1, Mono: 7, UTC: -5, Quality: QualityAsserted},
	}
	if got, err := DecodeAnchors(readFrozen(t, "anchors-v1.bin", EncodeAnchors(want))); err != nil || !slices.Equal(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestFrozenFormats(t *testing.T) {
	for name, want := range frozen(t) {
		got := readFrozen(t, name, want)
		block, err := Parse(got)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if d, ok := block.Digest(); ok != strings.HasSuffix(name, "-digest.bin") || ok && d != 7143166726811136250 {
			t.Errorf("%s: digest %s, %v", name, d, ok)
		}
		if block.Kind == BlockData {
			if _, records := decodeAll(t, &block); len(records) != len(sampleRecords()) || string(records[1].Raw) != "!XXVDM,1,1,,A,0,0" {
				t.Errorf("%s: records %+v", name, records)
			}
		}
	}
}
