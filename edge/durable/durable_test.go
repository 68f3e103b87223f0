package durable_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"landfall/edge/durable"
	"landfall/edge/durable/faultfs"
)

// eachFS runs a contract test against the real file system and its twin.
func eachFS(t *testing.T, test func(t *testing.T, fsys durable.FS, dir string)) {
	t.Run("os", func(t *testing.T) { test(t, durable.OS{}, t.TempDir()) })
	t.Run("faultfs", func(t *testing.T) {
		fsys := faultfs.New()
		if err := durable.MkdirAllSync(fsys, "/tmp/test"); err != nil {
			t.Fatal(err)
		}
		test(t, fsys, "/tmp/test")
	})
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error %v, want %v", err, want)
	}
}

func TestFileContract(t *testing.T) {
	eachFS(t, func(t *testing.T, fsys durable.FS, dir string) {
		name := filepath.Join(dir, "a")
		_, err := fsys.Open(name)
		wantErr(t, err, fs.ErrNotExist)
		_, err = fsys.OpenWrite(name)
		wantErr(t, err, fs.ErrNotExist)
		f, err := fsys.Create(name)
		check(t, err)
		_, err = fsys.Create(name)
		wantErr(t, err, fs.ErrExist)
		_, err = f.Write([]byte("hello "))
		check(t, err)
		_, err = f.Write([]byte("world"))
		check(t, err)
		_, err = f.WriteAt([]byte("J"), 0)
		check(t, err)
		check(t, f.Sync())
		check(t, f.SyncData())
		size, err := f.Size()
		check(t, err)
		if size != 11 {
			t.Errorf("size %d, want 11", size)
		}
		p := make([]byte, 8)
		n, err := f.ReadAt(p, 6)
		if string(p[:n]) != "world" || err != io.EOF {
			t.Errorf("ReadAt gave %q, %v", p[:n], err)
		}
		check(t, f.Truncate(5))
		check(t, f.Close())
		r, err := fsys.Open(name)
		check(t, err)
		all, err := io.ReadAll(r)
		check(t, err)
		if string(all) != "Jello" {
			t.Errorf("content %q", all)
		}
		if _, err := r.WriteAt([]byte("x"), 0); err == nil {
			t.Error("a file opened for reading was written")
		}
		check(t, r.Close())
	})
}

func TestNamesContract(t *testing.T) {
	eachFS(t, func(t *testing.T, fsys durable.FS, dir string) {
		path := func(name string) string { return filepath.Join(dir, name) }
		check(t, durable.WriteFileAtomic(fsys, path("a"), []byte("one")))
		check(t, fsys.Link(path("a"), path("b")))
		wantErr(t, fsys.Link(path("a"), path("b")), fs.ErrExist)
		check(t, durable.WriteFileAtomic(fsys, path("a"), []byte("two")))
		check(t, fsys.Rename(path("a"), path("c")))
		wantErr(t, fsys.Rename(path("a"), path("c")), fs.ErrNotExist)
		check(t, fsys.Mkdir(path("d")))
		wantErr(t, fsys.Mkdir(path("d")), fs.ErrExist)
		check(t, durable.MkdirAllSync(fsys, path("d/e/f")))
		check(t, durable.MkdirAllSync(fsys, path("d/e/f")))
		if err := durable.MkdirAllSync(fsys, path("b/x")); err == nil {
			t.Error("a directory was made below a file")
		}
		if err := fsys.Remove(path("d")); err == nil {
			t.Error("a full directory was removed")
		}
		check(t, fsys.Remove(path("d/e/f")))
		wantErr(t, fsys.Remove(path("d/e/f")), fs.ErrNotExist)
		check(t, fsys.SyncDir(dir))
		wantErr(t, fsys.SyncDir(path("absent")), fs.ErrNotExist)
		entries, err := fsys.ReadDir(dir)
		check(t, err)
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		if len(names) != 3 || names[0] != "b" || names[1] != "c" || names[2] != "d" || !entries[2].IsDir() {
			t.Errorf("names %v", names)
		}
		for name, want := range map[string]string{"b": "one", "c": "two"} {
			got, err := durable.ReadFile(fsys, path(name))
			check(t, err)
			if string(got) != want {
				t.Errorf("%s holds %q, want %q", name, got, want)
			}
		}
		info, err := fsys.Stat(path("c"))
		check(t, err)
		if info.Size() != 3 || info.IsDir() {
			t.Errorf("stat gave %d bytes", info.Size())
		}
		if free, err := fsys.Free(dir); err != nil || free == 0 {
			t.Errorf("free space %d, %v", free, err)
		}
	})
}

func TestLockContract(t *testing.T) {
	eachFS(t, func(t *testing.T, fsys durable.FS, dir string) {
		name := filepath.Join(dir, "lock")
		l, err := fsys.Lock(name)
		check(t, err)
		_, err = fsys.Lock(name)
		wantErr(t, err, durable.ErrLocked)
		check(t, l.Close())
		check(t, l.Close())
		l, err = fsys.Lock(name)
		check(t, err)
		check(t, l.Close())
	})
}

// TestWriteFileAtomicUnderFaults crashes at each operation, in each loss: the
// content is the old one or the new one, and the new one once it was told.
func TestWriteFileAtomicUnderFaults(t *testing.T) {
	old, new := bytes.Repeat([]byte("old "), 3000), bytes.Repeat([]byte("new!"), 4000)
	for _, mode := range faultfs.Modes() {
		for _, loss := range faultfs.Losses() {
			for k := 1; ; k++ {
				fsys := faultfs.New()
				check(t, durable.MkdirAllSync(fsys, "/d"))
				check(t, durable.WriteFileAtomic(fsys, "/d/f", old))
				fsys.Script(faultfs.Fault{On: faultfs.OpMutating, N: k, Mode: mode})
				err := durable.WriteFileAtomic(fsys, "/d/f", new)
				hits := fsys.Hits()
				fsys.Crash(loss, uint64(k))
				got, readErr := durable.ReadFile(fsys, "/d/f")
				check(t, readErr)
				if !bytes.Equal(got, new) && (err == nil || !bytes.Equal(got, old)) {
					t.Errorf("op %d %s, %s: %d bytes that are neither, error was %v", k, mode, loss, len(got), err)
				}
				check(t, durable.WriteFileAtomic(fsys, "/d/f", new))
				if hits == 0 {
					break
				}
			}
		}
	}
}

// TestDropCachedLosesNothing: what was synced is read again.
func TestDropCachedLosesNothing(t *testing.T) {
	eachFS(t, func(t *testing.T, fsys durable.FS, dir string) {
		name := filepath.Join(dir, "f")
		f, err := fsys.Create(name)
		check(t, err)
		want := bytes.Repeat([]byte("landfall"), 100_000)
		_, err = f.Write(want)
		check(t, errors.Join(err, f.Sync(), f.Close()))
		f, err = fsys.Open(name)
		check(t, err)
		durable.DropCached(f)
		got, err := io.ReadAll(f)
		check(t, errors.Join(err, f.Close()))
		if !bytes.Equal(got, want) {
			t.Errorf("%d bytes of %d", len(got), len(want))
		}
	})
}

// TestReadFileIsBounded: a size that nothing fills is not allocated.
func TestReadFileIsBounded(t *testing.T) {
	name := filepath.Join(t.TempDir(), "sparse")
	f, err := durable.OS{}.Create(name)
	check(t, err)
	check(t, errors.Join(f.Truncate(1<<42), f.Close()))
	for _, read := range []func() ([]byte, error){
		func() ([]byte, error) { return durable.ReadFile(durable.OS{}, name) },
		func() ([]byte, error) { return durable.ReadFileUpTo(durable.OS{}, name, 1<<42-1) },
	} {
		if p, err := read(); !errors.Is(err, durable.ErrTooLarge) {
			t.Errorf("%d bytes, %v", len(p), err)
		}
	}
	check(t, os.WriteFile(name, []byte("four"), 0o600))
	if p, err := durable.ReadFileUpTo(durable.OS{}, name, 4); string(p) != "four" || err != nil {
		t.Errorf("%q, %v", p, err)
	}
}
