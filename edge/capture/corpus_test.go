package capture

import (
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"landfall/decoders/nmea"
	"landfall/edge/durable"
	"landfall/edge/source"
)

// TestCorpusEveryLineOnce captures every recorded file: each sentence of it is
// in exactly one record, and no message has parts of two.
func TestCorpusEveryLineOnce(t *testing.T) {
	dir := os.Getenv("LANDFALL_CORPUS")
	if dir == "" {
		dir = "../../../shared/data/ais"
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no recorded files in %s", dir)
		}
		t.Skipf("no recorded files in %s", dir)
	}
	for _, path := range files {
		base := filepath.Base(path)
		if strings.Contains(base, ".jsonl") || strings.HasSuffix(base, ".md") {
			continue
		}
		want := map[string]int{}
		var out []kept
		c := New(Config{Emit: keep(&out), Replay: true})
		s := c.Stream(0, base)
		var split source.Splitter
		take := func(line []byte, truncated bool) {
			pieces(want, string(line))
			c.Feed(s, line, truncated, Receipt{})
		}
		f, err := source.OpenRecorded(durable.OS{}, path)
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 64<<10)
		for err == nil {
			var n int
			n, err = f.Read(buf)
			split.Feed(buf[:n], take)
		}
		if !errors.Is(err, io.EOF) {
			t.Fatalf("%s: %v", base, err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		split.Flush(false, take)
		c.Flush()
		if !maps.Equal(recorded(out), want) {
			t.Errorf("%s: not every sentence in exactly one record", base)
		}
		var m nmea.Message
		for _, r := range out {
			if strings.Contains(r.raw, "\n") && m.Parse([]byte(r.raw)) != nil {
				t.Errorf("%s: an assembled message cannot be read back", base)
			}
		}
		t.Logf("%s: %+v", base, c.Counts())
	}
}
