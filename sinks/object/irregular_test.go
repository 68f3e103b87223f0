package object_test

import (
	"errors"
	"slices"
	"testing"

	"landfall/edge/durable/faultfs"
	"landfall/engine/checkpoint"
	"landfall/sinks/object"
)

// TestWhatIsNoObjectIsSetAside: a folder in an object's place is listed, is moved away
// with what is in it, and stays away when power is lost; a second one does not take the
// place of the first.
func TestWhatIsNoObjectIsSetAside(t *testing.T) {
	for _, loss := range faultfs.Losses() {
		t.Run(loss.String(), func(t *testing.T) {
			fsys := faultfs.New()
			d, err := object.OpenDir(fsys, "/s")
			if err != nil {
				t.Fatal(err)
			}
			for n, want := range []string{"_quarantine/t/HEAD.no-object", "_quarantine/t/HEAD.no-object.1"} {
				if err := errors.Join(d.Create(t.Context(), "t/HEAD/x", nil), d.Create(t.Context(), "t/other"+want[len(want)-1:], nil)); err != nil {
					t.Fatal(err)
				}
				odd, err := d.Irregular(t.Context())
				if err != nil || !slices.Contains(odd, checkpoint.NoObject{Name: "t/HEAD", What: checkpoint.Folder}) {
					t.Fatalf("%v, %v", odd, err)
				}
				to, err := d.SetAside(t.Context(), "t/HEAD")
				if err != nil || to != want {
					t.Fatalf("%d: moved to %q, %v", n, to, err)
				}
				fsys.Crash(loss, uint64(n))
				fsys.Restart()
				if d, err = object.OpenDir(fsys, "/s"); err != nil {
					t.Fatal(err)
				}
				_, _, gone := d.Read(t.Context(), "t/HEAD/x")
				_, _, err = d.Read(t.Context(), want+"/x")
				if !errors.Is(gone, checkpoint.ErrNotExist) || err != nil {
					t.Errorf("%d: where it was: %v; where it is: %v", n, gone, err)
				}
				if to, err := d.SetAside(t.Context(), "t/HEAD"); to != "" || err != nil {
					t.Errorf("%d: once more: %q, %v", n, to, err)
				}
			}
		})
	}
}
