package object_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"landfall/edge/durable"
	"landfall/engine/checkpoint"
	"landfall/engine/stream"
	"landfall/sinks/object"
)

func openLake(t *testing.T, path string) *object.Lake {
	t.Helper()
	l, err := object.OpenLake(durable.OS{}, path)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func sum(content string) string {
	h := sha256.Sum256([]byte(content))
	return hex.EncodeToString(h[:])
}

// output is what a manifest would say of a staged file.
func output(staged, target, content string) stream.Staged {
	return stream.Staged{Name: staged, Target: target, Bytes: int64(len(content)), SHA256: sum(content)}
}

func stage(t *testing.T, l object.Files, name, content string) {
	t.Helper()
	f, err := l.Create(t.Context(), name, "t/x")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, l object.Files, name string) string {
	t.Helper()
	f, err := l.Open(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, f.Size())
	if _, err := f.ReadAt(data, 0); err != nil && len(data) > 0 {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestPublishIsRepeatable(t *testing.T) {
	ctx := t.Context()
	l := openLake(t, t.TempDir())
	stage(t, l, "_staging/task/c/1", "rows")
	for range 3 {
		if err := l.Publish(ctx, output("_staging/task/c/1", "table/dt=2024-01-01/1", "rows")); err != nil {
			t.Fatal(err)
		}
	}
	names, err := l.List(ctx, "")
	if err != nil || strings.Join(names, " ") != "table/dt=2024-01-01/1" {
		t.Fatalf("%v %v", names, err)
	}
	if got := read(t, l, "table/dt=2024-01-01/1"); got != "rows" {
		t.Fatalf("published %q", got)
	}
}

func TestPublishNeverReplaces(t *testing.T) {
	ctx := t.Context()
	l := openLake(t, t.TempDir())
	stage(t, l, "s/1", "mine")
	stage(t, l, "t/1", "theirs")
	if err := l.Publish(ctx, output("s/1", "t/1", "mine")); !errors.Is(err, object.ErrContent) {
		t.Fatalf("other content: %v", err)
	}
	if read(t, l, "t/1") != "theirs" || read(t, l, "s/1") != "mine" {
		t.Fatal("touched")
	}
	if err := l.Publish(ctx, output("s/2", "t/2", "")); !errors.Is(err, checkpoint.ErrNotExist) {
		t.Fatalf("neither there: %v", err)
	}
	if _, err := l.Create(ctx, "s/1", "t/1"); !errors.Is(err, checkpoint.ErrExist) {
		t.Fatalf("create over a staged file: %v", err)
	}
}

func TestPublishWhileAnotherStillHoldsTheStagedName(t *testing.T) {
	l := openLake(t, t.TempDir())
	stage(t, l, "s/1", "rows")
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() { errs[i] = l.Publish(t.Context(), output("s/1", "t/1", "rows")) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func TestLakeSweepRemovesEmptyFolders(t *testing.T) {
	ctx, root := t.Context(), t.TempDir()
	l := openLake(t, root)
	for _, claim := range []string{"old", "older", "now"} {
		stage(t, l, "_staging/task/"+claim+"/1", claim)
	}
	for _, name := range []string{"_staging/task/old/1", "_staging/task/older/1"} {
		if err := l.Remove(ctx, name); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Sweep(ctx, "_staging/task/"); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(filepath.Join(root, "_staging", "task"))
	if err != nil || len(entries) != 1 || entries[0].Name() != "now" {
		t.Fatalf("%v %v", entries, err)
	}
	stage(t, l, "_staging/task/old/2", "again")
}

// TestAPipeUnderATargetsName is refused at once, and so is a folder: a pipe would be
// opened when somebody writes into it.
func TestAPipeUnderATargetsName(t *testing.T) {
	dir := t.TempDir()
	l, err := object.OpenLake(durable.OS{}, dir)
	if err != nil {
		t.Fatal(err)
	}
	staged := stream.Staged{Name: "_staging/t/1", Target: "out/1", Bytes: 1, SHA256: strings.Repeat("a", 64)}
	path := filepath.Join(dir, "out", "1")
	for what, make := range map[string]func() error{
		"a pipe":   func() error { return syscall.Mkfifo(path, 0o600) },
		"a folder": func() error { return os.Mkdir(path, 0o700) },
	} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), make()); err != nil {
			t.Fatal(err)
		}
		_, opened := l.Open(t.Context(), staged.Target)
		for call, err := range map[string]error{
			"publish": l.Publish(t.Context(), staged), "verify": l.Verify(t.Context(), staged), "open": opened,
			"replace": l.Replace(t.Context(), staged, strings.Repeat("b", 64)),
		} {
			if !errors.Is(err, stream.ErrContent) || !strings.Contains(err.Error(), "no regular file") {
				t.Errorf("%s of %s: %v", call, what, err)
			}
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}
