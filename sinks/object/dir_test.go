package object_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"landfall/edge/durable"
	"landfall/engine/checkpoint"
	"landfall/sinks/object"
)

func openDir(t *testing.T, path string) *object.Dir {
	t.Helper()
	d, err := object.OpenDir(durable.OS{}, path)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestSelfTestPasses(t *testing.T) {
	root := t.TempDir()
	if err := object.SelfTest(t.Context(), openDir(t, root)); err != nil {
		t.Fatal(err)
	}
	left, err := openDir(t, root).List(t.Context(), "")
	if err != nil || len(left) != 0 {
		t.Fatalf("self-test left %v, %v", left, err)
	}
}

// blindStore swaps without comparing, or creates over what is there.
type blindStore struct {
	checkpoint.Store
	swap, create bool
}

func (b blindStore) Swap(ctx context.Context, name string, old checkpoint.Version, data []byte) (checkpoint.Version, error) {
	if b.swap {
		_, v, err := b.Store.Read(ctx, name)
		if err != nil && !errors.Is(err, checkpoint.ErrNotExist) {
			return "", err
		}
		old = v
	}
	return b.Store.Swap(ctx, name, old, data)
}

func (b blindStore) Create(ctx context.Context, name string, data []byte) error {
	if b.create {
		if err := b.Store.Delete(ctx, name); err != nil {
			return err
		}
	}
	return b.Store.Create(ctx, name, data)
}

func TestSelfTestRefusesABlindStore(t *testing.T) {
	for _, b := range []blindStore{{swap: true}, {create: true}} {
		b.Store = openDir(t, t.TempDir())
		if err := object.SelfTest(t.Context(), b); !errors.Is(err, object.ErrUnfit) {
			t.Errorf("swap %v create %v: %v", b.swap, b.create, err)
		}
	}
}

func TestDirKeepsItsPromises(t *testing.T) {
	ctx := t.Context()
	d := openDir(t, filepath.Join(t.TempDir(), "new", "parents"))
	if _, _, err := d.Read(ctx, "a/HEAD"); !errors.Is(err, checkpoint.ErrNotExist) {
		t.Fatalf("read absent: %v", err)
	}
	if err := d.Settle(ctx, "a/HEAD"); !errors.Is(err, checkpoint.ErrNotExist) {
		t.Fatalf("settle absent: %v", err)
	}
	if _, err := d.Swap(ctx, "a/HEAD", "some", nil); !errors.Is(err, checkpoint.ErrChanged) {
		t.Fatalf("swap absent from a version: %v", err)
	}
	for _, name := range []string{"a/state/2", "a/state/1", "ab/state/1", "a/manifest/1"} {
		if err := d.Create(ctx, name, []byte(name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Create(ctx, "a/state/1", []byte("a/state/1")); !errors.Is(err, checkpoint.ErrExist) {
		t.Fatalf("create twice: %v", err)
	}
	v, err := d.Swap(ctx, "a/HEAD", "", []byte("1"))
	if err != nil {
		t.Fatal(err)
	}
	data, have, err := d.Read(ctx, "a/HEAD")
	if err != nil || !bytes.Equal(data, []byte("1")) || have != v {
		t.Fatalf("read %q %q %v", data, have, err)
	}
	if err := d.Settle(ctx, "a/HEAD"); err != nil {
		t.Fatal(err)
	}
	for prefix, want := range map[string]string{
		"a/": "a/HEAD a/manifest/1 a/state/1 a/state/2", "a/state/": "a/state/1 a/state/2", "a/state/2": "a/state/2", "absent/": "",
	} {
		names, err := d.List(ctx, prefix)
		if err != nil || strings.Join(names, " ") != want {
			t.Errorf("list %q: %v %v", prefix, names, err)
		}
	}
	for range 2 {
		if err := d.Delete(ctx, "a/state/1"); err != nil {
			t.Fatal(err)
		}
	}
}

// TestALockThatIsNotLetGoIsTold: a process that was stopped in the middle of a swap keeps
// the lock, and whoever waits says so; when it goes on, all is well.
func TestALockThatIsNotLetGoIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := t.TempDir()
		dir := openDir(t, root)
		if err := dir.Create(t.Context(), "a/HEAD", []byte("1")); err != nil {
			t.Fatal(err)
		}
		folder := filepath.Join(root, "a")
		other, err := durable.OS{}.Lock(filepath.Join(folder, ".lock"))
		if err != nil {
			t.Fatal(err)
		}
		_, version, err := dir.Read(t.Context(), "a/HEAD")
		if err != nil {
			t.Fatal(err)
		}
		swap := func() error {
			_, err := dir.Swap(t.Context(), "a/HEAD", version, []byte("2"))
			return err
		}
		for what, do := range map[string]func() error{
			"swap":   swap,
			"settle": func() error { return dir.Settle(t.Context(), "a/HEAD") },
		} {
			ended := make(chan error, 1)
			go func() { ended <- do() }()
			select {
			case err = <-ended:
			case <-time.After(time.Hour):
				t.Fatalf("%s waits for ever", what)
			}
			if !errors.Is(err, durable.ErrLocked) || !strings.Contains(err.Error(), folder) || !strings.Contains(err.Error(), "hangs") {
				t.Errorf("%s: %v", what, err)
			}
		}
		if err := other.Close(); err != nil {
			t.Fatal(err)
		}
		if err := swap(); err != nil {
			t.Error(err)
		}
	})
}

func TestNamesCannotLeaveTheRoot(t *testing.T) {
	d := openDir(t, t.TempDir())
	for _, name := range []string{"", "/etc/passwd", "../x", "a/../b", "a//b", "a/.tmp-1", ".lock", "a\\b", "a\x00b", "a/"} {
		if err := d.Create(t.Context(), name, nil); !errors.Is(err, object.ErrName) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestSweepTakesOnlyLeftovers(t *testing.T) {
	ctx, root := t.Context(), t.TempDir()
	d := openDir(t, root)
	for _, task := range []string{"a", "b"} {
		if err := d.Create(ctx, task+"/state/1", nil); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, task, "state", ".tmp-0123"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Sweep(ctx, "a/"); err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, task := range []string{"a", "b"} {
		entries, err := os.ReadDir(filepath.Join(root, task, "state"))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			left = append(left, task+e.Name())
		}
	}
	if want := []string{"a1", "b.tmp-0123", "b1"}; !slices.Equal(left, want) {
		t.Fatalf("left %v, want %v", left, want)
	}
}

// noLinks is a file system without hard links.
type noLinks struct{ durable.OS }

func (noLinks) Link(string, string) error { return errors.ErrUnsupported }

func TestWithoutHardLinks(t *testing.T) {
	ctx := t.Context()
	d, err := object.OpenDir(noLinks{}, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := object.SelfTest(ctx, d); err != nil {
		t.Fatal(err)
	}
	l, err := object.OpenLake(noLinks{}, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	stage(t, l, "s/1", "x")
	for range 2 {
		if err := l.Publish(ctx, output("s/1", "t/1", "x")); err != nil {
			t.Fatal(err)
		}
	}
}

func TestListHidesWhatIsNotAnObject(t *testing.T) {
	ctx := t.Context()
	d := openDir(t, t.TempDir())
	if _, err := d.Swap(ctx, "a/HEAD", "", []byte("1")); err != nil {
		t.Fatal(err)
	}
	names, err := d.List(ctx, "")
	if err != nil || fmt.Sprint(names) != "[a/HEAD]" {
		t.Fatalf("%v %v", names, err)
	}
}

// TestAFileIsNoFolder: below the name of a file there is nothing, which is no error.
func TestAFileIsNoFolder(t *testing.T) {
	d := openDir(t, t.TempDir())
	if err := d.Create(t.Context(), "t", nil); err != nil {
		t.Fatal(err)
	}
	names, err := d.List(t.Context(), "t/")
	_, _, readErr := d.Read(t.Context(), "t/x")
	if len(names) > 0 || err != nil || !errors.Is(readErr, checkpoint.ErrNotExist) {
		t.Errorf("%v, %v, %v", names, err, readErr)
	}
}
