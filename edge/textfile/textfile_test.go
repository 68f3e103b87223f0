package textfile

import (
	"errors"
	"math"
	"strings"
	"testing"

	"landfall/edge/record"
)

// frozen is a file of version 2 as it stands on disks.
const frozen = "landfall-sample 2 1be5ba6f\n{\"count\":3}\n"

type sample struct {
	Count int `json:"count"`
}

// TestFrozen: what was written is read, and is written again byte by byte.
func TestFrozen(t *testing.T) {
	if p, err := Encode("landfall-sample", 2, sample{3}); err != nil || string(p) != frozen {
		t.Errorf("%q, %v", p, err)
	}
	for newest, want := range map[int]error{1: record.ErrVersion, 2: nil, 3: nil} {
		var v sample
		version, err := DecodeInto("landfall-sample", newest, []byte(frozen), &v)
		if !errors.Is(err, want) || (err == nil) != (want == nil) || err == nil && (version != 2 || v.Count != 3) {
			t.Errorf("newest %d: version %d, %+v, %v", newest, version, v, err)
		}
	}
	if _, err := Encode("landfall-sample", 2, math.NaN()); err == nil {
		t.Error("what JSON cannot say was encoded")
	}
}

// TestDamage: no file that was cut or in which a bit changed is read; a newer version is
// told from damage also where its sum is none that this program knows.
func TestDamage(t *testing.T) {
	read := func(text string) error {
		var v sample
		_, err := DecodeInto("landfall-sample", 2, []byte(text), &v)
		return err
	}
	for i := range len(frozen) {
		if err := read(frozen[:i]); !errors.Is(err, record.ErrCorrupt) {
			t.Errorf("cut at %d: %v", i, err)
		}
		p := []byte(frozen)
		p[i] ^= 1
		if err := read(string(p)); !errors.Is(err, record.ErrCorrupt) && !errors.Is(err, record.ErrVersion) {
			t.Errorf("byte %d changed: %v", i, err)
		}
	}
	if err := read("landfall-sample 3 later\n"); !errors.Is(err, record.ErrCorrupt) {
		t.Errorf("a sum of another form: %v", err)
	}
	if err := read("landfall-sample 3 0\nanything"); !errors.Is(err, record.ErrVersion) {
		t.Errorf("a newer version: %v", err)
	}
	whole, err := Encode("landfall-sample", 2, "no object")
	if err != nil {
		t.Fatal(err)
	}
	if err := read(string(whole)); !errors.Is(err, record.ErrCorrupt) {
		t.Errorf("JSON of another kind: %v", err)
	}
	if err := read(strings.Replace(frozen, "landfall-sample", "landfall-other", 1)); !errors.Is(err,
		record.ErrCorrupt) {
		t.Errorf("another file: %v", err)
	}
}
