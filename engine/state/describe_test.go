package state

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestDescribeReadsEveryFrozenObject(t *testing.T) {
	files, err := filepath.Glob("testdata/formats/*")
	if err != nil || len(files) == 0 {
		t.Fatalf("no frozen objects: %v", err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !IsObject(data) {
			continue
		}
		d, err := Describe(data)
		if err != nil || d.Sequence == 0 || len(d.Tables) == 0 || d.Bytes != len(data) {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
		for i := range data {
			bad := append([]byte(nil), data...)
			bad[i] ^= 1
			if _, err := Describe(bad); !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
				t.Fatalf("%s with a bit flipped at %d: %v", name, i, err)
			}
		}
	}
}
