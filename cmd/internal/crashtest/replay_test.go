//go:build failpoint && linux

package crashtest

import (
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"landfall/edge/durable/failpoint"
)

const (
	recordedLines   = 60_000
	recordedGateway = "recorded"
)

// recording writes a file of simulated lines and notes them as sent.
func recording(t *testing.T, dir string, seed uint64) string {
	t.Helper()
	name := filepath.Join(dir, fmt.Sprintf("recording-%d.nmea", seed))
	out, err := newFileOutlet(name)
	if err != nil {
		t.Fatal(err)
	}
	s, err := newSender(dir, recordedGateway, fmt.Sprintf("replay-%d", seed), true, 1, seed, out)
	if err != nil {
		t.Fatal(err)
	}
	s.source = "replay" // the column's content, for every file
	for s.lines.Load() < recordedLines {
		if err := s.message(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.finish(); err != nil {
		t.Fatal(err)
	}
	return name
}

// replayPlan kills at each failpoint that a replay passes, twice in a row, and
// at random moments.
func replayPlan(rng *rand.Rand) []life {
	var plan []life
	for _, name := range failpoint.Names() {
		family, _, _ := strings.Cut(name, ".")
		if slices.Contains([]string{"claim", "c4", "c5", "release", "collect"}, family) {
			plan = append(plan, life{point: name, count: 1 + rng.IntN(3)})
		}
	}
	for range 8 {
		plan = append(plan, life{after: between(rng, 5*time.Millisecond, 400*time.Millisecond)})
	}
	rng.Shuffle(len(plan), func(i, j int) { plan[i], plan[j] = plan[j], plan[i] })
	var twice []life
	for _, l := range plan {
		twice = append(twice, l, life{point: l.point, count: 1, after: l.after / 3, second: true})
	}
	return twice
}

// TestReplaySurvivesKills replays files, killed at every step and at random
// moments, and runs again until it ends by itself.
func TestReplaySurvivesKills(t *testing.T) {
	start := seed(t)
	rng := rand.New(rand.NewPCG(start, 7))
	dir := workdir(t)
	lake := filepath.Join(dir, "lake")
	hits := histogram{}
	var file string
	for plan, n := replayPlan(rng), start; len(plan) > 0; n++ {
		file = recording(t, dir, n)
		p := program{name: "replay", path: binaries(t).engine, args: replayArgs(file, lake, recordedGateway), dir: dir}
		v := newSupervisor(p, roleEngine, nil, func() bool { return true })
		plan = replayUnderKills(t, v, plan)
		hits.count(v)
		p.checkLog(t)
	}
	fmt.Print(hits)
	for _, l := range replayPlan(rng) {
		if l.point != "" && hits[l.point] == nil {
			t.Errorf("failpoint %s was never reached by a replay", l.point)
		}
	}
	evidence{t: t, dir: dir, lake: lake}.judge("two first logs of a gateway") // a file has none before it
	if code, stdout, stderr := command(t, binaries(t).engine, "audit", "--lake", lake); code != 0 {
		t.Errorf("audit: exit code %d, want 0\n%s%s", code, stdout, stderr)
	}
	replayAgain(t, dir, lake, file)
}

// replayUnderKills carries lives of the plan out on one file until a replay
// ends by itself, and gives the rest of the plan.
func replayUnderKills(t *testing.T, v *supervisor, plan []life) []life {
	t.Helper()
	for number := 0; ; number++ {
		l := life{after: 5 * time.Minute}
		if len(plan) > 0 {
			l, plan = plan[0], plan[1:]
		}
		done, err := v.bounded(l, number)
		if err != nil {
			t.Fatal(err)
		}
		if done {
			return plan
		}
		if len(plan) == 0 && l.after == 5*time.Minute {
			t.Fatal("a replay did not end")
		}
	}
}

// replayAgain wants the lake unchanged by the same content, plain and packed,
// and under another gateway.
func replayAgain(t *testing.T, dir, lake, file string) {
	t.Helper()
	before := published(t, lake)
	if len(before) == 0 {
		t.Error("nothing is published")
	}
	packed := filepath.Join(dir, "packed.gz")
	pack(t, file, packed)
	for _, f := range []string{file, packed} {
		if code, stdout, stderr := command(t, binaries(t).engine, replayArgs(f, lake, recordedGateway)...); code != 0 {
			t.Errorf("replay of %s again: exit code %d\n%s%s", f, code, stdout, stderr)
		}
	}
	code, _, stderr := command(t, binaries(t).engine, replayArgs(file, lake, "another")...)
	if code == 0 || !strings.Contains(stderr, recordedGateway) {
		t.Errorf("replay under another gateway: exit code %d, and it does not name the first: %s", code, stderr)
	}
	if after := published(t, lake); !slices.Equal(before, after) {
		t.Errorf("the lake changed:\n%s\nwas\n%s", strings.Join(after, "\n"), strings.Join(before, "\n"))
	}
}

// published lists what readers see of a lake, with hashes.
func published(t *testing.T, lake string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(lake, "[^_]*", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		files[i] = fmt.Sprintf("%s %x", f, sha256.Sum256(data))
	}
	return files
}

func pack(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	z := gzip.NewWriter(f)
	if _, err := z.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
