package tampertest

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Copy makes a copy of a directory in which every file shares its bytes with
// the original. Files are to be replaced, never written in place: see Write.
// Lock files are made new, so that copies do not wait for each other.
func Copy(t testing.TB, from, to string) {
	t.Helper()
	must(t, filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		switch {
		case d.IsDir():
			return os.MkdirAll(target, 0o755)
		case strings.HasPrefix(d.Name(), ".") || strings.HasSuffix(d.Name(), ".lock"):
			return os.WriteFile(target, nil, 0o644)
		}
		return os.Link(path, target)
	}))
}

// Write replaces a file of a copy.
func Write(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, data, 0o644))
}

// Files lists what is below a directory and matches a pattern of
// filepath.Match, relative to it, sorted.
func Files(t testing.TB, dir, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	must(t, err)
	for i, name := range names {
		rel, err := filepath.Rel(dir, name)
		must(t, err)
		names[i] = filepath.ToSlash(rel)
	}
	return names
}
