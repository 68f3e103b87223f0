package sinktest

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"text/tabwriter"

	"landfall/engine/stream"
)

// tally is one line of the table of what was tried.
type tally struct {
	what                           string
	tried, errs, died, went, wrong int
}

// report prints the table and fails where anything went wrong.
func report(t *testing.T, ops int, lines []tally) {
	t.Helper()
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(w, "tried at an operation\truns\terror said\tdied\twent on\twrong after recovery\t")
	for _, l := range lines {
		_, _ = fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t\n", l.what, l.tried, l.errs, l.died, l.went, l.wrong)
	}
	_ = w.Flush()
	t.Logf("a run of %d epochs has %d operations\n%s", epochs, ops, b.String())
}

// operations counts those of a run without faults.
func operations(t *testing.T, w World) int {
	t.Helper()
	w.Arm(0, Failed)
	s := w.Start(t)
	defer end(s)
	if err := new(engine).run(t.Context(), s); err != nil {
		t.Fatalf("without faults: %v", err)
	}
	ops := w.Ops()
	if ops == 0 {
		t.Fatal("the world counts no operations")
	}
	return ops
}

// everyStep runs all epochs with each fault at each operation, recovers, and
// compares what readers see: before recovery nothing that is not committed,
// after it everything once. What does not kill is recovered by the same process
// and by another.
func everyStep(t *testing.T, stride int, open func(t testing.TB) World) {
	ops := operations(t, open(t))
	var lines []tally
	for _, f := range Faults() {
		for _, same := range []bool{false, true} {
			kills := f == KilledBefore || f == KilledAfter
			if same && kills {
				continue
			}
			line := tally{what: f.String() + ", another process recovers"}
			if same {
				line.what = f.String() + ", the same process recovers"
			}
			for n := 1 + len(lines)%stride; n <= ops; n += stride { // every fault elsewhere
				if err := oneFault(t, open(t), n, f, same, &line); err != nil {
					line.wrong++
					t.Errorf("operation %d %s: %v", n, line.what, err)
				}
			}
			lines = append(lines, line)
		}
	}
	report(t, ops, lines)
}

// oneFault is one run with one fault, and its recovery.
func oneFault(t *testing.T, w World, n int, f Fault, same bool, line *tally) error {
	e := new(engine)
	w.Arm(n, f)
	s := w.Start(t)
	err := e.run(t.Context(), s)
	line.tried++
	switch {
	case w.Dead():
		line.died++
		end(s)
		w.Revive(n)
	case err != nil:
		line.errs++
	case e.epoch != epochs:
		return errors.New("ended early without an error")
	default:
		line.went++
	}
	w.Arm(0, Failed)
	if err := once(w, e.epoch, t); err != nil {
		return fmt.Errorf("before recovery: %w", err)
	}
	e.claim++
	if !same {
		end(s)
		s = w.Start(t)
	}
	defer end(s)
	if err := e.run(t.Context(), s); err != nil {
		return fmt.Errorf("recovery: %w", err)
	}
	if err := whole(w, epochs, t); err != nil {
		return err
	}
	return leavesNothing(t, w, e)
}

// leavesNothing collects and checks that nothing stays staged.
func leavesNothing(t *testing.T, w World, e *engine) error {
	s := w.Start(t)
	defer end(s)
	if err := s.Collect(t.Context(), task(), e.keep(), func() error { return nil }); err != nil {
		return fmt.Errorf("collect: %w", err)
	}
	if left := w.Staged(t); len(left) > 0 {
		return fmt.Errorf("left staged: %v", left)
	}
	return nil
}

// takenOver is what a claim finds in its manifest: outputs that an earlier claim
// committed.
func (e *engine) takenOver() *engine {
	return &engine{committed: append([]stream.Staged(nil), e.committed...), epoch: e.epoch, claim: e.claim + 1}
}
