//go:build failpoint && linux

package crashtest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestEndOfTheLogIsGone kills an edge that nobody has forwarded for, and takes the end of
// its log away, in several ways. Capture goes on; that records are gone stands in loss
// and in health, and no audit calls the gateway's logs exact.
func TestEndOfTheLogIsGone(t *testing.T) {
	newest := func(hurt func(name string) error) func(dir, older string) error {
		return func(dir, _ string) error {
			names, err := filepath.Glob(filepath.Join(dir, "*.seg"))
			if err != nil || len(names) < 2 {
				return fmt.Errorf("segments %q, %v", names, err)
			}
			return hurt(slices.Max(names))
		}
	}
	for _, c := range []struct {
		name string
		hurt func(dir, older string) error
	}{
		{"newest segment deleted", newest(os.Remove)},
		{"newest segment cut", newest(func(name string) error { return os.Truncate(name, 4096) })},
		{"newest segment zeroed", newest(func(name string) error {
			return errors.Join(os.Truncate(name, 4096), os.Truncate(name, 16<<10))
		})},
		{"older copy put back", func(dir, older string) error {
			return errors.Join(os.RemoveAll(dir), os.CopyFS(dir, os.DirFS(older)))
		}},
	} {
		t.Run(c.name, func(t *testing.T) { endOfTheLogIsGone(t, c.hurt) })
	}
}

func endOfTheLogIsGone(t *testing.T, hurt func(dir, older string) error) {
	dir := workdir(t)
	c := newCloud(t, dir, dir)
	g := newGateway(t, dir, "alpha", c.addr, seed(t), 4, edgeOptions{log: edgeLogOptions}, "acked")
	s := scenario{t: t, cloud: c, gateways: []*gateway{g}}
	log, older := filepath.Join(g.dir, "log"), filepath.Join(dir, "older")
	edge := g.program.begin(t)
	g.begin()
	g.untilFlows(t, 300)
	edge.kill()
	if err := os.CopyFS(older, os.DirFS(log)); err != nil {
		t.Fatal(err)
	}
	edge = g.program.begin(t)
	g.untilFlows(t, 500)
	resume := g.acked.rest(t) // else the newest segment may hold nothing but what its sender brings again
	edge.kill()
	if err := hurt(log, older); err != nil {
		t.Fatal(err)
	}
	g.acked.expectDamage()
	edge = g.program.begin(t)
	resume()
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
	said := slices.ContainsFunc(r.Problems, func(p string) bool { return strings.Contains(p, "lost its end") })
	if loss := r.sum(func(i int) int64 { return r.Logs[i].InLoss }); code != 65 || r.Exact || loss == 0 || !said {
		t.Errorf("audit: exit code %d, want 65; %s", code, r.String())
	}
	if list, err := os.ReadFile(filepath.Join(g.dir, "log.lost")); err != nil || !strings.Contains(string(list), `"count":1`) {
		t.Errorf("the list of lost ends: %q, %v", list, err)
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
