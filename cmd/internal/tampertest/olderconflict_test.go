package tampertest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"landfall/cmd/internal/cli"
	"landfall/engine/audit"
	"landfall/engine/checkpoint"
	"landfall/engine/repair"
	"landfall/engine/stream"
	"landfall/engine/table"
	"landfall/engine/task"
	"landfall/sinks/parquet"
)

// conflictEpochs lands a block of each gateway that follows nothing some times, each
// worked through: an epoch with a row of conflict and nothing else.
func (l *Lake) conflictEpochs(t testing.TB, n int) {
	t.Helper()
	for range n {
		w := l.open(t)
		for name, blocks := range l.rest {
			w.land(t, name, blocks[len(blocks)-2:len(blocks)-1], 20*len(blocks))
		}
		for p := range partitions {
			w.run(t, p, l.epochRecords)
		}
		w.close(t)
	}
}

// conflictFiles lists the files of conflict.
func conflictFiles(b *Bench) []string { return Files(b, b.Dir, string(table.Conflict)+"/*/*.parquet") }

// onlyConflictsFound fails where the audit of a lake with conflicts found anything else.
func (b *Bench) onlyConflictsFound(r *audit.Result) {
	b.Helper()
	if len(r.Findings) == 0 || slices.ContainsFunc(r.Findings, func(f audit.Finding) bool { return f.Kind != audit.KindConflict }) {
		b.Errorf("the audit found %+v", r.Findings)
	}
}

// claims runs a task until it has claimed its partition.
func (w *world) claims(t testing.TB, partition int) error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	sink, err := parquet.New(parquet.Config{Files: w.lake})
	must(t, err)
	return task.Run(ctx, task.Config{
		Log: w.log, Partition: partition, Store: w.store, Sinks: []stream.Sink{sink}, EpochInterval: time.Hour,
		Windows: Windows(), Writer: "tampertest", Claimed: func(task.Status, func() checkpoint.Stats) { cancel() },
	})
}

// TestAnOlderCheckpointUnderEpochsOfConflictsAlone: what was published since took
// nothing, and one gateway can bring that about. The engine takes nothing on either, with
// the landing log of now or of then; a repair takes the epochs on as they are.
func TestAnOlderCheckpointUnderEpochsOfConflictsAlone(t *testing.T) {
	base := shared.unfinished(t, olderRecords)
	for _, c := range []struct {
		name             string
		parts            int // of ordinary epochs before those of conflicts
		follow           bool
		landingOfThenToo bool
	}{
		{"they are the newest", 1, false, false},
		{"the landing log is as old", 0, false, true},
		{"others follow", 0, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := goOnBench(t, base)
			was := filepath.Join(t.TempDir(), "was")
			Copy(t, b.Checkpoints(), filepath.Join(was, "checkpoint"))
			must(t, os.CopyFS(filepath.Join(was, "landing"), os.DirFS(b.Landing)))
			b.goOnBy(t, 0, c.parts)
			b.conflictEpochs(t, 3)
			if c.follow {
				b.GoOn(t)
			}
			b.Remove("_checkpoint")
			Copy(t, filepath.Join(was, "checkpoint"), b.Checkpoints())
			if c.landingOfThenToo {
				must(t, os.RemoveAll(b.Landing))
				must(t, os.CopyFS(b.Landing, os.DirFS(filepath.Join(was, "landing"))))
			}
			b.open(t).close(t) // as an engine that only starts
			before, conflicts := b.tree(), conflictFiles(b)
			if len(conflicts) != 3*partitions {
				t.Fatalf("%d files of conflict", len(conflicts))
			}
			w := b.open(t)
			for p := range partitions {
				err := w.claims(t, p)
				if !errors.Is(err, checkpoint.ErrCorrupt) || !strings.Contains(err.Error(), "HEAD was set back: the lake holds epoch") {
					t.Errorf("partition %d ended with %v", p, err)
				}
			}
			w.close(t)
			if now := b.tree(); !slices.Equal(now, before) {
				t.Error("the engine changed the lake")
			}
			code, r := b.repairs(fromNothing)
			if code != cli.ExitOK || len(r.Left) > 0 || r.kinds()[repair.Head] != partitions || r.kinds()[repair.Aside] > 0 {
				t.Fatalf("exit code %d: %+v", code, r.Result)
			}
			b.onlyConflictsFound(r.Audit) // as before: they are no fault of the lake
			if now := conflictFiles(b); !slices.Equal(now, conflicts) {
				t.Errorf("files of conflict are %v, were %v", now, conflicts)
			}
			if code, r := b.repairs(fromNothing); code != cli.ExitOK || len(r.Actions)+len(r.Left) > 0 {
				t.Errorf("a second repair: exit code %d: %+v", code, r.Result)
			}
			if !c.follow {
				b.GoOn(t)
			}
			_, r = b.repairs(fromNothing, "--dry-run")
			b.onlyConflictsFound(r.Audit)
		})
	}
}

// TestAFileOfAnEpochThatWasUsedAgainStays: an engine of before went on from an older
// checkpoint, and gave the numbers of published epochs to other rows. Their files are no
// strays: the audit is not exact, and a repair says so and moves none of them.
func TestAFileOfAnEpochThatWasUsedAgainStays(t *testing.T) {
	base := shared.unfinished(t, olderRecords)
	other, b := goOnBench(t, base), goOnBench(t, base)
	other.conflictEpochs(t, 1)
	b.goOnBy(t, 0, olderParts)
	published := len(conflictFiles(b))
	for _, name := range conflictFiles(other) {
		data, err := os.ReadFile(other.Path(name))
		must(t, err)
		must(t, os.MkdirAll(filepath.Dir(b.Path(name)), 0o755))
		must(t, os.WriteFile(b.Path(name), data, 0o644))
	}
	before := b.tree()
	for range 2 {
		code, r := b.repairs(fromNothing)
		told := 0
		for _, l := range r.Left {
			if l.Table == table.Conflict && strings.Contains(l.Detail, "the number was used again") {
				told++
			}
		}
		if code != cli.ExitData || told != partitions || len(r.Actions) > 0 || r.Audit.Exact {
			t.Errorf("exit code %d, %d files told: %+v", code, told, r)
		}
	}
	if published != 0 || !slices.Equal(b.tree(), before) {
		t.Errorf("%d files of conflict were published, or the repair changed something", published)
	}
}
