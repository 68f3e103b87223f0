package tampertest

import (
	"bytes"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"landfall/engine/audit"
	"landfall/engine/table"
)

// flips is how many bits are changed, one at a time.
func flips() int {
	if soak() {
		return 2000
	}
	return 60
}

// TestBitFlips: a single bit of any file of the tables, and of any object that
// HEAD leads to, is found at the level bytes, and the file is named. A flip never
// ends the audit with an error.
func TestBitFlips(t *testing.T) {
	b := NewBench(t, shared.good(t, 6_000))
	files := b.everything()
	rng := rand.New(rand.NewPCG(17, 1))
	for range flips() {
		name := files[rng.IntN(len(files))]
		good, err := os.ReadFile(b.Path(name))
		must(t, err)
		bit := rng.IntN(8 * len(good))
		data := bytes.Clone(good)
		data[bit/8] ^= 1 << (bit % 8)
		Write(t, b.Path(name), data)
		o := audited(t, b.Lake, audit.LevelBytes)
		_, lacks := Victim{File: strings.TrimPrefix(name, "_checkpoint/")}.named(o.findings)
		if o.exact || lacks != "" {
			t.Errorf("bit %d of %s (byte %q): exact %v, lacks %s: %+v", bit%8, name, good[bit/8], o.exact, lacks, o.findings)
		}
		Write(t, b.Path(name), good)
	}
	if o := audited(t, b.Lake, audit.LevelBytes); !o.exact {
		t.Errorf("all bits as they were: %+v", o.findings)
	}
}

// everything lists the files of the tables and the objects that HEAD leads to.
func (b *Bench) everything() (names []string) {
	b.Helper()
	for _, n := range table.Names() {
		names = append(names, b.Table(n)...)
	}
	for p := range partitions {
		task := Task(p)
		head, m := b.Head(b, task)
		objects := []string{task.String() + "/HEAD", head.Manifest}
		for _, o := range m.State {
			objects = append(objects, o.Name)
		}
		for _, e := range b.Ledger(b, task) {
			objects = append(objects, e.Object)
		}
		for _, o := range objects {
			names = append(names, "_checkpoint/"+o)
		}
	}
	return names
}
