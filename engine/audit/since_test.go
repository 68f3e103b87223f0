package audit

import (
	"encoding/json"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"landfall/engine/checkpoint"
	"landfall/engine/ledger"
	"landfall/engine/stream"
	"landfall/engine/table"
)

// growing is the lake of fleet of which an audit read the first three epochs.
type growing struct {
	*tamperedLake
	entries []ledger.Entry
	early   *Result // as it came back from its JSON
}

func newGrowing(t *testing.T) *growing {
	t.Helper()
	e := fleet()
	addLogs(e)
	g := &growing{tamperedLake: &tamperedLake{t: t}}
	g.dir, g.files = writeFiles(t, e...)
	g.entries = ledgerOf(t, g.files, claimsOf(fleet()))
	g.publish(3)
	r := runAudit(t, Config{Lake: g.dir, Checkpoints: g.store})
	if !r.Exact {
		t.Fatalf("three epochs: %s", listFindings(r))
	}
	data, err := json.Marshal(r)
	check(t, err)
	g.early = new(Result)
	check(t, json.Unmarshal(data, g.early))
	g.publish(5)
	return g
}

// publish makes a checkpoint at an epoch; the files of later ones are hidden.
func (g *growing) publish(epoch int) {
	g.store = openStore(g.t, g.t.TempDir())
	writeHead(g.t, g.store, checkpoint.Manifest{Epoch: stream.Epoch(epoch), Ledger: writeLedger(g.t, g.store, g.entries[:epoch])})
	for i, staged := range g.files {
		for _, s := range staged {
			from, to := g.path(path.Join(path.Dir(s.Target), "_"+path.Base(s.Target)+".hidden")), g.path(s.Target)
			if i >= epoch {
				from, to = to, from
			}
			if _, err := os.Stat(from); err == nil {
				move(g.t, from, to)
			}
		}
	}
}

// TestSinceReadsWhatIsNew: the result is that of a whole audit, and only the files
// of later epochs are opened.
func TestSinceReadsWhatIsNew(t *testing.T) {
	g := newGrowing(t)
	whole := runAudit(t, Config{Lake: g.dir, Checkpoints: g.store})
	r := runAudit(t, Config{Lake: g.dir, Checkpoints: g.store, Since: g.early})
	if !r.Exact || r.Files != len(g.files[3])+len(g.files[4]) || !strings.Contains(strings.Join(r.NotChecked, "\n"), "the earlier audit, which it read at level files") {
		t.Fatalf("exact %v, %d files, %s%q", r.Exact, r.Files, listFindings(r), r.NotChecked)
	}
	var text strings.Builder
	check(t, r.WriteText(&text))
	if !strings.Contains(text.String(), "EXACT at level files, since the earlier audit: every offset that came after it") {
		t.Errorf("%s", &text)
	}
	for i, l := range r.Logs {
		w := whole.Logs[i]
		if l.Log != w.Log || l.Captured != w.Captured || l.Next != w.Next || l.Digest != w.Digest || l.Closed != w.Closed || l.Previous != w.Previous || l.Recorded != w.Recorded-l.Since {
			t.Errorf("since %+v\nwhole %+v", l, w)
		}
	}
	if r.Tasks[0].Ledger == nil || *r.Tasks[0].Ledger != *whole.Tasks[0].Ledger {
		t.Errorf("tasks %+v, whole %+v", r.Tasks, whole.Tasks)
	}
	again := runAudit(t, Config{Lake: g.dir, Checkpoints: g.store, Since: r})
	if !again.Exact || again.Files != 0 || *again.Tasks[0].Ledger != *whole.Tasks[0].Ledger || again.Logs[3].Digest != whole.Logs[3].Digest {
		t.Errorf("nothing new: exact %v, %d files, %s%+v", again.Exact, again.Files, listFindings(again), again.Tasks)
	}
}

// TestSinceFinds what is wrong with the new part, and with a history that is not
// the one that was read.
func TestSinceFinds(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(g *growing)
		want Finding
	}{
		{"a new file gone", func(g *growing) { g.remove(g.name(4, table.Record)) }, Finding{Kind: KindFileGone, Table: table.Record, Epoch: 4}},
		{"new offsets gone", func(g *growing) { g.remove(g.name(5, table.Record)) }, Finding{Kind: KindMissing, Log: logID(4).String(), Offsets: "25-39"}},
		{"new bytes changed", func(g *growing) {
			g.rewrite(func(e []*table.Batch) { e[4].Records[3].Raw = []byte("x") })
		}, Finding{Kind: KindDigest, Log: logID(4).String(), Offsets: "25-39"}},
		{"a stray among the new", func(g *growing) {
			name := g.path(g.name(5, table.Late))
			copyFile(g.t, name, strings.Replace(name, "-0.parquet", "-1.parquet", 1))
		}, Finding{Kind: KindFileStray, Table: table.Late}},
		{"old rows in a new file", func(g *growing) { copyFile(g.t, g.path(g.name(1, table.Record)), g.path(g.name(5, table.Record))) }, Finding{Kind: KindRange, Epoch: 5}},
		{"an earlier entry rewritten, with all after it", func(g *growing) {
			g.entries[1].Note = "other"
			g.publish(5)
		}, Finding{Kind: KindSince, Task: "test-0000"}},
		{"an earlier time of the lake", func(g *growing) { g.publish(2) }, Finding{Kind: KindSince, Task: "test-0000"}},
		{"a task that begins again", func(g *growing) {
			g.store = openStore(g.t, g.t.TempDir())
			writeHead(g.t, g.store, checkpoint.Manifest{})
		}, Finding{Kind: KindSince, Task: "test-0000"}},
		{"another task", func(g *growing) { g.early.Tasks[0].Task = "test-0001" }, Finding{Kind: KindSince, Task: "test-0001"}},
		{"an audit that was not exact", func(g *growing) { g.early.Exact = false }, Finding{Kind: KindSince}},
		{"an audit without a ledger", func(g *growing) { g.early.Tasks[0].Ledger = nil }, Finding{Kind: KindSince}},
		{"a log that goes on elsewhere", func(g *growing) { g.early.Logs[2].Next = 49 }, Finding{Kind: KindMissing, Log: logID(3).String(), Offsets: "49"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGrowing(t)
			c.do(g)
			r := runAudit(t, Config{Lake: g.dir, Checkpoints: g.store, Since: g.early})
			if r.Exact || !slices.ContainsFunc(r.Findings, c.want.within) {
				t.Errorf("exact %v, want %+v among\n%s", r.Exact, c.want, listFindings(r))
			}
		})
	}
}

// TestSinceDoesNotSeeWhatItSays: damage of what was read before is left to a whole
// audit.
func TestSinceDoesNotSeeWhatItSays(t *testing.T) {
	g := newGrowing(t)
	check(t, os.Remove(filepath.Join(g.dir, g.name(1, table.Record))))
	if r := runAudit(t, Config{Lake: g.dir, Checkpoints: g.store, Since: g.early}); !r.Exact {
		t.Errorf("%s", listFindings(r))
	}
	if r := runAudit(t, Config{Lake: g.dir, Checkpoints: g.store}); r.Exact {
		t.Error("the whole audit does not see it either")
	}
}
