package nmea_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"landfall/decoders/nmea"
)

// bare is how the corpus's expected decodes found their sentences.
var bare = regexp.MustCompile(`![A-Z]{2}VD[MO],[^*!\\]*\*[0-9A-Fa-f]{2}`)

// TestCorpusSplit splits every recorded line: nothing is lost, and every AIS
// sentence a regular expression finds is found, with the same checksum verdict.
func TestCorpusSplit(t *testing.T) {
	dir := corpusDir(t)
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	sentences := 0
	flags := map[nmea.Flags]int{}
	for _, name := range files {
		if strings.Contains(name, ".jsonl") || strings.HasSuffix(name, "README.md") {
			continue
		}
		for _, line := range bytes.Split(unpacked(t, name), []byte("\n")) {
			line = bytes.TrimSuffix(line, []byte("\r"))
			checkSplit(t, line)
			var found [][]byte
			for _, s := range nmea.Split(line, nil) {
				if s.Kind == nmea.KindVDM && s.Flags&nmea.FlagNoChecksum == 0 {
					found = append(found, s.Body)
					flags[s.Flags]++
				}
			}
			want := bare.FindAll(line, -1)
			for i, w := range want {
				body := w[:len(w)-3]
				if i >= len(found) || !bytes.Equal(found[i], body) {
					t.Fatalf("%s: %q\nfound %q\nwant %q", filepath.Base(name), line, found, want)
				}
			}
			sentences += len(want)
		}
	}
	if sentences < 100_000 {
		t.Errorf("only %d sentences: is the corpus whole?", sentences)
	}
	t.Logf("%d AIS sentences; by flags %v", sentences, flags)
}

// corpusDir is where the recordings are; without them the test is skipped, in CI
// it fails.
func corpusDir(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("LANDFALL_CORPUS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data", "ais")
	}
	if files, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(files) == 0 {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no corpus in %s: %v", dir, err)
		}
		t.Skipf("no corpus of recorded AIS data (set LANDFALL_CORPUS): %s is empty", dir)
	}
	return dir
}

func unpacked(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil || !strings.HasSuffix(name, ".gz") {
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if b, err = io.ReadAll(r); err != nil {
		t.Fatal(err)
	}
	return b
}
