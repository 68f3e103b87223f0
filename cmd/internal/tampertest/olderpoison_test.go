package tampertest

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	pq "github.com/parquet-go/parquet-go"

	"landfall/cmd/internal/cli"
	"landfall/edge/record"
	"landfall/engine/audit"
	"landfall/engine/checkpoint"
	"landfall/engine/repair"
	"landfall/engine/table"
	"landfall/sinks/sinktest"
)

// willSetAside notes in the checkpoints what three processes leave that died of a block:
// the next engine sets it aside when it comes.
func (l *Lake) willSetAside(t testing.TB, gateway string, block []byte) {
	t.Helper()
	h, err := record.ParseHeader(block)
	must(t, err)
	for p := range partitions {
		_, m := l.Head(t, Task(p))
		note, err := json.Marshal(map[string]any{
			"format": 1, "claim": strings.Repeat("0", 32), "process": "that died", "epoch": m.Epoch, "blocks": 0, "calm": 0, "open": false, "ended": true, "deaths": 3,
			"suspect": map[string]any{"hash": record.HashBlock(block).String(), "gateway": gateway, "log": h.Log.String(), "from": h.First, "end": h.End()},
		})
		must(t, err)
		store := l.store(t)
		name := checkpoint.AttemptName(Task(p))
		_, version, err := store.Read(t.Context(), name)
		must(t, err)
		_, err = store.Swap(t.Context(), name, version, note)
		must(t, err)
	}
}

// withAside is a lake that went on for some epochs, in one of which a block was set aside.
func withAside(t *testing.T, base *Lake) (b *Bench, was string) {
	t.Helper()
	b = goOnBench(t, base)
	was = filepath.Join(t.TempDir(), "was")
	Copy(t, b.Checkpoints(), was)
	b.goOnBy(t, 0, 1)
	gateway := Gateways()[0]
	blocks := b.rest[gateway]
	b.willSetAside(t, gateway, blocks[len(blocks)/olderParts])
	b.goOnBy(t, 1, olderParts-1)
	if n := len(conflictFiles(b)); n != 1 {
		t.Fatalf("%d files of conflict", n)
	}
	return b, was
}

// onlySetAside fails where the audit found anything but the block that was set aside.
func onlySetAside(t *testing.T, found []audit.Finding) {
	t.Helper()
	if len(found) != 1 || found[0].Kind != audit.KindSetAside {
		t.Errorf("the audit found %+v", found)
	}
}

// TestAnOlderCheckpointUnderABlockThatWasSetAside: an epoch between set a block aside. It is
// taken on, with the records of that block in conflict and nowhere else; the task goes on
// behind it, and what comes out is what would have come out.
func TestAnOlderCheckpointUnderABlockThatWasSetAside(t *testing.T) {
	base := shared.unfinished(t, 2*olderRecords)
	one, was := withAside(t, base)
	good := goOnBench(t, one.Lake)
	good.goOnBy(t, olderParts-1, olderParts)
	one.Remove("_checkpoint")
	Copy(t, was, one.Checkpoints())
	for _, c := range []struct {
		name string
		with from
		do   func(b *Bench)
	}{
		{"the landing log has let go of it", fromNothing, func(*Bench) {}},
		{"the landing log has all of it", fromLanding, swapLanding},
		{"with the gateways' logs", fromEdge, func(*Bench) {}},
		{"and a file of record beside it is gone", fromLanding, func(b *Bench) { b.Remove(recordBeside(b)) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := goOnBench(t, one.Lake)
			c.do(b)
			code, r := b.repairs(c.with)
			if code != cli.ExitOK || len(r.Left) > 0 || r.kinds()[repair.Head] != partitions || r.kinds()[repair.Aside] > 0 {
				t.Fatalf("exit code %d: %+v", code, r.Result)
			}
			onlySetAside(t, r.Audit.Findings)
			b.goOnBy(t, olderParts-1, olderParts)
			onlySetAside(t, audited(t, b.Lake, audit.LevelValues).findings)
			sameRows(t, good.Dir, b.Dir, table.Log)
		})
	}
}

// recordBeside is a file of record of the epoch that set a block aside.
func recordBeside(b *Bench) string {
	b.Helper()
	name := filepath.Base(conflictFiles(b)[0])
	files := Files(b, b.Dir, string(table.Record)+"/*/"+name)
	if len(files) == 0 {
		b.Fatal("the epoch has no record besides")
	}
	return files[0]
}

// TestAnOlderCheckpointUnderAForgedBlock: what is said to be set aside and is not what was
// captured, or is nowhere, is not taken on, and nothing is moved.
func TestAnOlderCheckpointUnderAForgedBlock(t *testing.T) {
	base := shared.unfinished(t, 2*olderRecords)
	one, was := withAside(t, base)
	one.Remove("_checkpoint")
	Copy(t, was, one.Checkpoints())
	id := taskOf(conflictFiles(one)[0])
	for _, c := range []struct {
		name, why string
		do        func(b *Bench)
	}{
		{"its file is gone", "is neither in record nor in loss", func(b *Bench) { b.Remove(conflictFiles(b)...) }},
		{"another reason", "is neither in record nor in loss", func(b *Bench) { b.setFirst(conflictFiles(b)[0], "reason", textOf("hash")) }},
		{"other records", "have not the digest", func(b *Bench) { b.setFirst(conflictFiles(b)[0], "block", otherRecords) }},
		{"no block", "a block that was set aside", func(b *Bench) { b.setFirst(conflictFiles(b)[0], "block", textOf("no block")) }},
		{"another offset", "a block that was set aside is of offset", func(b *Bench) { b.setFirst(conflictFiles(b)[0], "_offset", oneMore) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := goOnBench(t, one.Lake)
			c.do(b)
			before := b.treeOf(id)
			code, r := b.repairs(fromNothing)
			told := slices.ContainsFunc(r.Left, func(a repair.Action) bool { return a.Task == id && strings.Contains(a.Detail, c.why) })
			if code != cli.ExitData || !told || r.kinds()[repair.Aside] > 0 {
				t.Errorf("exit code %d, told %v: %+v", code, told, r.Result)
			}
			if !slices.Equal(b.treeOf(id), before) {
				t.Error("the task or its files were changed")
			}
		})
	}
	if n := sinktest.DuckDB(t, "SELECT 1 FROM '"+conflictFile(one)+"' WHERE reason = 'poison'"); len(n) != 1 {
		t.Errorf("%d blocks were set aside", len(n))
	}
}

func conflictFile(b *Bench) string { return b.Path(conflictFiles(b)[0]) }

func textOf(s string) func(pq.Value) pq.Value {
	return func(pq.Value) pq.Value { return pq.ByteArrayValue([]byte(s)) }
}

func oneMore(v pq.Value) pq.Value { return pq.Int64Value(v.Int64() + 1) }

// otherRecords is a block of the same offsets with a bit of a record changed.
func otherRecords(v pq.Value) pq.Value {
	b, err := record.Parse(v.ByteArray())
	if err != nil {
		panic(err)
	}
	var built record.Builder
	for _, payload := range b.Payloads {
		var r record.Record
		if err := b.DecodeRecord(payload, &r); err != nil {
			panic(err)
		}
		if built.Count() == 0 {
			r.Raw = append(slices.Clone(r.Raw[:len(r.Raw)-1]), r.Raw[len(r.Raw)-1]^1)
		}
		if err := built.Add(&r); err != nil {
			panic(err)
		}
	}
	return pq.ByteArrayValue(slices.Clone(built.Seal(b.Log, b.First, b.Prev)))
}
