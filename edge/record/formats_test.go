package record

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var writeFormats = flag.Bool("write-formats", false, "write frozen files of a format version that has none yet")

// frozen are the blocks of version 1. Their files never change: every later
// reader must read them.
func frozen(t *testing.T) map[string][]byte {
	return map[string][]byte{
		"block-v1-data.bin": bytes.Clone(sampleBuilder(t).Seal(LogID{1, 2, 3}, 40, Hash{4, 5})),
		"block-v1-loss.bin": SealLoss(LogID{1, 2, 3}, 44, 6, Hash{7}, "corrupt"),
	}
}

func TestFrozenFormats(t *testing.T) {
	for name, want := range frozen(t) {
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
		block, err := Parse(got)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if block.Kind == BlockData {
			if _, records := decodeAll(t, &block); len(records) != len(sampleRecords()) || string(records[1].Raw) != "!XXVDM,1,1,,A,0,0" {
				t.Errorf("%s: records %+v", name, records)
			}
		}
	}
}
