package audit

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"landfall/engine/checkpoint"
)

// FuzzOneByte changes one byte of one file of a lake or of its checkpoints. The
// audit always ends with a result, and at level bytes it is never exact.
func FuzzOneByte(f *testing.F) {
	dir, _ := writeLake(f, twoLogs()...)
	var names []string
	if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, path)
		}
		return err
	}); err != nil {
		f.Fatal(err)
	}
	slices.Sort(names)
	for i := range names {
		f.Add(uint16(i), uint32(37*i+4), byte(1))
		f.Add(uint16(i), uint32(1<<20-i), byte(0x80))
	}
	f.Fuzz(func(t *testing.T, which uint16, at uint32, with byte) {
		name := names[int(which)%len(names)]
		whole, err := os.ReadFile(name)
		check(t, err)
		if len(whole) == 0 || with == 0 {
			return
		}
		data := bytes.Clone(whole)
		data[int(at)%len(data)] ^= with
		check(t, os.WriteFile(name, data, 0o644))
		defer func() { check(t, os.WriteFile(name, whole, 0o644)) }()
		store := openStore(t, checkpointsOf(dir))
		for _, level := range []Level{LevelFiles, LevelBytes} {
			r, err := Run(context.Background(), Config{Lake: dir, Checkpoints: store, Level: level})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if level == LevelBytes && r.Exact && !sameHead(name, whole, data) {
				t.Errorf("byte %d of %s: exact", int(at)%len(data), name)
			}
		}
	})
}

// sameHead tells whether a HEAD says the same in other bytes: white space, or the
// number of an earlier format.
func sameHead(name string, a, b []byte) bool {
	one, err1 := checkpoint.DecodeHead(a)
	two, err2 := checkpoint.DecodeHead(b)
	one.Format, two.Format = 0, 0
	return strings.HasSuffix(name, "/HEAD") && err1 == nil && err2 == nil && one == two
}
