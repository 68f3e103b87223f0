package task

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/engine/checkpoint"
	"landfall/engine/landing"
	"landfall/engine/stream"
	"landfall/engine/table"
	"landfall/sinks/object"
	"landfall/sinks/parquet"
	"landfall/sinks/sinktest"
)

// promise is the query of docs/guarantee.md over a lake, sorted by log.
func promise(t *testing.T, lake string) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/guarantee.md")
	if err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile(`(?m)^    WITH (?:.*\n)+?\n`).FindString(string(page))
	if text == "" {
		t.Fatal("the page has no query")
	}
	text = strings.ReplaceAll(text, "'lake/", "'"+lake+"/")
	var rows []string
	for _, row := range sinktest.DuckDB(t, "SELECT _gateway, left(_log, 2), offsets, exact FROM ("+text+") ORDER BY ALL") {
		rows = append(rows, strings.Join(row, " "))
	}
	return strings.Join(rows, "\n")
}

// TestDigestsOfTheLakeAddUp: in files that the real sink wrote over several
// epochs, record and loss sum up to the last row of log, log by log; where a digest
// is not known, the query does not say that it was right.
func TestDigestsOfTheLakeAddUp(t *testing.T) {
	dir := t.TempDir()
	files, err := object.OpenLake(durable.OS{}, dir)
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t)
	first, second, lossy, silent, unsaid := writeLog(t, 0x10), writeLog(t, 0x11), writeLog(t, 0x20), writeLog(t, 0x30), writeLog(t, 0x40)
	silent.silent = true
	epochs := []func(){
		func() {
			r.land(t, "g", first.open(record.Opening{OpenedAt: 1, PrevLastAt: record.NoTime}), first.texts(20))
		},
		func() {
			r.land(t, "h", lossy.texts(3))
			r.land(t, "i", silent.texts(4))
			r.land(t, "k", unsaid.texts(2))
		},
		func() {
			lossy.texts(5)
			r.land(t, "h", lossy.lose(3, true), lossy.texts(2))
			unsaid.texts(2)
			r.land(t, "k", unsaid.lose(2, false), unsaid.texts(1))
		},
		func() {
			r.land(t, "g", first.texts(1), second.open(record.Opening{Prev: first.id, PrevEnd: first.next, OpenedAt: 2}), second.texts(7))
			lossy.texts(2)
			r.land(t, "h", lossy.lose(10, true))
		},
	}
	for _, land := range epochs {
		land()
		sink, err := parquet.New(parquet.Config{Files: files, Writers: 1})
		if err != nil {
			t.Fatal(err)
		}
		r.epochOf(t, sink)
	}
	const want = `g 10 22 true
g 11 8 true
h 20 12 true
i 30 4 NULL
k 40 5 NULL`
	if got := promise(t, dir); got != want {
		t.Errorf("the query says\n%s\nwant\n%s", got, want)
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "log", "*", "*.parquet")); len(files) != len(epochs) {
		t.Errorf("%d files of log after %d epochs", len(files), len(epochs))
	}
	if got := sinktest.DuckDB(t, "SELECT _gateway, left(_log, 2), epoch, next_offset, closed, previous_log IS NOT NULL, digest IS NULL, chain IS NULL FROM read_parquet('"+dir+"/log/*/*.parquet') ORDER BY epoch, _log"); join(got) != `g 10 1 21 false false false false
h 20 2 3 false false false false
i 30 2 4 false false true false
k 40 2 2 false false false false
h 20 3 10 false false false false
k 40 3 5 false false false false
g 10 4 22 true false false false
g 11 4 8 false true false false
h 20 4 12 false false false true` {
		t.Errorf("log holds\n%s", join(got))
	}
}

func join(rows [][]string) string {
	var lines []string
	for _, row := range rows {
		lines = append(lines, strings.Join(row, " "))
	}
	return strings.Join(lines, "\n")
}

// epochOf runs the task for one epoch of everything that is landed, with a sink of
// its own.
func (r *rig) epochOf(t *testing.T, sink stream.Sink) {
	t.Helper()
	var c Counters
	cfg := r.config(&c)
	cfg.Sinks = []stream.Sink{sink}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var from int64
	cfg.Claimed = func(s Status, _ func() checkpoint.Stats) { from = s.Position.Offset }
	end := r.landed(t)
	cfg.Look = func(*landing.Landed, *table.Batch) {
		if from++; from == end {
			cancel()
		}
	}
	if err := Run(ctx, cfg); err != nil || c.Epochs.Load() != 1 {
		t.Fatalf("%d epochs, %v", c.Epochs.Load(), err)
	}
}
