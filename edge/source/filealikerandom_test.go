package source

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestFileRandomRotationsAlike: as TestFileRandomRotations, of files that all begin with
// the same kilobyte and of which most lines are the same, each as long as the others. No
// other line comes twice, unless a file was cut, and none is missing without a gap.
func TestFileRandomRotationsAlike(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 2))
			s := &shifter{
				t: t, path: filepath.Join(t.TempDir(), "ais.log"), keep: 6 + rng.IntN(5), pack: rng.IntN(4), cut: rng.IntN(2) == 0, date: rng.IntN(4) == 0,
			}
			wrote, n := []string{}, 0
			add := func(lines ...string) {
				wrote = append(wrote, lines...)
				write2(t, s.path, text(lines), os.O_APPEND)
			}
			unique := func() string { n++; return fmt.Sprintf("%-16s %04d", "unique", n) }
			add(alike("", 0, 0)...)
			add(unique())
			got, position := slices.Clone(wrote), interrupted(t, s.path)
			act := func() {
				for range rng.IntN(4) {
					switch rng.IntN(3) {
					case 0:
						nextTick(t, s.path)
						s.rotate()
						nextTick(t, s.path)
						add(append(alike("", 0, 0), unique())...) // wholly the same they could not be told apart
					case 1:
						add(alike("", 0, rng.IntN(60))[60:]...)
					default:
						for range 1 + rng.IntN(40) {
							add(unique())
						}
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
				// A cut that was not seen until the next start is a gap in which lines may come again.
				if once[l]++; once[l] > 1 && l != heartbeat && (!s.cut || s.date || len(gaps) == 0) {
					t.Fatalf("%+v: %q comes twice; gaps %q", s, l, gaps)
				}
			}
			if len(gaps) == 0 && !slices.Equal(got, wrote) {
				t.Errorf("%+v: %d lines of %d, and no gap", s, len(got), len(wrote))
			}
			if s.date && len(gaps) > 0 { // nothing was removed or cut
				t.Errorf("%+v: gaps %q", s, gaps)
			}
		})
	}
}

// nextTick waits until the clock of a file system, which ticks slower than files are
// written here, has gone on.
func nextTick(t *testing.T, path string) {
	t.Helper()
	stamp := func() int64 {
		write2(t, path+"~", "", os.O_TRUNC)
		write2(t, path+"~", "x", os.O_APPEND)
		info, err := os.Stat(path + "~")
		if err != nil {
			t.Fatal(err)
		}
		return info.ModTime().UnixNano()
	}
	was := stamp()
	eventually(t, "a tick", func() bool { return stamp() > was })
}
