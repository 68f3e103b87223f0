package archtest

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The real sentences that tests read are other people's recordings: none of
// them may be committed, not even one, in code, testdata or docs.

// payloadOf finds the payload of an AIS sentence anywhere in a text.
var payloadOf = regexp.MustCompile("VD[MO],[0-9]+,[0-9]+,[0-9]*,[A-Z0-9]?,([0-9A-Wa-w`:;<=>?@]+),[0-6]")

// token20 finds what may be a payload by itself, without its sentence.
var token20 = regexp.MustCompile("[0-9A-Wa-w`:;<=>?@]{20,}")

// minPayload is how long a payload must be to be somebody's: shorter ones
// recur by chance.
const minPayload = 20

// corpusPayloads gives every payload of the recordings in dir.
func corpusPayloads(t *testing.T, dir string) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no recordings in %s: %v", dir, err)
	}
	for _, name := range names {
		if strings.Contains(name, ".jsonl") || strings.HasSuffix(name, ".md") {
			continue
		}
		data, err := readFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, ".gz") {
			if data, err = gunzip(data); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		for _, m := range payloadOf.FindAllSubmatch(data, -1) {
			if len(m[1]) >= minPayload {
				all[string(m[1])] = true
			}
		}
	}
	return all
}

func gunzip(data []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

// foreignPayloads lists the recorded payloads that stand in a text.
func foreignPayloads(name string, text []byte, recorded map[string]bool) []string {
	var problems []string
	for _, m := range token20.FindAll(text, -1) {
		if recorded[strings.Trim(string(m), "`")] {
			problems = append(problems, fmt.Sprintf("%s: holds a recorded payload: %s", name, m))
		}
	}
	return problems
}

func TestNoRecordedSentenceIsCommitted(t *testing.T) {
	dir := os.Getenv("LANDFALL_CORPUS")
	if dir == "" {
		dir = filepath.Join(root, "../shared/data/ais")
	}
	if _, err := os.Stat(dir); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("recordings: %v", err)
		}
		t.Skipf("recordings: %v", err)
	}
	recorded := corpusPayloads(t, dir)
	cmd := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git ls-files: %v", err)
	}
	var problems []string
	for name := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
		text, err := readFile(filepath.Join(root, name))
		if err != nil {
			continue // deleted in the working tree
		}
		problems = append(problems, foreignPayloads(name, text, recorded)...)
	}
	report(t, problems)
}

func TestForeignPayloadsFinds(t *testing.T) {
	recorded := map[string]bool{"1000000000000000000000000001": true}
	mustFind(t, foreignPayloads("a.go", []byte(`x := "!AIVDM,1,1,,A,1000000000000000000000000001,0*00"`), recorded), "a.go")
	mustFind(t, foreignPayloads("c.go", []byte("x := []byte(`1000000000000000000000000001`)"), recorded), "c.go")
	mustFind(t, foreignPayloads("b.go", []byte(`x := "!AIVDM,1,1,,A,1000000000000000000000000002,0*00"`), recorded))
}
