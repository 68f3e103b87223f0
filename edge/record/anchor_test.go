package record

import (
	"encoding/hex"
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

// keptV1 and keptV2 are frozen: what versions 1 and 2 wrote of the same boot.
const (
	keptBoot = "07000000000000000000000000000000" + "0a" + "0e" + "808080a2dbffad06" + "c0b802" + "0301"
	keptV1   = "01" + keptBoot
	keptV2   = "02" + "828080a2dbffad06" + keptBoot + "04"
)

// TestKeptClock: what is kept says what it rests on and what was proven. Of version
// 1 neither is known, so nothing in it is believed more than a stranger.
func TestKeptClock(t *testing.T) {
	const utc = Micros(1_789_999_999_614_976)
	a := Anchor{Boot: [16]byte{7}, Begin: 5, Mono: 7, UTC: utc, Uncertainty: 40_000, Quality: QualitySynchronised, Radio: true}
	based := a
	based.Basis = BasisEngine
	for _, c := range []struct {
		name, hex string
		want      KeptClock
	}{
		{"version 1", keptV1, KeptClock{Anchors: []Anchor{a}}},
		{"version 2", keptV2, KeptClock{Proven: utc + 1, Anchors: []Anchor{based}}},
	} {
		p, err := hex.DecodeString(c.hex)
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeKept(p)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, %v\nwrites v1 %x\nv2 %x", c.name, got, err, EncodeAnchors(c.want.Anchors), EncodeKept(&c.want))
		}
		if got := EncodeKept(&c.want); c.name == "version 2" && hex.EncodeToString(got) != c.hex {
			t.Errorf("version 2 is written as %x, want %s", got, c.hex)
		}
		if got := EncodeAnchors(c.want.Anchors); hex.EncodeToString(got) != keptV1 {
			t.Errorf("what travels is written as %x, want %s", got, keptV1)
		}
		for n := 1; n < len(p); n++ {
			if got, err := DecodeKept(p[:n]); err == nil && len(got.Anchors) > 0 {
				t.Errorf("%s: %d of %d bytes: %+v", c.name, n, len(p), got)
			}
		}
	}
	if _, err := DecodeKept([]byte{3}); !errors.Is(err, ErrVersion) {
		t.Errorf("newer: %v", err)
	}
	if _, err := DecodeKept([]byte{2, 1}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("before 1970: %v", err)
	}
	if got, err := DecodeKept(EncodeKept(&KeptClock{})); err != nil || got.Anchors != nil || got.Proven != 0 {
		t.Errorf("nothing: %+v, %v", got, err)
	}
}

func FuzzDecodeKept(f *testing.F) {
	for _, text := range []string{keptV1, keptV2} {
		p, err := hex.DecodeString(text)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		k, err := DecodeKept(p)
		if err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
			t.Fatal(err)
		}
		again, err2 := DecodeKept(EncodeKept(&k))
		if err == nil && (err2 != nil || !reflect.DeepEqual(again, k)) {
			t.Fatalf("%+v is read again as %+v, %v", k, again, err2)
		}
	})
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
