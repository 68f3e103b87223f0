package tampertest

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"landfall/cmd/internal/cli"
	"landfall/engine/landing/embedded"
	"landfall/engine/move"
	"landfall/engine/stream"
	"landfall/engine/table"
	"landfall/engine/task"
	"landfall/sinks/parquet"
)

// TestAnOlderCheckpointOverALakeThatMoved: the checkpoints are of before the lake was moved
// to another landing log, whose tasks have gone on with the same logs. Nothing is taken on,
// of the tasks of before neither, and the text says why.
func TestAnOlderCheckpointOverALakeThatMoved(t *testing.T) {
	base := shared.unfinished(t, olderRecords)
	b := goOnBench(t, base)
	was := filepath.Join(t.TempDir(), "was")
	Copy(t, b.Checkpoints(), was)
	b.goOnBy(t, 0, 1)
	w := b.open(t)
	const elsewhere = "0123456789abcdef0123456789abcdef"
	other, err := embedded.Open(embedded.Config{Dir: filepath.Join(t.TempDir(), "other"), Partitions: partitions, ID: elsewhere, SegmentBytes: 1 << 20})
	must(t, err)
	_, err = move.Replace(t.Context(), move.Config{
		Store: w.store, Old: w.log, New: other, To: move.Landing{Kind: move.Embedded, ID: elsewhere, Partitions: partitions},
		Sinks: func() ([]stream.Sink, error) {
			sink, err := parquet.New(parquet.Config{Files: w.lake})
			return []stream.Sink{sink}, err
		},
		Task: task.Config{EpochInterval: time.Hour, Windows: Windows()},
	})
	must(t, err)
	must(t, w.log.Close())
	w.log = other
	for name, blocks := range b.rest {
		w.land(t, name, blocks[len(blocks)/olderParts:2*len(blocks)/olderParts], 10*len(blocks))
	}
	for p := range partitions {
		w.run(t, p, b.epochRecords)
	}
	w.close(t)
	if _, r := b.repairs(fromNothing); !r.Audit.Exact {
		t.Fatalf("the lake that moved is not exact: %+v", r.Audit.Findings)
	}
	if n := len(Files(t, b.Dir, string(table.Record)+"/*/"+elsewhere+"-*.parquet")); n == 0 {
		t.Fatal("nothing was published after the move")
	}
	b.Remove("_checkpoint")
	Copy(t, was, b.Checkpoints())
	before := b.tree()
	for range 2 {
		code, r := b.repairs(fromNothing)
		told := 0
		for _, l := range r.Left {
			if strings.Contains(l.Detail, "the lake was moved since") && strings.Contains(l.Detail, "put the checkpoints back that were made after the move") {
				told++
			}
		}
		if code != cli.ExitData || told == 0 || len(r.Actions) > 0 || r.Audit.Exact {
			t.Errorf("exit code %d, told %d: %+v", code, told, r.Result)
		}
	}
	if !slices.Equal(b.tree(), before) {
		t.Error("the lake was changed")
	}
}
