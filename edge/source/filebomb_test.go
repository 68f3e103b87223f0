package source

import (
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// sizeSink counts what comes and keeps the largest batch's size.
type sizeSink struct{ bytes, lines, largest atomic.Int64 }

func (s *sizeSink) Deliver(b *Batch) error {
	n := int64(0)
	for i := range b.Lines {
		n += int64(len(b.Lines[i].Data))
	}
	s.bytes.Add(n)
	s.lines.Add(int64(len(b.Lines)))
	s.largest.Store(max(s.largest.Load(), n))
	return nil
}

func (s *sizeSink) Position(string) []byte { return nil }
func (s *sizeSink) Marks(string) []string  { return nil }

// TestFileThatUnpacksToMuch: of a packed file no more is unpacked than one read takes,
// whatever it becomes, and all of it comes.
func TestFileThatUnpacksToMuch(t *testing.T) {
	const size = 16 << 20
	for name, tt := range map[string]struct {
		text  string
		lines int64
	}{
		"one line": {strings.Repeat("\x00", size), size / MaxLineBytes}, "short lines": {strings.Repeat("a\n", size/2), size / 2},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "bomb.gz")
			packed := gzipped(tt.text)
			if err := os.WriteFile(path, []byte(packed), 0o600); err != nil {
				t.Fatal(err)
			}
			sink := &sizeSink{}
			if err := newTestFile(t, path, false).Run(t.Context(), sink); err != nil {
				t.Fatal(err)
			}
			if sink.lines.Load() != tt.lines || sink.bytes.Load() != int64(len(strings.ReplaceAll(tt.text, "\n", ""))) {
				t.Errorf("%d lines, %d bytes", sink.lines.Load(), sink.bytes.Load())
			}
			if most := sink.largest.Load(); most > readBytes+MaxLineBytes || len(packed) > size/500 {
				t.Errorf("a batch of %d bytes, packed %d", most, len(packed))
			}
		})
	}
}
