package agent

import (
	"os"
	"strings"
	"testing"

	"landfall/edge/durable"
)

// TestADirectoryOfAnotherName: a gateway that is renamed goes on, without a word, where
// the cloud has nothing under the old name that its directory does not know. A copy that
// is older than that, under another name, is told: files wait, red, over restarts, until
// an operator acknowledges it; so where the cloud does not answer under the old name.
func TestADirectoryOfAnotherName(t *testing.T) {
	for name, c := range map[string]struct {
		older   bool   // the directory is a copy of before the last lines
		without string // a file that is gone
		known   bool   // the directory knows all that the cloud has
		found   uint64
	}{
		"renamed":                             {known: true},
		"renamed, without forward.state":      {known: true, without: "forward.state"},
		"an older copy":                       {older: true, found: 2},
		"an older copy without forward.state": {older: true, without: "forward.state", found: 2},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, older := fileGateway(t, 10, cloud(t)), t.TempDir()
			ended(t, cfg)
			if err := os.CopyFS(older, os.DirFS(cfg.DataDir)); err != nil {
				t.Fatal(err)
			}
			appendLines(t, &cfg, "one\ntwo\n")
			ended(t, cfg)
			if c.older {
				cfg.DataDir = older
			}
			if c.without != "" {
				if err := os.Remove(cfg.DataDir + "/" + c.without); err != nil {
					t.Fatal(err)
				}
			}
			cfg.Gateway = "pilot"
			appendLines(t, &cfg, "three\n")
			if c.known {
				for _, want := range []uint64{1, 0} {
					if s := ended(t, cfg); !s.Healthy || s.Capture.Records != want || s.DataDir.UnknownLogs != 0 {
						t.Errorf("%q, %d records, %+v", s.Reasons, s.Capture.Records, s.DataDir)
					}
				}
				return
			}
			last := ""
			for range 2 {
				a, stop := running(t, cfg)
				waitFor(t, func() bool {
					s := a.Status()
					return s.Sources[0].State == "absent" && s.DataDir.UnknownLogs == c.found
				})
				s := a.Status()
				if last = s.DataDir.LastUnknown; s.Healthy || s.Capture.Records != 0 || !strings.Contains(s.Sources[0].Detail, "--data-dir") {
					t.Errorf("%q, %+v", s.Reasons, s.Sources[0])
				}
				stop()
			}
			if err := cfg.AcknowledgeUnknownLogs(durable.OS{}, c.found, last); err != nil {
				t.Fatal(err)
			}
			if s := ended(t, cfg); !s.Healthy || s.Capture.Records != 3 {
				t.Errorf("acknowledged: %q, %d records", s.Reasons, s.Capture.Records)
			}
		})
	}
}

// TestARenameNobodyVouchesFor: where the cloud does not say what it has under the old
// name, files wait, red, until an operator acknowledges it, or the cloud says it.
func TestARenameNobodyVouchesFor(t *testing.T) {
	cfg := fileGateway(t, 10, cloud(t))
	ended(t, cfg)
	cfg.Gateway = "pilot"
	appendLines(t, &cfg, "three\n")
	offline := cfg
	offline.Forward.URL = "http://" + freeAddress(t) // nobody answers
	for range 2 {
		a, stop := running(t, offline)
		waitFor(t, func() bool { return a.Status().Sources[0].State == "absent" })
		s := a.Status()
		if told := strings.Join(s.Reasons, "\n"); s.Capture.Records != 0 || s.DataDir.UnknownLogs != 1 ||
			!strings.Contains(told, "the directory is that of gateway ship, and this one is pilot") {
			t.Errorf("%q, %+v", s.Reasons, s.DataDir)
		}
		stop()
	}
	if s := ended(t, cfg); !s.Healthy || s.Capture.Records != 1 || s.DataDir.UnknownLogs != 0 {
		t.Errorf("the cloud vouches: %q, %d records, %+v", s.Reasons, s.Capture.Records, s.DataDir)
	}
}
