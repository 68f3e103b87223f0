package source

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
)

// modelLines is the slow obvious splitter.
func modelLines(p []byte) (lines []string) {
	for _, l := range bytes.FieldsFunc(p, func(r rune) bool { return r == '\r' || r == '\n' }) {
		if len(l) <= MaxLineBytes {
			lines = append(lines, string(l))
			continue
		}
		for len(l) > 0 {
			n := min(len(l), MaxLineBytes)
			lines, l = append(lines, string(l[:n])+"~"), l[n:]
		}
	}
	return lines
}

func splitIn(p []byte, chunk func() int) (lines []string) {
	var s Splitter
	emit := func(l []byte, truncated bool) { lines = append(lines, mark(string(l), truncated)) }
	for fed := 0; len(p) > 0; {
		n := min(max(chunk(), 1), len(p))
		s.Feed(p[:n], emit)
		fed, p = fed+n, p[n:]
	}
	s.Flush(false, emit)
	return lines
}

func FuzzSplitter(f *testing.F) {
	f.Add([]byte("a\r\nb\rc\nd"), uint64(1))
	f.Add([]byte("\x00\xff\n\n\r\r\n"), uint64(2))
	f.Add([]byte(strings.Repeat("x", MaxLineBytes)+"\n"+strings.Repeat("y", MaxLineBytes+1)+"\r\nz"), uint64(3))
	f.Add([]byte(strings.Repeat("x", 3*MaxLineBytes)+"\n"), uint64(4))
	f.Fuzz(func(t *testing.T, p []byte, seed uint64) {
		rng := rand.New(rand.NewPCG(seed, 1))
		want := modelLines(p)
		// A rune-wise model would see invalid UTF-8 as one byte each; so do we.
		expect(t, splitIn(p, func() int { return 1 + rng.IntN(97) }), want...)
		expect(t, splitIn(p, func() int { return 1 + rng.IntN(9000) }), want...)
	})
}

func TestSplitterResumes(t *testing.T) {
	text := []byte("one\r\n" + strings.Repeat("l", 2*MaxLineBytes+100) + "\rtwo\nthr")
	want := modelLines(text)
	for at := range text {
		var lines []string
		emit := func(l []byte, truncated bool) { lines = append(lines, mark(string(l), truncated)) }
		var first, second Splitter
		first.Feed(text[:at], emit)
		second.Resume(first.Cut())
		second.Feed(text[at-first.Pending():], emit)
		second.Flush(false, emit)
		expect(t, lines, want...)
	}
}
