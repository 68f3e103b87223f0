package agent

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/edge/seglog"
)

// removeLog removes the log of a gateway and its marker, and nothing else.
func removeLog(t *testing.T, c *Config) {
	t.Helper()
	if err := errors.Join(os.RemoveAll(c.LogDir()), os.Remove(seglog.TailMarkerName(c.LogDir()))); err != nil {
		t.Fatal(err)
	}
}

// TestALogThatOnlyOtherFilesKnow: log and log.tail are gone, or of an earlier time, and
// the files beside them are not. What they know of a log is evidence against that: it is
// told with its number, files wait, and what the cloud had not got is declared lost.
func TestALogThatOnlyOtherFilesKnow(t *testing.T) {
	offline := func(c Config) Config {
		c.Forward.URL = "http://" + freeAddress(t) // nobody answers
		return c
	}
	for name, c := range map[string]struct {
		landed, older bool   // what of the log the cloud had; an older log is put back
		without       string // a file beside it that is gone, too
		last          string // of the lost end
	}{
		"gone":                                {last: "53 offsets, 0 to 52 of log"},
		"gone, and the cloud had it":          {landed: true, last: "the cloud had all of them"},
		"gone, and only what landed is known": {landed: true, without: "tips", last: "the cloud had all of them"},
		"older":                               {older: true, last: "3 offsets, 0 to 2 of log"},
		"older, and the cloud had the newer":  {landed: true, older: true, last: "the cloud had all of them"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, older := fileGateway(t, 50, cloud(t)), t.TempDir()
			if c.older {
				runAgent(t, cfg)
				if err := os.CopyFS(older, os.DirFS(cfg.DataDir)); err != nil {
					t.Fatal(err)
				}
			}
			appendLines(t, &cfg, "one\ntwo\n")
			if c.landed {
				runAgent(t, cfg)
			} else {
				a, stop := running(t, offline(cfg))
				waitFor(t, func() bool { return a.Status().Forward.Pending > 2 })
				stop()
			}
			removeLog(t, &cfg)
			if c.older {
				tail := filepath.Base(seglog.TailMarkerName(cfg.LogDir()))
				err := os.CopyFS(cfg.LogDir(), os.DirFS(filepath.Join(older, filepath.Base(cfg.LogDir()))))
				p, errRead := os.ReadFile(filepath.Join(older, tail))
				if err := errors.Join(err, errRead, os.WriteFile(seglog.TailMarkerName(cfg.LogDir()), p, 0o600)); err != nil {
					t.Fatal(err)
				}
			}
			if c.without != "" {
				if err := os.Remove(filepath.Join(cfg.DataDir, c.without)); err != nil {
					t.Fatal(err)
				}
			}
			for start := range 2 {
				s := heldAgent(t, cfg)
				if s.Healthy || s.Log.LostEnds != 1 || !strings.Contains(s.Log.LastLostEnd, c.last) {
					t.Errorf("start %d: %q, %+v", start, s.Reasons, s.Log)
				}
				if n := s.Forward.LossBlocks; start == 0 && (n > 0) == c.landed {
					t.Errorf("%d losses declared", n)
				}
			}
			if err := cfg.AcknowledgeLostEnds(durable.OS{}, 1, heldAgent(t, cfg).Log.LastLostEnd); err != nil {
				t.Fatal(err)
			}
			for start, want := range []bool{true, false} {
				if s := runAgent(t, cfg); !s.Healthy || s.Log.LostEnds != 1 || (s.Capture.Records > 0) != want {
					t.Errorf("acknowledged, start %d: %q, %d records, %+v", start, s.Reasons, s.Capture.Records, s.Log)
				}
			}
		})
	}
}

// TestTheBookAloneVouchesForNoLog: that the book of tips has a log does not say that the
// directory knows it, unless the directory has one that was opened after it.
func TestTheBookAloneVouchesForNoLog(t *testing.T) {
	cfg := fileGateway(t, 3, cloud(t))
	runAgent(t, cfg)
	appendLines(t, &cfg, "more\n")
	runAgent(t, cfg)
	a, err := New(cfg, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = a.store.Close() }()
	logs := a.tips.book.InOrder()
	if len(logs) != 2 {
		t.Fatalf("%d logs", len(logs))
	}
	first, _ := record.ParseLogID(logs[0].Log)
	last, _ := record.ParseLogID(logs[1].Log)
	for _, c := range []struct {
		log, here record.LogID
		want      bool
	}{{first, first, false}, {first, last, true}, {last, last, false}, {last, first, false}, {record.LogID{9}, last, false}} {
		end, known := a.tips.endBefore(c.log, func(id record.LogID) bool { return id == c.here })
		if known != c.want || known && end != logs[0].End {
			t.Errorf("log %s, with %s here: %d, %t", c.log, c.here, end, known)
		}
	}
	for _, log := range []record.LogID{first, last} {
		if _, known := a.knownEnd(log); !known {
			t.Errorf("log %s is not known", log)
		}
	}
}
