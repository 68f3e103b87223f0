package checkpoint

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"landfall/engine/ledger"
	"landfall/engine/stream"
)

// folding3 is config with folds of three entries.
func folding3(store Store, s *sink) Config {
	cfg := config(store, s)
	cfg.FoldEntries = 3
	return cfg
}

// epochs commits until the task stands at an epoch, and notes the manifests.
func epochs(t *testing.T, c *Committer, upTo stream.Epoch, history *[]Manifest) {
	t.Helper()
	for c.Manifest().Epoch < upTo {
		if err := commit(t, c, int64(c.Manifest().Epoch)+1); err != nil {
			t.Fatal(err)
		}
		*history = append(*history, c.Manifest())
	}
}

// ledgerObjects lists the ledger without the claims in its names.
func ledgerObjects(t *testing.T, store *memory) string {
	t.Helper()
	var out []string
	for _, name := range store.names(t) {
		number, fold, ok := ledger.ParseName(name)
		switch {
		case ok && fold:
			out = append(out, fmt.Sprintf("fold-%d", number))
		case ok:
			out = append(out, fmt.Sprint(number))
		}
	}
	return strings.Join(out, " ")
}

func requireLedger(t *testing.T, store Store, history []Manifest) {
	t.Helper()
	if err := errors.Join(CheckHistory(history), CheckLedger(t.Context(), store, history)); err != nil {
		t.Fatal(err)
	}
}

// TestEntrySaysWhatTheEpochDid: files as they will be visible, logs sorted, the
// hash of the entry before.
func TestEntrySaysWhatTheEpochDid(t *testing.T) {
	store := newMemory()
	cfg := config(store, &sink{})
	cfg.Decoder, cfg.Schema = "7", 4
	c := claim(t, cfg)
	logB := ledger.Log{Gateway: "b", Log: strings.Repeat("b", 32), Next: 5}
	logA := ledger.Log{Gateway: "a", Log: strings.Repeat("a", 32), From: 1, Next: 2, Digest: "17"}
	given := []ledger.Log{logB, logA}
	for i := range int64(2) {
		stages, err := c.Begin()
		if err != nil {
			t.Fatal(err)
		}
		cut := Cut{Position: stream.Position{Log: "x", Offset: i + 1}, Stages: stages, Logs: given, Final: i == 1}
		if err := c.Commit(t.Context(), cut); err != nil {
			t.Fatal(err)
		}
	}
	m := c.Manifest()
	closed(t, c)
	if given[0] != logB {
		t.Error("Commit sorted what belongs to the caller")
	}
	var all []ledger.Walked
	for one, err := range ledger.Walk(t.Context(), LedgerOf(store), "l-0000", *m.Ledger) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
	if len(all) != 2 || all[1].Previous != "" || all[0].Previous != all[1].SHA256 || all[0].SHA256 != m.Ledger.SHA256 {
		t.Fatalf("chain %+v", all)
	}
	e := all[0].Entry
	if e.Kind != ledger.KindEpoch || e.Number != 2 || e.Epoch != 2 || e.Claim != c.ClaimID() || e.Position != m.Position || e.Schema != 4 || e.Decoder != "7" || !e.Final || all[1].Final {
		t.Errorf("entry %+v", e)
	}
	if !slices.Equal(e.Logs, []ledger.Log{logA, logB}) {
		t.Errorf("logs %+v", e.Logs)
	}
	s := m.Staged[0]
	if len(e.Files) != 1 || e.Files[0] != (ledger.File{Sink: s.Sink, Table: string(s.Table), Name: s.Target, Rows: s.Rows, Bytes: s.Bytes, SHA256: s.SHA256}) {
		t.Errorf("files %+v", e.Files)
	}
}

// TestNoHeadWithoutItsEntry: when the entry cannot be made nothing names it, and
// an answer that was lost changes nothing.
func TestNoHeadWithoutItsEntry(t *testing.T) {
	for _, stored := range []bool{false, true} {
		store := newMemory()
		c := claim(t, config(store, &sink{}))
		store.failWith(func(op, name string) error {
			if op != "create" || !strings.Contains(name, "/ledger/") {
				return nil
			}
			if stored {
				stored = false
				line := entryBytes(t, c)
				store.replace(name, line)
			}
			return errLost
		})
		lost := stored
		err := commit(t, c, 1)
		if lost != (err == nil) {
			t.Errorf("stored %v: commit ended with %v", lost, err)
		}
		_ = c.Close(t.Context())
		store.failWith(nil)
		m, err := Load(t.Context(), store, c.cfg.Task)
		if err != nil || lost != (m.Epoch == 1) {
			t.Errorf("stored %v: HEAD at epoch %s, %v", lost, m.Epoch, err)
		}
	}
}

// entryBytes is the line that the first commit of c is about to write.
func entryBytes(t *testing.T, c *Committer) []byte {
	t.Helper()
	staged, err := (&fakeStage{sink: &sink{}, name: "1-" + string(c.claim)}).Seal(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m := c.follow(1, Cut{Position: stream.Position{Log: "x", Offset: 1}}, staged, nil)
	e := epochEntry(&m, nil)
	e.Number = 1
	line, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return line
}

// crashAt has a claim end while it does what op and part of a name say.
func crashAt(store *memory, op, part string) {
	store.failWith(func(o, name string) error {
		if o == op && strings.Contains(name, part) {
			return stream.ErrFenced // definite: no second attempt
		}
		return nil
	})
}

// TestEntriesOfLostAttemptsGo: above the tip at the next claim; below it, where
// one could not be removed in time, by what the chain says.
func TestEntriesOfLostAttemptsGo(t *testing.T) {
	for _, in := range []string{"manifest/", "HEAD"} { // where the attempt at epoch 4 ends
		t.Run(strings.Trim(in, "/"), func(t *testing.T) {
			store := newMemory()
			a := claim(t, config(store, &sink{}))
			history := []Manifest{a.Manifest()}
			epochs(t, a, 3, &history)
			if in == "HEAD" {
				crashAt(store, "swap", in)
			} else {
				crashAt(store, "create", in)
			}
			if err := commit(t, a, 4); err == nil {
				t.Fatal("committed")
			}
			_ = a.Close(t.Context())
			if got := ledgerObjects(t, store); got != "1 2 3 4" {
				t.Fatalf("ledger after the attempt: %s", got)
			}
			store.failWith(func(op, name string) error {
				if op == "delete" && strings.Contains(name, "/ledger/") {
					return errLost
				}
				return nil
			})
			b := claim(t, config(store, &sink{}))
			history = append(history, b.Manifest())
			if b.Stats().CollectErrors != 1 {
				t.Errorf("%d objects were not removed, want the entry of the attempt", b.Stats().CollectErrors)
			}
			epochs(t, b, 6, &history)
			closed(t, b)
			if got := ledgerObjects(t, store); got != "1 2 3 4 4 5 6" {
				t.Fatalf("ledger with both: %s", got)
			}
			store.failWith(nil)
			c := claim(t, config(store, &sink{}))
			history = append(history, c.Manifest())
			closed(t, c)
			if got := ledgerObjects(t, store); got != "1 2 3 4 5 6" {
				t.Errorf("ledger at the end: %s", got)
			}
			requireLedger(t, store, history)
		})
	}
}

// TestEntriesStayWhereTheChainCannotBeWalked: what is doubtful is kept.
func TestEntriesStayWhereTheChainCannotBeWalked(t *testing.T) {
	store := newMemory()
	a := claim(t, config(store, &sink{}))
	history := []Manifest{a.Manifest()}
	epochs(t, a, 4, &history)
	closed(t, a)
	store.put(ledger.EntryName("l-0000", 2, claimA), []byte("another attempt"))
	store.put(history[3].Ledger.Name, []byte("damaged"))
	b := claim(t, config(store, &sink{}))
	if st := b.Stats(); st.CollectErrors != 1 {
		t.Errorf("stats %+v", st)
	}
	closed(t, b)
	if got := ledgerObjects(t, store); got != "1 2 2 3 4" {
		t.Errorf("ledger: %s", got)
	}
}

func TestLedgerIsFolded(t *testing.T) {
	store := newMemory()
	c := claim(t, folding3(store, &sink{}))
	history := []Manifest{c.Manifest()}
	epochs(t, c, 3, &history)
	closed(t, c)
	if got := ledgerObjects(t, store); got != "1 2 3" {
		t.Errorf("the tip is folded: %s", got)
	}
	c = claim(t, folding3(store, &sink{}))
	history = append(history, c.Manifest())
	epochs(t, c, 8, &history)
	closed(t, c)
	if got := ledgerObjects(t, store); got != "7 8 fold-1 fold-4" {
		t.Errorf("ledger: %s", got)
	}
	requireLedger(t, store, history)
	d := claim(t, folding3(store, &sink{}))
	history = append(history, d.Manifest())
	closed(t, d)
	if got := ledgerObjects(t, store); got != "7 8 fold-1 fold-4" {
		t.Errorf("ledger after a claim: %s", got)
	}
	requireLedger(t, store, history)
}

// TestFoldingEndsAnywhere: after each step the next claim does the rest, and the
// ledger can be walked at any time.
func TestFoldingEndsAnywhere(t *testing.T) {
	for _, end := range []struct{ op, part, left string }{
		{"create", "fold-", "1 2 3 4"},
		{"read", "fold-", "1 2 3 4 fold-1"},
		{"delete", "ledger/00000000000000000003", "1 2 3 4 fold-1"}, // the newest goes first
		{"delete", "ledger/00000000000000000002", "1 2 4 fold-1"},
		{"delete", "ledger/00000000000000000001", "1 4 fold-1"},
	} {
		t.Run(end.op+" "+end.part, func(t *testing.T) {
			store := newMemory()
			c := claim(t, folding3(store, &sink{}))
			history := []Manifest{c.Manifest()}
			epochs(t, c, 3, &history)
			store.failWith(func(op, name string) error {
				if op == end.op && strings.Contains(name, end.part) {
					return stream.ErrFenced
				}
				return nil
			})
			if err := commit(t, c, 4); err != nil {
				t.Fatal(err)
			}
			history = append(history, c.Manifest())
			if err := c.Close(t.Context()); !errors.Is(err, stream.ErrFenced) {
				t.Fatalf("closed with %v", err)
			}
			store.failWith(nil)
			if got := ledgerObjects(t, store); got != end.left {
				t.Errorf("ledger after the end: %s, want %s", got, end.left)
			}
			requireLedger(t, store, history)
			d := claim(t, folding3(store, &sink{}))
			history = append(history, d.Manifest())
			closed(t, d)
			if got := ledgerObjects(t, store); got != "4 fold-1" {
				t.Errorf("ledger after a claim: %s", got)
			}
			requireLedger(t, store, history)
		})
	}
}

// TestFoldIsComparedBeforeAnythingGoes: another object under its name, and one
// that reads back differently, stop the task with every entry in its place.
func TestFoldIsComparedBeforeAnythingGoes(t *testing.T) {
	for what, spoil := range map[string]func(store *memory){
		"exists with other bytes": func(store *memory) { store.replace(ledger.FoldName("l-0000", 1), []byte("other\n")) },
		"reads back differently": func(store *memory) {
			created := false
			store.failWith(func(op, name string) error {
				if !strings.Contains(name, "fold-") {
					return nil
				}
				if created && op == "read" {
					store.replace(name, append([]byte("x"), store.content(name)...))
				}
				created = created || op == "create"
				return nil
			})
		},
	} {
		t.Run(what, func(t *testing.T) {
			store := newMemory()
			c := claim(t, folding3(store, &sink{}))
			history := []Manifest{c.Manifest()}
			epochs(t, c, 3, &history)
			spoil(store)
			if err := commit(t, c, 4); err != nil {
				t.Fatal(err)
			}
			if err := c.Close(t.Context()); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "fold-") {
				t.Errorf("closed with %v", err)
			}
			if got := ledgerObjects(t, store); got != "1 2 3 4 fold-1" {
				t.Errorf("ledger: %s", got)
			}
		})
	}
}

// TestFencedFoldRemovesNothing: a claim that is over leaves the single entries.
func TestFencedFoldRemovesNothing(t *testing.T) {
	store := newMemory()
	c := claim(t, folding3(store, &sink{}))
	history := []Manifest{c.Manifest()}
	epochs(t, c, 3, &history)
	store.failWith(func(op, name string) error {
		if op == "create" && strings.Contains(name, "fold-") {
			store.failWith(nil)
			closed(t, claim(t, config(store, &sink{})))
		}
		return nil
	})
	_ = commit(t, c, 4) // HEAD may or may not be the other's by then
	if err := c.Close(t.Context()); !errors.Is(err, stream.ErrFenced) {
		t.Errorf("closed with %v", err)
	}
	if got := ledgerObjects(t, store); !strings.HasPrefix(got, "1 2 3 4") {
		t.Errorf("ledger: %s", got)
	}
}

// TestFoldHoldsTheSameBytes: whoever makes it.
func TestFoldHoldsTheSameBytes(t *testing.T) {
	store := newMemory()
	c := claim(t, folding3(store, &sink{}))
	history := []Manifest{c.Manifest()}
	epochs(t, c, 3, &history)
	closed(t, c)
	var want []byte
	for _, m := range history[1:] {
		want = append(want, store.content(m.Ledger.Name)...)
	}
	d := claim(t, folding3(store, &sink{}))
	epochs(t, d, 4, &history)
	closed(t, d)
	if got := store.content(ledger.FoldName("l-0000", 1)); !bytes.Equal(got, want) {
		t.Errorf("fold %s\nwant %s", got, want)
	}
}
