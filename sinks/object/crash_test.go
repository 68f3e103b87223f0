package object_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"landfall/edge/durable"
	"landfall/edge/durable/faultfs"
	"landfall/engine/stream"
	"landfall/sinks/object"
	"landfall/sinks/object/faultobject"
)

// tally counts what became of the runs, by operation and fault.
type tally map[[2]string]*struct{ runs, completed, stopped int }

func (c tally) add(op, fault string, err error) {
	key := [2]string{op, fault}
	if c[key] == nil {
		c[key] = &struct{ runs, completed, stopped int }{}
	}
	c[key].runs++
	if err == nil {
		c[key].completed++
	} else {
		c[key].stopped++
	}
}

func (c tally) log(t *testing.T) {
	var lines []string
	for key, n := range c {
		lines = append(lines, fmt.Sprintf("%-9s %-16s %5d %10d %19d", key[0], key[1], n.runs, n.completed, n.stopped))
	}
	slices.Sort(lines)
	t.Logf("after every one: each row visible once, nothing else visible, nothing left behind\n%-9s %-16s %5s %10s %19s\n%s",
		"operation", "fault", "runs", "completed", "stopped, recovered", strings.Join(lines, "\n"))
}

// soak tells whether the long form of a test is wanted.
func soak() bool { return os.Getenv("LANDFALL_SOAK") == "1" }

// beginnings are the worlds in which the faulty run starts.
var beginnings = map[string]func(t *testing.T) *world{
	"fresh":       func(t *testing.T) *world { return newWorld(t) },
	"interrupted": interrupted,
	// The same, and a byte of one of its staged files changed meanwhile.
	"damaged": func(t *testing.T) *world {
		w := interrupted(t)
		staged, err := w.files.List(t.Context(), "_staging/"+toyTask.String()+"/")
		if err != nil || len(staged) == 0 {
			t.Fatal(staged, err)
		}
		for _, name := range staged {
			if strings.HasSuffix(name, "-1") {
				w.damage(t, "/lake/"+name)
			}
		}
		return w
	},
	"lagging": lagging,
}

// interrupted is a world in which an epoch is committed and not published, with
// another one begun beside it.
func interrupted(t *testing.T) *world {
	w, script := newWorld(t), &faultobject.Script{}
	script.After = func(c faultobject.Call) {
		if c.Op == "Swap" && c.N > 10 {
			script.Fail(c.N+1, faultobject.CrashBefore)
		}
	}
	err := w.run(faultobject.Store(w.store, script), faultobject.Files(w.files, script))
	if err == nil || !script.Crashed() {
		t.Fatalf("was not interrupted: %v", err)
	}
	w.restart(t)
	return w
}

// damage changes a byte of a file, durably, as a disk would.
func (w *world) damage(t *testing.T, path string) {
	t.Helper()
	data, err := durable.ReadFile(w.fsys, path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := w.fsys.Remove(path); err != nil {
		t.Fatal(err)
	}
	f, err := w.fsys.Create(path)
	if err == nil {
		_, err = f.Write(data)
	}
	if err == nil {
		err = errors.Join(f.Sync(), f.Close(), w.fsys.SyncDir(filepath.Dir(path)))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// lagging is a world in which two epochs were committed while publishing of the
// first hung.
func lagging(t *testing.T) *world {
	w := newWorld(t)
	hung := hangingFiles{w.files, make(chan struct{})}
	toy, err := w.claim(w.store, hung)
	for range 2 {
		if err == nil {
			_, err = toy.epoch()
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	close(hung.release)
	if err := toy.close(); !errors.Is(err, stream.ErrFenced) {
		t.Fatalf("closed with %v", err)
	}
	w.restart(t)
	return w
}

// hangingFiles publish nothing: they wait, then say that all is over.
type hangingFiles struct {
	object.Files
	release chan struct{}
}

func (h hangingFiles) Publish(context.Context, stream.Staged) error {
	<-h.release
	return stream.ErrFenced
}

// restart is the end of a process and the start of the next.
func (w *world) restart(t *testing.T) {
	t.Helper()
	w.observe()
	w.fsys.Restart()
	if err := w.open(); err != nil {
		t.Fatal(err)
	}
}

// TestEveryCallFails makes every call on store and files fail in every way, and
// then loses what was not synced in every way: the last claim always brings
// each row once.
func TestEveryCallFails(t *testing.T) {
	t.Parallel() // it waits for disks most of the time
	for name, begin := range beginnings {
		t.Run(name, func(t *testing.T) { everyCallFails(t, begin) })
	}
}

func everyCallFails(t *testing.T, begin func(*testing.T) *world) {
	plain, first := &faultobject.Script{}, begin(t)
	w := first.copied(t)
	if err := w.run(faultobject.Store(w.store, plain), faultobject.Files(w.files, plain)); err != nil {
		t.Fatal(err)
	}
	calls := len(plain.Calls())
	losses := []faultfs.Loss{faultfs.LoseAll, faultfs.TearSectors}
	if soak() {
		losses = faultfs.Losses()
	}
	results := tally{}
	for k := 1; k <= calls; k++ {
		for _, outcome := range faultobject.Outcomes() {
			for i, loss := range losses {
				w := first.copied(t)
				script := &faultobject.Script{}
				script.Fail(k, outcome)
				err := w.run(faultobject.Store(w.store, script), faultobject.Files(w.files, script))
				if len(script.Calls()) < k {
					continue // the publishing goroutine had fewer to do this time
				}
				call := script.Calls()[k-1]
				results.add(call.Op, outcome.String(), err)
				if err != nil && passes(call.Op, outcome) {
					t.Fatalf("%s %s: not got over: %v", call, outcome, err)
				}
				crashAndJudge(t, w, loss, uint64(k*10+i), fmt.Sprintf("%s %s", call, outcome))
			}
		}
	}
	results.log(t)
}

// passes tells whether a task gets over a fault without stopping.
func passes(op string, o faultobject.Outcome) bool {
	transient := o == faultobject.NotDone || o == faultobject.AnswerLost
	return transient && slices.Contains([]string{"Swap", "Publish", "Verify", "Settle", "List", "Delete", "Sweep"}, op)
}

// crashAndJudge loses what was not synced, starts again and judges.
func crashAndJudge(t *testing.T, w *world, loss faultfs.Loss, seed uint64, what string) {
	t.Helper()
	w.observe()
	w.fsys.Crash(loss, seed)
	err := w.open()
	if err == nil {
		err = w.verdict()
	}
	if err != nil {
		t.Fatalf("%s, then %s with seed %d: %v", what, loss, seed, err)
	}
}

// TestEveryFileOperationFails does the same one level down: every operation of
// the file system that a Dir and a Lake make, also in the middle of a swap or
// of publishing one file.
func TestEveryFileOperationFails(t *testing.T) {
	t.Parallel()
	for name, begin := range beginnings {
		t.Run(name, func(t *testing.T) { everyFileOperationFails(t, begin) })
	}
}

func everyFileOperationFails(t *testing.T, begin func(*testing.T) *world) {
	first := begin(t)
	w := first.copied(t)
	w.fsys.Script()
	if err := w.run(w.store, w.files); err != nil {
		t.Fatal(err)
	}
	ops := w.fsys.Count(faultfs.OpMutating)
	modes := []faultfs.Mode{faultfs.FailNotStored, faultfs.FailStored, faultfs.CrashBefore, faultfs.CrashAfter}
	losses := []faultfs.Loss{faultfs.LoseAll}
	if soak() {
		modes, losses = faultfs.Modes(), faultfs.Losses()
	}
	results := tally{}
	for k := 1; k <= ops; k++ {
		for _, mode := range modes {
			for i, loss := range losses {
				w := first.copied(t)
				w.fsys.Script(faultfs.Fault{On: faultfs.OpMutating, N: k, Mode: mode})
				err := w.run(w.store, w.files)
				op, hit := nth(w.fsys.Ops(), k)
				if !hit {
					continue
				}
				results.add(op.Kind.String(), mode.String(), err)
				crashAndJudge(t, w, loss, uint64(k*10+i), fmt.Sprintf("operation %d %s %s %s", k, op.Kind, op.Name, mode))
			}
		}
	}
	results.log(t)
}

// nth gives the k-th operation that changes anything.
func nth(ops []faultfs.Op, k int) (faultfs.Op, bool) {
	for _, op := range ops {
		if op.Kind&faultfs.OpMutating != 0 {
			if k--; k == 0 {
				return op, true
			}
		}
	}
	return faultfs.Op{}, false
}

// TestCrashWhileRecovering ends the first process at one call and the second at
// another.
func TestCrashWhileRecovering(t *testing.T) {
	step := 7
	if soak() {
		step = 1
	}
	for first := 12; first <= 100; first += step {
		for second := 1; second <= 40; second += step {
			w := newWorld(t)
			for _, k := range []int{first, second} {
				script := &faultobject.Script{}
				script.Fail(k, faultobject.CrashAfter)
				_ = w.run(faultobject.Store(w.store, script), faultobject.Files(w.files, script)) // it crashes
				w.observe()
				w.fsys.Crash(faultfs.TearSectors, uint64(first*100+second))
				if err := w.open(); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.verdict(); err != nil {
				t.Fatalf("crashed at %d, then at %d: %v", first, second, err)
			}
		}
	}
}

// TestSecondWriterAtEveryStep wakes another claim before and after every call
// of the first, and lets it do one epoch, all, or only claim.
func TestSecondWriterAtEveryStep(t *testing.T) {
	t.Parallel() // it waits for disks most of the time
	fenced, survived := 0, 0
	for epochs := range 4 {
		for _, after := range []bool{false, true} {
			for k := 1; ; k++ {
				err, woken := intrude(t, newWorld(t), k, after, epochs)
				if !woken {
					break
				}
				switch {
				case err == nil:
					survived++
				case errors.Is(err, stream.ErrFenced):
					fenced++
				default:
					t.Fatalf("step %d after %v, second writer did %d epochs: %v", k, after, epochs, err)
				}
			}
		}
	}
	t.Logf("first writer fenced %d times; had not begun or had done all %d times", fenced, survived)
	if fenced == 0 || survived == 0 {
		t.Fatal("one outcome never happened")
	}
}

// intrude runs the first writer with a second one woken at call k, and judges
// what is left. The error is the first writer's.
func intrude(t *testing.T, w *world, k int, after bool, epochs int) (error, bool) {
	t.Helper()
	w.backlog = 1
	script := &faultobject.Script{}
	var second error
	var once sync.Once
	woken, mustFence := false, false
	wake := func(c faultobject.Call) {
		if c.N != k {
			return
		}
		once.Do(func() {
			woken = true
			mustFence = claimed(script.Calls(), c, after)
			second = w.some(epochs)
		})
	}
	if after {
		script.After = wake
	} else {
		script.Before = wake
	}
	err := w.run(faultobject.Store(w.store, script), faultobject.Files(w.files, script))
	if !woken {
		return nil, false
	}
	if second != nil {
		t.Fatalf("step %d: the second writer was disturbed: %v", k, second)
	}
	if mustFence && !errors.Is(err, stream.ErrFenced) {
		t.Fatalf("step %d after %v: the first writer went on with %v", k, after, err)
	}
	if err := w.verdict(); err != nil {
		t.Fatalf("step %d after %v, %d epochs: %v", k, after, epochs, err)
	}
	return err, true
}

// claimed tells whether the first writer held HEAD at this call and had to move
// it again.
func claimed(calls []faultobject.Call, at faultobject.Call, after bool) bool {
	swaps := 0
	for _, c := range calls {
		if c.Op == "Swap" && (c.N < at.N || c.N == at.N && after) {
			swaps++
		}
	}
	return swaps >= 1 && swaps < 1+toyRecords/toyEpoch
}

// some claims and does a number of epochs, then stops without more ado.
func (w *world) some(epochs int) error {
	t, err := w.claim(w.store, w.files)
	if err != nil {
		return err
	}
	for range epochs {
		if more, err := t.epoch(); err != nil || !more {
			return errors.Join(err, t.close())
		}
	}
	return t.close()
}

// TestFirstWriterCommitsAtEveryStepOfAClaim is the other direction: the holder
// commits before and after every call of the claim that takes over.
func TestFirstWriterCommitsAtEveryStepOfAClaim(t *testing.T) {
	outcomes := map[string]int{}
	for _, after := range []bool{false, true} {
		for k, woken := 1, true; woken; k++ {
			w := newWorld(t)
			holder, err := w.claim(w.store, w.files)
			if err == nil {
				_, err = holder.epoch()
			}
			if err != nil {
				t.Fatal(err)
			}
			script := &faultobject.Script{}
			woken = false
			var held error
			var once sync.Once
			wake := func(c faultobject.Call) {
				if c.N == k {
					once.Do(func() {
						woken = true
						_, held = holder.epoch()
					})
				}
			}
			if after {
				script.After = wake
			} else {
				script.Before = wake
			}
			taken := w.run(faultobject.Store(w.store, script), faultobject.Files(w.files, script))
			_ = holder.close() // it may be fenced
			for _, err := range []error{held, taken} {
				if err != nil && !errors.Is(err, stream.ErrFenced) {
					t.Fatalf("step %d after %v: %v", k, after, err)
				}
			}
			outcomes[fmt.Sprintf("holder fenced %v, newcomer fenced %v", held != nil, taken != nil)]++
			if err := w.verdict(); err != nil {
				t.Fatalf("step %d after %v: %v", k, after, err)
			}
		}
	}
	t.Log(outcomes)
}
