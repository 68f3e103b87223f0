package move

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"landfall/engine/audit"
	"landfall/engine/checkpoint"
	"landfall/engine/ledger"
	"landfall/engine/stream"
	"landfall/engine/task"
)

// TestALakeMoves from 4 partitions to 16 to 3, with blocks that are landed and not
// published each time; every log goes on, the audit is exact at each stage, also
// from an earlier result on, and the ledgers lead back to the first.
func TestALakeMoves(t *testing.T) {
	r := newRig(t, 9)
	a := r.landing("log-a", 4)
	r.land(a)
	r.run(a, r.is("log-a", 4))
	before := r.exact(audit.LevelBytes)
	if err := a.Close(); err != nil { // what lands after a restart has offsets of its own
		t.Fatal(err)
	}
	a = r.landing("log-a", 4)
	r.land(a) // the move publishes it

	b := r.landing("log-b", 16)
	result, err := r.replace(a, b, r.is("log-b", 16))
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Old) != 4 || len(result.New) != 16 || result.Generation != 1 || len(result.Notes) != 0 || result.From != r.is("log-a", 4) {
		t.Errorf("%+v", result)
	}
	gateways := 0
	for _, n := range result.New {
		gateways += n.Gateways
	}
	if gateways != 9 {
		t.Errorf("%d gateways handed over", gateways)
	}
	between := r.exact(audit.LevelBytes)
	published := uint64(0)
	for _, l := range between.Logs {
		published += l.Next
	}
	if published != 9*6 {
		t.Errorf("%d records are published by the move, want 54", published)
	}
	r.land(b)
	for _, g := range r.gateways { // a gateway that did not hear the last answer sends once more
		r.append(b, g.name, g.blocks[len(g.blocks)-1])
		r.append(b, g.name, g.blocks[0])
	}
	r.run(b, r.is("log-b", 16))

	c := r.landing("log-c", 3)
	if _, err := r.replace(b, c, r.is("log-c", 3)); err != nil {
		t.Fatal(err)
	}
	r.land(c)
	r.run(c, r.is("log-c", 3))
	r.land(c)
	r.run(c, r.is("log-c", 3))
	r.exact(audit.LevelOffsets)
	r.exact(audit.LevelFiles)
	r.exact(audit.LevelBytes)
	for _, since := range []*audit.Result{before, between} {
		if later := r.audit(audit.Config{Since: since, Level: audit.LevelBytes}); !later.Exact {
			t.Errorf("since: %q", later.Problems)
		}
	}
	if again, err := r.replace(nil, c, r.is("log-c", 3)); err != nil || !again.WasDone || again.Generation != 2 {
		t.Errorf("again: %+v %v", again, err)
	}
	if _, err := r.replace(c, r.landing("log-a2", 4), r.is("log-a", 4)); !errors.Is(err, ErrNotFresh) {
		t.Errorf("back to where it was: %v", err)
	}
}

// TestAnEngineOnTheOldLandingLogEnds: it is told what happened, and commits nothing
// more; another start is refused before it reads anything.
func TestAnEngineOnTheOldLandingLogEnds(t *testing.T) {
	r := newRig(t, 3)
	a := r.landing("log-a", 1)
	r.land(a)
	r.run(a, r.is("log-a", 1))
	r.land(a)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	claimed := make(chan struct{})
	ended := make(chan error, 1)
	cfg := r.task(a, 0)
	cfg.Claimed = func(task.Status, func() checkpoint.Stats) { close(claimed) }
	go func() { ended <- task.Run(ctx, cfg) }()
	<-claimed
	if _, err := Replace(t.Context(), Config{Store: r.store, Sinks: r.sinks, To: r.is("log-b", 2), New: r.landing("log-b", 2), Lost: true}); err != nil {
		t.Fatal(err)
	}
	cancel() // it commits what it read, or tries to
	if err := <-ended; !errors.Is(err, checkpoint.ErrMoved) || !strings.Contains(err.Error(), "log-b with 2 partitions") {
		t.Errorf("the engine ended with %v", err)
	}
	if err := task.Run(t.Context(), r.task(a, 0)); !errors.Is(err, checkpoint.ErrMoved) {
		t.Errorf("another run: %v", err)
	}
	var other *OtherError
	if err := Bind(t.Context(), r.store, r.is("log-a", 1)); !errors.As(err, &other) || other.Lake != r.is("log-b", 2) {
		t.Errorf("another start: %v", err)
	}
}

// TestALostLandingLog: its gateways send again from what is published, and the lake is
// exact; without a word that it is lost, nothing happens.
func TestALostLandingLog(t *testing.T) {
	r := newRig(t, 5)
	a := r.landing("log-a", 4)
	r.land(a)
	r.run(a, r.is("log-a", 4))
	r.land(a)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(r.dir, "log-a")); err != nil {
		t.Fatal(err)
	}
	b := r.landing("log-b", 2)
	c := Config{Store: r.store, Sinks: r.sinks, To: r.is("log-b", 2), New: b}
	if _, err := Replace(t.Context(), c); !errors.Is(err, ErrUnread) {
		t.Fatalf("not read: %v", err)
	}
	if err := Bind(t.Context(), r.store, r.is("log-a", 4)); err != nil {
		t.Errorf("a refused move changed something: %v", err)
	}
	c.Lost = true
	result, err := Replace(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range result.Old {
		if o.Unread != -1 || o.Epoch > 1 {
			t.Errorf("%+v", o)
		}
	}
	for _, g := range r.gateways {
		r.append(b, g.name, g.blocks[1])
	}
	r.land(b)
	r.run(b, r.is("log-b", 2))
	r.exact(audit.LevelBytes)
}

// TestALandingLogThatWasCut is drained as far as it goes; what it lost comes again,
// and what was passed over because of that stays behind.
func TestALandingLogThatWasCut(t *testing.T) {
	r := newRig(t, 3)
	a := r.landing("log-a", 2)
	r.land(a)
	r.run(a, r.is("log-a", 2))
	r.land(a) // lost
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(r.dir, "log-a")); err != nil {
		t.Fatal(err)
	}
	a, b := r.landing("log-a", 2), r.landing("log-b", 1)
	r.land(a) // passed over
	result, err := r.replace(a, b, r.is("log-b", 1))
	if err != nil {
		t.Fatal(err)
	}
	unread := int64(0)
	for _, o := range result.Old {
		unread += o.Unread
	}
	if unread != 3 {
		t.Errorf("%d blocks were there to be read", unread)
	}
	for _, g := range r.gateways {
		r.append(b, g.name, g.blocks[1])
		r.append(b, g.name, g.blocks[2])
		r.run(b, r.is("log-b", 1)) // the others' are missing still
		if m, err := checkpoint.Load(t.Context(), r.store, stream.TaskID{Landing: "log-b"}); err != nil || m.Hold != nil {
			t.Errorf("the landing log is held at %v, %v", m.Hold, err)
		}
	}
	r.land(b)
	r.run(b, r.is("log-b", 1))
	r.exact(audit.LevelBytes)
}

// TestWhatAMoveRefuses, and then the lake is as it was.
func TestWhatAMoveRefuses(t *testing.T) {
	r := newRig(t, 2)
	a, b := r.landing("log-a", 2), r.landing("log-b", 2)
	if _, err := r.replace(a, b, r.is("log-b", 2)); !errors.Is(err, ErrUnfed) {
		t.Errorf("of a lake that nothing feeds: %v", err)
	}
	r.land(a)
	r.run(a, r.is("log-a", 2))
	used := r.landing("log-c", 2)
	r.append(used, "gateway-0", r.gateways[0].blocks[0])
	if _, err := r.replace(a, used, r.is("log-c", 2)); !errors.Is(err, ErrNotFresh) {
		t.Errorf("to a landing log that is in use: %v", err)
	}
	if _, err := r.replace(used, b, r.is("log-b", 2)); err == nil || !strings.Contains(err.Error(), "the lake is fed from landing log log-a") {
		t.Errorf("from another landing log than the lake's: %v", err)
	}
	if _, err := r.store.List(t.Context(), "_lake/moving"); err != nil {
		t.Fatal(err)
	}
	if err := Bind(t.Context(), r.store, r.is("log-a", 2)); err != nil {
		t.Error(err)
	}
	r.exact(audit.LevelBytes)
}

// TestADryRunChangesNothing and tells what there is to do.
func TestADryRunChangesNothing(t *testing.T) {
	r := newRig(t, 6)
	a := r.landing("log-a", 2)
	r.land(a)
	r.run(a, r.is("log-a", 2))
	r.land(a)
	before := r.objects()
	to := Landing{Kind: Embedded, Partitions: 3, Place: filepath.Join(r.dir, "log-b")}
	result, err := Replace(t.Context(), Config{Store: r.store, Sinks: r.sinks, To: to, Old: a, DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	unread, logs := int64(0), 0
	for _, o := range result.Old {
		unread += o.Unread
	}
	for _, n := range result.New {
		logs += n.Logs
	}
	if unread != 6 || logs != 6 || len(result.New) != 3 || !result.DryRun {
		t.Errorf("%+v", result)
	}
	if after := r.objects(); after != before {
		t.Errorf("objects were\n%s\nand are\n%s", before, after)
	}
}

// objects lists what the store holds.
func (r *rig) objects() string {
	r.t.Helper()
	names, err := r.store.List(r.t.Context(), "")
	if err != nil {
		r.t.Fatal(err)
	}
	return strings.Join(names, "\n")
}

// TestTasksThatNobodyClaimed end with the others: an engine of the old landing log
// would begin them otherwise.
func TestTasksThatNobodyClaimed(t *testing.T) {
	r := newRig(t, 1)
	a := r.landing("log-a", 3)
	if err := Bind(t.Context(), r.store, r.is("log-a", 3)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.replace(a, r.landing("log-b", 1), r.is("log-b", 1)); err != nil {
		t.Fatal(err)
	}
	for p := range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		cfg := r.task(a, p)
		cfg.Claimed = func(task.Status, func() checkpoint.Stats) { cancel() } // or it would wait for blocks
		if err := task.Run(ctx, cfg); !errors.Is(err, checkpoint.ErrMoved) {
			t.Errorf("partition %d: %v", p, err)
		}
		cancel()
	}
}

// TestTheLedgerLeadsBack from the new tasks to the old.
func TestTheLedgerLeadsBack(t *testing.T) {
	r := newRig(t, 4)
	a, b := r.landing("log-a", 2), r.landing("log-b", 3)
	r.land(a)
	r.run(a, r.is("log-a", 2))
	if _, err := r.replace(a, b, r.is("log-b", 3)); err != nil {
		t.Fatal(err)
	}
	for p := range 3 {
		m, err := checkpoint.Load(t.Context(), r.store, stream.TaskID{Landing: "log-b", Partition: p})
		if err != nil {
			t.Fatal(err)
		}
		for one, err := range ledger.Walk(t.Context(), checkpoint.LedgerOf(r.store), m.TaskID().String(), *m.Ledger) {
			if err != nil || one.Kind != ledger.KindMoved || len(one.Came) != 2 || !strings.Contains(one.Note, "log-a") {
				t.Fatalf("%+v %v", one.Entry, err)
			}
			for i, tip := range one.Came {
				old, err := checkpoint.Load(t.Context(), r.store, stream.TaskID{Landing: "log-a", Partition: i})
				if err != nil || *old.Ledger != tip {
					t.Errorf("%+v, want %+v, %v", tip, old.Ledger, err)
				}
			}
		}
	}
}

// TestAnAttemptThatLedElsewhere is given up: its landing log may be gone.
func TestAnAttemptThatLedElsewhere(t *testing.T) {
	r := newRig(t, 5)
	a, b, c := r.landing("log-a", 2), r.landing("log-b", 4), r.landing("log-c", 3)
	r.land(a)
	r.run(a, r.is("log-a", 2))
	broken := &failing{Store: r.store, op: "swap", name: landingName}
	if _, err := Replace(t.Context(), Config{Store: broken, Sinks: r.sinks, To: r.is("log-b", 4), New: b, Old: a}); err == nil {
		t.Fatal("nothing failed")
	}
	for _, is := range []Landing{r.is("log-a", 2), r.is("log-b", 4), r.is("log-c", 3)} {
		if err := Check(t.Context(), r.store, is); err == nil || !strings.Contains(err.Error(), "being moved") {
			t.Errorf("%s: %v", is, err)
		}
	}
	if _, err := r.replace(a, c, r.is("log-c", 3)); err != nil {
		t.Fatal(err)
	}
	r.land(c)
	r.run(c, r.is("log-c", 3))
	r.exact(audit.LevelBytes)
	if names := r.objects(); strings.Contains(names, "log-b") {
		t.Errorf("left:\n%s", names)
	}
}

// failing is a store that fails from one call on.
type failing struct {
	checkpoint.Store
	op, name string
	down     bool
}

func (f *failing) fails(op, name string) bool {
	f.down = f.down || op == f.op && name == f.name
	return f.down
}

var errDown = errors.New("the store does not answer")

func (f *failing) Create(ctx context.Context, name string, data []byte) error {
	if f.fails("create", name) {
		return errDown
	}
	return f.Store.Create(ctx, name, data)
}

func (f *failing) Swap(ctx context.Context, name string, old checkpoint.Version, data []byte) (checkpoint.Version, error) {
	if f.fails("swap", name) {
		return "", errDown
	}
	return f.Store.Swap(ctx, name, old, data)
}

func (f *failing) Delete(ctx context.Context, name string) error {
	if f.fails("delete", name) {
		return errDown
	}
	return f.Store.Delete(ctx, name)
}

// TestFormatsAreFrozen: what is written is what every later version has to read.
func TestFormatsAreFrozen(t *testing.T) {
	a := Landing{Kind: Embedded, ID: "5f", Partitions: 4, Place: "/var/lib/landfall/landing"}
	b := Landing{Kind: Kafka, ID: "6a", Partitions: 16, Place: "landfall"}
	for name, v := range map[string]any{
		"landing-v1.json": fed{Format: 1, Generation: 2, Landing: b},
		"landing-v2.json": fed{Format: 2, Generation: 2, Landing: b, GivenUp: 1},
		"moving-v1.json":  moving{Format: 1, Generation: 2, From: a, To: b, Abandoned: []Landing{{Kind: Kafka, ID: "7b", Partitions: 8, Place: "typo"}}},
	} {
		data, err := encode(v)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("testdata", "formats", name)
		frozen, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(frozen, data) {
			t.Errorf("%s: written differently today:\n%s", name, data)
		}
		if !json.Valid(frozen) {
			t.Errorf("%s is no JSON", name)
		}
	}
}
