//go:build failpoint && linux

package crashtest

import (
	"os"
	"path/filepath"
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
