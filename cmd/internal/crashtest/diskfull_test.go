//go:build failpoint && linux

package crashtest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"landfall/edge/durable/smalldisk"
)

// ballast is a file that takes what room is left on a disk.
type ballast struct{ name string }

// fill writes until the disk is full.
func (b ballast) fill(t *testing.T) {
	t.Helper()
	f, err := os.OpenFile(b.name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for _, size := range []int{64 << 10, 4 << 10, 1} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
		if !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, io.ErrShortWrite) {
			t.Fatalf("fill the disk: %v", err)
		}
	}
}

func (b ballast) remove(t *testing.T) {
	t.Helper()
	if err := os.Remove(b.name); err != nil {
		t.Fatal(err)
	}
}

// begin starts a life that has to last until finish.
func (p program) begin(t *testing.T) *process {
	t.Helper()
	life, err := p.start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(life.kill)
	return life
}

// finish ends the life with SIGTERM; it must not have ended before.
func (p *process) finish(t *testing.T) {
	t.Helper()
	select {
	case <-p.done:
		t.Errorf("%s ended by itself (%v):\n%s", p.name, p.state, p.lifeLog())
		return
	default:
	}
	if code, err := p.terminate(30 * time.Second); err != nil || code != 0 {
		t.Errorf("%s ended with code %d, %v:\n%s", p.name, code, err, p.lifeLog())
	}
	p.checkLog(t)
}

// untilStalled waits until the gateway has acknowledged nothing for a while
// although lines wait.
func (g *gateway) untilStalled(t *testing.T) {
	t.Helper()
	last, since := g.acked.highest(), time.Now()
	until(t, "acknowledgements to stop", 2*time.Minute, func() (bool, string) {
		if now := g.acked.highest(); now != last || g.acked.waiting() == 0 {
			last, since = now, time.Now()
		}
		return time.Since(since) > 2*time.Second, fmt.Sprintf("line %d was just acknowledged", last)
	})
}

// untilFlows waits until the gateway acknowledges n lines more.
func (g *gateway) untilFlows(t *testing.T, n uint64) {
	t.Helper()
	from := g.acked.highest()
	until(t, "acknowledgements to go on", 2*time.Minute, func() (bool, string) {
		return g.acked.highest() >= from+n, fmt.Sprintf("line %d, from %d", g.acked.highest(), from)
	})
}

// TestFullDiskAtTheEdge fills an edge's disk while the cloud is away: nothing is
// acknowledged that is not kept, also by an edge that is killed and started on
// the full disk, and capture goes on by itself when there is room.
func TestFullDiskAtTheEdge(t *testing.T) {
	disk, dir := smalldisk.Mount(t, "8m"), workdir(t)
	c := newCloud(t, dir, dir)
	// What waits while the log is full is one group, which has to fit into a recycled segment.
	options := edgeOptions{
		log:     "  segment_size: 256KiB\n  quota: 64MiB\n  reserve: 1MiB\n  when_full: block\n",
		dataDir: filepath.Join(disk, "data"),
	}
	g := newGateway(t, dir, "alpha", c.addr, seed(t), 4, options, "file", "acked")
	s := scenario{t: t, cloud: c, gateways: []*gateway{g}}
	full := ballast{filepath.Join(disk, "ballast")}

	edge := g.program.begin(t)
	g.begin()
	g.untilFlows(t, 500)
	full.fill(t)
	g.untilStalled(t)
	edge.kill()
	edge = g.program.begin(t)
	g.untilStalled(t)
	full.remove(t)
	g.untilFlows(t, 500)
	full.fill(t)
	g.untilStalled(t)
	engine := c.program.begin(t)
	g.untilFlows(t, 500) // what the cloud holds makes room
	full.remove(t)
	g.untilFlows(t, 500)

	g.end(t)
	s.drain()
	edge.finish(t)
	engine.finish(t)
	g.release(t)
	v := evidence{t: t, dir: dir, lake: c.lake}.judge()
	c.requireAudit(t, g, v)
}

// TestShedOldest lets an edge's quota run out while the cloud is away: what is
// given up stands in loss, and everything else arrives.
func TestShedOldest(t *testing.T) {
	dir := workdir(t)
	c := newCloud(t, dir, dir)
	options := edgeOptions{log: "  segment_size: 16KiB\n  quota: 96KiB\n  reserve: 0B\n  when_full: shed-oldest\n"}
	g := newGateway(t, dir, "alpha", c.addr, seed(t), 4, options, "acked")
	s := scenario{t: t, cloud: c, gateways: []*gateway{g}}
	edge := g.program.begin(t)
	g.begin()
	g.untilFlows(t, 4000)
	engine := c.program.begin(t)
	g.untilFlows(t, 500)
	g.end(t)
	s.drainAll(func(r auditResult) bool {
		return r.sum(func(i int) int64 { return r.Logs[i].Missing + r.Logs[i].Duplicated + r.Logs[i].Conflicts }) == 0
	})
	edge.finish(t)
	engine.finish(t)
	g.release(t)

	v := evidence{t: t, dir: dir, lake: c.lake}.judge("missing although its sender resends", "offsets not 0 to n-1", "range in loss", "log without an opening", "message not joined although all of it was sent")
	if v["range in loss"] == 0 || v["missing although its sender resends"] == 0 {
		t.Error("nothing was shed, so the test shows nothing")
	}
	if v["# offsets neither in record nor in loss"] != 0 || v["# offsets both in record and in loss"] != 0 {
		t.Errorf("record and loss do not add up: %v", v)
	}
	code, r, _ := c.audit(t, g)
	if loss := r.sum(func(i int) int64 { return r.Logs[i].InLoss }); code != 65 || loss != v["# offsets in loss"] {
		t.Errorf("audit: exit code %d, want 65; %d offsets in loss, SQL counts %d", code, loss, v["# offsets in loss"])
	}
}

// TestFullDiskInTheCloud fills the engine's disk: it says no to the edges, ends
// nothing it has acknowledged, and goes on by itself when there is room.
func TestFullDiskInTheCloud(t *testing.T) {
	disk, dir := smalldisk.Mount(t, "48m"), workdir(t)
	c := newCloud(t, dir, disk)
	g := newGateway(t, dir, "alpha", c.addr, seed(t), 2, edgeOptions{log: edgeLogOptions}, "file", "acked")
	s := scenario{t: t, cloud: c, gateways: []*gateway{g}}
	full := ballast{filepath.Join(disk, "ballast")}

	engine, edge := c.program.begin(t), g.program.begin(t)
	g.begin()
	c.untilPublishes(t)
	full.fill(t)
	c.untilQuiet(t)
	full.remove(t)
	c.untilPublishes(t)
	full.fill(t)
	c.untilQuiet(t)
	engine.kill()
	full.fill(t)
	engine = c.program.begin(t) // on a disk without a byte
	c.untilQuiet(t)
	full.remove(t)
	c.untilPublishes(t)

	g.end(t)
	s.drain()
	edge.finish(t)
	engine.finish(t)
	g.release(t)
	v := evidence{t: t, dir: dir, lake: c.lake}.judge()
	c.requireAudit(t, g, v)
}

// untilPublishes waits until new files are visible, twice.
func (c *cloud) untilPublishes(t *testing.T) {
	t.Helper()
	for range 2 {
		before := newestVisible(c.lake)
		until(t, "the lake to grow", 2*time.Minute, func() (bool, string) { return newestVisible(c.lake).After(before), "nothing new" })
	}
}

// untilQuiet waits until nothing new was visible for a while.
func (c *cloud) untilQuiet(t *testing.T) {
	t.Helper()
	until(t, "the lake to stop growing", 2*time.Minute, func() (bool, string) {
		at := newestVisible(c.lake)
		return time.Since(at) > 2*time.Second, "it grew at " + at.String()
	})
}
