package tampertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"landfall/cmd/internal/cli"
	"landfall/edge/record"
	"landfall/engine/audit"
	"landfall/engine/checkpoint"
	"landfall/engine/landing"
	"landfall/engine/repair"
	"landfall/engine/stream"
	"landfall/engine/table"
	"landfall/engine/task"
	"landfall/sinks/parquet"
	"landfall/sinks/sinktest"
)

// poisoned tells the blocks of which tasks die: one in the middle of the first log of the
// first gateway, and the first of its second log, which holds the opening.
func poisoned(l *landing.Landed) bool {
	h, err := record.ParseHeader(l.Block)
	return err == nil && h.Log[0] == 0x10 && (h.Log[1] == 1 && h.First <= 600 && 600 < h.End() || h.Log[1] == 2 && h.First == 0)
}

// setsAside works a partition through while the task panics at each poisoned block, until
// they are set aside. together says that the note of its care is lost once a block is
// decided on, so that all that follows is one epoch.
func (w *world) setsAside(t testing.TB, partition, epochRecords int, together bool) {
	t.Helper()
	sink, err := parquet.New(parquet.Config{Files: w.lake})
	must(t, err)
	for runs, hurt := 0, 0; ; runs++ {
		ctx, cancel := context.WithCancel(t.Context())
		ended, decided := false, false
		var stats func() checkpoint.Stats
		err := task.Run(ctx, task.Config{
			Log: w.log, Partition: partition, Store: w.store, Sinks: []stream.Sink{sink}, EpochRecords: epochRecords,
			EpochInterval: time.Hour, Windows: Windows(), Writer: "tampertest", SuspectWait: time.Millisecond,
			Claimed: func(_ task.Status, s func() checkpoint.Stats) { stats = s },
			Progress: func(s task.Status) {
				waitPublished(t, stats, s.Epoch)
				if decided = together && hurt >= 6 && !ended; decided {
					cancel()
				}
			},
			Look: func(l *landing.Landed, rows *table.Batch) {
				if len(rows.Records) > 0 && poisoned(l) {
					panic("hurt")
				}
				if w.newest(l) {
					ended = true
					cancel()
				}
			},
		})
		cancel()
		switch {
		case errors.Is(err, stream.ErrPanic) && runs < 40:
			hurt++
		case err != nil:
			t.Fatal(err)
		case ended:
			return
		case decided:
			hurt, epochRecords = 0, 1_000_000
			must(t, os.Remove(filepath.Join(w.checkpoints, checkpoint.AttemptName(Task(partition)))))
		}
	}
}

// asideBench is a lake of everything that a good one holds, in which the poisoned blocks
// are set aside; what is in contradiction with a log besides, in the epoch of the last of
// them where together is set.
func asideBench(t testing.TB, good *Lake, together bool) *Bench {
	t.Helper()
	dir := t.TempDir()
	l := *good
	l.Dir, l.Landing, l.Kept = filepath.Join(dir, "lake"), filepath.Join(dir, "landing"), filepath.Join(dir, "kept")
	must(t, os.CopyFS(l.Landing, os.DirFS(good.Kept)))
	w := l.open(t)
	defer w.close(t)
	if together {
		tail, ok := w.log.Tail(Gateways()[0])
		if !ok {
			t.Fatal("nothing has landed")
		}
		var b record.Builder
		b.Reset()
		for range 3 {
			must(t, b.Add(&record.Record{Kind: record.KindText, ReceivedAt: logBegin(LogsPerGateway), Raw: []byte("another history")}))
		}
		w.land(t, Gateways()[0], [][]byte{bytes.Clone(b.Seal(tail.Log, tail.Next-1, record.Hash{7}))}, 5000)
	}
	for p := range partitions {
		w.setsAside(t, p, l.epochRecords, together)
	}
	return &Bench{TB: t, Lake: &l}
}

// sameRows compares record, and the typed tables but for what the state of the time
// decides, with another lake's.
func (b *Bench) sameRows(good *Lake) {
	b.Helper()
	sameColumns(b, good.Dir, b.Dir, func(n table.Name) string {
		switch u := uncertain(n); {
		case n != table.Record && !slices.Contains(table.TypedNames(), n):
			return ""
		case n == table.Record || u == "":
			return "*"
		default:
			return "* EXCLUDE (" + u + ")"
		}
	})
}

// readingsAreLate fails where a reading of a file of what was taken in is not in late, or
// another one is there.
func (b *Bench) readingsAreLate() {
	b.Helper()
	one := func(n table.Name, where string) string {
		return fmt.Sprintf("SELECT _log, _offset, _row FROM '%s/%s/*/*-1.parquet' %s", b.Dir, n, where)
	}
	x, y := one(table.SensorReading, "WHERE value IS NOT NULL"), one(table.Late, "")
	got := sinktest.DuckDB(b, fmt.Sprintf("SELECT count(*) FROM ((%[1]s EXCEPT ALL %[2]s) UNION ALL (%[2]s EXCEPT ALL %[1]s)) UNION ALL SELECT count(*) FROM (%[1]s)", x, y))
	if len(got) != 2 || got[0][0] != "0" || got[1][0] == "0" {
		b.Errorf("readings that are in late alone or not there, of all readings: %v", got)
	}
}

// onlySetAside fails where the audit found anything but blocks that are set aside, and
// conflicts where they are there.
func (b *Bench) onlySetAside(r *audit.Result, conflicts bool) {
	b.Helper()
	kinds := map[audit.Kind]bool{}
	for _, f := range r.Findings {
		kinds[f.Kind] = true
		if f.Kind != audit.KindSetAside && f.Kind != audit.KindConflict {
			b.Errorf("%+v", f)
		}
	}
	if r.Exact || !kinds[audit.KindSetAside] || kinds[audit.KindConflict] != conflicts {
		b.Errorf("exact %v, %v", r.Exact, kinds)
	}
}

// TestBlocksThatWereSetAsideAreTakenIn: their records are rows then as if nothing had
// been set aside, once, and the audit is exact; a dry run changes nothing, a second run
// finds nothing, and the task goes on. What else lies in conflict stays there.
func TestBlocksThatWereSetAsideAreTakenIn(t *testing.T) {
	good := shared.good(t, repairRecords)
	for name, together := range map[string]bool{"in epochs of their own": false, "in an epoch with others": true} {
		t.Run(name, func(t *testing.T) {
			b := asideBench(t, good, together)
			_, r := b.repairs(fromNothing)
			b.onlySetAside(r.Audit, together)
			before := b.tree()
			code, dry := b.repairs(fromNothing, "--take-aside", "--dry-run")
			if code != cli.ExitData || dry.kinds()[repair.Taken] != 2 || len(dry.Left) > 0 || !slices.Equal(b.tree(), before) {
				t.Errorf("a dry run: exit code %d, %+v", code, dry.Result)
			}
			code, r = b.repairs(fromLanding, "--take-aside")
			if code != 0 || r.kinds()[repair.Taken] != 2 || len(r.Left) > 0 { // conflicts alone are declared
				t.Fatalf("exit code %d, %+v\n%+v", code, r.Result, r.Audit.Findings)
			}
			check := func(r *audit.Result) {
				t.Helper()
				if together {
					b.onlyConflictsFound(r)
				} else if !r.Exact {
					t.Errorf("%+v", r.Findings)
				}
			}
			check(r.Audit)
			b.sameRows(good)
			b.readingsAreLate()
			for _, level := range []audit.Level{audit.LevelOffsets, audit.LevelFiles, audit.LevelBytes} {
				check(audited(t, b.Lake, level).result)
			}
			if code, out, errs := engine(t, "audit", "--lake", b.Dir, "--level", "values", "--edge-log", b.EdgeLogs[Gateways()[0]],
				"--edge-log", b.EdgeLogs[Gateways()[1]]); (code == 0) == together {
				t.Errorf("audit at values: exit code %d\n%s%s", code, out, errs)
			}
			after := b.tree()
			if _, again := b.repairs(fromNothing, "--take-aside"); len(again.Actions)+len(again.Left) > 0 || !slices.Equal(b.tree(), after) {
				t.Errorf("again: %+v", again.Result)
			}
			w := b.open(t)
			defer w.close(t)
			for p := range partitions {
				must(t, w.claims(t, p))
			}
			check(audited(t, b.Lake, audit.LevelBytes).result)
			b.sameRows(good)
		})
	}
}

// TestNothingIsTakenInBesideDamage: a block is taken in only where everything else of its
// task is right. What can be repaired is repaired first, and the block is taken in then;
// what cannot be leaves it set aside, and so does a block that is not what was captured.
func TestNothingIsTakenInBesideDamage(t *testing.T) {
	good := shared.good(t, repairRecords)
	base := asideBench(t, good, false)
	ours := func(b *Bench, n table.Name) string {
		all := slices.DeleteFunc(b.Table(n), func(name string) bool { return taskOf(name) != taskOf(conflictFiles(b)[0]) })
		return all[len(all)/2]
	}
	for _, c := range []struct {
		name  string
		do    func(b *Bench)
		with  from
		taken int
		why   string // of what is left
	}{
		{"typed rows are gone", func(b *Bench) { b.Remove(ours(b, table.AISPosition)) }, fromLanding, 2, ""},
		{"record is gone for good", func(b *Bench) { b.Remove(ours(b, table.Record)) }, fromNothing, 0, "is not right"},
		{"conflict was moved away", func(b *Bench) {
			name := conflictFiles(b)[0]
			must(b, os.MkdirAll(filepath.Dir(b.Path("_quarantine/"+name)), 0o755))
			b.Move(name, "_quarantine/"+name)
		}, fromNothing, 2, ""},
		{"a byte of a block, and the ledger forged", func(b *Bench) {
			b.ForgeFile(b.SetValue(table.Conflict, "block", flipLast).File)
		}, fromNothing, 1, "cannot be read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := NewBench(t, base.Lake)
			c.do(b)
			code, r := b.repairs(c.with, "--take-aside")
			if n := r.kinds()[repair.Taken]; n != c.taken || (c.why == "") != (len(r.Left) == 0) || (code == 0) != (c.why == "") {
				t.Fatalf("exit code %d, %+v\n%+v", code, r.Result, r.Audit.Findings)
			}
			if c.why == "" {
				b.sameRows(good)
				return
			}
			if !slices.ContainsFunc(r.Left, func(a repair.Action) bool { return strings.Contains(a.Detail, c.why) }) {
				t.Errorf("%+v", r.Left)
			}
		})
	}
}

// TestWhatWasTakenInIsRestoredFromACopy: a file of what was taken in that is gone is told
// and stays gone as long as no copy of it lies in the lake, and is restored from one.
func TestWhatWasTakenInIsRestoredFromACopy(t *testing.T) {
	good := shared.good(t, repairRecords)
	b := asideBench(t, good, true)
	if _, r := b.repairs(fromNothing, "--take-aside"); r.kinds()[repair.Taken] != 2 {
		t.Fatalf("%+v", r.Result)
	}
	for _, n := range []table.Name{table.Record, table.AISPosition} {
		all := slices.DeleteFunc(b.Table(n), func(name string) bool { return !strings.HasSuffix(name, "-1.parquet") })
		if len(all) == 0 {
			t.Fatalf("nothing of %s was taken in", n)
		}
		data, err := os.ReadFile(b.Path(all[0]))
		must(t, err)
		b.Remove(all[0])
		without := b.tree()
		if _, r := b.repairs(fromLanding); len(r.Left) != 1 || r.Left[0].File != all[0] || len(r.Actions) > 0 || !slices.Equal(b.tree(), without) {
			t.Fatalf("%s without a copy: %+v", n, r.Result)
		}
		Write(b, b.Path("_quarantine/copy.parquet"), data)
		if _, r := b.repairs(fromNothing); len(r.Left) > 0 || r.kinds()[repair.Restored] != 1 {
			t.Errorf("%s with a copy: %+v", n, r.Result)
		}
		b.sameRows(good)
	}
}
