package repair

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/edge/seglog"
	"landfall/engine/ledger"
	"landfall/engine/stream"
	"landfall/engine/table"
)

// chainOf makes n blocks of one record each.
func chainOf(t *testing.T, id record.LogID, n int) (all [][]byte) {
	t.Helper()
	prev := record.Hash{}
	for i := range n {
		var b record.Builder
		b.Reset()
		if err := b.Add(&record.Record{Kind: record.KindText, EventTime: record.NoTime, Raw: []byte{byte(i)}}); err != nil {
			t.Fatal(err)
		}
		block := bytes.Clone(b.Seal(id, record.Offset(i), prev))
		all, prev = append(all, block), record.HashBlock(block)
	}
	return all
}

// TestOnlyTheChainProves: blocks are taken when each is the one that the next one
// names, up to the hash in the ledger; a landing log's copy comes first.
func TestOnlyTheChainProves(t *testing.T) {
	id := record.LogID{7}
	chain := chainOf(t, id, 4)
	hash := func(i int) string { return record.HashBlock(chain[i]).String() }
	other := chainOf(t, id, 2) // the same two
	var forged record.Builder
	forged.Reset()
	if err := forged.Add(&record.Record{Kind: record.KindText, EventTime: record.NoTime, Raw: []byte("another")}); err != nil {
		t.Fatal(err)
	}
	fake := bytes.Clone(forged.Seal(id, 1, record.HashBlock(chain[0])))
	for name, tt := range map[string]struct {
		blocks [][]byte
		want   ledger.Log
		n      int // blocks that are proved; 0: none
	}{
		"all":                       {chain, ledger.Log{Next: 4, Chain: hash(3)}, 4},
		"from the middle":           {chain, ledger.Log{From: 2, Next: 4, Chain: hash(3)}, 2},
		"not the newest":            {chain, ledger.Log{Next: 3, Chain: hash(2)}, 3},
		"one is missing":            {[][]byte{chain[0], chain[2], chain[3]}, ledger.Log{Next: 4, Chain: hash(3)}, 0},
		"the end is missing":        {chain[:3], ledger.Log{Next: 4, Chain: hash(3)}, 0},
		"another hash":              {chain, ledger.Log{Next: 4, Chain: hash(2)}, 0},
		"no hash":                   {chain, ledger.Log{Next: 4}, 0},
		"a block of another":        {[][]byte{chain[0], fake, chain[2], chain[3]}, ledger.Log{Next: 4, Chain: hash(3)}, 0},
		"a block of another beside": {[][]byte{chain[0], fake, chain[1], chain[2], chain[3]}, ledger.Log{Next: 4, Chain: hash(3)}, 4},
		"copies":                    {append(other, chain...), ledger.Log{Next: 4, Chain: hash(3)}, 4},
	} {
		t.Run(name, func(t *testing.T) {
			b := &blocks{byLog: map[string][]blockRef{}}
			for _, block := range tt.blocks {
				p, err := record.Parse(block)
				if err != nil {
					t.Fatal(err)
				}
				b.add(blockRef{at: p.First}, &p)
			}
			tt.want.Log = id.String()
			got := b.prove(tt.want)
			if len(got) != tt.n {
				t.Fatalf("%d blocks, want %d", len(got), tt.n)
			}
			for i := range got {
				if i > 0 && got[i].prev != got[i-1].hash || got[i].first < tt.want.From {
					t.Errorf("block %d does not follow", i)
				}
			}
		})
	}
}

// TestReplacementsThatAreTaken: other bytes than the ledger names are taken of
// what is a function of records that are proved, and of nothing else; never with
// another number of rows.
func TestReplacementsThatAreTaken(t *testing.T) {
	for _, name := range table.Names() {
		w := &wrongFile{File: ledger.File{Table: string(name), Rows: 5}}
		note, why := replacement(w, &material{source: "record"}, &stream.Staged{Rows: 5})
		state := name == table.Window || name == table.Late || name == table.Loss || name == table.Conflict
		if state != (why != "") || state == (note != "") {
			t.Errorf("%s: note %q, why not %q", name, note, why)
		}
		if _, why := replacement(w, &material{source: "record"}, &stream.Staged{Rows: 4}); why == "" {
			t.Errorf("%s: taken with a row less", name)
		}
	}
	w := &wrongFile{File: ledger.File{Table: string(table.AISPosition), Rows: -1}}
	if note, _ := replacement(w, &material{source: "record", decoder: "0"}, &stream.Staged{Rows: 4}); !strings.Contains(note, "in place of 0") {
		t.Errorf("another decoder is not told: %q", note)
	}
}

func TestNamesOfFiles(t *testing.T) {
	const good = "ais_position/dt=2026-06-01/l-0-0003-00000000000000000017-0.parquet"
	if taskName(good) != "l-0-0003" || epochOf(good) != 17 || dayOf(good) != "2026-06-01" || tableOf(good) != "ais_position" {
		t.Errorf("%s %d %s %s", taskName(good), epochOf(good), dayOf(good), tableOf(good))
	}
	for _, foreign := range []string{"record/dt=2026-06-01/part-0.parquet", "record/x.parquet", "record/dt=2026-06-01/a-03-00000000000000000017-0.parquet", ""} {
		if taskName(foreign) != "" || epochOf(foreign) != 0 {
			t.Errorf("%s is of task %q", foreign, taskName(foreign))
		}
	}
}

// TestFlagsAreReadAsWritten: every combination of flags, and none that is not
// known.
func TestFlagsAreReadAsWritten(t *testing.T) {
	for f := range record.Flags(1 << 8) {
		if got, ok := flags(f.String()); !ok || got != f {
			t.Errorf("%q read as %v, %v", f, got, ok)
		}
	}
	if _, ok := flags("bad_checksum|of_tomorrow"); ok {
		t.Error("an unknown flag was read")
	}
}

// TestReadingLogsEnds: reading logs ends with its context.
func TestReadingLogsEnds(t *testing.T) {
	dir, id := t.TempDir(), record.LogID{7}
	store, err := seglog.Open(seglog.Config{Dir: dir, NewLogID: func() record.LogID { return id }})
	if err != nil {
		t.Fatal(err)
	}
	var one record.Builder
	one.Reset()
	if err := one.Add(&record.Record{Kind: record.KindText, EventTime: record.NoTime, Raw: []byte("one")}); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Append(&one); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	c := Config{FS: durable.OS{}, EdgeLogs: []string{dir}}
	if _, err := openBlocks(ended, c); !errors.Is(err, context.Canceled) {
		t.Errorf("ended: %v", err)
	}
	b, err := openBlocks(t.Context(), c)
	if err != nil || len(b.byLog) == 0 {
		t.Fatalf("%v", err)
	}
	if err := b.close(); err != nil {
		t.Fatal(err)
	}
}
