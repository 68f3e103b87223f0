package checkpoint

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"runtime"
	"strings"
	"testing"

	"landfall/engine/ledger"
	"landfall/engine/stream"
)

// TestEveryFlippedBitIsFound: the bytes with the hash come back, whichever bit
// changed; two bits are too many, and so is a long object without a CRC.
func TestEveryFlippedBitIsFound(t *testing.T) {
	plain := []byte(`{"format": 1, "kind": "epoch"}` + "\n")
	long := bytes.Repeat([]byte("state"), 40_000)
	long = binary.LittleEndian.AppendUint32(long, crc32.Checksum(long, crc32.MakeTable(crc32.Castagnoli)))
	bits := map[string][]int{"plain": {}, "long": {0, 7, 8, 1_234_567, 8*len(long) - 33, 8*len(long) - 32, 8*len(long) - 1}}
	for i := range 8 * len(plain) {
		bits["plain"] = append(bits["plain"], i)
	}
	for name, data := range map[string][]byte{"plain": plain, "long": long} {
		for _, bit := range bits[name] {
			damaged := bytes.Clone(data)
			damaged[bit/8] ^= 1 << (bit % 8)
			if got := FlipBack(damaged, hash(data)); !bytes.Equal(got, data) {
				t.Errorf("%s: bit %d is not found", name, bit)
			}
		}
	}
	two := bytes.Clone(plain)
	two[0], two[5] = two[0]^1, two[5]^1
	if FlipBack(two, hash(plain)) != nil || FlipBack(plain, "no hash") != nil || FlipBack(nil, hash(plain)) != nil {
		t.Error("something was found of what is not there")
	}
	wide := bytes.Repeat([]byte("x"), flippable+1)
	damaged := bytes.Clone(wide)
	damaged[0] ^= 1
	if FlipBack(damaged, hash(wide)) != nil {
		t.Error("every bit of a long object was tried")
	}
}

// TestBytesAreFoundElsewhere: under another name of the task, in what was put
// aside, or in the object but for one bit; and what was in its place is kept.
func TestBytesAreFoundElsewhere(t *testing.T) {
	right, wrong := []byte("the right bytes"), []byte("quite other ones")
	flipped := bytes.Clone(right)
	flipped[3] ^= 1
	for name, tt := range map[string]struct {
		objects map[string][]byte
		found   string
	}{
		"elsewhere":  {map[string][]byte{"t-0000/ledger/a": wrong, "t-0000/ledger/b": right}, "t-0000/ledger/b"},
		"aside":      {map[string][]byte{"_quarantine/t-0000/ledger/b.1": right}, "_quarantine"},
		"a bit":      {map[string][]byte{"t-0000/ledger/a": flipped}, "one bit"},
		"of another": {map[string][]byte{"u-0000/ledger/a": right, "t-0000/ledger/a": wrong}, ""},
		"nowhere":    {nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			store := newMemory()
			for name, data := range tt.objects {
				if err := store.Create(t.Context(), name, data); err != nil {
					t.Fatal(err)
				}
			}
			data, from, err := FindBytes(t.Context(), store, "t-0000", "t-0000/ledger/a", hash(right))
			if err != nil || (data != nil) != (tt.found != "") || data != nil && (!bytes.Equal(data, right) || !strings.Contains(from, tt.found)) {
				t.Fatalf("%q from %q, %v", data, from, err)
			}
			if data == nil {
				return
			}
			for range 2 { // again changes nothing
				if err := PutBack(t.Context(), store, "t-0000/ledger/a", data); err != nil {
					t.Fatal(err)
				}
			}
			if !bytes.Equal(store.content("t-0000/ledger/a"), right) {
				t.Error("it is not back")
			}
			if was := tt.objects["t-0000/ledger/a"]; was != nil && !bytes.Equal(store.content("_quarantine/t-0000/ledger/a."+hash(was)[:16]), was) {
				t.Error("what was in its place is gone")
			}
		})
	}
}

// TestRepairOverAnEarlierHead: a manifest of a later epoch takes the place of the very
// one that HEAD names, which is whole; not that of another, nor does an earlier one.
func TestRepairOverAnEarlierHead(t *testing.T) {
	store, s := newMemory(), &sink{}
	c := claim(t, config(store, s))
	history := []Manifest{c.Manifest()}
	epochs(t, c, 2, &history)
	closed(t, c)
	h, err := ReadHead(t.Context(), store, c.cfg.Task)
	if err != nil {
		t.Fatal(err)
	}
	later := c.Manifest()
	later.Epoch, later.Previous = 7, h.SHA256
	object := []byte("all of it")
	state := func(context.Context, stream.ClaimID, *Manifest) (Repairing, error) {
		return Repairing{Note: "rebuilt", State: object}, nil
	}
	other, same := later, later
	other.Previous, same.Epoch = hash(nil), h.Epoch
	for name, m := range map[string]*Manifest{"in place of another": &other, "of the same epoch": &same} {
		if err := Repair(t.Context(), config(store, s), m, state); !errors.Is(err, stream.ErrFenced) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := Repair(t.Context(), config(store, s), &later, state); err != nil {
		t.Fatal(err)
	}
	m, err := Load(t.Context(), store, c.cfg.Task)
	if err != nil || m.Epoch != 7 || m.Previous != h.SHA256 || len(m.State) != 1 ||
		!bytes.Equal(store.content(m.State[0].Name), object) {
		t.Errorf("%+v, %v", m, err)
	}
	if err := Repair(t.Context(), config(store, s), &later, state); !errors.Is(err, stream.ErrFenced) {
		t.Errorf("once more: %v", err)
	}
}

// TestRepairOfALostManifest: the manifest that is given is committed in place of
// the one that HEAD names, with an entry of its own; an engine that held the task is
// fenced and may claim again.
func TestRepairOfALostManifest(t *testing.T) {
	for name, lose := range map[string]func(store *memory, c *Committer){
		"the manifest": func(store *memory, c *Committer) {
			m := c.Manifest()
			store.replace(manifestName(c.cfg.Task, m.Epoch, m.Claim), []byte("damaged"))
		},
		"HEAD": func(store *memory, c *Committer) {
			store.replace(headName(c.cfg.Task), []byte("damaged"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			store, s := newMemory(), &sink{}
			c := claim(t, config(store, s))
			history := []Manifest{c.Manifest()}
			epochs(t, c, 3, &history)
			before := c.Manifest()
			for len(c.slots) > 0 { // its publisher reads HEAD until then
				runtime.Gosched()
			}
			whole := before
			lose(store, c)
			object := []byte("all of it")
			none := func(context.Context, stream.ClaimID, *Manifest) (Repairing, error) {
				return Repairing{Note: "made again", State: object}, nil
			}
			other := before
			if other.Epoch = 2; name == "the manifest" {
				if err := Repair(t.Context(), config(store, s), &other, none); !errors.Is(err, stream.ErrFenced) {
					t.Errorf("a manifest of another epoch: %v", err)
				}
			}
			if err := Repair(t.Context(), config(store, s), nil, none); !errors.Is(err, ErrCorrupt) {
				t.Errorf("without a manifest: %v", err)
			}
			if err := Repair(t.Context(), config(store, s), &whole, none); err != nil {
				t.Fatal(err)
			}
			m, err := Load(t.Context(), store, c.cfg.Task)
			if err != nil {
				t.Fatal(err)
			}
			e := newestEntry(t, store, &m)
			if m.Epoch != 3 || m.Position != before.Position || len(m.State) != 1 || !bytes.Equal(store.content(m.State[0].Name), object) || e.Kind != ledger.KindRepair || e.Note != "made again" {
				t.Errorf("%+v\n%+v", m, e)
			}
			if err := Repair(t.Context(), config(store, s), &whole, none); !errors.Is(err, stream.ErrFenced) {
				t.Errorf("once more, though nothing is lost: %v", err)
			}
			if err := commit(t, c, 4); name == "the manifest" && !errors.Is(err, ErrRepaired) || !errors.Is(err, stream.ErrFenced) {
				t.Errorf("the engine commits: %v", err)
			}
			_ = c.Close(t.Context())
			d := claim(t, config(store, s))
			if got := d.Manifest(); got.Epoch != 3 {
				t.Errorf("claimed at %s", got.Epoch)
			}
			closed(t, d)
		})
	}
}

// TestADamagedManifestIsNoLaterOne: what has the name of HEAD's manifest, can be
// read and has another hash does not take HEAD's place.
func TestADamagedManifestIsNoLaterOne(t *testing.T) {
	store, s := newMemory(), &sink{}
	c := claim(t, config(store, s))
	history := []Manifest{c.Manifest()}
	epochs(t, c, 3, &history)
	closed(t, c)
	m := c.Manifest()
	m.Position.Offset++
	store.replace(manifestName(c.cfg.Task, m.Epoch, m.Claim), encoded(t, m))
	if found, err := FindHead(t.Context(), store, c.cfg.Task, nil); !errors.Is(err, ErrCorrupt) {
		t.Errorf("%v: %+v", err, found)
	}
}
