package task

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"landfall/decoders/ais"
	"landfall/edge/record"
	"landfall/engine/landing"
	"landfall/engine/operator"
	"landfall/engine/stream"
	"landfall/engine/table"
)

// testLog is a log as a gateway would hold it: sealed blocks in order.
type testLog struct {
	id     record.LogID
	blocks [][]byte
	digest record.Digest // of all of it; where the blocks carry one
}

// newTestLog makes a log of the given block sizes (in records).
func newTestLog(t testing.TB, id byte, salt string, sizes ...int) testLog {
	t.Helper()
	l := testLog{id: record.LogID{id}}
	var b record.Builder
	var next record.Offset
	var prev record.Hash
	for i, n := range sizes {
		b.Reset()
		for k := range n {
			if err := b.AddPayload(fmt.Appendf(nil, "%s-%d-%d", salt, i, k)); err != nil {
				t.Fatal(err)
			}
		}
		block := append([]byte(nil), b.Seal(l.id, next, prev)...)
		l.blocks = append(l.blocks, block)
		next, prev = next+record.Offset(n), record.HashBlock(block)
	}
	return l
}

// feed judges block and, when it was taken, advances.
func feed(t testing.TB, st *logState, known *bool, gateway string, block []byte) ruling {
	t.Helper()
	b, err := record.Parse(block)
	if err != nil {
		t.Fatal(err)
	}
	hash := record.HashBlock(block)
	r := judge(st, *known, gateway, &b.Header, hash, false)
	if r.Verdict == take || r.Verdict == takeLoss {
		st.Gateway, *known = gateway, true
		st.advance(&b.Header, hash, ais.Opt[record.Digest]{})
	}
	return r
}

func TestJudgeScripts(t *testing.T) {
	a := newTestLog(t, 1, "a", 1, 3, 2, 4)
	clone := newTestLog(t, 1, "clone", 1, 3, 2, 4)
	long := newTestLog(t, 1, "a", 1, 9)
	loss := func(first record.Offset, n uint32) []byte {
		return record.SealLoss(a.id, first, n, record.Hash{}, "shed", nil)
	}
	tests := []struct {
		name   string
		blocks [][]byte
		want   []ruling
	}{
		{"in order", a.blocks, []ruling{{take, "", 0}, {take, "", 0}, {take, "", 0}, {take, "", 0}}},
		{"duplicate of a remembered block", [][]byte{a.blocks[0], a.blocks[1], a.blocks[1], a.blocks[0], a.blocks[2]},
			[]ruling{{take, "", 0}, {take, "", 0}, {dropDuplicate, "", 0}, {dropDuplicate, "", 0}, {take, "", 0}}},
		{"unknown log not at zero", [][]byte{a.blocks[1]}, []ruling{{keepConflict, "unknown_log", 0}}},
		{"gap, then the missing block", [][]byte{a.blocks[0], a.blocks[2], a.blocks[1], a.blocks[2]},
			[]ruling{{take, "", 0}, {keepConflict, "gap", 0}, {take, "", 0}, {take, "", 0}}},
		{"clone repeats an offset with other bytes", [][]byte{a.blocks[0], a.blocks[1], clone.blocks[1]},
			[]ruling{{take, "", 0}, {take, "", 0}, {keepConflict, "hash", 0}}},
		{"clone goes on where the log stands", [][]byte{a.blocks[0], a.blocks[1], clone.blocks[2]},
			[]ruling{{take, "", 0}, {take, "", 0}, {keepConflict, "chain", 0}}},
		{"block with other boundaries", [][]byte{a.blocks[0], a.blocks[1], long.blocks[1]},
			[]ruling{{take, "", 0}, {take, "", 0}, {keepConflict, "hash", 0}}},
		{"loss, then any chain", [][]byte{a.blocks[0], loss(1, 3), a.blocks[2], a.blocks[3]},
			[]ruling{{take, "", 0}, {takeLoss, "", 1}, {take, "", 0}, {take, "", 0}}},
		{"loss of what is held already", [][]byte{a.blocks[0], a.blocks[1], loss(1, 3), a.blocks[2]},
			[]ruling{{take, "", 0}, {take, "", 0}, {dropUnchecked, "", 0}, {take, "", 0}}},
		{"loss that begins in what is held", [][]byte{a.blocks[0], a.blocks[1], loss(1, 5), a.blocks[3]},
			[]ruling{{take, "", 0}, {take, "", 0}, {takeLoss, "", 4}, {take, "", 0}}},
		{"late copy of what was given up", [][]byte{a.blocks[0], loss(1, 3), a.blocks[1], a.blocks[2]},
			[]ruling{{take, "", 0}, {takeLoss, "", 1}, {keepConflict, "after_loss", 0}, {take, "", 0}}},
		{"loss at the very beginning", [][]byte{loss(0, 4), a.blocks[2]}, []ruling{{takeLoss, "", 0}, {take, "", 0}}},
		{"loss beyond what is held", [][]byte{a.blocks[0], loss(4, 2)}, []ruling{{take, "", 0}, {keepConflict, "gap", 0}}},
		{"first block that names another before it", [][]byte{newTestLogAfter(t)}, []ruling{{keepConflict, "chain", 0}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var st logState
			known := false
			for i, block := range tt.blocks {
				if got := feed(t, &st, &known, "g", block); got != tt.want[i] {
					t.Errorf("block %d: got %+v, want %+v", i, got, tt.want[i])
				}
			}
		})
	}
}

// newTestLogAfter gives a block at offset 0 that names a block before it.
func newTestLogAfter(t *testing.T) []byte {
	t.Helper()
	var b record.Builder
	if err := b.AddPayload([]byte("x")); err != nil {
		t.Fatal(err)
	}
	return b.Seal(record.LogID{1}, 0, record.Hash{9})
}

func TestJudgeOtherGateway(t *testing.T) {
	a := newTestLog(t, 1, "a", 1, 1)
	var st logState
	known := false
	feed(t, &st, &known, "g", a.blocks[0])
	if got := feed(t, &st, &known, "h", a.blocks[1]); got.Reason != "gateway" {
		t.Errorf("got %+v, want a conflict over the gateway", got)
	}
}

// TestJudgeTakesEachOffsetOnce lets blocks of a log and of its clone arrive in
// any order, any number of times. The obvious model: what was taken must be a
// prefix of one history, each offset once, and everything else must be either
// a dropped copy of what was taken or kept as conflict.
func TestJudgeTakesEachOffsetOnce(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 7))
		sizes := make([]int, 3+rng.IntN(100))
		for i := range sizes {
			sizes[i] = 1 + rng.IntN(4)
		}
		logs := []testLog{newTestLog(t, 1, "a", sizes...), newTestLog(t, 1, "b", sizes...)}
		var st logState
		known := false
		var taken [][]byte
		at := 0
		for range 20 * len(sizes) {
			l := logs[0]
			if rng.IntN(20) == 0 {
				l = logs[1]
			}
			i := min(max(at+rng.IntN(7)-4, 0), len(sizes)-1)
			switch r := feed(t, &st, &known, "g", l.blocks[i]); r.Verdict {
			case take:
				taken, at = append(taken, l.blocks[i]), at+1
			case dropDuplicate:
				if !reflect.DeepEqual(taken[i], l.blocks[i]) {
					t.Fatalf("seed %d: block %d dropped as duplicate of other bytes", seed, i)
				}
			case dropUnchecked:
				if at-i <= keptBoundaries {
					t.Fatalf("seed %d: block %d of %d dropped unchecked though it is remembered", seed, i, at)
				}
			case keepConflict:
				if i < len(taken) && reflect.DeepEqual(taken[i], l.blocks[i]) {
					t.Fatalf("seed %d: a copy of taken block %d kept as conflict", seed, i)
				}
			}
		}
		next, prev := record.Offset(0), record.Hash{}
		for i, block := range taken {
			h, err := record.ParseHeader(block)
			if err != nil {
				t.Fatal(err)
			}
			if h.First != next || h.Prev != prev {
				t.Fatalf("seed %d: taken block %d does not continue the one before", seed, i)
			}
			next, prev = h.End(), record.HashBlock(block)
		}
		if len(taken) == 0 {
			t.Fatalf("seed %d: nothing was taken", seed)
		}
	}
}

// TestOldLogsAreSmall: once a gateway has opened a newer log, the older one
// keeps a few boundaries, by which a late copy is still told from a
// contradiction.
func TestOldLogsAreSmall(t *testing.T) {
	var c Counters
	p, err := newProcessor(&c, operator.WindowConfig{})
	if err != nil {
		t.Fatal(err)
	}
	old, next := capturedLog(t, 1, 2*keptBoundaries, 1), capturedLog(t, 2, 1, 1)
	var out table.Batch
	land := func(block []byte) {
		if err := p.block(&landing.Landed{Gateway: "g", Block: block}, stream.Position{Offset: 1}, &out); err != nil {
			t.Fatal(err)
		}
	}
	for _, b := range old.blocks {
		land(b)
	}
	if st, _ := p.logs.Get(old.id); len(st.Recent) != keptBoundaries {
		t.Fatalf("%d boundaries of the log being written", len(st.Recent))
	}
	land(next.blocks[0])
	if st, _ := p.logs.Get(old.id); len(st.Recent) != keptOfOldLogs {
		t.Errorf("%d boundaries of the older log", len(st.Recent))
	}
	land(old.blocks[len(old.blocks)-1])
	land(old.blocks[0])
	if c.Duplicates.Load() != 2 || c.Unchecked.Load() != 1 || len(out.Conflicts) != 0 {
		t.Errorf("%d duplicates, %d unchecked, %d conflicts", c.Duplicates.Load(), c.Unchecked.Load(), len(out.Conflicts))
	}
}

func TestLogStateRoundTrip(t *testing.T) {
	l := newTestLog(t, 3, "x", 1, 2, 3)
	var st logState
	known := false
	for _, b := range l.blocks {
		feed(t, &st, &known, "gateway-1", b)
	}
	st.Gaps = 2
	got, err := logCodec{}.DecodeValue(logCodec{}.Version(), logCodec{}.AppendValue(nil, st))
	if err != nil || !reflect.DeepEqual(got, st) {
		t.Errorf("got %+v, %v; want %+v", got, err, st)
	}
	if _, err := (logCodec{}).DecodeValue(3, []byte{200}); err == nil {
		t.Error("half a length was read")
	}
}

// FuzzLogState: no bytes make decoding panic or give more than its bound.
func FuzzLogState(f *testing.F) {
	st := logState{Gateway: "g", Next: 4, Recent: []boundary{{First: 0, Count: 4}}}
	f.Add(logCodec{}.AppendValue(nil, st))
	f.Fuzz(func(t *testing.T, p []byte) {
		for version := uint16(1); version <= (logCodec{}).Version(); version++ {
			st, err := logCodec{}.DecodeValue(version, p)
			if err == nil && len(st.Recent) > keptBoundaries {
				t.Fatal("more boundaries than are kept")
			}
		}
		st, err := logCodec{}.DecodeValue(2, p)
		if err != nil {
			return
		}
		again, err := logCodec{}.DecodeValue(logCodec{}.Version(), logCodec{}.AppendValue(nil, st))
		if err != nil || !reflect.DeepEqual(again, st) {
			t.Fatalf("%+v became %+v, %v", st, again, err)
		}
	})
}
