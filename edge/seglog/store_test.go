package seglog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"testing"

	"landfall/edge/durable"
	"landfall/edge/record"
)

// testLogID gives ids that tell the order in which they were asked for.
func testLogIDs(start uint64) func() record.LogID {
	n := start
	return func() record.LogID {
		n++
		var id record.LogID
		binary.BigEndian.PutUint64(id[8:], n)
		return id
	}
}

func testConfig(fsys durable.FS, dir string) Config {
	now := record.Micros(1_700_000_000_000_000)
	return Config{
		FS: fsys, Dir: dir, SegmentBytes: 32 << 10, inlineSpares: true,
		Now: func() record.Micros { now += 1000; return now },
	}
}

// fill adds records with the given texts.
func fill(b *record.Builder, texts ...string) *record.Builder {
	b.Reset()
	for i, text := range texts {
		r := record.Record{Kind: record.KindText, ReceivedAt: 1_700_000_000_000_000 + record.Micros(i), EventTime: record.NoTime, Raw: []byte(text)}
		if err := b.Add(&r); err != nil {
			panic(err)
		}
	}
	return b
}

// readAll reads a log from an offset to its end: texts by offset, and gaps.
func readLog(t testing.TB, s *Store, log record.LogID, from record.Offset) (map[record.Offset]string, []Gap) {
	t.Helper()
	r, err := s.Reader(log, from)
	if err != nil {
		t.Fatalf("reader of %s: %v", log, err)
	}
	defer r.Close()
	got, gaps := map[record.Offset]string{}, []Gap(nil)
	next := from
	for {
		item, err := r.Next()
		if errors.Is(err, ErrCaughtUp) || err == io.EOF {
			return got, gaps
		}
		if err != nil {
			t.Fatalf("next at %d: %v", next, err)
		}
		if item.IsGap() {
			if item.Gap.From != next || item.Gap.To <= next {
				t.Fatalf("gap %+v where %d was due", item.Gap, next)
			}
			gaps, next = append(gaps, item.Gap), item.Gap.To
			continue
		}
		if item.Block.First > next || item.Block.End() <= next || item.Block.First < next && next != from {
			t.Fatalf("block %d..%d where %d was due", item.Block.First, item.Block.End(), next)
		}
		item.Block.Payloads(func(off record.Offset, p []byte) bool {
			var rec record.Record
			if err := item.Block.DecodeRecord(p, &rec); err != nil {
				t.Fatalf("decode record %d: %v", off, err)
			}
			if rec.Kind != record.KindLogOpen {
				got[off] = string(rec.Raw)
			}
			return true
		})
		next = item.Block.End()
	}
}

func mustOpen(t testing.TB, cfg Config) *Store {
	t.Helper()
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestAppendReadReopen(t *testing.T) {
	cfg := testConfig(durable.OS{}, t.TempDir())
	cfg.NewLogID = testLogIDs(0)
	var logs []record.LogID
	want := map[record.LogID]map[record.Offset]string{}
	for run := range 3 {
		s := mustOpen(t, cfg)
		if _, ok := s.Active(); ok {
			t.Fatal("a log is open before the first Append")
		}
		var b record.Builder
		for i := range 100 {
			texts := []string{fmt.Sprintf("run %d group %d first %01000d", run, i, i), "second"}
			first, err := s.Append(fill(&b, texts...))
			if err != nil {
				t.Fatal(err)
			}
			log, ok := s.Active()
			if !ok {
				t.Fatal("no active log after Append")
			}
			if want[log] == nil {
				want[log] = map[record.Offset]string{}
				logs = append(logs, log)
			}
			for k, text := range texts {
				want[log][first+record.Offset(k)] = text
			}
		}
		if got := s.Stats().Segments; got < 3*(run+1) {
			t.Errorf("%d segments: the test wants several a log", got)
		}
		checkLogs(t, s, logs, want)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	checkLogs(t, mustOpen(t, cfg), logs, want)
}

func checkLogs(t *testing.T, s *Store, logs []record.LogID, want map[record.LogID]map[record.Offset]string) {
	t.Helper()
	infos := s.Logs()
	if len(infos) != len(logs) {
		t.Fatalf("%d logs, want %d", len(infos), len(logs))
	}
	for i, in := range infos {
		if in.ID != logs[i] || in.End != record.Offset(1+len(want[in.ID])) || in.First != 0 {
			t.Errorf("log %d is %+v, want %s with %d records", i, in, logs[i], len(want[in.ID]))
		}
		got, gaps := readLog(t, s, in.ID, 0)
		if len(gaps) > 0 {
			t.Errorf("gaps %v", gaps)
		}
		compare(t, got, want[in.ID])
	}
}

func compare(t *testing.T, got, want map[record.Offset]string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d records, want %d", len(got), len(want))
	}
	for off, text := range want {
		if got[off] != text {
			t.Errorf("offset %d is %.40q, want %.40q", off, got[off], text)
		}
	}
}
