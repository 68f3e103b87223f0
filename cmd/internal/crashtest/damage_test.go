//go:build failpoint && linux

package crashtest

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestNewestSegmentDeleted kills an edge that nobody has forwarded for, and
// deletes the newest file of its log. Capture goes on; that records are gone
// stands in loss, and no audit calls the gateway's logs exact.
func TestNewestSegmentDeleted(t *testing.T) {
	dir := workdir(t)
	c := newCloud(t, dir, dir)
	g := newGateway(t, dir, "alpha", c.addr, seed(t), 4, edgeOptions{log: edgeLogOptions}, "acked")
	s := scenario{t: t, cloud: c, gateways: []*gateway{g}}
	edge := g.program.begin(t)
	g.begin()
	g.untilFlows(t, 500)
	edge.kill()
	deleteNewest(t, filepath.Join(g.dir, "log"))
	g.acked.expectDamage()
	edge = g.program.begin(t)
	engine := c.program.begin(t)
	g.untilFlows(t, 500)
	g.end(t)
	s.drainAll(func(r auditResult) bool {
		return r.sum(func(i int) int64 { return r.Logs[i].Missing + r.Logs[i].Duplicated + r.Logs[i].Conflicts }) == 0
	})
	edge.finish(t)
	engine.finish(t)
	g.release(t)

	v := evidence{t: t, dir: dir, lake: c.lake}.judge("missing although its sender resends", "offsets not 0 to n-1", "range in loss", "log whose predecessor is not in the lake to its end", "message not joined although all of it was sent")
	if v["missing although its sender resends"] == 0 {
		t.Error("nothing was lost, so the test shows nothing")
	}
	if v["range in loss"] == 0 || v["# offsets neither in record nor in loss"] != 0 || v["# offsets both in record and in loss"] != 0 {
		t.Errorf("record and loss do not add up: %v", v)
	}
	code, r, _ := c.audit(t, g)
	said := slices.ContainsFunc(r.Problems, func(p string) bool { return strings.Contains(p, "lost its newest segment") })
	if loss := r.sum(func(i int) int64 { return r.Logs[i].InLoss }); code != 65 || r.Exact || loss == 0 || !said {
		t.Errorf("audit: exit code %d, want 65; %s", code, r.String())
	}
}

func deleteNewest(t *testing.T, dir string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.seg"))
	if err != nil || len(names) < 2 {
		t.Fatalf("segments %q, %v", names, err)
	}
	if err := os.Remove(slices.Max(names)); err != nil {
		t.Fatal(err)
	}
}

// TestDamageBetweenCommitAndReading kills a replay at a step after the commit,
// changes a byte in the middle of every file of that epoch, and starts it again:
// the epoch is made again from the recording by itself, and no reader ever sees
// the other bytes afterwards.
func TestDamageBetweenCommitAndReading(t *testing.T) {
	for _, c := range []struct {
		point string
		files string // below the lake
	}{
		{"c5.before-publish", "_staging/*/*/*.staged"},
		{"c5.before-verify", "[^_]*/dt=*/*.parquet"},
	} {
		t.Run(c.point, func(t *testing.T) {
			dir := workdir(t)
			lake := filepath.Join(dir, "lake")
			file := recording(t, dir, seed(t))
			p := program{name: "replay", path: binaries(t).engine, args: replayArgs(file, lake, recordedGateway), dir: dir}
			v := newSupervisor(p, roleEngine, nil, func() bool { return true })
			if done, err := v.bounded(life{point: c.point, count: 3}, 0); err != nil || done {
				t.Fatalf("it was not killed: %v", err)
			}
			damaged := lastEpoch(t, filepath.Join(lake, c.files))
			for _, name := range damaged {
				flipByte(t, name)
			}
			if code, stdout, stderr := command(t, p.path, p.args...); code != 0 {
				t.Fatalf("replay again: exit code %d\n%s%s", code, stdout, stderr)
			}
			evidence{t: t, dir: dir, lake: lake}.judge()
			if code, stdout, stderr := command(t, p.path, "audit", "--lake", lake, "--level", "bytes"); code != 0 {
				t.Errorf("audit: exit code %d, want 0\n%s%s", code, stdout, stderr)
			}
		})
	}
}

// lastEpoch lists the files of a pattern that belong to the newest epoch among
// them, which stands in their names.
func lastEpoch(t *testing.T, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil || len(names) == 0 {
		t.Fatalf("no files %s: %v", pattern, err)
	}
	epoch := regexp.MustCompile(`[0-9]{20}`)
	newest := ""
	for _, name := range names {
		newest = max(newest, epoch.FindString(filepath.Base(name)))
	}
	return slices.DeleteFunc(names, func(name string) bool { return epoch.FindString(filepath.Base(name)) != newest })
}

// flipByte changes one byte in the first quarter of a file, which pages fill.
func flipByte(t *testing.T, name string) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if len(data) == 0 {
		return // a kill came before its first byte, and nothing names it
	}
	data[len(data)/5] ^= 0x10
	if err := os.WriteFile(name, data, 0o640); err != nil {
		t.Fatal(err)
	}
}
