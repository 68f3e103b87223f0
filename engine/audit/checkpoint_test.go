package audit

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"landfall/engine/checkpoint"
	"landfall/engine/stream"
)

const testClaim stream.ClaimID = "0123456789abcdef0123456789abcdef"

// head writes a checkpoint of the test's task at an epoch of twoLogs, of which
// files are what the epochs staged.
func head(t *testing.T, epoch stream.Epoch, files [][]stream.Staged, final bool) checkpoint.Store {
	t.Helper()
	store := openStore(t, t.TempDir())
	entries := ledgerOf(t, files[:epoch], claimsOf(twoLogs()))
	entries[epoch-1].Final = final
	tip := writeLedger(t, store, entries)
	writeHead(t, store, checkpoint.Manifest{Final: final, Epoch: epoch, Staged: files[epoch-1], Ledger: tip})
	return store
}

// headOf writes a checkpoint without a ledger.
func headOf(t *testing.T, m checkpoint.Manifest) checkpoint.Store {
	t.Helper()
	store := openStore(t, t.TempDir())
	writeHead(t, store, m)
	return store
}

func TestJudgedUpToTheLastPublishedEpoch(t *testing.T) {
	dir, staged := writeLake(t, twoLogs()...)
	store := head(t, 3, staged, false)
	r := runAudit(t, Config{Lake: dir, Checkpoints: store})
	if !r.Exact || len(r.Tasks) != 1 || !isTask(r.Tasks[0], 3, 0) || r.Files != len(staged[0])+len(staged[1])+len(staged[2]) {
		t.Fatalf("all published: exact %v, %+v, %d files, %v", r.Exact, r.Tasks, r.Files, r.Problems)
	}

	if r := runAudit(t, Config{Lake: dir, Checkpoints: head(t, 3, staged, true)}); r.Logs[1].Tail != TailProven {
		t.Errorf("a bounded input has ended: %+v", r.Logs[1])
	}

	// Back to before the first rename of epoch 3, then before the last.
	for _, hidden := range []int{len(staged[2]), 1} {
		dir, staged := writeLake(t, twoLogs()...)
		for _, f := range staged[2][:hidden] {
			move(t, filepath.Join(dir, f.Target), filepath.Join(dir, f.Name))
		}
		r := runAudit(t, Config{Lake: dir, Checkpoints: head(t, 3, staged, false)})
		if !r.Exact || !isTask(r.Tasks[0], 2, 1) || r.Logs[1].Captured != 20 {
			t.Errorf("%d files unpublished: exact %v, %+v, %+v, %v", hidden, r.Exact, r.Tasks, r.Logs, r.Problems)
		}
	}
}

func TestCheckpointsContradictFiles(t *testing.T) {
	lost := func(t *testing.T, want string, change func(dir string, staged [][]stream.Staged) checkpoint.Store) {
		t.Helper()
		dir, staged := writeLake(t, twoLogs()...)
		r := runAudit(t, Config{Lake: dir, Checkpoints: change(dir, staged)})
		if r.Exact || !strings.Contains(strings.Join(r.Problems, "\n"), want) {
			t.Errorf("want problem %q; exact %v, problems %v", want, r.Exact, r.Problems)
		}
	}
	lost(t, "neither published nor staged", func(dir string, staged [][]stream.Staged) checkpoint.Store {
		for _, f := range staged[2] { // the whole last epoch, which no hole betrays
			check(t, os.Remove(filepath.Join(dir, f.Target)))
		}
		return head(t, 3, staged, false)
	})
	lost(t, "never committed", func(_ string, staged [][]stream.Staged) checkpoint.Store { return head(t, 2, staged, false) })
	lost(t, "no task with a checkpoint", func(dir string, staged [][]stream.Staged) checkpoint.Store {
		f := filepath.Join(dir, staged[0][0].Target)
		copyFile(t, f, strings.Replace(f, "test-0000", "test-0001", 1))
		return head(t, 3, staged, false)
	})
}

// moving is a checkpoint store whose HEAD moves on after it was read once per
// task, as a running engine's does.
type moving struct {
	checkpoint.Store
	after checkpoint.Store
	reads int
}

func (m *moving) Read(ctx context.Context, name string) ([]byte, checkpoint.Version, error) {
	if strings.HasPrefix(name, "_lake/") { // no task's
		return m.Store.Read(ctx, name)
	}
	if m.reads++; m.reads > 2 { // HEAD and its manifest
		return m.after.Read(ctx, name)
	}
	return m.Store.Read(ctx, name)
}

// TestBesideARunningEngine lists files of epochs that were committed while the
// audit was looking.
func TestBesideARunningEngine(t *testing.T) {
	dir, staged := writeLake(t, twoLogs()...)
	store := &moving{Store: head(t, 1, staged, false), after: head(t, 3, staged, false)}
	r := runAudit(t, Config{Lake: dir, Checkpoints: store})
	if !r.Exact || r.Tasks[0].Epoch != 1 || len(r.Logs) != 1 || r.Logs[0].Captured != 40 {
		t.Errorf("exact %v, tasks %+v, logs %+v, problems %v", r.Exact, r.Tasks, r.Logs, r.Problems)
	}
}

func move(t *testing.T, from, to string) {
	t.Helper()
	check(t, os.MkdirAll(filepath.Dir(to), 0o755))
	check(t, os.Rename(from, to))
}

// TestUnfinishedInputIsSaid: a replay that was killed is exact as far as it
// came, and the audit says that it did not come to the end.
func TestUnfinishedInputIsSaid(t *testing.T) {
	for _, final := range []bool{false, true} {
		store := headOf(t, checkpoint.Manifest{Epoch: 1, Final: final, Params: map[string]string{"gateway": "g"}})
		r := runAudit(t, Config{Lake: t.TempDir(), Checkpoints: store})
		if said := strings.Contains(strings.Join(r.Notes, "\n"), "has not come to the end"); said == final {
			t.Errorf("final %v: notes %v", final, r.Notes)
		}
	}
}

// TestStrayInAnEpochThatIsNotPublishedYet is found all the same, and the epoch is
// said not to be checked.
func TestStrayInAnEpochThatIsNotPublishedYet(t *testing.T) {
	dir, staged := writeLake(t, twoLogs()...)
	hidden := staged[2][0]
	move(t, filepath.Join(dir, hidden.Target), filepath.Join(dir, hidden.Name))
	store := head(t, 3, staged, false)
	r := runAudit(t, Config{Lake: dir, Checkpoints: store})
	if !r.Exact || !strings.Contains(strings.Join(r.NotChecked, "\n"), "1 epochs of task test-0000 that are not wholly published yet") {
		t.Errorf("exact %v, %s%q", r.Exact, listFindings(r), r.NotChecked)
	}
	name := filepath.Join(dir, staged[2][1].Target)
	copyFile(t, name, strings.Replace(name, "-0.parquet", "-7.parquet", 1))
	wantFinding(t, runAudit(t, Config{Lake: dir, Checkpoints: store}), Finding{Kind: KindFileStray, Epoch: 3})
}
