package move

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"landfall/engine/audit"
	"landfall/engine/checkpoint"
	"landfall/engine/ledger"
	"landfall/engine/stream"
)

// movedLake is a lake of two landing logs, with records of each gateway from both.
func movedLake(t *testing.T) *rig {
	t.Helper()
	r := newRig(t, 4)
	a, b := r.landing("log-a", 2), r.landing("log-b", 3)
	r.land(a)
	r.run(a, r.is("log-a", 2))
	if _, err := r.replace(a, b, r.is("log-b", 3)); err != nil {
		t.Fatal(err)
	}
	r.land(b)
	r.run(b, r.is("log-b", 3))
	r.exact(audit.LevelBytes)
	return r
}

// wants finds a sentence among what stands against the lake.
func (r *rig) wants(text string) {
	r.t.Helper()
	result := r.audit(audit.Config{})
	if result.Exact || !strings.Contains(strings.Join(result.Problems, "\n"), text) {
		r.t.Errorf("exact %v, want %q in\n%s", result.Exact, text, strings.Join(result.Problems, "\n"))
	}
}

// remove removes folders of the checkpoints, and the files of their tasks.
func (r *rig) remove(tasks ...string) {
	r.t.Helper()
	for _, task := range tasks {
		if err := os.RemoveAll(filepath.Join(r.dir, "lake", "_checkpoint", task)); err != nil {
			r.t.Fatal(err)
		}
		files, err := filepath.Glob(filepath.Join(r.dir, "lake", "*", "dt=*", task+"-*"))
		if err != nil {
			r.t.Fatal(err)
		}
		for _, f := range files {
			if err := os.Remove(f); err != nil {
				r.t.Fatal(err)
			}
		}
	}
}

// TestAnAuditFollowsAMove: what is taken out of either half of a lake is missed, and a
// ledger that does not go on where the other ended is told.
func TestAnAuditFollowsAMove(t *testing.T) {
	t.Run("a task of before removed with its files", func(t *testing.T) {
		r := movedLake(t)
		r.remove("log-a-0001")
		r.wants("goes on from entry 1 of the ledger of task log-a-0001, and there is no task with a checkpoint of this name")
	})
	t.Run("all that came after removed", func(t *testing.T) {
		r := movedLake(t)
		r.remove("log-b-0000", "log-b-0001", "log-b-0002")
		r.wants("task log-b-0002 has no HEAD")
	})
	t.Run("all that came after removed, and what feeds the lake as it was before", func(t *testing.T) {
		r := movedLake(t)
		data, _, err := r.store.Read(t.Context(), landingName)
		if err != nil {
			t.Fatal(err)
		}
		was := map[string]any{}
		if err := json.Unmarshal(data, &was); err != nil {
			t.Fatal(err)
		}
		r.remove("log-b-0000", "log-b-0001", "log-b-0002")
		r.overwrite(landingName, fmt.Appendf(nil, `{"format":1,"generation":0,"kind":%q,"id":"log-a","partitions":2,"place":%q}`+"\n", was["kind"], was["place"]))
		r.wants("task log-b-0002 has no HEAD, and its landing log has 3 partitions")
	})
	t.Run("another history before", func(t *testing.T) {
		r := movedLake(t)
		r.forge("log-b", 0, func(e *ledger.Entry) { e.Came[0].SHA256 = strings.Repeat("0", 64) })
		r.wants("goes on from entry 1 of the ledger of task log-a-0000, and that is not in it")
	})
	t.Run("a log that goes on elsewhere", func(t *testing.T) {
		r := movedLake(t)
		for p := range 3 {
			r.forge("log-b", p, func(e *ledger.Entry) {
				for i := range e.Logs {
					e.Logs[i].From, e.Logs[i].Next = e.Logs[i].From-1, e.Logs[i].Next-1
				}
			})
		}
		r.wants("on from offset 2, and the entry before ended at 3")
	})
	t.Run("a ledger that does not begin with the move", func(t *testing.T) {
		r := movedLake(t)
		r.forge("log-b", 1, func(e *ledger.Entry) { e.Kind, e.Came, e.Logs, e.Epoch = ledger.KindRepair, nil, nil, 0 })
		r.wants("and its ledger does not begin with that")
	})
}

// forge changes the first entry of a task's ledger, and makes the rest of its history
// fit.
func (r *rig) forge(landing string, partition int, change func(*ledger.Entry)) {
	r.t.Helper()
	task := stream.TaskID{Landing: landing, Partition: partition}
	m, err := checkpoint.Load(r.t.Context(), r.store, task)
	if err != nil {
		r.t.Fatal(err)
	}
	var entries []ledger.Walked
	for one, err := range ledger.Walk(r.t.Context(), checkpoint.LedgerOf(r.store), task.String(), *m.Ledger) {
		if err != nil {
			r.t.Fatal(err)
		}
		entries = append([]ledger.Walked{one}, entries...)
	}
	change(&entries[0].Entry)
	previous := ""
	for _, one := range entries {
		one.Previous = previous
		line, err := one.Encode()
		if err != nil {
			r.t.Fatal(err)
		}
		r.overwrite(one.Object, line)
		previous = ledger.Hash(line)
		m.Ledger = &ledger.Tip{Name: one.Object, Number: one.Number, SHA256: previous}
	}
	data, err := m.Encode()
	if err != nil {
		r.t.Fatal(err)
	}
	head, _, err := r.store.Read(r.t.Context(), task.String()+"/HEAD")
	if err != nil {
		r.t.Fatal(err)
	}
	var h checkpoint.Head
	if err := json.Unmarshal(head, &h); err != nil {
		r.t.Fatal(err)
	}
	r.overwrite(h.Manifest, data)
	h.SHA256 = ledger.Hash(data)
	if head, err = h.Encode(); err != nil {
		r.t.Fatal(err)
	}
	r.overwrite(task.String()+"/HEAD", head)
}

func (r *rig) overwrite(name string, data []byte) {
	r.t.Helper()
	_, version, err := r.store.Read(r.t.Context(), name)
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := r.store.Swap(r.t.Context(), name, version, data); err != nil {
		r.t.Fatal(err)
	}
}
