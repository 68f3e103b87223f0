package parquet

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	pq "github.com/parquet-go/parquet-go"

	"landfall/edge/durable"
	"landfall/edge/durable/faultfs"
	"landfall/edge/record"
	"landfall/engine/stream"
	"landfall/engine/table"
	"landfall/sinks/object"
	"landfall/sinks/sinktest"
)

// faultLake is a lake on a file system that fails and loses power.
type faultLake struct{ fs *faultfs.FS }

func (w *faultLake) files(t testing.TB) object.Files {
	files, err := object.OpenLake(w.fs, "/lake")
	for range 3 { // the fault may meet the opening; a process would start again
		if err == nil || w.fs.Crashed() {
			break
		}
		files, err = object.OpenLake(w.fs, "/lake")
	}
	if err != nil && !w.fs.Crashed() {
		t.Fatal(err)
	}
	return files
}

func (w *faultLake) Start(t testing.TB) stream.Sink {
	files := w.files(t)
	if w.fs.Crashed() {
		w.Revive(0)
		files = w.files(t)
	}
	s, err := New(Config{Files: files, Writers: 1})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (w *faultLake) Arm(n int, f sinktest.Fault) {
	if n == 0 {
		w.fs.Script()
		return
	}
	mode := [...]faultfs.Mode{faultfs.FailNotStored, faultfs.FailStored, faultfs.CrashBefore, faultfs.CrashAfter}[f]
	w.fs.Script(faultfs.Fault{On: faultfs.OpMutating, N: n, Mode: mode})
}

func (w *faultLake) Before(n int, do func()) { w.fs.Pause(faultfs.OpMutating, n, do) }

// Whole implements sinktest.World: the files of an epoch are renamed one by one.
func (w *faultLake) Whole() bool { return false }

func (w *faultLake) Ops() int   { return w.fs.Count(faultfs.OpMutating) }
func (w *faultLake) Dead() bool { return w.fs.Crashed() }

func (w *faultLake) Revive(seed int) {
	losses := faultfs.Losses()
	w.fs.Crash(losses[seed%len(losses)], uint64(seed))
}

// Damage implements sinktest.World.
func (w *faultLake) Damage(t testing.TB, staged stream.Staged) bool {
	path := "/lake/" + staged.Name
	data, err := durable.ReadFile(w.fs, path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := w.fs.OpenWrite(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if _, err = f.WriteAt(data, 0); err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return true
}

func (w *faultLake) Staged(t testing.TB) []string { return w.list(t, stagingRoot+"/") }

func (w *faultLake) list(t testing.TB, prefix string) []string {
	names, err := w.files(t).List(context.Background(), prefix)
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func (w *faultLake) Visible(t testing.TB, of table.Name) []record.Offset {
	return visible(t, w.files(t), of)
}

// visible gives the offsets in every file of a table that readers see.
func visible(t testing.TB, files object.Files, of table.Name) []record.Offset {
	names, err := files.List(context.Background(), string(of)+"/")
	if err != nil {
		t.Fatal(err)
	}
	var all []record.Offset
	for _, name := range names {
		if !strings.HasSuffix(name, ".parquet") {
			t.Fatalf("readers see %s", name)
		}
		f, err := files.Open(context.Background(), name)
		if err != nil {
			t.Fatal(err)
		}
		p, err := pq.OpenFile(f, f.Size())
		if err != nil {
			t.Fatalf("readers cannot open %s: %v", name, err)
		}
		for _, g := range p.RowGroups() {
			all = append(all, offsets(t, g)...)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func offsets(t testing.TB, g pq.RowGroup) []record.Offset {
	var all []record.Offset
	pages := g.ColumnChunks()[2].Pages()
	for {
		p, err := pages.ReadPage()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		vals := make([]pq.Value, p.NumValues())
		if n, err := p.Values().ReadValues(vals); n != len(vals) || err != nil && !errors.Is(err, io.EOF) {
			t.Fatalf("%d of %d values: %v", n, len(vals), err)
		}
		for _, v := range vals {
			all = append(all, record.Offset(v.Int64()))
		}
	}
	if err := pages.Close(); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestSuite(t *testing.T) {
	sinktest.Run(t, 1, func(testing.TB) sinktest.World { return &faultLake{faultfs.New()} })
}
