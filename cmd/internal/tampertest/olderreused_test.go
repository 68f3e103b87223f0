package tampertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"landfall/cmd/internal/cli"
	"landfall/engine/audit"
	"landfall/engine/landing"
	"landfall/engine/ledger"
	"landfall/engine/repair"
	"landfall/engine/stream"
	"landfall/engine/table"
	"landfall/engine/task"
	"landfall/sinks/parquet"
)

// onlySink hides what a sink can tell besides: an engine of before did not ask whether the
// lake holds later epochs.
type onlySink struct{ stream.Sink }

// goOnAsBefore has an engine of before work on a task, in epochs of so many records.
func (w *world) goOnAsBefore(t testing.TB, partition, epochRecords int) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	sink, err := parquet.New(parquet.Config{Files: w.lake})
	must(t, err)
	return task.Run(ctx, task.Config{
		Log: w.log, Partition: partition, Store: w.store, Sinks: []stream.Sink{onlySink{sink}}, EpochRecords: epochRecords,
		EpochInterval: time.Hour, Windows: Windows(), Writer: "tampertest",
		Look: func(l *landing.Landed, _ *table.Batch) {
			if w.newest(l) {
				cancel()
			}
		},
	})
}

// TestAnOlderCheckpointThatWasUsed: an older _checkpoint was put back, and an engine of
// before went on from it. The numbers of its epochs are in the lake with other rows, so that
// it stands, red. A repair drops what it began and takes on what the lake holds; the task
// goes on with what the landing log has, and what comes out is what would have come out.
func TestAnOlderCheckpointThatWasUsed(t *testing.T) {
	base := shared.unfinished(t, olderRecords)
	one, good := withOlder(t, base)
	good.goOnBy(t, olderParts-1, olderParts)
	for _, c := range []struct {
		name  string
		epoch int // records of the epochs of the engine of before
	}{
		{"larger epochs", one.epochRecords * 3},
		{"smaller epochs", one.epochRecords / 3},
		{"more epochs than the lake has", 40},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := goOnBench(t, one.Lake)
			swapLanding(b)
			w := b.open(t)
			for p := range partitions {
				if err := w.goOnAsBefore(t, p, c.epoch); !errors.Is(err, stream.ErrContent) {
					t.Fatalf("partition %d ended with %v", p, err)
				}
			}
			w.close(t)
			w = b.open(t)
			for p := range partitions {
				if err := w.claims(t, p); !errors.Is(err, stream.ErrContent) && !strings.Contains(fmt.Sprint(err), "HEAD was set back") {
					t.Errorf("partition %d ended with %v", p, err)
				}
			}
			w.close(t)
			before := b.tree()
			_, dryly := b.repairs(fromNothing, "--dry-run")
			if !slices.Equal(b.tree(), before) {
				t.Error("a dry run changed the lake")
			}
			code, r := b.repairs(fromNothing)
			if code != cli.ExitOK || !r.Audit.Exact || r.kinds()[repair.Head] != partitions {
				t.Fatalf("exit code %d: %+v %+v", code, r.Result, r.Audit.Findings)
			}
			if fmt.Sprint(dryly.kinds()) != fmt.Sprint(r.kinds()) {
				t.Errorf("a dry run: %v, and then %v", dryly.kinds(), r.kinds())
			}
			if !slices.ContainsFunc(r.Actions, func(a repair.Action) bool { return a.Kind == repair.Head && strings.Contains(a.Detail, "are dropped") }) {
				t.Errorf("it does not say what is dropped: %+v", r.Actions)
			}
			if code, r := b.repairs(fromNothing); code != cli.ExitOK || len(r.Actions) > 0 {
				t.Errorf("a second repair: exit code %d: %+v", code, r.Result)
			}
			b.goOnBy(t, olderParts-1, olderParts)
			if o := audited(t, b.Lake, audit.LevelValues); !o.exact {
				t.Errorf("not exact: %+v", o.findings)
			}
			sameRows(t, good.Dir, b.Dir, table.Log)
		})
	}
}

// TestAnOlderCheckpointThatWasUsedAndCannotBeDropped: of what an engine of before made from
// an older checkpoint something was let go of, or may have been. Nothing is changed, of the
// files of published epochs neither, and the text says why.
func TestAnOlderCheckpointThatWasUsedAndCannotBeDropped(t *testing.T) {
	base := shared.unfinished(t, olderRecords)
	one, _ := withOlder(t, base)
	swapLanding(one)
	w := one.open(t)
	if err := w.goOnAsBefore(t, 0, one.epochRecords*3); !errors.Is(err, stream.ErrContent) {
		t.Fatalf("it ended with %v", err)
	}
	w.close(t)
	for _, c := range []struct {
		name, why string
		do        func(b *Bench)
	}{
		{"an epoch was published", "was published with", func(b *Bench) {
			_, m := b.Head(b, Task(0))
			b.Forge(Task(0), func(e *ledger.Entry) {
				if e.Epoch == m.Epoch {
					f := e.Files[0]
					f.Name = strings.Replace(f.Name, "dt=", "dt=2001-01-01-", 1)
					e.Files = append(e.Files, f)
				}
			})
		}},
		{"rows went to topics", "went to sink kafka too", func(b *Bench) {
			head, m := b.Head(b, Task(0))
			m.Staged = append(m.Staged, stream.Staged{Sink: "kafka", Table: table.Record, Name: "ais.record", SHA256: strings.Repeat("0", 64)})
			b.setHead(Task(0), head, m)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := goOnBench(t, one.Lake)
			c.do(b)
			before := b.treeOf(Task(0).String())
			code, r := b.repairs(fromLanding)
			told := slices.ContainsFunc(r.Left, func(a repair.Action) bool {
				return strings.Contains(a.Detail, "gave the numbers of published epochs") && strings.Contains(a.Detail, c.why)
			})
			if code != cli.ExitData || !told || r.kinds()[repair.Aside] > 0 {
				t.Errorf("exit code %d, told %v: %+v", code, told, r.Result)
			}
			if !slices.Equal(b.treeOf(Task(0).String()), before) {
				t.Error("the task or its files were changed")
			}
		})
	}
}
