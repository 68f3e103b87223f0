package task_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/engine/audit"
	"landfall/engine/landing/replay"
	"landfall/engine/stream"
	"landfall/engine/table"
	"landfall/engine/task"
)

// recordings lists the files of real sentences; without them the test is
// skipped, in CI it fails.
func recordings(t *testing.T) []string {
	t.Helper()
	dir := os.Getenv("LANDFALL_CORPUS")
	if dir == "" {
		dir = "../../../shared/data/ais"
	}
	var files []string
	entries, err := os.ReadDir(dir)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("recordings: %v", err)
		}
		t.Skipf("recordings: %v", err)
	}
	for _, e := range entries {
		if !strings.Contains(e.Name(), ".jsonl") && !strings.HasSuffix(e.Name(), ".md") {
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	if len(files) < 20 {
		t.Fatalf("only %d recordings in %s", len(files), dir)
	}
	return files
}

func content(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(path, ".gz") {
		return data
	}
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if data, err = io.ReadAll(z); err != nil {
		t.Fatal(err)
	}
	return data
}

// witness is a sink that passes rows on and notes the raw bytes of records.
type witness struct {
	stream.Sink
	raw      *[][]byte
	rejected map[string]int
}

func (w witness) Begin(id stream.TaskID, claim stream.ClaimID, epoch stream.Epoch) (stream.Stage, error) {
	s, err := w.Sink.Begin(id, claim, epoch)
	return witnessStage{s, w}, err
}

type witnessStage struct {
	stream.Stage
	w witness
}

func (s witnessStage) Write(b *table.Batch) error {
	for _, r := range b.Records {
		if r.Kind != record.KindLogOpen {
			*s.w.raw = append(*s.w.raw, bytes.Split(bytes.Clone(r.Raw), []byte("\n"))...)
		}
		if r.RejectReason != "" {
			s.w.rejected[r.RejectReason]++
		}
	}
	return s.Stage.Write(b)
}

// aisSentence is what anybody would call one, found without our framing.
var aisSentence = regexp.MustCompile(`![A-Z]{2}VD[MO],[^!\\*\r\n]*\*[0-9A-Fa-f]{2}`)

// TestEveryRecordingReplays: each byte of each line of each recording, but for
// line ends, is in exactly one record; each sentence is in one record whole;
// and the lake that comes out of it is exact.
func TestEveryRecordingReplays(t *testing.T) {
	for _, path := range recordings(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			l := newLake(t)
			var raw [][]byte
			w := witness{Sink: l.sink, raw: &raw, rejected: map[string]int{}}
			log, err := replay.Open(durable.OS{}, path, replay.Options{Gateway: "g", BaseTime: record.NoTime, LandedAt: 1_780_000_000_000_000})
			if err != nil {
				t.Fatal(err)
			}
			var c task.Counters
			if err := task.Run(t.Context(), task.Config{Log: log, Store: l.store, Sinks: []stream.Sink{w}, Params: log.Params(), Counters: &c}); err != nil {
				t.Fatal(err)
			}
			data := content(t, path)
			got, want := 0, 0
			for _, line := range bytes.FieldsFunc(data, func(r rune) bool { return r == '\n' || r == '\r' }) {
				want += len(line)
			}
			sentences := map[string]int{}
			for _, p := range raw {
				got += len(p)
				for _, s := range aisSentence.FindAll(p, -1) {
					sentences[string(s)]++
				}
			}
			if got != want {
				t.Errorf("%d bytes in records, %d in the file's lines", got, want)
			}
			for _, s := range aisSentence.FindAll(data, -1) {
				sentences[string(s)]--
			}
			for s, n := range sentences {
				if n != 0 {
					t.Errorf("sentence %s: %+d in the records", s, n)
				}
			}
			result, err := audit.Run(t.Context(), audit.Config{Lake: l.dir, Checkpoints: l.store})
			if err != nil {
				t.Fatal(err)
			}
			if !result.Exact {
				t.Errorf("audit: %+v", result)
			}
			t.Logf("%d records, rejected: %v", c.Records.Load(), w.rejected)
		})
	}
}
