package checkpoint

import (
	"errors"
	"os"
	"sync"
	"testing"
)

// TestALakeHasOneIdentity: whoever asks first makes it, all get the same, also when
// they ask at once.
func TestALakeHasOneIdentity(t *testing.T) {
	store := newMemory()
	if id, err := FindLakeID(t.Context(), store); id != "" || err != nil {
		t.Fatalf("found %q, %v", id, err)
	}
	ids := make([]string, 8)
	var all sync.WaitGroup
	for i := range ids {
		all.Go(func() {
			var err error
			if ids[i], err = LakeID(t.Context(), store); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, id := range ids {
		if !isHex(id, 32) || id != ids[0] {
			t.Fatalf("identities %q", ids)
		}
	}
	if other, err := LakeID(t.Context(), newMemory()); err != nil || other == ids[0] {
		t.Errorf("another lake is %q, %v", other, err)
	}
}

// TestFrozenLakeID reads what each version wrote.
func TestFrozenLakeID(t *testing.T) {
	frozen, err := os.ReadFile("testdata/formats/lakeid-v1.json")
	if err != nil {
		t.Fatal(err)
	}
	for data, want := range map[string]error{
		string(frozen):         nil,
		`{"format":2,"id":""}`: ErrVersion,
		`{"format":0,"id":"0123456789abcdef0123456789abcdef"}`: ErrCorrupt,
		`{"format":1,"id":"0123"}`:                             ErrCorrupt,
		`{`:                                                    ErrCorrupt,
	} {
		store := newMemory()
		store.put(lakeName, []byte(data))
		id, err := LakeID(t.Context(), store)
		if !errors.Is(err, want) || (err == nil) != (want == nil) || err == nil && id != "0123456789abcdef0123456789abcdef" {
			t.Errorf("%s: %q, %v", data, id, err)
		}
	}
}
