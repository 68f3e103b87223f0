//go:build failpoint && linux

package crashtest

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// landingHarms are what happens to the directory of an embedded landing log while its
// engine is dead; older is an earlier copy of it.
var landingHarms = []struct {
	name string
	do   func(t *testing.T, rng *rand.Rand, dir, older string)
}{
	{"a bit", func(t *testing.T, rng *rand.Rand, dir, _ string) {
		eachSegment(t, dir, false, func(data []byte) []byte {
			data[rng.IntN(len(data))] ^= 1 << rng.IntN(8)
			return data
		})
	}},
	{"the last block", func(t *testing.T, rng *rand.Rand, dir, _ string) {
		eachSegment(t, dir, true, func(data []byte) []byte {
			data[len(data)-1-rng.IntN(min(100, len(data)))] ^= 0x40
			return data
		})
	}},
	{"a page of zeros", func(t *testing.T, rng *rand.Rand, dir, _ string) {
		eachSegment(t, dir, false, func(data []byte) []byte {
			at := rng.IntN(len(data))
			clear(data[at:min(at+4096, len(data))])
			return data
		})
	}},
	{"cut", func(t *testing.T, rng *rand.Rand, dir, _ string) {
		eachSegment(t, dir, true, func(data []byte) []byte { return data[:rng.IntN(len(data))] })
	}},
	{"the newest segment gone", func(t *testing.T, _ *rand.Rand, dir, _ string) {
		eachSegment(t, dir, true, func([]byte) []byte { return nil })
	}},
	{"the partitions gone", func(t *testing.T, _ *rand.Rand, dir, _ string) {
		partitions, err := filepath.Glob(filepath.Join(dir, "p*"))
		for _, p := range partitions {
			err = errors.Join(err, os.RemoveAll(p))
		}
		if err != nil {
			t.Fatal(err)
		}
	}},
	{"an older copy", func(t *testing.T, _ *rand.Rand, dir, older string) {
		if err := errors.Join(os.RemoveAll(dir), os.CopyFS(dir, os.DirFS(older))); err != nil {
			t.Fatal(err)
		}
	}},
}

// eachSegment changes what is written of every segment of a landing log, or of the
// newest one of each partition; nil removes it.
func eachSegment(t *testing.T, dir string, newest bool, change func(data []byte) []byte) {
	t.Helper()
	partitions, err := filepath.Glob(filepath.Join(dir, "p*"))
	if err != nil || len(partitions) == 0 {
		t.Fatalf("partitions %q, %v", partitions, err)
	}
	for _, p := range partitions {
		names, err := filepath.Glob(filepath.Join(p, "*.seg"))
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(names)
		if newest && len(names) > 1 {
			names = names[len(names)-1:]
		}
		for _, name := range names {
			whole, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			used := len(bytes.TrimRight(whole, "\x00"))
			if used == 0 {
				continue
			}
			if changed := change(whole[:used:used]); changed == nil {
				err = os.Remove(name)
			} else {
				err = os.WriteFile(name, append(changed, make([]byte, max(0, len(whole)-used))...), 0o640)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestDamagedLandingSurvivesKills kills an engine at steps before and after C2, C4 and
// C5, damages its landing log, and starts it again, under traffic from a gateway that
// keeps its records until they are published and is killed now and then too. In the
// end everything that was sent is there once, nothing is in conflict, and what was
// lost had to be sent again.
func TestDamagedLandingSurvivesKills(t *testing.T) {
	rng := rand.New(rand.NewPCG(seed(t), 18))
	steps := []string{"c4.before-swap", "c2.after-append", "c5.before-publish", "c4.after-swap", "release.before"}
	rounds := len(landingHarms)
	if os.Getenv("LANDFALL_SOAK") == "1" {
		rounds *= 40
	}
	dir := workdir(t)
	c := newCloud(t, dir, dir)
	landing, older := filepath.Join(dir, "landing"), filepath.Join(dir, "older")
	g := newGateway(t, dir, "alpha", c.addr, rng.Uint64()>>16, 2, edgeOptions{log: edgeLogOptions}, "file", "acked")
	s := scenario{t: t, cloud: c, gateways: []*gateway{g}}
	engine := newSupervisor(c.program, roleEngine, nil, func() bool { return s.inFlight(g) })
	edge := g.program.begin(t)
	g.begin()
	for round := range rounds {
		h, step := landingHarms[round%len(landingHarms)], steps[round%len(steps)]
		if ended, err := engine.bounded(life{point: step, count: 2 + rng.IntN(6)}, round); err != nil || ended {
			t.Fatalf("round %d: %v", round, err)
		}
		if round%len(landingHarms) == 0 {
			if err := errors.Join(os.RemoveAll(older), os.CopyFS(older, os.DirFS(landing))); err != nil {
				t.Fatal(err)
			}
		}
		t.Logf("round %d: %s after a kill at %s", round, h.name, step)
		h.do(t, rng, landing, older)
		if round%3 == 2 {
			edge.kill()
			edge = g.program.begin(t)
		}
	}
	last := c.program.begin(t)
	g.end(t)
	s.drain()
	edge.finish(t)
	last.finish(t)
	g.release(t)
	v := evidence{t: t, dir: dir, lake: c.lake}.judge()
	c.requireAudit(t, g, v)
	log, err := os.ReadFile(g.program.logName())
	resent := bytes.Count(log, []byte("the cloud has lost what had landed of a log"))
	t.Logf("%d times a log was sent again", resent)
	if err != nil || resent == 0 {
		t.Errorf("nothing that was damaged was missed: %v", err)
	}
}
