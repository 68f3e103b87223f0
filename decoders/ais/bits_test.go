package ais

import (
	"bytes"
	"testing"
)

// TestBits compares with bits taken one by one, in a buffer that just held a
// longer message of ones: what lies past the end must read as zero.
func TestBits(t *testing.T) {
	var b bits
	ones := bytes.Repeat([]byte("w"), 100)
	for n := range 60 {
		for fill := range 7 {
			if err := b.load(ones, 0); err != nil {
				t.Fatal(err)
			}
			payload := ones[:n+1]
			if err := b.load(payload, fill); err != nil {
				t.Fatal(err)
			}
			if want := max(0, 6*len(payload)-fill); b.n != want || b.end != (want+7)/8 {
				t.Fatalf("%d characters, fill %d: %d bits, %d bytes", n+1, fill, b.n, b.end)
			}
			for offset := 0; offset < b.n+40; offset++ {
				for _, width := range []int{1, 6, 19, 30, 32} {
					if offset+width > b.n+8*margin {
						continue // the caller's mistake
					}
					inside := min(max(b.n-offset, 0), width)
					want := uint32((1<<inside - 1) << (width - inside))
					if got := b.uint(offset, width); got != want {
						t.Fatalf("%d bits: %d from %d: %b, want %b", b.n, width, offset, got, want)
					}
				}
			}
		}
	}
}

func TestBitsSigned(t *testing.T) {
	var b bits
	if err := b.load([]byte("wo0P"), 0); err != nil { // 111111 110111 000000 100000
		t.Fatal(err)
	}
	for _, c := range []struct {
		offset, width int
		want          int32
	}{{0, 6, -1}, {6, 6, -9}, {12, 6, 0}, {18, 6, -32}, {19, 5, 0}, {17, 7, 32}, {0, 24, -36832}} {
		if got := b.int(c.offset, c.width); got != c.want {
			t.Errorf("%d bits from %d: %d, want %d", c.width, c.offset, got, c.want)
		}
	}
}
