package tampertest

import (
	"cmp"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	pq "github.com/parquet-go/parquet-go"

	"landfall/engine/table"
)

// Victim says where a lake was tampered with, as far as an audit can name it.
// What is empty is not to be named.
type Victim struct {
	Task    string
	Table   string
	File    string // relative to the lake, or to the checkpoints
	Gateway string
	Log     string
	Offset  string
	Column  string
}

// Bench is a copy of a lake that may be damaged.
type Bench struct {
	testing.TB
	*Lake
}

// NewBench makes a copy of a lake's tables and checkpoints in a directory that
// goes with the test. What the gateways keep is not copied.
func NewBench(t testing.TB, l *Lake) *Bench {
	t.Helper()
	dir := t.TempDir()
	Copy(t, l.Dir, filepath.Join(dir, "lake"))
	own := *l
	own.Dir = filepath.Join(dir, "lake")
	return &Bench{TB: t, Lake: &own}
}

// Path returns where a file of the lake lies.
func (b *Bench) Path(name string) string { return filepath.Join(b.Dir, filepath.FromSlash(name)) }

// Table lists the published files of a table, sorted.
func (b *Bench) Table(t table.Name) []string {
	b.Helper()
	return Files(b, b.Dir, string(t)+"/dt=*/*.parquet")
}

// Large returns the largest file of a table.
func (b *Bench) Large(t table.Name) string {
	b.Helper()
	return slices.MaxFunc(b.Table(t), func(x, y string) int { return cmp.Compare(b.size(x), b.size(y)) })
}

func (b *Bench) size(name string) int64 {
	info, err := os.Stat(b.Path(name))
	must(b, err)
	return info.Size()
}

// Remove removes files of the lake.
func (b *Bench) Remove(names ...string) {
	b.Helper()
	for _, name := range names {
		must(b, os.RemoveAll(b.Path(name)))
	}
}

// Move renames a file of the lake.
func (b *Bench) Move(from, to string) {
	b.Helper()
	must(b, os.MkdirAll(filepath.Dir(b.Path(to)), 0o755))
	must(b, os.Rename(b.Path(from), b.Path(to)))
}

// Edit changes the rows of a file and says which file it was.
func (b *Bench) Edit(name string, edit func(r *Rows)) Victim {
	b.Helper()
	r := ReadRows(b, b.Path(name))
	edit(r)
	r.Replace(b.Path(name))
	return Victim{Table: path.Dir(path.Dir(name)), File: name}
}

// SetValue changes the value of the first row with one in the largest file of a
// table.
func (b *Bench) SetValue(t table.Name, column string, change func(pq.Value) pq.Value) Victim {
	b.Helper()
	var at Victim
	v := b.Edit(b.Large(t), func(r *Rows) {
		row := r.Find(column, nil)
		r.Set(row, column, change(r.Get(row, column)))
		at = r.at(row)
	})
	v.Gateway, v.Log, v.Offset = at.Gateway, at.Log, at.Offset
	return v
}

// at says which record a row belongs to.
func (r *Rows) at(row int) Victim {
	return Victim{Gateway: r.Get(row, "_gateway").String(), Log: r.Get(row, "_log").String(), Offset: r.Get(row, "_offset").String()}
}

// Delete removes the rows that a test accepts.
func (r *Rows) Delete(drop func(row pq.Row) bool) { r.Rows = slices.DeleteFunc(r.Rows, drop) }

// EveryTable calls edit with the rows of every file of every table whose rows
// name a record, and writes those files again whose rows changed in number; one
// without rows goes.
func (b *Bench) EveryTable(edit func(t table.Name, r *Rows)) {
	b.Helper()
	for _, t := range table.Names() {
		if t == table.Log {
			continue
		}
		for _, name := range b.Table(t) {
			r := ReadRows(b, b.Path(name))
			before := len(r.Rows)
			edit(t, r)
			switch {
			case len(r.Rows) == 0:
				b.Remove(name)
			case len(r.Rows) != before:
				r.Replace(b.Path(name))
			}
		}
	}
}

// taskOf returns the task that published a file.
func taskOf(name string) string {
	parts := strings.Split(path.Base(name), "-")
	return strings.Join(parts[:2], "-")
}

// neighbours returns two names of one folder.
func neighbours(names []string) (x, y string) {
	for i := 1; i < len(names); i++ {
		if path.Dir(names[i]) == path.Dir(names[i-1]) {
			return names[i-1], names[i]
		}
	}
	return names[0], names[1]
}
