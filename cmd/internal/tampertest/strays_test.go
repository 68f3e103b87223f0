//go:build unix

package tampertest

import (
	"errors"
	"net"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"landfall/cmd/internal/cli"
	"landfall/engine/repair"
	"landfall/engine/table"
)

// TestRepairMovesWhatReadersRead: what some reader of a table would read beside
// the published files is moved to _quarantine, whatever it is called and whatever
// it is; what no reader reads stays; nothing hangs.
func TestRepairMovesWhatReadersRead(t *testing.T) {
	good := shared.good(t, 3_000)
	content, err := os.ReadFile((&Bench{TB: t, Lake: good}).Path(middle(&Bench{TB: t, Lake: good}, table.Record)))
	must(t, err)
	file := func(name string) func(b *Bench, day string) string {
		return func(b *Bench, day string) string {
			Write(b, b.Path(path.Join(day, name)), content)
			return path.Join(day, name)
		}
	}
	special := func(name string, make func(path string) error) func(b *Bench, day string) string {
		return func(b *Bench, day string) string {
			name := path.Join(day, name)
			if err := make(b.Path(name)); errors.Is(err, syscall.EPERM) {
				b.Skip(err)
			} else {
				must(b, err)
			}
			return name
		}
	}
	pipe := func(path string) error { return syscall.Mkfifo(path, 0o644) }
	socket := func(path string) error {
		dir, err := os.MkdirTemp("", "s") // the path of a socket is short
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(dir) }()
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "s")})
		if err != nil {
			return err
		}
		l.SetUnlinkOnClose(false)
		return errors.Join(l.Close(), os.Rename(filepath.Join(dir, "s"), path))
	}
	for what, tt := range map[string]struct {
		do    func(b *Bench, day string) string
		stays bool
	}{
		"a backup":                    {file("x.parquet.bak"), false},
		"another ending":              {file("x.PARQUET"), false},
		"no ending":                   {file("part-0"), false},
		"in a folder with the ending": {file("d.parquet/part-0"), false},
		"deeper":                      {file("a/b/c.txt"), false},
		"hidden with the ending":      {file("_x.parquet"), false},
		"a dot and the ending":        {file(".x.parquet"), false},
		"hidden":                      {file("_SUCCESS"), true},
		"a dot":                       {file(".x.crc"), true},
		"deep in a hidden folder":     {file("_a/b/x.parquet"), true},
		"a pipe":                      {special("x.parquet", pipe), false},
		"a pipe without the ending":   {special("x", pipe), false},
		"a hidden pipe":               {special("_x", pipe), true},
		"a socket":                    {special("x.parquet", socket), false},
		"a device":                    {special("x.parquet", func(path string) error { return syscall.Mknod(path, syscall.S_IFCHR|0o600, 0x0103) }), false},
		"a link that leads nowhere":   {special("x.parquet", func(path string) error { return os.Symlink("nowhere", path) }), false},
		"a link to itself":            {special("x.parquet", func(path string) error { return os.Symlink(path, path) }), false},
		"a link to a published file": {func(b *Bench, day string) string {
			must(b, os.Symlink(b.Path(middle(b, table.Record)), b.Path(path.Join(day, "x.parquet"))))
			return path.Join(day, "x.parquet")
		}, false},
		"a link to its folder":  {special("x", func(path string) error { return os.Symlink(".", path) }), false},
		"a name with a newline": {file("x.parquet\nEXACT"), false},
	} {
		t.Run(what, func(t *testing.T) {
			b := NewBench(t, good)
			day := path.Dir(middle(b, table.Record))
			name := tt.do(b, day)
			code, r := b.repairs(fromNothing)
			moved := slices.ContainsFunc(r.Actions, func(a repair.Action) bool {
				return a.Kind == repair.Aside && (a.File == name || a.File == path.Dir(name))
			})
			_, err := os.Lstat(b.Path(name))
			if code != 0 || len(r.Left) > 0 || moved == tt.stays || (err == nil) != tt.stays {
				t.Errorf("exit code %d, moved: %v, is there: %v; %+v %+v", code, moved, err == nil, r.Result, r.Audit.Findings)
			}
			if other := differing(t, good.Dir, b.Dir); len(other) > 0 {
				t.Errorf("other files than before: %v", other)
			}
			if code, r := b.repairs(fromNothing); code != 0 || len(r.Actions) > 0 {
				t.Errorf("again: exit code %d: %+v", code, r.Result)
			}
		})
	}
	for what, make := range map[string]func(path string) error{
		"a pipe": pipe, "a socket": socket,
		"a link that leads nowhere": func(path string) error { return os.Symlink("nowhere", path) },
		"an empty folder":           func(path string) error { return os.Mkdir(path, 0o755) },
		"a folder": func(path string) error {
			return errors.Join(os.Mkdir(path, 0o755), os.WriteFile(filepath.Join(path, "part-0"), content, 0o644))
		},
	} {
		t.Run("in the place of a file "+what, func(t *testing.T) {
			b := NewBench(t, good)
			name := middle(b, table.AISPosition)
			b.Remove(name)
			must(t, make(b.Path(name)))
			if code, r := b.repairs(fromNothing, "--dry-run"); code == 0 || len(r.Actions) != 2 {
				t.Errorf("a dry run: exit code %d, %+v", code, r.Result)
			}
			if code, r := b.repairs(fromEdge); code != 0 || r.kinds()[repair.Restored] != 1 || r.kinds()[repair.Aside] != 1 {
				t.Errorf("exit code %d: %+v", code, r.Result)
			}
			if other := differing(t, good.Dir, b.Dir); len(other) > 0 {
				t.Errorf("other files than before: %v", other)
			}
		})
		t.Run("in the place of a day "+what, func(t *testing.T) {
			b := NewBench(t, good)
			day := path.Dir(middle(b, table.AISPosition))
			b.Remove(day)
			must(t, make(b.Path(day)))
			if code, r := b.repairs(fromEdge); code != 0 || r.kinds()[repair.Restored] == 0 || r.kinds()[repair.Aside] > 1 {
				t.Errorf("exit code %d: %+v", code, r.Result)
			}
			if other := differing(t, good.Dir, b.Dir); len(other) > 0 {
				t.Errorf("other files than before: %v", other)
			}
		})
	}
}

// TestRepairPrintsNamesQuoted: a name of a lake cannot write a line of its own into
// the result, and what is left has a name.
func TestRepairPrintsNamesQuoted(t *testing.T) {
	good := shared.good(t, 3_000)
	b := NewBench(t, good)
	Write(b, b.Path(path.Join(path.Dir(middle(b, table.Record)), "x.parquet\nEXACT at level bytes\x1b[2J")), []byte("x"))
	b.Remove(entryObject(b, 2), entryObject(b, 3)) // of two that follow each other nothing is to be had
	for _, more := range [][]string{{"--dry-run"}, nil} {
		code, out, _ := engine(t, append([]string{"repair", "--lake", b.Dir}, more...)...)
		if code != cli.ExitData || strings.Contains(out, "\nEXACT") || strings.Contains(out, "\x1b") || !strings.Contains(out, `x.parquet\nEXACT`) {
			t.Errorf("exit code %d:\n%s", code, out)
		}
		if !strings.Contains(out, "left "+Task(0).String()+"/ledger/") || strings.Contains(out, "left :") || !strings.Contains(out, "level bytes") {
			t.Errorf("no name of what is left, or no audit:\n%s", out)
		}
	}
}

// TestRepairFollowsADayThatLiesElsewhere: a day that is a link to a folder on
// another disk is read through it, and stays where it is.
func TestRepairFollowsADayThatLiesElsewhere(t *testing.T) {
	good := shared.good(t, 3_000)
	b := NewBench(t, good)
	name := middle(b, table.AISPosition)
	day, other := b.Path(path.Dir(name)), filepath.Join(t.TempDir(), "other")
	must(t, errors.Join(os.Rename(day, other), os.Symlink(other, day)))
	b.Remove(name)
	code, r := b.repairs(fromEdge)
	if code != 0 || r.kinds()[repair.Restored] != 1 || r.kinds()[repair.Aside] != 0 {
		t.Errorf("exit code %d: %+v", code, r.Result)
	}
	if names := differing(t, good.Dir, b.Dir); len(names) > 0 || strings.Contains(r.Lake, "other") {
		t.Errorf("other files than before: %v", names)
	}
}
