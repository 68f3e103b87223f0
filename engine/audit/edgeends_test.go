package audit

import (
	"context"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/edge/tips"
)

// gatewayData is a data directory with the logs of edgeAndLake, and a lake of all
// that they hold.
type gatewayData struct {
	t         *testing.T
	dir, lake string
	logs      []record.LogID
}

func newGatewayData(t *testing.T, n int) *gatewayData {
	t.Helper()
	dir, logs, batch := edgeAndLake(t, n)
	g := &gatewayData{t: t, dir: t.TempDir(), logs: logs}
	check(t, os.Rename(dir, filepath.Join(g.dir, "log")))
	g.lake, _ = writeLake(t, batch)
	return g
}

func (g *gatewayData) audit() *Result {
	return runAudit(g.t, Config{Lake: g.lake, EdgeLogs: []string{filepath.Join(g.dir, "log")}})
}

// segments lists the files of the segments of a log, oldest first.
func (g *gatewayData) segments(log record.LogID) []string {
	g.t.Helper()
	names, err := filepath.Glob(filepath.Join(g.dir, "log", "*"+log.String()+"*.seg"))
	check(g.t, err)
	if len(names) == 0 {
		g.t.Fatalf("no segment of %s", log)
	}
	slices.Sort(names)
	return names
}

// zero overwrites a part of a file, from the end when at is negative.
func (g *gatewayData) zero(name string, at, n int) {
	g.t.Helper()
	data, err := os.ReadFile(name)
	check(g.t, err)
	if at < 0 {
		at += len(data)
	}
	clear(data[at:min(at+n, len(data))])
	check(g.t, os.WriteFile(name, data, 0o644))
}

func (g *gatewayData) acknowledged(ends ...int) {
	var logs []string
	for i, end := range ends {
		logs = append(logs, fmt.Sprintf("{\"log\":%q,\"next\":%d,\"hash\":\"\"}", g.logs[i], end))
	}
	body := fmt.Sprintf("{\"gateway\":\"gw\",\"logs\":[%s]}\n", strings.Join(logs, ","))
	head := fmt.Sprintf("landfall-forward 1 %08x\n", crc32.Checksum([]byte(body), crc32.MakeTable(crc32.Castagnoli)))
	check(g.t, os.WriteFile(filepath.Join(g.dir, "forward.state"), []byte(head+body), 0o644))
}

// published writes a forward.state of version 2, all landed and published so far.
func (g *gatewayData) published(landed int, published ...int) {
	var logs []string
	for i, end := range published {
		logs = append(logs, fmt.Sprintf("{\"log\":%q,\"next\":%d,\"hash\":\"\",\"published\":%d,\"published_hash\":\"\",\"kept\":0}", g.logs[i], landed, end))
	}
	body := fmt.Sprintf("{\"gateway\":\"gw\",\"release\":\"published\",\"told\":true,\"quiet_since\":0,\"logs\":[%s]}\n", strings.Join(logs, ","))
	head := fmt.Sprintf("landfall-forward 2 %08x\n", crc32.Checksum([]byte(body), crc32.MakeTable(crc32.Castagnoli)))
	check(g.t, os.WriteFile(filepath.Join(g.dir, "forward.state"), []byte(head+body), 0o644))
}

func (g *gatewayData) book(found ...tips.Tip) {
	var b tips.Book
	b.Learn("gw", found)
	data, err := b.Encode()
	check(g.t, err)
	check(g.t, os.WriteFile(filepath.Join(g.dir, "tips"), data, 0o644))
}

// TestATailIsProvenByWhatIsWhole: what is left of a gateway's log that was cut
// proves no tail.
func TestATailIsProvenByWhatIsWhole(t *testing.T) {
	for _, c := range []struct {
		name  string
		do    func(g *gatewayData)
		tail  string
		exact bool
		want  Finding
	}{
		{name: "nothing", do: func(*gatewayData) {}, tail: TailProven, exact: true},
		{name: "all as noted", do: func(g *gatewayData) {
			g.acknowledged(201, 201)
			g.book(tips.Tip{Log: g.logs[0].String(), End: 201, Acked: 201, Closed: true}, tips.Tip{Log: g.logs[1].String(), Previous: g.logs[0].String(), End: 201, Acked: 201, Closed: true})
		}, tail: TailProven, exact: true},
		{name: "every segment removed", do: func(g *gatewayData) {
			for _, log := range g.logs {
				for _, name := range g.segments(log) {
					check(g.t, os.Remove(name))
				}
			}
		}, tail: TailUnproven},
		{name: "the last segment removed", do: func(g *gatewayData) {
			all := g.segments(g.logs[1])
			check(g.t, os.Remove(all[len(all)-1]))
		}, tail: TailUnproven},
		{name: "zeros behind the first blocks", do: func(g *gatewayData) {
			for i, name := range g.segments(g.logs[1]) {
				if i > 0 {
					check(g.t, os.Remove(name))
				} else {
					g.zero(name, 8<<10, 1<<30)
				}
			}
			names, err := filepath.Glob(filepath.Join(g.dir, "log", "*.last"))
			check(g.t, err)
			for _, name := range names {
				check(g.t, os.Remove(name))
			}
		}, tail: TailUnproven, want: Finding{Kind: KindEdge, Gateway: "gw"}},
		{name: "acknowledged beyond its end", do: func(g *gatewayData) { g.acknowledged(201, 260) }, want: Finding{Kind: KindEdge, Offsets: "201-259"}},
		{name: "published as noted", do: func(g *gatewayData) { g.published(201, 201, 201) }, tail: TailProven, exact: true},
		{name: "landed beyond the lake's end", do: func(g *gatewayData) { g.published(260, 201, 201) }, tail: TailProven, exact: true},
		{name: "published beyond the lake's end", do: func(g *gatewayData) { g.published(260, 201, 240) }, want: Finding{Kind: KindEdge, Offsets: "201-239"}},
		{name: "noted beyond its end", do: func(g *gatewayData) {
			g.book(tips.Tip{Log: g.logs[0].String(), End: 201}, tips.Tip{Log: g.logs[1].String(), Previous: g.logs[0].String(), End: 205})
		}, want: Finding{Kind: KindEdge, Offsets: "201-204"}},
		{name: "closed before the lake's end", do: func(g *gatewayData) {
			g.book(tips.Tip{Log: g.logs[0].String(), End: 190, Closed: true})
		}, want: Finding{Kind: KindEdge, Offsets: "190-200"}},
		{name: "noted as acknowledged and not there", do: func(g *gatewayData) {
			g.book(tips.Tip{Log: logID(9).String(), End: 7, Acked: 7})
		}, want: Finding{Kind: KindEdge, Log: logID(9).String(), Offsets: "0-6"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGatewayData(t, 200)
			c.do(g)
			r := g.audit()
			l := r.Logs[1]
			if l.Log != g.logs[1].String() || c.tail != "" && l.Tail != c.tail {
				t.Errorf("%+v", l)
			}
			if c.exact != r.Exact && c.tail != TailUnproven || c.want.Kind != "" && !slices.ContainsFunc(r.Findings, c.want.within) {
				t.Errorf("exact %v, want %+v among\n%s", r.Exact, c.want, listFindings(r))
			}
			t.Logf("%s%q", listFindings(r), r.NotChecked)
		})
	}
}

// TestWhatTheEdgeCannotReadIsSaid, with its number and its ranges.
func TestWhatTheEdgeCannotReadIsSaid(t *testing.T) {
	g := newGatewayData(t, 400)
	all := g.segments(g.logs[1])
	if len(all) < 3 {
		t.Fatalf("%d segments", len(all))
	}
	g.zero(all[1], 0, 1<<30)
	r := g.audit()
	l := r.Logs[1]
	if !r.Exact || l.Uncompared == 0 || l.Compared+l.Uncompared != l.Recorded || l.Tail != TailProven {
		t.Fatalf("exact %v, %+v %s", r.Exact, l, listFindings(r))
	}
	var text strings.Builder
	check(t, r.WriteText(&text))
	for _, want := range []string{fmt.Sprintf("the bytes of %d records of log %s of gw against the gateway's log, which cannot be read at offsets ", l.Uncompared, l.Log),
		fmt.Sprintf("equal the edge's log at %d of %d offsets", l.Compared, l.Recorded)} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the text lacks %q:\n%s", want, &text)
		}
	}
}

// restless is a directory of which one file is gone when it is first opened, as
// beside a gateway that releases it.
type restless struct {
	durable.FS
	gone string
	left *int
}

func (r restless) Open(name string) (durable.File, error) {
	if filepath.Base(name) == r.gone && *r.left > 0 {
		*r.left--
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return r.FS.Open(name)
}

// TestBesideAGatewayThatReleases: what was removed meanwhile is looked for again.
func TestBesideAGatewayThatReleases(t *testing.T) {
	g := newGatewayData(t, 400)
	left := 2
	fsys := restless{durable.OS{}, filepath.Base(g.segments(g.logs[1])[0]), &left}
	r, err := Run(context.Background(), Config{FS: fsys, Lake: g.lake, Checkpoints: openStore(t, checkpointsOf(g.lake)), EdgeLogs: []string{filepath.Join(g.dir, "log")}})
	if err != nil || !r.Exact || r.Logs[1].Compared != r.Logs[1].Recorded || left != 0 {
		t.Errorf("%v, %d left", err, left)
	}
}
