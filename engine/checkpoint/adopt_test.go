package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"

	"landfall/engine/ledger"
	"landfall/engine/stream"
)

// oldLake is a task of the version before the ledger: three epochs, of which the
// last one is committed and not published.
func oldLake(t *testing.T) (*memory, *contentSink, *remaker) {
	t.Helper()
	store, s, r := newMemory(), newContentSink(), &remaker{}
	cfg := contentConfig(store, s, r)
	c := claim(t, cfg)
	for _, offset := range []int64{10, 20} {
		if err := commitContent(t, c, offset); err != nil {
			t.Fatal(err)
		}
	}
	closed(t, c)
	killedBeforePublishing(t, cfg, 30)
	m, err := Load(t.Context(), store, cfg.Task)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range store.names(t) {
		if strings.Contains(name, "/ledger/") || strings.Contains(name, "/manifest/") {
			delete(store.objects, name)
		}
	}
	m.Format, m.Ledger = 2, nil
	data := encoded(t, m)
	name := manifestName(cfg.Task, m.Epoch, m.Claim)
	store.put(name, data)
	head, err := Head{Format: 2, Manifest: name, SHA256: hash(data), Claim: m.Claim, Epoch: m.Epoch}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	store.put("l-0000/HEAD", head)
	return store, s, r
}

// adopting is a config that takes oldLake over.
func adopting(store Store, s *contentSink, r *remaker) Config {
	cfg := contentConfig(store, s, r)
	cfg.AdoptLogs = func(state iter.Seq2[[]byte, error]) ([]ledger.Log, error) {
		var logs []ledger.Log
		for data, err := range state {
			if err != nil {
				return nil, err
			}
			logs = append(logs, ledger.Log{Gateway: "g" + string(data), Log: strings.Repeat("a", 32), Next: 3})
		}
		return logs, nil
	}
	return cfg
}

// TestLakeWithoutALedgerIsTakenOver: what is visible as it is found, what is
// pending as the manifest has it, the logs by the state; and it goes on.
func TestLakeWithoutALedgerIsTakenOver(t *testing.T) {
	store, s, r := oldLake(t)
	before, err := Load(t.Context(), store, stream.TaskID{Landing: "l"})
	if err != nil {
		t.Fatal(err)
	}
	s.visible["visible/9a"] = "of an epoch that did not happen"
	s.visible["visible/3a"] = s.staged[before.Staged[0].Name] // half published
	c := claim(t, adopting(store, s, r))
	history := []Manifest{before, c.Manifest()}
	m := c.Manifest()
	if m.Format != Format || m.Ledger == nil || m.Ledger.Number != 1 || m.Epoch != 3 {
		t.Fatalf("claimed %+v", m)
	}
	var e ledger.Walked
	for one, err := range ledger.Walk(t.Context(), LedgerOf(store), "l-0000", *m.Ledger) {
		if err != nil {
			t.Fatal(err)
		}
		e = one
	}
	var files []string
	for _, f := range e.Files {
		if want := sumOf(s.visible[f.Name]); f.SHA256 != want || f.Bytes != int64(len(s.visible[f.Name])) {
			t.Errorf("%s has hash %s and %d bytes in the ledger", f.Name, f.SHA256, f.Bytes)
		}
		files = append(files, fmt.Sprint(f.Name, " ", f.Rows))
	}
	if got := strings.Join(files, ", "); got != "visible/3a 1, visible/3b 1, visible/1a -1, visible/1b -1, visible/2a -1, visible/2b -1" {
		t.Errorf("files %s", got)
	}
	if e.Kind != ledger.KindAdopted || e.Epoch != 3 || e.Position.Offset != 30 || len(e.Logs) != 1 || e.Logs[0].Gateway != "g30" || e.Note == "" {
		t.Errorf("entry %+v", e.Entry)
	}
	if err := commitContent(t, c, 40); err != nil {
		t.Fatal(err)
	}
	history = append(history, c.Manifest())
	closed(t, c)
	if m := c.Manifest(); m.Ledger.Number != 2 {
		t.Errorf("entry %d after the next epoch", m.Ledger.Number)
	}
	if err := follows(&history[0], &history[1]); err != nil {
		t.Error(err)
	}
	if err := errors.Join(follows(&history[1], &history[2]), CheckLedger(t.Context(), store, history)); err != nil {
		t.Error(err)
	}
}

// TestTakeOverThatEndsLeavesNothing: at each object that it makes, and with the
// hashing; the next claim begins again, and what was left goes.
func TestTakeOverThatEndsLeavesNothing(t *testing.T) {
	for _, end := range []string{"ledger/", "manifest/", "HEAD"} {
		t.Run(end, func(t *testing.T) {
			store, s, r := oldLake(t)
			store.failWith(func(op, name string) error {
				if (op == "create" || op == "swap") && strings.Contains(name, end) {
					return stream.ErrFenced
				}
				return nil
			})
			if _, err := Claim(t.Context(), adopting(store, s, r)); err == nil {
				t.Fatal("claimed")
			}
			store.failWith(nil)
			m, err := Load(t.Context(), store, stream.TaskID{Landing: "l"})
			if err != nil || m.Format != 2 || m.Ledger != nil {
				t.Errorf("HEAD: %+v, %v", m, err)
			}
			c := claim(t, adopting(store, s, r))
			closed(t, c)
			if got := ledgerObjects(t, store); got != "1" {
				t.Errorf("ledger: %s", got)
			}
			if err := CheckLedger(t.Context(), store, []Manifest{m, c.Manifest()}); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestTakeOverOfManyFiles: in entries of a bounded size.
func TestTakeOverOfManyFiles(t *testing.T) {
	store, s, r := oldLake(t)
	c := claim(t, Config{
		Store: store, Sinks: []stream.Sink{manyFiles{s}}, Task: stream.TaskID{Landing: "l"}, Partitions: 1, Schema: 1,
		Params: map[string]string{"gateway": "aurora"}, AdoptLogs: adopting(store, s, r).AdoptLogs,
	})
	closed(t, c)
	files := map[uint64]int{}
	logs := map[uint64]int{}
	for one, err := range ledger.Walk(t.Context(), LedgerOf(store), "l-0000", *c.Manifest().Ledger) {
		if err != nil {
			t.Fatal(err)
		}
		files[one.Number], logs[one.Number] = len(one.Files), len(one.Logs)
	}
	if len(files) != 3 || files[1] != adoptedFiles || files[2] != adoptedFiles || files[3] != 2+10 || logs[1]+logs[2] != 0 || logs[3] != 1 {
		t.Errorf("files %v, logs %v by entry", files, logs)
	}
}

// manyFiles has published more than fits into one entry.
type manyFiles struct{ *contentSink }

func (s manyFiles) Published(_ context.Context, _ stream.TaskID, _ stream.Epoch, yield func(stream.Staged) error) error {
	for i := range 2*adoptedFiles + 10 {
		if err := yield(stream.Staged{Sink: "content", Table: "record", Target: fmt.Sprintf("visible/old-%d", i), Rows: -1, SHA256: hashA}); err != nil {
			return err
		}
	}
	return nil
}
