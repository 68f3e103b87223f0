package source

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// shifter rotates a file as logrotate does, without a process for each step.
type shifter struct {
	t         *testing.T
	path      string
	keep      int // numbers from here on are removed
	pack      int // numbers from here on are packed; 0: none
	cut, date bool
	round     int
}

func (s *shifter) name(i int) string {
	for _, packed := range []string{"", ".gz"} {
		if _, err := os.Stat(fmt.Sprintf("%s.%d%s", s.path, i, packed)); err == nil {
			return fmt.Sprintf("%s.%d%s", s.path, i, packed)
		}
	}
	return ""
}

func (s *shifter) rotate() {
	s.t.Helper()
	if s.date {
		s.round++
		rename(s.t, s.path, fmt.Sprintf("%s-2026%04d", s.path, s.round))
		write2(s.t, s.path, "", 0)
		return
	}
	for i := s.keep; i > 0; i-- {
		old := s.name(i)
		switch {
		case old == "":
		case i == s.keep:
			if err := os.Remove(old); err != nil {
				s.t.Fatal(err)
			}
		default:
			rename(s.t, old, strings.Replace(old, fmt.Sprintf(".%d", i), fmt.Sprintf(".%d", i+1), 1))
		}
	}
	if s.cut {
		content, err := os.ReadFile(s.path)
		if err != nil {
			s.t.Fatal(err)
		}
		write2(s.t, s.path+".1", string(content), 0)
		write2(s.t, s.path, "", os.O_TRUNC)
	} else {
		rename(s.t, s.path, s.path+".1")
		write2(s.t, s.path, "", 0)
	}
	if plain := fmt.Sprintf("%s.%d", s.path, s.pack); s.pack > 0 {
		if content, err := os.ReadFile(plain); err == nil {
			write2(s.t, plain+".gz", gzipped(string(content)), 0)
			info, err := os.Stat(plain)
			if err != nil {
				s.t.Fatal(err)
			}
			if err := os.Chtimes(plain+".gz", info.ModTime(), info.ModTime()); err != nil {
				s.t.Fatal(err)
			}
			if err := os.Remove(plain); err != nil {
				s.t.Fatal(err)
			}
		}
	}
}

// TestFileRandomRotations: whatever happens to the files between and during runs of
// a reader, no line comes twice, and none is missing without a gap.
func TestFileRandomRotations(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			s := &shifter{t: t, path: filepath.Join(t.TempDir(), "ais.log"), keep: 2 + rng.IntN(9), pack: rng.IntN(4), cut: rng.IntN(4) == 0, date: rng.IntN(4) == 0}
			s.pack = min(s.pack, s.keep-1)
			wrote := []string{"the first, which makes the file known"}
			write2(t, s.path, wrote[0]+"\n", 0)
			got, position := slices.Clone(wrote), interrupted(t, s.path)
			act := func() {
				for range rng.IntN(6) {
					if rng.IntN(2) == 0 {
						s.rotate()
						continue
					}
					for range 1 + rng.IntN(40) {
						wrote = append(wrote, fmt.Sprintf("line %d %s", len(wrote), strings.Repeat("x", rng.IntN(90))))
						write2(t, s.path, wrote[len(wrote)-1]+"\n", os.O_APPEND)
					}
				}
			}
			var gaps []string
			for range 12 {
				act()
				sink := &hookSink{testSink: newTestSink(), at: 1 + rng.IntN(20), do: act}
				sink.positions["f"] = position
				if err := newTestFile(t, s.path, false).Run(t.Context(), sink); err != nil {
					t.Fatal(err)
				}
				got, gaps = append(got, sink.lines()...), append(gaps, sink.gaps()...)
				if len(sink.batches) > 0 {
					position = sink.last()
				}
			}
			once := map[string]int{}
			for _, l := range got {
				once[l]++
				if once[l] > 1 {
					t.Fatalf("%+v: %q comes twice", s, l)
				}
			}
			if len(gaps) == 0 && !slices.Equal(got, wrote) {
				for i, l := range wrote {
					if i >= len(got) || got[i] != l {
						t.Errorf("%+v: %d lines of %d, and no gap; %q is not there or not in its place", s, len(got), len(wrote), l)
						break
					}
				}
			}
			if s.date && len(gaps) > 0 { // nothing was removed or cut
				t.Errorf("%+v: gaps %q", s, gaps)
			}
		})
	}
}
