package tampertest

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"landfall/engine/stream"
	"landfall/engine/table"
)

// TestManifestsNameTheirOwnEpoch: a lake is the same however fast its files are
// published, so the newest manifest of each task names its own epoch's files only.
func TestManifestsNameTheirOwnEpoch(t *testing.T) {
	l := Make(t, filepath.Join(t.TempDir(), "good"), Config{Records: smallRecords, Unfinished: true})
	l.epochRecords = 1 // an epoch for each block
	l.GoOn(t)
	for p := range partitions {
		_, m := l.Head(t, Task(p))
		if m.Epoch < 10 || len(m.Staged) == 0 || len(m.Unpublished) != 0 {
			t.Errorf("task %d, epoch %s: %d files of its own, %d epochs before wait to be published", p, m.Epoch, len(m.Staged), len(m.Unpublished))
		}
	}
}

// TestNewestManifestsNameLateRows: at both sizes of the lakes the newest manifest of
// each task names a file of late, which the level offsets then misses.
func TestNewestManifestsNameLateRows(t *testing.T) {
	for _, n := range []int{smallRecords, soakRecords} {
		l := Make(t, filepath.Join(t.TempDir(), "good"), Config{Records: n})
		for p := range partitions {
			_, m := l.Head(t, Task(p))
			if !slices.ContainsFunc(m.Staged, func(s stream.Staged) bool { return strings.HasPrefix(s.Target, string(table.Late)+"/") }) {
				t.Errorf("%d records, task %d: epoch %s has no late rows: %v", n, p, m.Epoch, m.Staged)
			}
		}
	}
}
