package audit

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"landfall/edge/tips"
	"landfall/engine/checkpoint"
	"landfall/engine/ledger"
	"landfall/engine/table"
)

// anchorAt is what the cloud told of an entry of a lake's ledger.
func anchorAt(t *testing.T, store checkpoint.Store, number uint64) tips.Anchor {
	t.Helper()
	m, err := checkpoint.Load(t.Context(), store, testTask)
	check(t, err)
	for one, err := range ledger.Walk(t.Context(), checkpoint.LedgerOf(store), testTask.String(), *m.Ledger) {
		check(t, err)
		if one.Number == number {
			return tips.Anchor{Task: testTask.String(), Number: number, SHA256: one.SHA256, ToldAt: madeTips - 1_000_000}
		}
	}
	t.Fatalf("no entry %d", number)
	return tips.Anchor{}
}

// anchoredTips are those of gw in the lake of fleet, with anchors.
func anchoredTips(t *testing.T, anchors ...tips.Anchor) []TipsFile {
	t.Helper()
	body := tipsOf("gw", fleet())
	body.Anchors = anchors
	return []TipsFile{document(t, body, "", nil)}
}

// bothTips are those of both gateways in the lake of fleet, with anchors in gw's.
func bothTips(t *testing.T, anchors ...tips.Anchor) []TipsFile {
	t.Helper()
	return append(anchoredTips(t, anchors...), document(t, tipsOf("pier", fleet()), "", nil))
}

func textOf(t *testing.T, r *Result) string {
	t.Helper()
	var text strings.Builder
	check(t, r.WriteText(&text))
	return text.String()
}

// TestAnchorsVouch: an entry that the cloud told and that the ledger holds vouches
// for what was published up to it. The text says up to where, with what at the
// level, and what came later.
func TestAnchorsVouch(t *testing.T) {
	dir, _ := writeLake(t, fleet()...)
	store := openStore(t, checkpointsOf(dir))
	for _, c := range []struct {
		level  Level
		number uint64
		want   []string
		lacks  []string
	}{
		{LevelOffsets, 5, []string{"entry 5 of its ledger, up to epoch 5, is the one that the cloud told gw at 2027-01-15T07:59:59Z: how far the logs had come is as it was", "(files, bytes)"}, []string{"came after the newest entry", "but for the problems"}},
		{LevelFiles, 5, []string{"are there, with their names, sizes and rows; their bytes were not compared", "set out to forge"}, nil},
		{LevelBytes, 5, []string{"every file that it and those before it published is as it was, byte for byte"}, []string{"set out to forge", "logs alone"}},
		{LevelBytes, 3, []string{"entry 3 of its ledger, up to epoch 3", "task test-0000 in epochs 4-5, which came after the newest entry", "set out to forge"}, nil},
		{LevelBytes, 0, []string{"the tips name no entry", "set out to forge"}, []string{"is the one that the cloud told"}},
	} {
		var all []tips.Anchor
		want := (*Tipped)(nil)
		if c.number > 0 {
			all = []tips.Anchor{anchorAt(t, store, c.number)}
			want = &Tipped{Number: c.number, SHA256: all[0].SHA256, Epoch: c.number, Gateway: "gw", ToldAt: all[0].ToldAt}
		}
		r := runAudit(t, Config{Lake: dir, Level: c.level, Tips: bothTips(t, all...)})
		if got := r.Tasks[0].Tipped; !r.Exact || (got == nil) != (want == nil) || got != nil && *got != *want {
			t.Errorf("level %s, entry %d: exact %v, %+v, %s", c.level, c.number, r.Exact, got, listFindings(r))
		}
		text := textOf(t, r)
		for _, one := range c.want {
			if !strings.Contains(text, one) {
				t.Errorf("level %s, entry %d: %q is not in\n%s", c.level, c.number, one, text)
			}
		}
		for _, one := range c.lacks {
			if strings.Contains(text, one) {
				t.Errorf("level %s, entry %d: %q is in\n%s", c.level, c.number, one, text)
			}
		}
	}
}

// TestAnchorsThatDoNotHold: each is a finding that names what was told and what is
// there.
func TestAnchorsThatDoNotHold(t *testing.T) {
	first, other := strings.Repeat("a", 64), strings.Repeat("b", 64)
	removeHead := func(w *tamperedLake) { check(t, os.Remove(filepath.Join(checkpointsOf(w.dir), "test-0000", "HEAD"))) }
	for _, c := range []struct {
		name   string
		anchor func(a *tips.Anchor)
		do     func(w *tamperedLake)
		want   string
	}{
		{"another hash", func(a *tips.Anchor) { a.SHA256 = other }, nil, "entry 3 of the ledger of task test-0000 has the SHA-256 0000, and the cloud told gw " + other + " (gw.tips)"},
		{"an entry that is not there yet", func(a *tips.Anchor) { a.Number = 6 }, nil, "told gw entry 6 of the ledger of task test-0000, with the SHA-256 0000, at 2027-01-15T07:59:59Z: HEAD names entry 5, so the task was set back"},
		{"another task", func(a *tips.Anchor) { a.Task = "test-0001" }, nil, "told gw entry 3 of the ledger of task test-0001, with the SHA-256 0000, at 2027-01-15T07:59:59Z: no checkpoint of this task is here"},
		{"no checkpoints", nil, func(w *tamperedLake) { check(t, os.RemoveAll(checkpointsOf(w.dir))) }, "no checkpoint of this task is here"},
		{"no HEAD", nil, removeHead, "no checkpoint of this task is here"},
		{"HEAD damaged", nil, func(w *tamperedLake) {
			check(t, os.WriteFile(filepath.Join(checkpointsOf(w.dir), "test-0000", "HEAD"), []byte("x"), 0o644))
		}, "HEAD of the task cannot be used"},
		{"no ledger", nil, func(w *tamperedLake) {
			removeHead(w)
			writeHead(t, w.store, checkpoint.Manifest{Epoch: 5})
		}, "the task has no ledger"},
		{"an entry gone after it", nil, func(w *tamperedLake) {
			check(t, os.Remove(filepath.Join(checkpointsOf(w.dir), ledger.EntryName("test-0000", 4, testClaim))))
		}, "the ledger cannot be followed back to it"},
		{"a fork", func(a *tips.Anchor) { a.Fork = &tips.Fork{Number: 2, SHA256: first, Other: other, ToldAt: madeTips} }, nil, "the cloud told gw two entries 2 of the ledger of task test-0000, with the SHA-256 " + first + " and, at 2027-01-15T08:00:00Z, " + other},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, _ := ledgered(t, nil, nil)
			a := anchorAt(t, w.store, 3)
			hash := a.SHA256
			if c.anchor != nil {
				c.anchor(&a)
			}
			if c.do != nil {
				c.do(w)
			}
			r := runAudit(t, Config{Lake: w.dir, Tips: anchoredTips(t, a)})
			i := slices.IndexFunc(r.Findings, func(f Finding) bool {
				return f.Kind == KindTips && f.Task == a.Task && f.Gateway == "gw" && f.File != "" && strings.Contains(strings.ReplaceAll(f.Detail, hash, "0000"), c.want)
			})
			if r.Exact || i < 0 {
				t.Errorf("exact %v, want %q among\n%s", r.Exact, c.want, listFindings(r))
			}
		})
	}
}

// TestAnchorBeforeDamage holds, though the ledger is cut before it.
func TestAnchorBeforeDamage(t *testing.T) {
	w, _ := ledgered(t, nil, nil)
	a := anchorAt(t, w.store, 3)
	check(t, os.Remove(filepath.Join(checkpointsOf(w.dir), ledger.EntryName("test-0000", 2, testClaim))))
	r := runAudit(t, Config{Lake: w.dir, Tips: anchoredTips(t, a)})
	if found(r, KindTips) || !found(r, KindLedger) || r.Tasks[0].Tipped == nil || !strings.Contains(textOf(t, r), "sizes and rows; their bytes were not compared with it (bytes), but for the problems below") {
		t.Errorf("%s%s", textOf(t, r), listFindings(r))
	}
}

// TestAnchorsOfTipsThatDoNotCount are not looked at.
func TestAnchorsOfTipsThatDoNotCount(t *testing.T) {
	w, _ := ledgered(t, nil, nil)
	by := newAuthority(t)
	r := runAudit(t, Config{Lake: w.dir, TipsCA: by.pool, Tips: anchoredTips(t, anchorAt(t, w.store, 3))})
	if len(r.Findings) != 1 || r.Tasks[0].Tipped != nil {
		t.Errorf("%+v, %s", r.Tasks, listFindings(r))
	}
}

// TestForgedUpToHead: a lake whose values are others, with a ledger and a HEAD that
// fit, is exact at every level that reads no values, and is found with one entry
// that the cloud told before.
func TestForgedUpToHead(t *testing.T) {
	good, _ := ledgered(t, nil, nil)
	for name, forge := range map[string]func(e []*table.Batch){
		"a value": func(e []*table.Batch) { e[1].Positions[3].Times.EventTime++ },
		"a sum":   func(e []*table.Batch) { e[1].Windows[0].Count++ },
	} {
		forged, r := ledgered(t, forge, nil)
		if !r.Exact {
			t.Fatalf("%s: %s", name, listFindings(r))
		}
		for number, exact := range map[uint64]bool{1: true, 2: false, 5: false} {
			r := runAudit(t, Config{Lake: forged.dir, Level: LevelOffsets, Tips: anchoredTips(t, anchorAt(t, good.store, number))})
			if r.Exact != exact || !exact && !slices.ContainsFunc(r.Findings, Finding{Kind: KindTips, Task: "test-0000", Gateway: "gw", Epoch: number}.within) {
				t.Errorf("%s, entry %d: exact %v, %s", name, number, r.Exact, listFindings(r))
			}
		}
	}
}

// TestChangedBehindAnAnchor: an entry that came later and says that it changed a
// file of an earlier epoch is found, unless newer tips vouch for it.
func TestChangedBehindAnAnchor(t *testing.T) {
	name := ""
	w, r := ledgered(t, nil, func(e []ledger.Entry) []ledger.Entry {
		last := e[4]
		i := slices.IndexFunc(e[1].Files, func(f ledger.File) bool { return f.Table == string(table.Window) })
		name = e[1].Files[i].Name
		was := e[1].Files[i]
		was.SHA256 = strings.Repeat("7", 64)
		now := e[1].Files[i]
		e[1].Files = slices.Clone(e[1].Files)
		e[1].Files[i] = was
		last.Kind, last.Files, last.Removed, last.Logs = ledger.KindRepair, []ledger.File{now}, []ledger.File{was}, nil
		return append(e, last)
	})
	if !r.Exact {
		t.Fatalf("%s", listFindings(r))
	}
	second, fifth, sixth := anchorAt(t, w.store, 2), anchorAt(t, w.store, 5), anchorAt(t, w.store, 6)
	first := anchorAt(t, w.store, 1)
	body := tipsOf("pier", fleet())
	body.Anchors = []tips.Anchor{sixth}
	for what, c := range map[string]struct {
		tips  []TipsFile
		exact bool
	}{
		"it was told of the epoch":    {anchoredTips(t, second), false},
		"and of later ones":           {anchoredTips(t, fifth), false},
		"and of the repair":           {anchoredTips(t, sixth), true},
		"not of the epoch":            {anchoredTips(t, first), true},
		"another gateway was told so": {append(anchoredTips(t, second), document(t, body, "", nil)), true},
	} {
		r := runAudit(t, Config{Lake: w.dir, Level: LevelBytes, Tips: c.tips})
		want := Finding{Kind: KindTips, Task: "test-0000", Gateway: "gw", Epoch: 2, Table: table.Window, File: name}
		if r.Exact != c.exact || !c.exact && (len(r.Findings) != 1 || !want.within(r.Findings[0]) || !strings.Contains(r.Findings[0].Detail, "entry 6 of the ledger, of kind repair, changed it later")) {
			t.Errorf("%s: exact %v, %s", what, r.Exact, listFindings(r))
		}
	}
}

// TestAnchorsOfTwoGateways: each is compared, and the newest one that holds counts.
func TestAnchorsOfTwoGateways(t *testing.T) {
	w, _ := ledgered(t, nil, nil)
	of := func(gateway string, number uint64) TipsFile {
		body := tipsOf(gateway, fleet())
		body.Anchors = []tips.Anchor{anchorAt(t, w.store, number)}
		return document(t, body, "", nil)
	}
	for _, all := range [][]TipsFile{{of("gw", 2), of("pier", 4)}, {of("pier", 4), of("gw", 2)}} {
		if r := runAudit(t, Config{Lake: w.dir, Tips: all}); !r.Exact || r.Tasks[0].Tipped == nil || r.Tasks[0].Tipped.Number != 4 || r.Tasks[0].Tipped.Gateway != "pier" {
			t.Errorf("exact %v, %+v, %s", r.Exact, r.Tasks, listFindings(r))
		}
	}
}

// TestAnchorsAndSince: the ledger is followed back beyond the entry that the
// earlier audit ended with, as far as tips name entries.
func TestAnchorsAndSince(t *testing.T) {
	for number := uint64(1); number <= 5; number++ {
		g := newGrowing(t)
		a := anchorAt(t, g.store, number)
		audit := func() *Result {
			return runAudit(t, Config{Lake: g.dir, Checkpoints: g.store, Since: g.early, Tips: anchoredTips(t, a)})
		}
		r := audit()
		if !r.Exact || r.Files != len(g.files[3])+len(g.files[4]) || r.Tasks[0].Tipped == nil || r.Tasks[0].Tipped.Number != number || !strings.Contains(textOf(t, r), "what the earlier audit read was not compared with it") {
			t.Errorf("entry %d: exact %v, %d files, %s%s", number, r.Exact, r.Files, listFindings(r), textOf(t, r))
		}
		a.SHA256 = strings.Repeat("b", 64)
		wantFinding(t, audit(), Finding{Kind: KindTips, Task: "test-0000", Epoch: number})
	}
	g := newGrowing(t)
	a := anchorAt(t, g.store, 1)
	check(t, g.store.Delete(context.Background(), ledger.EntryName("test-0000", 2, testClaim)))
	r := runAudit(t, Config{Lake: g.dir, Checkpoints: g.store, Since: g.early, Tips: anchoredTips(t, a)})
	wantFinding(t, r, Finding{Kind: KindTips, Task: "test-0000"})
	wantFinding(t, r, Finding{Kind: KindLedger, Task: "test-0000"})
	if found(r, KindUnknown) || found(r, KindDigest) {
		t.Errorf("%s", listFindings(r))
	}
}

// tipOfLedger is the newest entry of a lake's ledger.
func tipOfLedger(t *testing.T, store checkpoint.Store) ledger.Tip {
	t.Helper()
	m, err := checkpoint.Load(t.Context(), store, testTask)
	check(t, err)
	return *m.Ledger
}

// moveTo makes the task of another landing log that goes on from an entry of that of
// a lake, and returns what the cloud tells of its ledger.
func (w *tamperedLake) moveTo(landing string, came ledger.Tip) tips.Anchor {
	w.t.Helper()
	e := ledger.Entry{Format: ledger.Format, Kind: ledger.KindMoved, Task: landing + "-0000", Claim: testClaim, Schema: table.SchemaVersion, Decoder: "5", Came: []ledger.Tip{came}}
	for _, claims := range claimsOf(fleet()) {
		for _, l := range claims {
			l.From = l.Next
			e.Logs = slices.DeleteFunc(e.Logs, func(o ledger.Log) bool { return o.Log == l.Log })
			e.Logs = append(e.Logs, l)
		}
	}
	tip := writeLedger(w.t, w.store, []ledger.Entry{e})
	writeHeadOf(w.t, w.store, checkpoint.Manifest{Landing: landing, Partitions: 1, Generation: 1, Ledger: tip})
	return tips.Anchor{Task: e.Task, Number: tip.Number, SHA256: tip.SHA256, ToldAt: madeTips}
}

// TestAnchorsOfALakeThatMoved: an anchor of the old task stays valid, and one of the
// new task vouches for what the old one published too.
func TestAnchorsOfALakeThatMoved(t *testing.T) {
	tipped := func(r *Result, task string) *Tipped {
		return r.Tasks[slices.IndexFunc(r.Tasks, func(t Task) bool { return t.Task == task })].Tipped
	}
	w, _ := ledgered(t, nil, nil)
	moved, old := w.moveTo("moved", tipOfLedger(t, w.store)), anchorAt(t, w.store, 3)
	r := runAudit(t, Config{Lake: w.dir, Tips: anchoredTips(t, old)})
	if got := tipped(r, "test-0000"); !r.Exact || got == nil || got.Number != 3 || got.Through != "" || tipped(r, "moved-0000") != nil {
		t.Errorf("the old task's: exact %v, %+v, %s", r.Exact, r.Tasks, listFindings(r))
	}
	r = runAudit(t, Config{Lake: w.dir, Level: LevelBytes, Tips: bothTips(t, old, moved)})
	if got := tipped(r, "test-0000"); !r.Exact || got == nil || got.Number != 5 || got.Through != "moved-0000" || got.Gateway != "gw" || tipped(r, "moved-0000") == nil {
		t.Errorf("both: exact %v, %+v, %s", r.Exact, r.Tasks, listFindings(r))
	}
	if text := textOf(t, r); !strings.Contains(text, "task test-0000: entry 5 of its ledger, up to epoch 5, is the one that task moved-0000 goes on from, of which the cloud told gw at") || strings.Contains(text, "set out to forge") {
		t.Errorf("%s", text)
	}
	moved.SHA256 = strings.Repeat("b", 64)
	r = runAudit(t, Config{Lake: w.dir, Tips: anchoredTips(t, moved)})
	wantFinding(t, r, Finding{Kind: KindTips, Task: "moved-0000"})
	if tipped(r, "test-0000") != nil || len(r.Findings) != 1 {
		t.Errorf("another entry: %+v, %s", r.Tasks, listFindings(r))
	}

	forged, _ := ledgered(t, func(e []*table.Batch) { e[1].Windows[0].Count++ }, nil)
	moved = forged.moveTo("moved", tipOfLedger(t, w.store))
	r = runAudit(t, Config{Lake: forged.dir, Tips: anchoredTips(t, moved)})
	wantFinding(t, r, Finding{Kind: KindLedger, Task: "moved-0000"})
	if tipped(r, "test-0000") != nil || tipped(r, "moved-0000") == nil {
		t.Errorf("the old ledger forged: %+v, %s", r.Tasks, listFindings(r))
	}
}

// TestWhatWasPublishedStaysSo: the files of the newest epoch lie where they were staged,
// as if it had never been published, and tips or an earlier audit say that it was.
func TestWhatWasPublishedStaysSo(t *testing.T) {
	w, before := ledgered(t, nil, nil)
	writeHead(t, w.store, checkpoint.Manifest{Epoch: 5, Staged: w.files[4], Ledger: ledgerTip(t, w.store)})
	if r := runAudit(t, Config{Lake: w.dir, Tips: bothTips(t, anchorAt(t, w.store, 5)), Since: before}); !r.Exact {
		t.Fatal(listFindings(r))
	}
	for _, s := range w.files[4] {
		to := filepath.Join(w.dir, filepath.FromSlash(s.Name))
		check(t, os.MkdirAll(filepath.Dir(to), 0o755))
		check(t, os.Rename(filepath.Join(w.dir, filepath.FromSlash(s.Target)), to))
	}
	want := Finding{Kind: KindTips, Task: testTask.String(), Epoch: 5, Gateway: "gw", Detail: "and epoch 5 is not wholly published"}
	wantFinding(t, runAudit(t, Config{Lake: w.dir, Tips: anchoredTips(t, anchorAt(t, w.store, 5))}), want)
	wantFinding(t, runAudit(t, Config{Lake: w.dir, Since: before}), Finding{Kind: KindSince, Task: testTask.String(), Epoch: 5, Detail: "found epoch 5"})
	for _, f := range runAudit(t, Config{Lake: w.dir, Tips: anchoredTips(t, anchorAt(t, w.store, 4))}).Findings {
		if want.within(f) {
			t.Errorf("epoch 4 is published: %+v", f)
		}
	}
}

func ledgerTip(t *testing.T, store checkpoint.Store) *ledger.Tip {
	t.Helper()
	m, err := checkpoint.Load(t.Context(), store, testTask)
	check(t, err)
	return m.Ledger
}
