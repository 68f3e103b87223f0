package state

import (
	"encoding/binary"
	"errors"
	"flag"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

var update = flag.Bool("update", false, "write new golden files; only for a new format version")

// frozenChain is a short history that uses every kind of entry.
func frozenChain(t testing.TB) [][]byte {
	p := newPair(t)
	for k := range uint64(8) {
		p.a.Put(k, string(rune('a'+k)))
	}
	p.b.Put(1<<40, "")
	first, keep := p.state.Snapshot()
	chain := extend(nil, first, keep)
	p.a.Delete(3)
	p.a.Put(5, "changed")
	p.b.Delete(77)
	second, keep := p.state.Snapshot()
	return extend(chain, second, keep)
}

func TestFormatVersion1IsFrozen(t *testing.T) {
	for i, object := range frozenChain(t) {
		name := filepath.Join("testdata", "formats", []string{"state-v1-1.state", "state-v1-2.state"}[i])
		if *update {
			if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, object, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		frozen, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(frozen, object) {
			t.Errorf("%s: the same history gives other bytes", name)
		}
	}
	var chain [][]byte
	for _, name := range []string{"state-v1-1.state", "state-v1-2.state"} {
		data, err := os.ReadFile(filepath.Join("testdata", "formats", name))
		if err != nil {
			t.Fatal(err)
		}
		chain = append(chain, data)
	}
	p := restored(t, chain)
	if v, _ := p.a.Get(5); v != "changed" || p.a.Len() != 7 || p.b.Len() != 1 {
		t.Errorf("frozen objects restore to %v %v", content(p.a), content(p.b))
	}
}

// resealed gives the object a CRC that fits.
func resealed(data []byte) []byte {
	if len(data) < crcSize {
		return data
	}
	end := len(data) - crcSize
	out := slices.Clone(data)
	binary.LittleEndian.PutUint32(out[end:], crc32.Checksum(out[:end], crc32.MakeTable(crc32.Castagnoli)))
	return out
}

func TestRestoreRefuses(t *testing.T) {
	chain := frozenChain(t)
	edit := func(at int, b byte) [][]byte {
		c := slices.Clone(chain)
		c[1] = slices.Clone(c[1])
		c[1][at] = b
		c[1] = resealed(c[1])
		return c
	}
	unsealed := slices.Clone(chain)
	unsealed[0] = slices.Clone(chain[0])
	unsealed[0][len(unsealed[0])/2] ^= 1
	tests := map[string]struct {
		chain [][]byte
		want  error
	}{
		"flipped bit":        {unsealed, ErrCorrupt},
		"newer format":       {edit(4, 2), ErrVersion},
		"newer codec":        {edit(headerSize+2, 9), ErrVersion},
		"unknown table":      {edit(headerSize+1, 'z'), ErrVersion},
		"hole":               {edit(8, 3), ErrCorrupt},
		"first missing":      {chain[1:], ErrCorrupt},
		"wrong order":        {[][]byte{chain[1], chain[0]}, ErrCorrupt},
		"twice":              {[][]byte{chain[0], chain[0]}, ErrCorrupt},
		"cut short":          {[][]byte{chain[0][:len(chain[0])-1]}, ErrCorrupt},
		"not a state object": {[][]byte{[]byte("hello")}, ErrCorrupt},
	}
	for name, test := range tests {
		p := newPair(t)
		if err := p.state.Restore(sequence(test.chain)); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
	read := errors.New("disk on fire")
	err := newPair(t).state.Restore(func(yield func([]byte, error) bool) { yield(nil, read) })
	if !errors.Is(err, read) {
		t.Errorf("error of the reader: %v", err)
	}
}

func TestRegisterRefuses(t *testing.T) {
	p := newPair(t)
	if _, err := Register(p.state, "a", numbers{}); !errors.Is(err, ErrRegister) {
		t.Errorf("name taken: %v", err)
	}
	if _, err := Register(p.state, "", numbers{}); !errors.Is(err, ErrRegister) {
		t.Errorf("no name: %v", err)
	}
	p.state.Snapshot()
	if _, err := Register(p.state, "c", numbers{}); !errors.Is(err, ErrRegister) {
		t.Errorf("state in use: %v", err)
	}
	if err := p.state.Restore(sequence(nil)); !errors.Is(err, ErrRegister) {
		t.Errorf("restore into a state in use: %v", err)
	}
}

// FuzzStateObject restores any bytes, their checksum made right so that the
// rest is reached. What is accepted must survive a snapshot and a restore.
func FuzzStateObject(f *testing.F) {
	for _, o := range frozenChain(f) {
		f.Add(o)
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		data = resealed(data)
		p := newPair(t)
		if err := p.state.Restore(sequence([][]byte{data})); err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
				t.Fatalf("unclassed error: %v", err)
			}
			return
		}
		p.a.Put(1, "x")
		object, keep := p.state.Snapshot()
		again := restored(t, extend([][]byte{data}, object, keep))
		if !slices.Equal(order(p.a), order(again.a)) || !slices.Equal(order(p.b), order(again.b)) {
			t.Fatal("restored to something else")
		}
	})
}
