package tampertest

import (
	"slices"
	"strings"
	"testing"

	"landfall/engine/stream"
	"landfall/engine/table"
)

// TestManifestsNameTheirOwnEpoch: a lake is the same however fast its files are
// published, so the newest manifest of each task names its own epoch's files only.
func TestManifestsNameTheirOwnEpoch(t *testing.T) {
	l := goOnBench(t, shared.unfinished(t, olderRecords))
	l.epochRecords = 1 // an epoch for each block
	l.GoOn(t)
	for p := range partitions {
		_, m := l.Head(t, Task(p))
		if m.Epoch < 10 || len(m.Staged) == 0 || len(m.Unpublished) != 0 {
			t.Errorf("task %d, epoch %s: %d files of its own, %d epochs before wait to be published", p, m.Epoch,
				len(m.Staged), len(m.Unpublished))
		}
	}
}

// TestNewestManifestsNameLateRows: the newest manifest of each task of the lake that is
// tampered with, at the size that it has in this run, names a file of late, which the
// level offsets then misses.
func TestNewestManifestsNameLateRows(t *testing.T) {
	l := shared.good(t, records())
	for p := range partitions {
		_, m := l.Head(t, Task(p))
		if !slices.ContainsFunc(m.Staged,
			func(s stream.Staged) bool { return strings.HasPrefix(s.Target, string(table.Late)+"/") }) {
			t.Errorf("%d records, task %d: epoch %s has no late rows: %v", records(), p, m.Epoch, m.Staged)
		}
	}
}
