// Package sinktest is what every sink must pass, and the foreign readers that
// look at what sinks write.
//
// In:  a World: the sink under test on an outside world whose every operation
// can be made to fail, to succeed with its answer lost, to be the last one
// before the process or the machine dies, or to let another writer go first, and
// whose staged bytes can be damaged.
// Out: the test's verdict, and a table of what was tried. DuckDB and Python run
// foreign readers.
//
// Invariants
//
//  1. Run asks nothing of a sink beyond the comments of stream.Sink, and of
//     stream.Replacer where it is one.
//  2. The rows and the order of calls are the same in every run.
//  3. Nothing that was not committed is ever visible, nothing twice, and after
//     recovery everything is, whatever was tried. Damaged bytes are never
//     visible, or Verify finds them.
//
// It is for tests only; a World belongs to one goroutine, but what it starts
// may be used from several.
package sinktest

import (
	"context"
	"fmt"
	"io"
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

// Faults lists them all.
func Faults() []Fault { return []Fault{Failed, AnswerLost, KilledBefore, KilledAfter} }

// String gives the fault's name in the table.
func (f Fault) String() string {
	return [...]string{"failed", "answer lost", "killed before", "killed after"}[f]
}

// World is the outside world of one sink: a file system, a broker, a database.
type World interface {
	// Start opens the sink as a new process does. A sink that is an io.Closer
	// is closed when its process is over.
	Start(t testing.TB) stream.Sink
	// Arm makes operation n from now, counted from 1, meet a fault; 0 disarms
	// and counts anew.
	Arm(n int, f Fault)
	// Before makes operation n from now, counted from 1, wait for do, which may
	// start another process. Arm takes it away.
	Before(n int, do func())
	// Ops is the number of operations since Arm.
	Ops() int
	// Dead says that a fault killed the machine: every call fails until Revive.
	Dead() bool
	// Revive starts the machine again after a power loss; seed chooses among
	// what that may leave.
	Revive(seed int)
	// Visible gives the offset of every row of a table that readers see, in any
	// order, duplicates included.
	Visible(t testing.TB, of table.Name) []record.Offset
	// Whole says that readers see the rows of an epoch all at once or not at
	// all.
	Whole() bool
	// Staged names what lies staged.
	Staged(t testing.TB) []string
	// Damage changes one bit of a staged output behind the sink's back. false:
	// the sink cannot read what it stages, and may make it visible; then Verify
	// has to find it, and the sink is a stream.Replacer.
	Damage(t testing.TB, staged stream.Staged) bool
}

const (
	epochs    = 3
	epochRows = 20
	gateway   = "gw"
	logName   = "00000000000000000000000000000abc"
)

// seen are the tables that the rows go to.
var seen = [...]table.Name{table.AISPosition, table.Record}

// Run puts a sink through the suite. Each call of open gives an empty World.
// stride is 1, or more to try only every stride-th operation of the runs with
// faults, for worlds whose operations are slow.
func Run(t *testing.T, stride int, open func(t testing.TB) World) {
	t.Run("every step of every fault", func(t *testing.T) { everyStep(t, stride, open) })
	t.Run("a zombie at every step", func(t *testing.T) { zombieAtEveryStep(t, stride, open) })
	t.Run("two at once", func(t *testing.T) { twoAtOnce(t, open) })
	t.Run("twice over", func(t *testing.T) { twice(t, open(t)) })
	t.Run("two claims", func(t *testing.T) { twoClaims(t, open(t)) })
	t.Run("a backlog", func(t *testing.T) { backlog(t, open(t)) })
	t.Run("collection", func(t *testing.T) { collection(t, open(t)) })
	t.Run("stage", func(t *testing.T) { stageKeepsItsOwn(t, open(t)) })
	t.Run("a damaged output", func(t *testing.T) { damaged(t, open(t)) })
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

// end closes a process's sink.
func end(s stream.Sink) {
	if c, ok := s.(io.Closer); ok {
		_ = c.Close()
	}
}

// once checks that readers see no row twice and none that is not committed, and
// where an epoch is visible as a whole, no part of one.
func once(w World, committed stream.Epoch, t testing.TB) error {
	for _, name := range seen {
		rows := slices.Sorted(slices.Values(w.Visible(t, name)))
		if len(slices.Compact(slices.Clone(rows))) != len(rows) {
			return fmt.Errorf("a row of %s is visible twice", name)
		}
		if n := len(rows); n > 0 && rows[n-1] >= record.Offset(committed)*epochRows {
			return fmt.Errorf("offset %s of %s is visible and not committed", rows[n-1], name)
		}
		if w.Whole() && len(rows)%epochRows != 0 {
			return fmt.Errorf("%d rows of %s are visible: a part of an epoch", len(rows), name)
		}
	}
	return nil
}

// whole checks that readers see every row of the epochs once.
func whole(w World, upTo stream.Epoch, t testing.TB) error {
	for _, name := range seen {
		rows := slices.Sorted(slices.Values(w.Visible(t, name)))
		for i, o := range rows {
			if o != record.Offset(i) {
				return fmt.Errorf("row %d of %s visible is offset %s", i, name, o)
			}
		}
		if want := int(upTo) * epochRows; len(rows) != want {
			return fmt.Errorf("%d rows of %s visible of %d", len(rows), name, want)
		}
	}
	return nil
}

// all checks that readers see every row once.
func all(t *testing.T, w World, when string) {
	t.Helper()
	if err := whole(w, epochs, t); err != nil {
		t.Fatalf("%s: %v", when, err)
	}
}
