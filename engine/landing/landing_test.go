package landing

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"

	"landfall/edge/record"
)

func TestLandedRoundTrip(t *testing.T) {
	for _, l := range []Landed{
		{Gateway: "a", LandedAt: -5, Block: []byte("block")},
		{Gateway: "gw", LandedAt: 5, Block: []byte("block"), Clock: []byte("clock")},
		{Gateway: "gw", LandedAt: 5, Keeps: true, Block: []byte("block"), Clock: []byte("clock")},
		{Gateway: "gw", LandedAt: 5, Keeps: true, Conflict: true, Block: []byte("block")},
		{Gateway: strings.Repeat("g", 255), LandedAt: 1 << 60, Conflict: true, Block: []byte{}},
	} {
		p, err := l.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if len(p) > len(l.Block)+MaxHeadBytes {
			t.Fatalf("%d bytes for a block of %d", len(p), len(l.Block))
		}
		got, err := DecodeLanded(p)
		if err != nil || got.Gateway != l.Gateway || got.LandedAt != l.LandedAt || got.Conflict != l.Conflict || got.Keeps != l.Keeps || !bytes.Equal(got.Block, l.Block) || !bytes.Equal(got.Clock, l.Clock) {
			t.Fatalf("%+v, %v, want %+v", got, err, l)
		}
	}
	for _, name := range []string{"", strings.Repeat("g", 256)} {
		if _, err := (Landed{Gateway: name}).Encode(); !errors.Is(err, record.ErrTooLarge) {
			t.Errorf("name of %d bytes: %v", len(name), err)
		}
	}
}

func TestDecodeLandedTellsVersionFromDamage(t *testing.T) {
	good, err := Landed{Gateway: "gw", Block: []byte("b")}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	change := func(i int, to byte) []byte {
		p := bytes.Clone(good)
		p[i] = to
		return p
	}
	for name, c := range map[string]struct {
		p    []byte
		want error
	}{
		"empty":          {nil, record.ErrCorrupt},
		"short":          {good[:landedFixed-1], record.ErrCorrupt},
		"no name":        {change(10, 0), record.ErrCorrupt},
		"long name":      {change(10, 200), record.ErrCorrupt},
		"other flags":    {change(1, 4), record.ErrCorrupt},
		"no version":     {change(0, 0), record.ErrVersion},
		"newer":          {change(0, 4), record.ErrVersion},
		"kept, unset":    {append(change(0, 3), 0, 0), record.ErrCorrupt},
		"kept too early": {change(1, 2), record.ErrCorrupt},
		"clock cut":      {append(change(0, 2), 9, 0), record.ErrCorrupt},
		"clock empty":    {change(0, 2)[:len(good)-1], record.ErrCorrupt},
	} {
		if _, err := DecodeLanded(c.p); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// TestFrozenLanded: what earlier versions landed is read for ever, and written
// the same.
func TestFrozenLanded(t *testing.T) {
	for frozen, want := range map[string]Landed{
		"0101090807060504030202677742":             {Gateway: "gw", LandedAt: 0x0203040506070809, Conflict: true, Block: []byte("B")},
		"020009080706050403020267770300a1a2a3424c": {Gateway: "gw", LandedAt: 0x0203040506070809, Clock: []byte{0xa1, 0xa2, 0xa3}, Block: []byte("BL")},
		"0302090807060504030202677700004b":         {Gateway: "gw", LandedAt: 0x0203040506070809, Keeps: true, Block: []byte("K")},
		"030309080706050403020267770200a1a24b":     {Gateway: "gw", LandedAt: 0x0203040506070809, Keeps: true, Conflict: true, Clock: []byte{0xa1, 0xa2}, Block: []byte("K")},
	} {
		p, err := hex.DecodeString(frozen)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := DecodeLanded(p); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", frozen, got, err)
		}
		if p, err := want.Encode(); err != nil || hex.EncodeToString(p) != frozen {
			t.Errorf("%+v: %x, %v, want %s", want, p, err, frozen)
		}
	}
}

// TestPartitionNeverChanges freezes the hash: another result would move a
// gateway away from its checkpoint.
func TestPartitionNeverChanges(t *testing.T) {
	for _, c := range []struct {
		gateway string
		p, want int
	}{{"", 7, 2}, {"a", 16, 12}, {"mv-ada", 16, 11}, {"mv-ada", 1, 0}, {"plant-7", 1000, 998}} {
		if got := Partition(c.gateway, c.p); got != c.want {
			t.Errorf("Partition(%q, %d) = %d, want %d", c.gateway, c.p, got, c.want)
		}
	}
}

func TestTailAdvances(t *testing.T) {
	var b record.Builder
	log := record.LogID{1}
	block := func(log record.LogID, first record.Offset, n int) (Landed, record.Header) {
		b.Reset()
		for range n {
			if err := b.AddPayload([]byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		p := bytes.Clone(b.Seal(log, first, record.Hash{}))
		h, err := record.ParseHeader(p)
		if err != nil {
			t.Fatal(err)
		}
		return Landed{Gateway: "g", Block: p}, h
	}
	l, h := block(log, 0, 3)
	tail, known := Tail{}.Advance(false, l, h)
	if !known || tail.Next != 3 || tail.Log != log || tail.Hash != record.HashBlock(l.Block) || tail.AfterLoss {
		t.Fatalf("%+v, %v", tail, known)
	}
	if again, _ := tail.Advance(true, l, h); again != tail {
		t.Fatal("a copy moved the tail")
	}
	l2, h2 := block(log, 3, 2)
	l2.Conflict = true
	if again, _ := tail.Advance(true, l2, h2); again != tail {
		t.Fatal("a conflict moved the tail")
	}
	loss := Landed{Gateway: "g", Block: record.SealLoss(log, 3, 10, tail.Hash, "shed", nil)}
	hl, err := record.ParseHeader(loss.Block)
	if err != nil {
		t.Fatal(err)
	}
	if tail, _ = tail.Advance(true, loss, hl); tail.Next != 13 || !tail.AfterLoss {
		t.Fatalf("%+v", tail)
	}
	l3, h3 := block(record.LogID{2}, 0, 1)
	if tail, _ = tail.Advance(true, l3, h3); tail.Next != 1 || tail.Log != (record.LogID{2}) || tail.AfterLoss {
		t.Fatalf("%+v", tail)
	}
}

func FuzzDecodeLanded(f *testing.F) {
	for _, keeps := range []bool{false, true} {
		p, err := Landed{Gateway: "gw", LandedAt: 7, Conflict: true, Keeps: keeps, Block: []byte("b")}.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		l, err := DecodeLanded(p)
		if err != nil {
			return
		}
		if q, err := l.Encode(); err != nil || !bytes.Equal(p, q) {
			t.Fatalf("%x became %x, %v", p, q, err)
		}
	})
}
