package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"landfall/edge/durable"
)

type sample struct {
	Name    string        `yaml:"name"`
	Every   time.Duration `yaml:"every"`
	Size    Bytes         `yaml:"size"`
	On      bool          `yaml:"on"`
	Count   int           `yaml:"count"`
	Port    uint32        `yaml:"port"`
	Sources []sampleItem  `yaml:"sources"`
	Link    sampleItem    `yaml:"link"`
	Extra   *sampleItem   `yaml:"extra"`
	Hidden  string
}

type sampleItem struct {
	URL  string   `yaml:"url"`
	Tags []string `yaml:"tags"`
}

func TestFillsEveryKindAndLeavesDefaults(t *testing.T) {
	c := sample{Every: time.Minute, Count: 7}
	f, err := Parse("e.yaml", []byte(`
name: ship
size: 1.5MiB
on: true
port: 10110
sources:
  - url: a
    tags: [x, y]
  - url: b
link:
extra: {url: c}
`), &c)
	if err != nil {
		t.Fatal(err)
	}
	if c.Name != "ship" || c.Size != 3<<19 || !c.On || c.Port != 10110 || c.Every != time.Minute || c.Count != 7 {
		t.Errorf("got %+v", c)
	}
	if len(c.Sources) != 2 || c.Sources[0].Tags[1] != "y" || c.Sources[1].URL != "b" || c.Extra == nil || c.Extra.URL != "c" {
		t.Errorf("got %+v", c)
	}
	var p Problems
	p.Add(false, "sources[1].url", `"b"`, "a URL")
	p.Add(false, "link.url", "", "a URL")
	p.Add(false, "nowhere", "", "something")
	p.Add(true, "name", "", "never reported")
	want := "e.yaml:9: sources[1].url: got \"b\", expected a URL\ne.yaml:10: link.url: expected a URL\ne.yaml: nowhere: expected something"
	if got := f.Locate(p.Err()).Error(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if (&Problems{}).Err() != nil || f.Locate(nil) != nil {
		t.Error("no problems gave an error")
	}
}

func TestRefusesWithLineKeyAndWhatWasExpected(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"name: a\nnmae: b", "e.yaml:2: nmae: got an unknown key, expected one of count, every, extra, link, name, on, port, size, sources"},
		{"name: a\nname: b", "e.yaml:2: name: got the key a second time, expected it once"},
		{"every: 250", `e.yaml:1: every: got "250", expected a time with its unit, like 250ms, 30s or 5m`},
		{"every: 0", `e.yaml:1: every: got "0", expected a time with its unit, like 250ms, 30s or 5m`},
		{"every: 64KiB", `e.yaml:1: every: got "64KiB", expected a time`},
		{"size: 64", `e.yaml:1: size: got "64", expected a size with its unit, like 64KiB, 16MiB or 2GiB`},
		{"size: 5m", `e.yaml:1: size: got "5m", expected a size`},
		{"size: -1KiB", `e.yaml:1: size: got "-1KiB", expected a size`},
		{"size: NaNKiB", `e.yaml:1: size: got "NaNKiB", expected a size`},
		{"size: 1e300TiB", `e.yaml:1: size: got "1e300TiB", expected a size`},
		{"size:", "e.yaml:1: size: got nothing, expected a size"},
		{"on: yes", `e.yaml:1: on: got "yes", expected true or false`},
		{"count: 1.5", `e.yaml:1: count: got "1.5", expected a whole number`},
		{"port: -1", `e.yaml:1: port: got "-1", expected a whole number`},
		{"port: 4294967296", `expected a whole number`},
		{"sources: {url: a}", "e.yaml:1: sources: got keys and values, expected a list"},
		{"sources:\n  - url: a\n    x: b", "e.yaml:3: sources[0].x: got an unknown key, expected one of tags, url"},
		{"link: 3", `e.yaml:1: link: got "3", expected keys and values`},
		{"name: [a]", "e.yaml:1: name: got a list, expected text"},
		{"a: b: c", "e.yaml:1: expected YAML: "},
		{"- a", "e.yaml:1: got a list, expected keys and values"},
		{"Hidden: x", "e.yaml:1: Hidden: got an unknown key"},
	} {
		_, err := Parse("e.yaml", []byte(c.in), &sample{})
		if err == nil {
			t.Errorf("%q was accepted", c.in)
			continue
		}
		if !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: error does not wrap ErrInvalid: %v", c.in, err)
		}
		if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q:\n got %s\nwant %s", c.in, err, c.want)
		}
	}
}

// TestRefusalsHidePasswords: what is refused is logged, and a URL's password is
// not for those who read logs.
func TestRefusalsHidePasswords(t *testing.T) {
	for _, url := range []string{"http://user:secret@host:1/", "user://:secret@", "http://user:a/b secret@host", "mqtt://secret@host/a@b"} {
		for _, err := range []error{&FieldError{Key: "k", Got: strconv.Quote(url), Want: "x"}, &Error{File: "f", Got: url, Want: "x"}} {
			if text := err.Error(); strings.Contains(text, "secret") || !strings.Contains(text, "://…@") {
				t.Errorf("%s: %s", url, text)
			}
		}
	}
	if text := Shown("tcp://host:502, rtu:///dev/tty"); text != "tcp://host:502, rtu:///dev/tty" {
		t.Error(text)
	}
}

func TestReportsAllProblems(t *testing.T) {
	_, err := Parse("e.yaml", []byte("x: 1\nsize: 3\ny: 2\n"), &sample{})
	if n := strings.Count(err.Error(), "\n") + 1; n != 3 {
		t.Errorf("got %d problems, want 3: %v", n, err)
	}
}

func TestEmptyFileIsAllDefaults(t *testing.T) {
	c := sample{Name: "default"}
	if _, err := Parse("e.yaml", []byte("# nothing\n"), &c); err != nil || c.Name != "default" {
		t.Errorf("got %+v, %v", c, err)
	}
}

func TestLoadReadsOneFileOfBoundedSize(t *testing.T) {
	name := filepath.Join(t.TempDir(), "e.yaml")
	if _, err := Load(durable.OS{}, name, &sample{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent file: %v", err)
	}
	if err := os.WriteFile(name, []byte("name: a"), 0o600); err != nil {
		t.Fatal(err)
	}
	var c sample
	if f, err := Load(durable.OS{}, name, &c); err != nil || c.Name != "a" || f.Name != name {
		t.Errorf("got %+v, %v", c, err)
	}
	if err := os.Truncate(name, MaxFileBytes+1); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(durable.OS{}, name, &c); !errors.Is(err, ErrInvalid) {
		t.Errorf("file too large: %v", err)
	}
	if _, err := Load(durable.OS{}, filepath.Dir(name), &c); !errors.Is(err, ErrInvalid) {
		t.Errorf("a folder: %v", err)
	}
}

func TestBytesRoundTrip(t *testing.T) {
	for _, s := range []string{"0B", "1B", "1000B", "64KiB", "3MiB", "5GiB", "2TiB", "1025B"} {
		var b Bytes
		if err := b.UnmarshalText([]byte(s)); err != nil || b.String() != s {
			t.Errorf("%s: got %s, %v", s, b, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("name: a\nsources:\n  - url: b\n    tags: [c]\n"))
	f.Add([]byte("a: &x {b: *x}\n"))
	f.Add([]byte("size: 1KiB\nevery: 1s\n<<: {name: b}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var c sample
		if _, err := Parse("f.yaml", data, &c); err != nil && !errors.Is(err, ErrInvalid) {
			t.Errorf("error does not wrap ErrInvalid: %v", err)
		}
	})
}

func TestCheckDirMakesAndProbes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	if err := CheckDir(durable.OS{}, "data_dir", dir); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{file, filepath.Join(file, "below"), "/proc/landfall"} {
		var fe *FieldError
		if err := CheckDir(durable.OS{}, "data_dir", bad); !errors.As(err, &fe) || fe.Key != "data_dir" {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// TestTryingADirectoryLeavesNothing: what was not there is not there after, and
// what was is.
func TestTryingADirectoryLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		if err := TryDir(durable.OS{}, "data_dir", dir+"/a/b"); err != nil {
			t.Fatal(err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v %v", left, err)
		}
	}
	if err := TryDir(durable.OS{}, "data_dir", dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Error(err)
	}
}

func TestAddresses(t *testing.T) {
	for address, want := range map[string][2]bool{
		"127.0.0.1:80": {true, true}, "[::1]:0": {true, true}, "localhost:1": {true, true}, "0.0.0.0:1": {true, false},
		":10110": {true, false}, "host:1": {true, false}, "127.0.0.1": {false, false}, "127.0.0.1:x": {false, false}, "127.0.0.1:70000": {false, false},
	} {
		if got := [2]bool{IsAddress(address), IsLoopback(address)}; got != want {
			t.Errorf("%s: %v, want %v", address, got, want)
		}
	}
}
