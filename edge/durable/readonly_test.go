package durable

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// TestReadOnly: files are read beside their owner, and nothing changes.
func TestReadOnly(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "a")
	if err := os.WriteFile(name, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	owner, err := OS{}.Lock(filepath.Join(dir, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = owner.Close() }()
	r := ReadOnly(OS{})
	beside, err := r.Lock(filepath.Join(dir, "lock"))
	if err != nil || beside.Close() != nil {
		t.Errorf("lock: %v", err)
	}
	f, err := r.OpenWrite(name)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := io.ReadAll(f); err != nil || string(p) != "content" {
		t.Errorf("read %q, %v", p, err)
	}
	_, errWrite := f.Write([]byte("x"))
	_, errAt := f.WriteAt([]byte("x"), 0)
	_, errCreate := r.Create(filepath.Join(dir, "b"))
	for what, err := range map[string]error{
		"write": errWrite, "write at": errAt, "truncate": f.Truncate(0), "create": errCreate,
		"rename": r.Rename(name, name+"2"), "link": r.Link(name, name+"2"), "mkdir": r.Mkdir(filepath.Join(dir, "d")),
	} {
		if !errors.Is(err, ErrReadOnly) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, err := range map[string]error{"sync": f.Sync(), "sync data": f.SyncData(), "close": f.Close(), "remove": r.Remove(name), "sync directory": r.SyncDir(dir)} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if p, err := os.ReadFile(name); err != nil || string(p) != "content" {
		t.Errorf("%q, %v", p, err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("%v, %v", entries, err)
	}
}
