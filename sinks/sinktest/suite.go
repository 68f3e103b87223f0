// Package sinktest is what every sink must pass, and the foreign readers that
// look at what sinks write.
//
// In:  a World: the sink under test on an outside world whose every operation
// can be made to fail, to succeed with its answer lost, or to be the last one
// before the process or the machine dies.
// Out: the test's verdict. DuckDB and Python run foreign readers.
//
// Invariants
//
//  1. Run asks nothing of a sink beyond the comments of stream.Sink.
//  2. The rows and the order of calls are the same in every run.
//
// It is for tests only; a World belongs to one goroutine.
package sinktest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"landfall/edge/record"
	"landfall/engine/stream"
	"landfall/engine/table"
)

// Fault is what one operation on the outside world meets.
type Fault int

// The faults.
const (
	Failed       Fault = iota // an error, and nothing was done
	AnswerLost                // an error, though it was done
	KilledBefore              // the machine dies before it is done
	KilledAfter               // the machine dies when it is done
)

// String gives the fault's name in test names.
func (f Fault) String() string {
	return [...]string{"failed", "answer lost", "killed before", "killed after"}[f]
}

// World is the outside world of one sink: a file system, a broker, a database.
type World interface {
	// Start opens the sink as a new process does.
	Start(t testing.TB) stream.Sink
	// Arm makes operation n from now, counted from 1, meet a fault; 0 disarms
	// and counts anew.
	Arm(n int, f Fault)
	// Ops is the number of operations since Arm.
	Ops() int
	// Dead says that a fault killed the machine: every call fails until Revive.
	Dead() bool
	// Revive starts the machine again after a power loss; seed chooses among
	// what that may leave.
	Revive(seed int)
	// Visible gives the offset of every row of record that readers see, in any
	// order, duplicates included.
	Visible(t testing.TB) []record.Offset
	// Staged names what lies staged.
	Staged(t testing.TB) []string
}

const (
	epochs    = 3
	epochRows = 20
	gateway   = "gw"
	logName   = "00000000000000000000000000000abc"
)

// Run puts a sink through the suite. Each call of open gives an empty World.
func Run(t *testing.T, open func(t testing.TB) World) {
	t.Run("every step of every fault", func(t *testing.T) { everyStep(t, open) })
	t.Run("twice over", func(t *testing.T) { twice(t, open(t)) })
	t.Run("two claims", func(t *testing.T) { twoClaims(t, open(t)) })
	t.Run("collection", func(t *testing.T) { collection(t, open(t)) })
	t.Run("stage", func(t *testing.T) { stageKeepsItsOwn(t, open(t)) })
	t.Run("publish nothing", func(t *testing.T) { publishNothing(t, open(t)) })
}

// task is the task whose epochs the suite commits.
func task() stream.TaskID { return stream.TaskID{Landing: "suite", Partition: 3} }

func claim(n int) stream.ClaimID { return stream.ClaimID(fmt.Sprintf("%032x", n+1)) }

// rowsOf makes the rows of one epoch: records, and a position for each.
func rowsOf(epoch stream.Epoch) *table.Batch {
	b := new(table.Batch)
	for i := range epochRows {
		o := record.Offset(epoch-1)*epochRows + record.Offset(i)
		line := table.Lineage{Gateway: gateway, Log: logName, Offset: o, Rows: 1}
		times := table.Times{EventTime: record.Micros(1_700_000_000+o) * 1e6, ReceivedAt: record.Micros(o)}
		b.Records = append(b.Records, table.RecordRow{Lineage: line, Times: times, Kind: record.KindAIS, Raw: fmt.Appendf(nil, "line %d", o)})
		b.Positions = append(b.Positions, table.PositionRow{Lineage: line, Times: times})
	}
	return b
}

// engine is the part of a task that the suite plays: what is committed
// survives everything, as a manifest does.
type engine struct {
	committed []stream.Staged // all epochs' outputs
	epoch     stream.Epoch    // the last one committed
	claim     int
}

// run brings all epochs to readers, beginning with recovery.
func (e *engine) run(ctx context.Context, s stream.Sink) error {
	if err := s.Publish(ctx, e.committed); err != nil {
		return err
	}
	if err := s.Collect(ctx, task(), e.keep(), func() error { return nil }); err != nil {
		return err
	}
	for e.epoch < epochs {
		staged, err := stage(ctx, s, claim(e.claim), e.epoch+1)
		if err != nil {
			return err
		}
		e.committed, e.epoch = append(e.committed, staged...), e.epoch+1
		if err := s.Publish(ctx, staged); err != nil {
			return err
		}
	}
	return nil
}

func (e *engine) keep() map[string]bool {
	keep := make(map[string]bool)
	for _, f := range e.committed {
		keep[f.Name] = true
	}
	return keep
}

// stage seals the rows of one epoch.
func stage(ctx context.Context, s stream.Sink, c stream.ClaimID, epoch stream.Epoch) ([]stream.Staged, error) {
	st, err := s.Begin(task(), c, epoch)
	if err != nil {
		return nil, err
	}
	if err := st.Write(rowsOf(epoch)); err != nil {
		st.Abandon()
		return nil, err
	}
	return st.Seal(ctx)
}

// everyStep runs all epochs with each fault at each operation, recovers, and
// compares what readers see: before recovery nothing that is not committed,
// after it everything once.
func everyStep(t *testing.T, open func(t testing.TB) World) {
	w := open(t)
	w.Arm(0, Failed)
	if err := new(engine).run(t.Context(), w.Start(t)); err != nil {
		t.Fatalf("without faults: %v", err)
	}
	ops := w.Ops()
	if ops == 0 {
		t.Fatal("the world counts no operations")
	}
	for _, f := range []Fault{Failed, AnswerLost, KilledBefore, KilledAfter} {
		for n := 1; n <= ops; n++ {
			oneFault(t, open(t), n, f)
		}
	}
	t.Logf("%d operations, each with 4 faults", ops)
}

func oneFault(t *testing.T, w World, n int, f Fault) {
	t.Helper()
	e := new(engine)
	w.Arm(n, f)
	s := w.Start(t)
	err := e.run(t.Context(), s)
	if w.Dead() {
		w.Revive(n)
	} else if err == nil && e.epoch != epochs {
		t.Fatalf("operation %d %s: ended early without an error", n, f)
	}
	w.Arm(0, Failed)
	seen := w.Visible(t)
	checkOnce(t, seen, n, f)
	for _, o := range seen {
		if o >= record.Offset(e.epoch)*epochRows {
			t.Fatalf("operation %d %s: offset %s is visible and not committed", n, f, o)
		}
	}
	e.claim++
	if err := e.run(t.Context(), w.Start(t)); err != nil {
		t.Fatalf("operation %d %s: recovery: %v", n, f, err)
	}
	all(t, w, fmt.Sprintf("operation %d %s", n, f))
	if err := w.Start(t).Collect(t.Context(), task(), e.keep(), func() error { return nil }); err != nil {
		t.Fatalf("operation %d %s: collect: %v", n, f, err)
	}
	if left := w.Staged(t); len(left) > 0 {
		t.Fatalf("operation %d %s: left staged: %v", n, f, left)
	}
}

func checkOnce(t *testing.T, seen []record.Offset, n int, f Fault) {
	t.Helper()
	sorted := slices.Sorted(slices.Values(seen))
	if len(slices.Compact(sorted)) != len(seen) {
		t.Fatalf("operation %d %s: a row is visible twice", n, f)
	}
}

// all checks that readers see every row once.
func all(t *testing.T, w World, when string) {
	t.Helper()
	seen := slices.Sorted(slices.Values(w.Visible(t)))
	for i, o := range seen {
		if o != record.Offset(i) {
			t.Fatalf("%s: row %d visible is offset %s", when, i, o)
		}
	}
	if len(seen) != epochs*epochRows {
		t.Fatalf("%s: %d rows visible of %d", when, len(seen), epochs*epochRows)
	}
}

// twice publishes and collects again and again.
func twice(t *testing.T, w World) {
	e, s := new(engine), w.Start(t)
	for i := range 3 {
		if err := e.run(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		all(t, w, fmt.Sprintf("round %d", i))
	}
	if err := w.Start(t).Publish(t.Context(), e.committed); err != nil {
		t.Errorf("another process publishes the same: %v", err)
	}
	all(t, w, "at the end")
}

// twoClaims lets an earlier claim go on with an epoch that a later one
// committed.
func twoClaims(t *testing.T, w World) {
	old, s := w.Start(t), w.Start(t)
	ctx := t.Context()
	stale, err := stage(ctx, old, claim(0), 1)
	if err != nil {
		t.Fatal(err)
	}
	e := &engine{claim: 1}
	staged, err := stage(ctx, s, claim(1), 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range stale {
		for _, b := range staged {
			if a.Name == b.Name {
				t.Fatalf("two claims stage under one name: %s", a.Name)
			}
		}
	}
	e.committed, e.epoch = staged, 1
	if err := e.run(ctx, s); err != nil {
		t.Fatal(err)
	}
	all(t, w, "with a stale claim staged")
	// The stale claim's files may equal what is visible; that is no harm.
	_ = old.Publish(ctx, stale)
	all(t, w, "after the stale claim published")
	if _, err := stage(ctx, old, claim(0), epochs+1); err != nil {
		t.Fatal(err)
	}
	all(t, w, "after the stale claim staged more")
}

// collection checks what Collect touches and what it does not.
func collection(t *testing.T, w World) {
	ctx, s := t.Context(), w.Start(t)
	keep, err := stage(ctx, s, claim(0), 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stage(ctx, s, claim(0), 2); err != nil {
		t.Fatal(err)
	}
	other, err := s.Begin(stream.TaskID{Landing: "suite", Partition: 4}, claim(0), 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Write(rowsOf(1)); err != nil {
		t.Fatal(err)
	}
	others, err := other.Seal(ctx)
	if err != nil {
		t.Fatal(err)
	}
	before := w.Staged(t)
	s = w.Start(t)
	err = s.Collect(ctx, task(), nil, func() error { return stream.ErrFenced })
	if !errors.Is(err, stream.ErrFenced) || !slices.Equal(w.Staged(t), before) {
		t.Fatalf("a fenced collection: error %v, staged %v before, %v after", err, before, w.Staged(t))
	}
	e := &engine{committed: keep, epoch: 1}
	if err := s.Collect(ctx, task(), e.keep(), func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	left := w.Staged(t)
	for _, f := range append(keep, others...) {
		if !slices.Contains(left, f.Name) {
			t.Errorf("%s is gone", f.Name)
		}
	}
	if len(left) != len(keep)+len(others) {
		t.Errorf("left staged: %v", left)
	}
	if err := e.run(ctx, s); err != nil {
		t.Fatal(err)
	}
	all(t, w, "after collection")
}

// stageKeepsItsOwn checks what Stage promises to its caller.
func stageKeepsItsOwn(t *testing.T, w World) {
	ctx, s := t.Context(), w.Start(t)
	st, err := s.Begin(task(), claim(0), 1)
	if err != nil {
		t.Fatal(err)
	}
	b := rowsOf(1)
	if err := st.Write(b); err != nil {
		t.Fatal(err)
	}
	if st.Rows() != 2*epochRows || st.Bytes() <= 0 {
		t.Errorf("rows %d, bytes %d", st.Rows(), st.Bytes())
	}
	for i := range b.Records { // the batch is the caller's again
		clear(b.Records[i].Raw)
		b.Records[i] = table.RecordRow{Lineage: table.Lineage{Offset: 1 << 40}}
	}
	if _, err := st.Seal(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := st.Seal(ctx); err == nil {
		t.Error("a stage was sealed twice")
	}
	// An epoch whose commit failed is staged again, by the same claim, before
	// anything was collected.
	staged, err := stage(ctx, s, claim(0), 1)
	if err != nil {
		t.Fatalf("the same epoch staged again: %v", err)
	}
	if err := st.Write(rowsOf(2)); err == nil {
		t.Error("a sealed stage took rows")
	}
	if seen := w.Visible(t); len(seen) > 0 {
		t.Errorf("%d rows visible before they are published", len(seen))
	}
	e := &engine{committed: staged, epoch: 1}
	if err := e.run(ctx, s); err != nil {
		t.Fatal(err)
	}
	all(t, w, "after the batch was overwritten")
	empty, err := s.Begin(task(), claim(0), epochs+1)
	if err != nil {
		t.Fatal(err)
	}
	if staged, err := empty.Seal(ctx); err != nil || len(staged) != 0 {
		t.Errorf("a stage without rows gave %v, %v", staged, err)
	}
	gone, err := s.Begin(task(), claim(0), epochs+1)
	if err != nil {
		t.Fatal(err)
	}
	gone.Abandon()
	gone.Abandon()
	if _, err := gone.Seal(ctx); err == nil {
		t.Error("an abandoned stage was sealed")
	}
}

// publishNothing publishes what is neither staged nor visible.
func publishNothing(t *testing.T, w World) {
	ctx, s := t.Context(), w.Start(t)
	staged, err := stage(ctx, s, claim(0), 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Collect(ctx, task(), nil, func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	if err := s.Publish(ctx, staged); err == nil {
		t.Error("what was collected was published")
	}
	e := new(engine)
	if err := e.run(ctx, s); err != nil {
		t.Fatal(err)
	}
	wrong := slices.Clone(e.committed)
	for i := range wrong {
		wrong[i].SHA256 = fmt.Sprintf("%064x", i)
	}
	if err := s.Publish(ctx, wrong); err == nil {
		t.Error("other content was published over what is visible")
	}
	all(t, w, "after both")
}
