package object_test

import (
	"errors"
	"fmt"
	"testing"

	"landfall/edge/durable/faultfs"
	"landfall/engine/checkpoint"
	"landfall/engine/stream"
	"landfall/sinks/object"
	"landfall/sinks/object/faultobject"
	"landfall/sinks/object/objecttest"
)

const replaceTarget = "table/dt=2024-01-01/task-0000-1"

// damagedLake is a lake with a published file that is damaged, and staged bytes
// that are right.
func damagedLake(t *testing.T) (w *onDisk, staged stream.Staged, damaged string) {
	t.Helper()
	w = &onDisk{fsys: faultfs.New(), root: "/lake"}
	files := w.Files(t)
	first := objecttest.Stage(t, files, "1", replaceTarget, objecttest.Content)
	if err := files.Publish(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	w.ChangePublished(t, first, func(b []byte) []byte { b[3] ^= 1; return b })
	var found *stream.DamagedError
	if err := files.Verify(t.Context(), first); !errors.As(err, &found) {
		t.Fatal(err)
	}
	return w, objecttest.Stage(t, files, "2", replaceTarget, objecttest.Content), found.SHA256
}

// TestEveryStepOfReplacingFails makes every file operation of Replace fail in
// every way and lose what was not synced: readers see the damaged file or the
// right one, never none and nothing between, and replacing again puts it right.
func TestEveryStepOfReplacingFails(t *testing.T) {
	w, staged, damaged := damagedLake(t)
	fsys := w.fsys.(*faultfs.FS)
	fsys.Script()
	if err := w.Files(t).Replace(t.Context(), staged, damaged); err != nil {
		t.Fatal(err)
	}
	steps, results := fsys.Count(faultfs.OpMutating), tally{}
	for k := 1; k <= steps; k++ {
		for _, mode := range faultfs.Modes() {
			for _, loss := range faultfs.Losses() {
				name := fmt.Sprintf("operation %d %s, then %s", k, mode, loss)
				w, staged, damaged := damagedLake(t)
				fsys, files := w.fsys.(*faultfs.FS), w.Files(t)
				fsys.Script(faultfs.Fault{On: faultfs.OpMutating, N: k, Mode: mode})
				err := files.Replace(t.Context(), staged, damaged)
				op, _ := nth(fsys.Ops(), k)
				results.add(op.Kind.String(), mode.String(), err)
				fsys.Crash(loss, uint64(k))
				files = w.Files(t)
				var found *stream.DamagedError
				if now := files.Verify(t.Context(), staged); now != nil && (!errors.As(now, &found) || found.SHA256 != damaged) {
					t.Fatalf("%s: readers see %v", name, now)
				} else if err == nil && now != nil {
					t.Fatalf("%s: it was replaced, and is not: %v", name, now)
				}
				if err := files.Replace(t.Context(), staged, damaged); err != nil {
					t.Fatalf("%s: again: %v", name, err)
				}
				if err := files.Verify(t.Context(), staged); err != nil {
					t.Fatalf("%s: after replacing again: %v", name, err)
				}
				if err := files.Sweep(t.Context(), "_staging/task-0000/"); err != nil {
					t.Fatal(err)
				}
				if left, err := files.List(t.Context(), "_staging/"); err != nil || len(left) > 0 {
					t.Fatalf("%s: left %v %v", name, left, err)
				}
			}
		}
	}
	results.log(t)
}

// TestReplaceNeedsNoRoomForTheEvidence: what was damaged is kept where that is
// possible, and keeps nothing back where it is not.
func TestReplaceNeedsNoRoomForTheEvidence(t *testing.T) {
	w, staged, damaged := damagedLake(t)
	fsys := w.fsys.(*faultfs.FS)
	fsys.Script(faultfs.Fault{On: faultfs.OpLink, N: 1, Mode: faultfs.FailNotStored})
	files := w.Files(t)
	if err := files.Replace(t.Context(), staged, damaged); err != nil {
		t.Fatal(err)
	}
	if err := files.Verify(t.Context(), staged); err != nil {
		t.Fatal(err)
	}
	if _, err := files.Open(t.Context(), object.Kept(staged.Target, damaged)); !errors.Is(err, checkpoint.ErrNotExist) {
		t.Errorf("kept: %v", err)
	}
}

// TestDamageOnTheWayToStaging: bytes that change between a writer and its staged
// file are not published.
func TestDamageOnTheWayToStaging(t *testing.T) {
	script := &faultobject.Script{}
	script.Fail(2, faultobject.Damaged) // the write
	w := &onDisk{fsys: faultfs.New(), root: "/lake", script: script}
	files := w.Files(t)
	staged := objecttest.Stage(t, files, "1", replaceTarget, objecttest.Content)
	if err := files.Publish(t.Context(), staged); !errors.Is(err, stream.ErrDamaged) {
		t.Fatalf("got %v", err)
	}
	if _, err := files.Open(t.Context(), staged.Target); !errors.Is(err, checkpoint.ErrNotExist) {
		t.Errorf("it is visible: %v", err)
	}
}
