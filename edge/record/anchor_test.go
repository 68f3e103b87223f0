package record

import (
	"errors"
	"reflect"
	"testing"
)

func TestAnchors(t *testing.T) {
	all := []Anchor{
		{Boot: [16]byte{1}, Begin: 5, Mono: 7, UTC: 1_790_000_000_000_000, Uncertainty: 40_000, Quality: QualitySynchronised, Radio: true},
		{Boot: [16]byte{2}, Begin: -1, Mono: 1 << 40, UTC: 1_790_000_000_000_001, Uncertainty: 0, Quality: QualityAsserted},
	}
	p := EncodeAnchors(all)
	if got, err := DecodeAnchors(p); err != nil || !reflect.DeepEqual(got, all) {
		t.Fatalf("%+v, %v", got, err)
	}
	if got, err := DecodeAnchors(nil); err != nil || got != nil {
		t.Errorf("nothing: %+v, %v", got, err)
	}
	for n := 1; n < len(p); n++ {
		if got, err := DecodeAnchors(p[:n]); err == nil && len(got) > 1 {
			t.Errorf("%d of %d bytes: %+v", n, len(p), got)
		}
	}
	if _, err := DecodeAnchors([]byte{2}); !errors.Is(err, ErrVersion) {
		t.Errorf("newer: %v", err)
	}
	if _, err := DecodeAnchors(EncodeAnchors(make([]Anchor, MaxAnchors+1))); !errors.Is(err, ErrCorrupt) {
		t.Errorf("too many: %v", err)
	}
	if n := len(EncodeAnchors(make([]Anchor, MaxAnchors))); n > MaxAnchorBytes {
		t.Errorf("%d bytes", n)
	}
	// A day later 50 ppm are 4.32 s.
	if at, u := all[0].At(7 + 86_400_000_000); at != all[0].UTC+86_400_000_000 || u != 40_000+4_320_000 {
		t.Errorf("%d give or take %d", at, u)
	}
}

func FuzzDecodeAnchors(f *testing.F) {
	f.Add(EncodeAnchors([]Anchor{{Boot: [16]byte{1}, Mono: 7, UTC: 9}}))
	f.Fuzz(func(t *testing.T, p []byte) {
		all, err := DecodeAnchors(p)
		if err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
			t.Fatal(err)
		}
		for i := range all {
			if _, u := all[i].At(1 << 60); u < 0 {
				t.Fatalf("%+v: uncertainty overflows", all[i])
			}
		}
	})
}
