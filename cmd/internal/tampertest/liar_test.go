package tampertest

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"landfall/cmd/internal/cli"
	"landfall/edge/record"
	"landfall/edge/seglog"
	"landfall/engine/audit"
	"landfall/engine/landing"
	"landfall/engine/repair"
	"landfall/engine/table"
	"landfall/sinks/sinktest"
)

// liarName is a gateway in the partition of honest.
const (
	liarName = "mallory"
	honest   = "alpha"
)

// liarBlocks are six blocks of a gateway that states a digest which its records do not
// have from the first block on, and in a record what no version knows.
func liarBlocks(t testing.TB) [][]byte {
	t.Helper()
	id, begin := record.LogID{0x66, 1}, logBegin(LogsPerGateway-1)
	store, err := seglog.Open(seglog.Config{
		Dir: t.TempDir(), SegmentBytes: 1 << 20, CapturedRecords: true, Now: func() record.Micros { return begin }, NewLogID: func() record.LogID { return id },
	})
	must(t, err)
	captureLog(t, store, len(Gateways()), LogsPerGateway-1, 6*blockRecords)
	blocks := blocksOf(t, store, id)
	must(t, store.Close())
	c := Config{Change: func(_ string, _ int, offset record.Offset, r *record.Record) {
		if offset%100 == 7 {
			r.Raw = append(bytes.Clone(r.Raw), '!')
		}
		if offset == 9 {
			r.Kind, r.TimeSource, r.TimeQuality = 200, 201, 202
		}
	}}
	return c.landedBlocks(t, blocks, liarName, len(Gateways()), LogsPerGateway-1)
}

// landBeside lands what an unfinished lake has not seen of the honest gateway, a block of
// the liar between each two, and works it through.
func (l *Lake) landBeside(t testing.TB, liar [][]byte, from, to int) {
	t.Helper()
	w := l.open(t)
	defer w.close(t)
	w.until = honest
	rest := l.rest[honest]
	for i := from; i < to; i++ {
		if i > 0 {
			w.land(t, liarName, liar[i-1:i], 9*len(rest)+2*i-1)
		}
		w.land(t, honest, rest[i:i+1], 9*len(rest)+2*i)
	}
	w.run(t, landing.Partition(honest, partitions), l.epochRecords)
}

// withLiar is a lake whose newest epochs hold rows of both gateways; was are the checkpoints
// of before, and more is the rest of what the liar sends.
func withLiar(t testing.TB) (b *Bench, was string, liar [][]byte) {
	t.Helper()
	b = goOnBench(t, shared.unfinished(t, olderRecords))
	was = filepath.Join(t.TempDir(), "was")
	Copy(t, b.Checkpoints(), was)
	liar = liarBlocks(t)
	b.landBeside(t, liar, 0, len(b.rest[honest])-1)
	return b, was, liar
}

// both are the files of a table with rows of both gateways, where record begins with an
// honest one.
func both(b *Bench, name table.Name) (files []string) {
	b.Helper()
	sql := "SELECT filename FROM (SELECT filename, list(_gateway ORDER BY file_row_number) AS g FROM read_parquet('" + b.Path(string(name)) +
		"/*/*.parquet', filename=true, file_row_number=true) GROUP BY filename) WHERE len(list_distinct(g)) > 1 AND (g[1] = '" + honest + "' OR '" + string(name) + "' != 'record') ORDER BY 1"
	for _, row := range sinktest.DuckDB(b, sql) {
		rel, err := filepath.Rel(b.Dir, row[0])
		must(b, err)
		files = append(files, rel)
	}
	if len(files) == 0 {
		b.Fatalf("no file of %s has rows of both: %v", name, sinktest.DuckDB(b, "SELECT filename, _gateway, count(*) FROM read_parquet('"+b.Path(string(name))+
			"/*/*.parquet', filename=true) GROUP BY 1, 2 ORDER BY 1, 2"))
	}
	return files
}

// onlyLies fails where the audit found anything but the liar's digest.
func onlyLies(t *testing.T, found []audit.Finding) {
	t.Helper()
	other := func(f audit.Finding) bool { return f.Kind != audit.KindDigest || f.Gateway != liarName }
	if len(found) == 0 || slices.ContainsFunc(found, other) {
		t.Errorf("the audit found %+v", found)
	}
}

// TestALiarStopsNoRepairOfOthers: a gateway states a false digest of its own log. What is
// lost of its partition is repaired as if it did not; its rows stay as they are, the repair
// names its log and the audit finds it. Where nothing proves which of the two is false, the
// digest or the rows, it is told, and what others need is made all the same.
func TestALiarStopsNoRepairOfOthers(t *testing.T) {
	one, was, liar := withLiar(t)
	id := Task(landing.Partition(honest, partitions)).String()
	good := goOnBench(t, one.Lake)
	last := len(one.rest[honest])
	good.landBeside(t, liar, last-1, last)
	var records, typed []string
	records, typed = both(one, table.Record), both(one, table.AISPosition)
	state := func(b *Bench) { b.Remove("_checkpoint/" + id + "/state") }
	forge := func(b *Bench) {
		b.setFirst(records[0], "raw", flipLast)
		b.ForgeFile(records[0])
	}
	older := func(b *Bench) {
		b.Remove("_checkpoint/" + id)
		Copy(t, filepath.Join(was, id), filepath.Join(b.Checkpoints(), id))
	}
	for _, c := range []struct {
		name  string
		with  from
		do    func(b *Bench)
		kind  repair.Kind // of what is done; empty: nothing
		named bool        // the liar's blocks are there, and show whose digest is false
		left  string      // what is said besides; empty: nothing
	}{
		{"nothing is lost", fromLanding, func(*Bench) {}, "", true, ""},
		{"state, and the landing log has the blocks", fromLanding, state, repair.Replaced, true, ""},
		{"state, and nobody has the liar's blocks", fromEdge, state, repair.Replaced, false, "no log that was named"},
		{"typed rows, and the landing log has the blocks", fromLanding, func(b *Bench) { b.Remove(typed...) }, repair.Restored, true, ""},
		{"typed rows, and nobody has the liar's blocks", fromEdge, func(b *Bench) { b.Remove(typed...) }, repair.Restored, false, "no log that was named"},
		{"record, and the landing log has the blocks", fromLanding, func(b *Bench) { b.Remove(records...) }, repair.Restored, true, ""},
		{"a forged row of the honest one, and nobody has the liar's blocks", fromEdge, forge, repair.Replaced, false, "no log that was named"},
		{"a forged row of the honest one, and the landing log has the blocks", fromLanding, forge, repair.Replaced, true, ""},
		{"an older checkpoint lies over it, and the landing log has the blocks", fromLanding, older, repair.Head, true, ""},
		{"an older checkpoint, and record is lost besides", fromLanding, func(b *Bench) { older(b); b.Remove(records[0]) }, repair.Head, true, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := goOnBench(t, one.Lake)
			c.do(b)
			code, r := b.repairs(c.with)
			if code != cli.ExitData || (r.kinds()[c.kind] > 0) != (c.kind != "") {
				t.Errorf("exit code %d: %+v", code, r.Result)
			}
			if slices.ContainsFunc(r.Left, func(a repair.Action) bool {
				return c.left == "" || !strings.Contains(a.Detail, c.left) || !strings.Contains(a.Detail, liarName) || a.Table != table.Record
			}) || (len(r.Left) > 0) != (c.left != "") {
				t.Errorf("left: %+v", r.Left)
			}
			if (len(r.Contradicts) == 1) != c.named || c.named && !strings.Contains(r.Contradicts[0].Detail, "gateway "+liarName) {
				t.Errorf("contradicts: %+v", r.Contradicts)
			}
			onlyLies(t, r.Audit.Findings)
			sameRows(t, one.Dir, b.Dir)
			if _, again := b.repairs(c.with); len(again.Actions) > 0 || len(again.Left) != len(r.Left) {
				t.Errorf("again: %+v", again.Result)
			}
			b.landBeside(t, liar, last-1, last)
			onlyLies(t, audited(t, b.Lake, audit.LevelValues).findings)
			sameRows(t, good.Dir, b.Dir, table.Log) // other epochs may end elsewhere
		})
	}
	for _, c := range []struct {
		name string
		with from
		do   func(b *Bench)
	}{
		{"an older checkpoint, and a row was changed that the blocks have", fromLanding, func(b *Bench) { b.setFirst(records[0], "raw", flipLast) }},
		{"an older checkpoint, and nobody has the liar's blocks", fromEdge, func(*Bench) {}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := goOnBench(t, one.Lake)
			older(b)
			c.do(b)
			before := b.treeOf(id)
			code, r := b.repairs(c.with)
			if told := slices.ContainsFunc(r.Left, func(a repair.Action) bool { return strings.Contains(a.Detail, "have not the digest") }); code != cli.ExitData || !told {
				t.Errorf("exit code %d: %+v", code, r.Result)
			}
			if !slices.Equal(b.treeOf(id), before) {
				t.Error("the task or its files were changed")
			}
		})
	}
}
