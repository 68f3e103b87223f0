package checkpoint

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"landfall/edge/record"
	"landfall/engine/ledger"
	"landfall/engine/stream"
)

var elsewhere = Moved{Landing: "m", Partitions: 2}

// TestALeftTaskIsNobodys: whoever holds it is told, at its next commit and when it
// looks at HEAD; nobody claims it again; what was pending is visible.
func TestALeftTaskIsNobodys(t *testing.T) {
	store, out := newMemory(), &sink{}
	c := claim(t, config(store, out))
	if err := commit(t, c, 1); err != nil {
		t.Fatal(err)
	}
	left, err := Leave(t.Context(), config(store, out), elsewhere)
	if err != nil {
		t.Fatal(err)
	}
	if left.Epoch != 1 || left.Moved == nil || *left.Moved != elsewhere || left.Ledger == nil || left.Ledger.Number != 1 {
		t.Errorf("left with %+v", left)
	}
	if err := c.CheckHead(t.Context()); !errors.Is(err, ErrMoved) || !strings.Contains(err.Error(), "landing log m with 2 partitions") {
		t.Errorf("HEAD: %v", err)
	}
	if err := commit(t, c, 2); !errors.Is(err, ErrMoved) || !errors.Is(err, stream.ErrFenced) {
		t.Errorf("committed with %v", err)
	}
	if _, err := Claim(t.Context(), config(store, out)); !errors.Is(err, ErrMoved) {
		t.Errorf("claimed with %v", err)
	}
	if m, err := Load(t.Context(), store, left.TaskID()); err != nil || !bytes.Equal(encoded(t, m), encoded(t, left)) {
		t.Errorf("afterwards: %+v %v", m, err)
	}
	if got := out.seen(); len(got) == 0 {
		t.Errorf("visible: %v", got)
	}
	again, err := Leave(t.Context(), config(store, out), Moved{Landing: "n", Partitions: 3})
	if err != nil || again.Moved.Landing != "n" || again.Epoch != 1 || *again.Ledger != *left.Ledger {
		t.Errorf("left again: %+v %v", again, err)
	}
}

// TestLeavingPublishes: what a crashed engine committed is visible when the task was
// left, whichever call came to it.
func TestLeavingPublishes(t *testing.T) {
	store, out := newMemory(), &sink{}
	out.publish = func() error { return errLost }
	c := claim(t, config(store, out))
	if err := commit(t, c, 1); err != nil {
		t.Fatal(err)
	}
	<-c.Failed()
	if _, err := Leave(t.Context(), config(store, out), elsewhere); err == nil {
		t.Error("left without publishing")
	}
	out.publish = nil
	if _, err := Claim(t.Context(), config(store, out)); !errors.Is(err, ErrMoved) {
		t.Errorf("claimed with %v", err)
	}
	if _, err := Leave(t.Context(), config(store, out), elsewhere); err != nil {
		t.Fatal(err)
	}
	if got := out.seen(); len(got) == 0 {
		t.Error("nothing is visible")
	}
}

// arrival is what task m-0001 begins with.
func arrival() Arrival {
	log := ledger.Log{Gateway: "aurora", Log: strings.Repeat("ab", 16), From: 9, Next: 9}
	return Arrival{
		Generation: 1, Came: []ledger.Tip{{Name: ledger.EntryName("l-0000", 1, claimA), Number: 1, SHA256: hashA}}, State: []byte("state"),
		Watermarks: []stream.Watermark{{Gateway: "b", At: 2}, {Gateway: "a", At: record.NoTime}}, Logs: []ledger.Log{log}, Note: "moved",
	}
}

func arriving(store Store) Config {
	cfg := config(store, &sink{})
	cfg.Task, cfg.Partitions, cfg.Params = stream.TaskID{Landing: "m", Partition: 1}, 2, nil
	return cfg
}

// TestAnArrivedTaskGoesOn: with the state, from the beginning of its partition; the
// generation stays; the ledger walks back to where the task came from. Another
// arrival changes nothing, and one of another generation is refused.
func TestAnArrivedTaskGoesOn(t *testing.T) {
	store := newMemory()
	cfg := arriving(store)
	if err := Arrive(t.Context(), cfg, arrival()); err != nil {
		t.Fatal(err)
	}
	first, err := Load(t.Context(), store, cfg.Task)
	if err != nil {
		t.Fatal(err)
	}
	if err := Arrive(t.Context(), cfg, arrival()); err != nil {
		t.Errorf("again: %v", err)
	}
	other := arrival()
	other.Generation = 2
	if err := Arrive(t.Context(), cfg, other); !errors.Is(err, ErrIdentity) {
		t.Errorf("of another generation: %v", err)
	}
	if now, _ := Load(t.Context(), store, cfg.Task); !reflect.DeepEqual(now, first) {
		t.Errorf("changed to %+v", now)
	}
	c := claim(t, cfg)
	if m := c.Manifest(); m.Epoch != 0 || m.Position != (stream.Position{}) || m.Generation != 1 || len(m.Watermarks) != 2 || m.Watermarks[0].Gateway != "a" {
		t.Errorf("claimed: %+v", m)
	}
	for data, err := range c.State(t.Context()) {
		if err != nil || string(data) != "state" {
			t.Errorf("state %q, %v", data, err)
		}
	}
	for offset := range int64(2) {
		if err := commit(t, c, offset+1); err != nil {
			t.Fatal(err)
		}
	}
	closed(t, c)
	m, err := Load(t.Context(), store, cfg.Task)
	if err != nil || m.Generation != 1 || m.Epoch != 2 || m.Ledger.Number != 3 {
		t.Fatalf("%+v %v", m, err)
	}
	var kinds []string
	for one, err := range ledger.Walk(t.Context(), LedgerOf(store), cfg.Task.String(), *m.Ledger) {
		if err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, fmt.Sprint(one.Kind, len(one.Came), len(one.Logs)))
	}
	if got := strings.Join(kinds, " "); got != "epoch0 0 epoch0 0 moved1 1" {
		t.Errorf("ledger: %s", got)
	}
}

// TestAnArrivalOfManyLogs takes several entries; the first says where it came from.
func TestAnArrivalOfManyLogs(t *testing.T) {
	store := newMemory()
	a := arrival()
	for i := range arrivedLogs {
		a.Logs = append(a.Logs, ledger.Log{Gateway: "b", Log: fmt.Sprintf("%032x", i), From: 1, Next: 1})
	}
	if err := Arrive(t.Context(), arriving(store), a); err != nil {
		t.Fatal(err)
	}
	m, err := Load(t.Context(), store, arriving(store).Task)
	if err != nil {
		t.Fatal(err)
	}
	logs, came := 0, uint64(0)
	for one, err := range ledger.Walk(t.Context(), LedgerOf(store), m.TaskID().String(), *m.Ledger) {
		if err != nil {
			t.Fatal(err)
		}
		if logs += len(one.Logs); len(one.Came) > 0 {
			came = one.Number
		}
	}
	if m.Ledger.Number != 2 || logs != arrivedLogs+1 || came != 1 {
		t.Errorf("%d entries with %d logs, came in entry %d", m.Ledger.Number, logs, came)
	}
}

// TestAnArrivalThatCrashed leaves what the first claim collects, wherever it
// crashed; another attempt makes the task.
func TestAnArrivalThatCrashed(t *testing.T) {
	for _, op := range []string{"create m-0001/state", "create m-0001/ledger", "create m-0001/manifest", "swap m-0001/HEAD"} {
		t.Run(op, func(t *testing.T) {
			store := newMemory()
			cfg := arriving(store)
			cfg.Attempts = 1
			store.failWith(func(did, name string) error {
				if strings.HasPrefix(did+" "+name, op) {
					return errors.New("crashed")
				}
				return nil
			})
			if err := Arrive(t.Context(), cfg, arrival()); err == nil {
				t.Fatal("arrived")
			}
			store.failWith(nil)
			if _, err := Load(t.Context(), store, cfg.Task); !errors.Is(err, ErrNotExist) {
				t.Fatalf("a task: %v", err)
			}
			if err := Arrive(t.Context(), cfg, arrival()); err != nil {
				t.Fatal(err)
			}
			closed(t, claim(t, cfg))
			if names := store.names(t); len(names) != 4 {
				t.Errorf("left: %v", names)
			}
		})
	}
}
