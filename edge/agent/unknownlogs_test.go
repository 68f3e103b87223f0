package agent

import (
	"errors"
	"flag"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"

	"landfall/edge/durable"
	"landfall/edge/durable/faultfs"
	"landfall/edge/record"
	"landfall/edge/wire"
)

var writeFormats = flag.Bool("write-formats", false, "write frozen files of a format version that has none yet")

// ended runs a gateway until it ends by itself, and returns its status then.
func ended(t *testing.T, c Config) Status {
	t.Helper()
	a, err := New(c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	return a.Status()
}

// appendLines adds lines to the file of a gateway.
func appendLines(t *testing.T, c *Config, text string) {
	t.Helper()
	f, err := os.OpenFile(c.Sources[0].File.Path, os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString(text)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestADataDirThatDoesNotKnow: the data directory is lost, put back from an older copy,
// or another one: files wait and health is red, after a restart too, until an operator
// acknowledges it. What the directory knows is read on without a word.
func TestADataDirThatDoesNotKnow(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(t *testing.T, c *Config, older string)
		records uint64 // captured once it is acknowledged
	}{
		"lost": {func(t *testing.T, c *Config, _ string) {
			if err := os.RemoveAll(c.DataDir); err != nil {
				t.Fatal(err)
			}
		}, 13},
		"another one": {func(_ *testing.T, c *Config, _ string) { c.DataDir += "-other" }, 13},
		"put back": {func(t *testing.T, c *Config, older string) {
			if err := errors.Join(os.RemoveAll(c.DataDir), os.CopyFS(c.DataDir, os.DirFS(older))); err != nil {
				t.Fatal(err)
			}
		}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, older := fileGateway(t, 10, cloud(t)), t.TempDir()
			ended(t, cfg)
			if err := os.CopyFS(older, os.DirFS(cfg.DataDir)); err != nil {
				t.Fatal(err)
			}
			appendLines(t, &cfg, "one\ntwo\n")
			if s := ended(t, cfg); !s.Healthy || s.DataDir != (DataDirStatus{Acknowledged: true}) || s.Sources[0].Records != 2 {
				t.Fatalf("the directory knows: %q, %+v, %+v", s.Reasons, s.DataDir, s.Sources[0])
			}
			c.change(t, &cfg, older)
			appendLines(t, &cfg, "three\n")
			last := ""
			for range 2 {
				a, stop := running(t, cfg)
				waitFor(t, func() bool { return a.Status().Sources[0].State == "absent" })
				s := a.Status()
				if last = s.DataDir.LastUnknown; s.Healthy || s.Capture.Records != 0 || s.DataDir.UnknownLogs != 1 || !strings.Contains(strings.Join(s.Reasons, " "), "landfall-edge acknowledge --data-dir") ||
					!strings.Contains(s.Sources[0].Detail, "acknowledge") {
					t.Errorf("%q, %+v, %+v", s.Reasons, s.DataDir, s.Sources[0])
				}
				stop()
			}
			if err := cfg.AcknowledgeUnknownLogs(durable.OS{}, 1, last); err != nil {
				t.Fatal(err)
			}
			if s := ended(t, cfg); !s.Healthy || s.Capture.Records != c.records || s.DataDir.UnknownLogs != 1 || !s.DataDir.Acknowledged {
				t.Errorf("acknowledged: %q, %d records, %+v", s.Reasons, s.Capture.Records, s.DataDir)
			}
			if s := ended(t, cfg); !s.Healthy || s.Capture.Records != 0 {
				t.Errorf("the next start: %q, %d records", s.Reasons, s.Capture.Records)
			}
		})
	}
}

// TestFilesAreReadWithoutALink: where the cloud does not answer, files are not held, and
// what the directory does not know is told as soon as it does.
func TestFilesAreReadWithoutALink(t *testing.T) {
	cfg := fileGateway(t, 10, cloud(t))
	ended(t, cfg)
	ingest, err := url.Parse(cfg.Forward.URL)
	if err != nil {
		t.Fatal(err)
	}
	var asked atomic.Bool
	up := httputil.NewSingleHostReverseProxy(ingest)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !asked.Swap(true) {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		up.ServeHTTP(w, r)
	}))
	t.Cleanup(proxy.Close)
	cfg.DataDir, cfg.Forward.URL = cfg.DataDir+"-other", proxy.URL
	if s := ended(t, cfg); s.Healthy || s.Capture.Records != 10 || s.DataDir.UnknownLogs != 1 || s.DataDir.Acknowledged {
		t.Errorf("%q, %d records, %+v", s.Reasons, s.Capture.Records, s.DataDir)
	}
}

// knowsNothing is a directory of unknown logs on a file system.
func knowsNothing(t *testing.T, fsys durable.FS, end func(record.LogID) (record.Offset, bool)) *unknownLogs {
	t.Helper()
	c := Config{DataDir: "/data"}
	o := Options{FS: fsys}
	if err := errors.Join(durable.MkdirAllSync(fsys, c.DataDir), o.setDefaults()); err != nil {
		t.Fatal(err)
	}
	u := &unknownLogs{fs: fsys, path: c.UnknownLogsFile(), clock: o.Clock, logger: o.Logger, end: end}
	if err := u.open(); err != nil {
		t.Fatal(err)
	}
	return u
}

func nothing(record.LogID) (record.Offset, bool) { return 0, false }

// TestWhatIsUnknown: a log that is not known, or not so far; each once, and again when
// the cloud has more of it.
func TestWhatIsUnknown(t *testing.T) {
	u := knowsNothing(t, faultfs.New(), func(l record.LogID) (record.Offset, bool) { return 100, l == record.LogID{1} })
	for i, c := range []struct {
		log   record.LogID
		next  record.Offset
		begin bool
		found uint64
		held  bool
	}{
		{record.LogID{1}, 100, false, 0, false},
		{record.LogID{1}, 101, false, 1, true},
		{record.LogID{1}, 101, false, 1, true},
		{record.LogID{2}, 0, false, 2, true},
		{record.LogID{2}, 7, true, 3, false},
		{record.LogID{1}, 101, true, 3, false},
	} {
		if c.begin {
			u.readFiles()
		}
		if err := u.hear(wire.HeldLog{Log: c.log, Next: c.next}); err != nil {
			t.Fatal(err)
		}
		if n, last, held := u.found(); n != c.found || held != c.held {
			t.Errorf("%d: found %d, %s, held %v", i, n, last, held)
		}
	}
	for n := range 2 * maxUnknownLogs {
		if err := u.hear(wire.HeldLog{Log: record.LogID{3, byte(n)}, Next: 1}); err != nil {
			t.Fatal(err)
		}
	}
	if p, err := u.state.encode(); err != nil || len(u.state.Logs) != maxUnknownLogs || len(p) > maxUnknownBytes {
		t.Errorf("%d logs kept in %d bytes, %v", len(u.state.Logs), len(p), err)
	}
}

// TestUnknownLogsSurvive: once hear returned, every later start tells; where it failed,
// nothing is told that was not written.
func TestUnknownLogsSurvive(t *testing.T) {
	for n := 1; ; n++ {
		missed := 0 // modes in which no operation was the nth
		for _, mode := range faultfs.Modes() {
			fsys := faultfs.New()
			u := knowsNothing(t, fsys, nothing)
			if err := u.hear(wire.HeldLog{Log: record.LogID{1}, Next: 5}); err != nil {
				t.Fatal(err)
			}
			fsys.Script(faultfs.Fault{On: faultfs.OpAny, N: n, Mode: mode})
			err := u.hear(wire.HeldLog{Log: record.LogID{2}, Next: 6})
			had, _, _ := u.found()
			if !fsys.Crashed() && err == nil {
				missed++
			}
			fsys.Crash(faultfs.LoseAll, uint64(n))
			got, last, _ := knowsNothing(t, fsys, nothing).found()
			if err == nil && (got != 2 || had != 2) || err != nil && (had != 1 || got < 1) {
				t.Fatalf("operation %d: %v, told %d before and %d after, %s", n, err, had, got, last)
			}
		}
		if missed == len(faultfs.Modes()) {
			return
		}
	}
}

// TestUnknownLogsFormatIsFrozen: the file of version 1 is written and read as it was; a
// damaged one counts, and a newer one is refused.
func TestUnknownLogsFormatIsFrozen(t *testing.T) {
	path := filepath.Join("testdata", "formats", "unknown-logs-v1.txt")
	s := unknownState{Found: 3, Held: true, Logs: []unknownLog{{Log: record.LogID{7}.String(), Next: 130, Known: 20, At: 1_790_000_000_000_000}}}
	want, err := s.encode()
	if err != nil {
		t.Fatal(err)
	}
	p, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && *writeFormats {
		p, err = want, errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, want, 0o644))
	}
	if err != nil || string(p) != string(want) {
		t.Fatalf("this version writes %s, %v", want, err)
	}
	if got, err := decodeUnknown(p); err != nil || !reflect.DeepEqual(got, s) {
		t.Errorf("read as %+v, %v", got, err)
	}
	fsys := faultfs.New()
	u := knowsNothing(t, fsys, nothing)
	for bad, newer := range map[string]bool{
		strings.Replace(string(p), "logs 1 ", "logs 2 ", 1): true, strings.Replace(string(p), "130", "131", 1): false, "": false, "x\n{}": false,
	} {
		if err := durable.WriteFileAtomic(fsys, u.path, []byte(bad)); err != nil {
			t.Fatal(err)
		}
		u.state = unknownState{}
		if err := u.open(); errors.Is(err, record.ErrVersion) != newer || !newer && (err != nil || u.state.Found == 0) {
			t.Errorf("%q: %+v, %v", bad, u.state, err)
		}
		if newer {
			continue
		}
		n, last, _ := u.found()
		if err := acknowledge(fsys, u.path, n, last); err != nil || !acknowledged(fsys, u.path, n, last) {
			t.Errorf("%q: not acknowledged, %v", bad, err)
		}
		again := knowsNothing(t, fsys, nothing)
		if n, last, _ := again.found(); !acknowledged(fsys, u.path, n, last) {
			t.Errorf("%q: the next start tells it again", bad)
		}
		if err := durable.WriteFileAtomic(fsys, u.path, []byte(bad)); err != nil {
			t.Fatal(err)
		}
		again = knowsNothing(t, fsys, nothing)
		if n, last, _ := again.found(); acknowledged(fsys, u.path, n, last) {
			t.Errorf("%q: damaged again, and acknowledged", bad)
		}
	}
}

// TestASourceThatIsRenamedGoesOn: a source of files that has another name goes on in its
// file, and again when it has the old one; one of another file begins it.
func TestASourceThatIsRenamedGoesOn(t *testing.T) {
	c := fileGateway(t, 10, cloud(t))
	ended(t, c)
	for i, name := range []string{"new", "file", "new", "other"} {
		if c.Sources[0].Name = name; name == "other" {
			copied := c.Sources[0].File.Path + ".copy"
			text, err := os.ReadFile(c.Sources[0].File.Path)
			if err == nil {
				err = os.WriteFile(copied, text, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			c.Sources[0].File = &FileConfig{Path: copied}
		}
		appendLines(t, &c, "one\n")
		want := uint64(1)
		if name == "other" {
			want = 14
		}
		if s := ended(t, c); !s.Healthy || s.Capture.Records != want {
			t.Errorf("%d: %s: %q, %d records, want %d", i, name, s.Reasons, s.Capture.Records, want)
		}
	}
}
