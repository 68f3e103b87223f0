package source

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"
)

// openRotated looks beside the path for the file that at is of; nil without an
// error when it is not there.
func (f *File) openRotated(at filePosition) (*fileReader, error) {
	siblings, err := f.siblings()
	if err != nil {
		return nil, err
	}
	for _, e := range siblings {
		path := filepath.Join(filepath.Dir(f.cfg.Path), e.Name())
		r, err := f.openAt(path, at, true)
		if r == nil || err != nil {
			continue // another file, gone again, or no gzip after all
		}
		f.log(slog.LevelInfo, "file was rotated: reading the rest of the old one", "path", path, "position", at.offset)
		return r, nil
	}
	return nil, nil
}

// rotatedAfter gives the sibling that was rotated next after path, by the time
// of last writing; empty when there is none.
func (f *File) rotatedAfter(path string) (string, error) {
	siblings, err := f.siblings()
	if err != nil {
		return "", err
	}
	this, err := f.cfg.FS.Stat(path)
	if err != nil {
		return "", fmt.Errorf("look at rotated file %s: %w", path, err)
	}
	var next fs.FileInfo
	for _, e := range siblings {
		info, err := e.Info()
		if err != nil || !info.ModTime().After(this.ModTime()) {
			continue
		}
		if next == nil || info.ModTime().Before(next.ModTime()) {
			next = info
		}
	}
	if next == nil {
		return "", nil
	}
	return filepath.Join(filepath.Dir(f.cfg.Path), next.Name()), nil
}

// siblings lists the files beside the path that are named like rotated copies
// of it: the path's name, then numbers, dates and dots, perhaps .gz.
func (f *File) siblings() ([]fs.DirEntry, error) {
	all, err := f.cfg.FS.ReadDir(filepath.Dir(f.cfg.Path))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("look for rotated files of %s: %w", f.cfg.Path, err)
	}
	var found []fs.DirEntry
	for _, e := range all {
		suffix, ok := strings.CutPrefix(e.Name(), filepath.Base(f.cfg.Path))
		suffix = strings.TrimSuffix(suffix, ".gz")
		if ok && suffix != "" && !e.IsDir() && strings.Trim(suffix, "0123456789.-_TZ") == "" {
			found = append(found, e)
		}
	}
	return found, nil
}
