package object_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"landfall/edge/durable"
	"landfall/edge/durable/faultfs"
	"landfall/engine/stream"
	"landfall/sinks/object"
	"landfall/sinks/object/faultobject"
	"landfall/sinks/object/objecttest"
)

// onDisk is a lake in a directory of the system or of faultfs, below a script
// where there is one.
type onDisk struct {
	fsys   durable.FS
	root   string
	script *faultobject.Script
}

func (w *onDisk) Files(t testing.TB) object.Files {
	l, err := object.OpenLake(w.fsys, w.root)
	if err != nil {
		t.Fatal(err)
	}
	if w.script != nil {
		return faultobject.Files(l, w.script)
	}
	return l
}

func (w *onDisk) ReadsStaged() bool { return true }

func (w *onDisk) ChangeStaged(t testing.TB, staged stream.Staged, change func([]byte) []byte) {
	w.change(t, staged.Name, change)
}

func (w *onDisk) ChangePublished(t testing.TB, staged stream.Staged, change func([]byte) []byte) {
	w.change(t, staged.Target, change)
}

// change writes over the file itself, so that other names of it change too.
func (w *onDisk) change(t testing.TB, name string, change func([]byte) []byte) {
	t.Helper()
	path := filepath.Join(w.root, filepath.FromSlash(name))
	data, err := durable.ReadFile(w.fsys, path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := w.fsys.OpenWrite(path)
	if err != nil {
		t.Fatal(err)
	}
	data = change(data)
	if err = f.Truncate(0); err == nil {
		_, err = f.WriteAt(data, 0)
	}
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestFilesSuite(t *testing.T) {
	t.Run("disk", func(t *testing.T) {
		objecttest.Run(t, func(t testing.TB) objecttest.World { return &onDisk{fsys: durable.OS{}, root: t.TempDir()} })
	})
	t.Run("faultfs", func(t *testing.T) {
		objecttest.Run(t, func(testing.TB) objecttest.World { return &onDisk{fsys: faultfs.New(), root: "/lake"} })
	})
	t.Run("faultobject", func(t *testing.T) {
		objecttest.Run(t, func(testing.TB) objecttest.World {
			return &onDisk{fsys: faultfs.New(), root: "/lake", script: &faultobject.Script{}}
		})
	})
}

// TestPublishTellsDamageFromAnotherHistory: bytes that changed after the file got
// its target's name, and before its staged one was removed, are damage.
func TestPublishTellsDamageFromAnotherHistory(t *testing.T) {
	w := &onDisk{fsys: durable.OS{}, root: t.TempDir()}
	files := w.Files(t)
	staged := objecttest.Stage(t, files, "1", "table/dt=2024-01-01/task-0000-1", objecttest.Content)
	to := filepath.Join(w.root, filepath.FromSlash(staged.Target))
	if err := os.MkdirAll(filepath.Dir(to), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(filepath.Join(w.root, filepath.FromSlash(staged.Name)), to); err != nil {
		t.Fatal(err)
	}
	w.ChangePublished(t, staged, func(b []byte) []byte { b[0]++; return b })
	err := files.Publish(t.Context(), staged)
	var damaged *stream.DamagedError
	if !errors.As(err, &damaged) || damaged.Where != staged.Target || errors.Is(err, object.ErrContent) {
		t.Fatalf("got %v", err)
	}
}
