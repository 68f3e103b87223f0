package operator

import (
	"bytes"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"landfall/edge/record"
)

// TestWindowVersions: the frozen bytes are read, and the newest are written.
func TestWindowVersions(t *testing.T) {
	key := windowKey{"mv-sim", "bus", "SD", "depth_below_transducer", 1_790_000_040_000_000, 60_000_000}
	sum := windowSum{
		Count: 3, Sum: 7.5, Min: -1, Max: 5.25, Last: 3.25, LastAt: 1_790_000_090_000_000, Log: record.LogID{1, 2}, Offset: 70_000, Row: 1, Unit: "m",
	}
	frozen, err := os.ReadFile("testdata/formats/window-v1.hex")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Fields(string(frozen))
	k, err := hex.DecodeString(lines[0])
	if err != nil {
		t.Fatal(err)
	}
	v, err := hex.DecodeString(lines[1])
	if err != nil {
		t.Fatal(err)
	}
	if got, err := (windowCodec{}).DecodeKey(1, k); err != nil || got != key {
		t.Errorf("key %+v, %v", got, err)
	}
	if got, err := (windowCodec{}).DecodeValue(1, v); err != nil || got != sum {
		t.Errorf("value %+v, %v", got, err)
	}
	if p := (windowCodec{}).AppendKey(nil, key); !bytes.Equal(p, k) {
		t.Errorf("writes key %x", p)
	}
	if p := (windowCodec{}).AppendValue(nil, sum); !bytes.Equal(p, v) {
		t.Errorf("writes value %x", p)
	}
	const end = 1_790_000_100_000_000
	if p := (closedCodec{}).AppendValue(nil, end); hex.EncodeToString(p) != lines[2] {
		t.Errorf("writes end %x", p)
	}
	p, _ := hex.DecodeString(lines[2])
	if got, err := (closedCodec{}).DecodeValue(1, p); err != nil || got != end {
		t.Errorf("end %d, %v", got, err)
	}
}

// FuzzWindow: no bytes make decoding panic.
func FuzzWindow(f *testing.F) {
	f.Add(windowCodec{}.AppendValue(nil, windowSum{Count: 1}))
	f.Fuzz(func(_ *testing.T, p []byte) {
		_, _ = windowCodec{}.DecodeKey(1, p)
		_, _ = windowCodec{}.DecodeValue(1, p)
		_, _ = closedCodec{}.DecodeValue(1, p)
	})
}
