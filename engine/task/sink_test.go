package task

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"landfall/edge/record"
	"landfall/engine/stream"
	"landfall/engine/table"
)

// memorySink is the obvious sink: staged and published rows in maps that
// outlive the task, as files would.
type memorySink struct {
	mu        sync.Mutex
	staged    map[string][]string       // rows by staged name
	published map[string][]string       // rows by target
	logs      map[string][]table.LogRow // those of log by staged name, then by target
	block     chan struct{}             // not nil: Publish waits for it
	sealing   func()                    // not nil: called by Seal
	failing   error                     // not nil: Publish's answer
}

func newMemorySink() *memorySink {
	return &memorySink{staged: map[string][]string{}, published: map[string][]string{}, logs: map[string][]table.LogRow{}}
}

func (s *memorySink) Name() string { return "memory" }

func (s *memorySink) Begin(task stream.TaskID, claim stream.ClaimID, epoch stream.Epoch) (stream.Stage, error) {
	name := fmt.Sprintf("%s-%s", task, epoch.Padded())
	return &memoryStage{sink: s, name: name + "-" + string(claim), target: name}, nil
}

func (s *memorySink) Publish(ctx context.Context, staged []stream.Staged) error {
	s.mu.Lock()
	block := s.block
	s.mu.Unlock()
	if block != nil {
		select {
		case <-block:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failing != nil {
		return s.failing
	}
	for _, f := range staged {
		rows, ok := s.staged[f.Name]
		if _, done := s.published[f.Target]; !ok && !done {
			return fmt.Errorf("publish %s: not staged", f.Name)
		}
		if ok {
			s.published[f.Target], s.logs[f.Target] = rows, s.logs[f.Name]
			delete(s.staged, f.Name)
		}
	}
	return nil
}

func (s *memorySink) Verify(_ context.Context, staged []stream.Staged) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range staged {
		if _, ok := s.published[f.Target]; !ok {
			return &stream.DamagedError{Staged: f, Where: f.Target, Detail: "is missing"}
		}
	}
	return nil
}

func (s *memorySink) Collect(_ context.Context, _ stream.TaskID, keep map[string]bool, alive func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range s.staged {
		if err := alive(); err != nil {
			return err
		}
		if !keep[name] {
			delete(s.staged, name)
		}
	}
	return nil
}

// rows gives every published row.
func (s *memorySink) rows() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for _, rows := range s.published {
		all = append(all, rows...)
	}
	return all
}

// checkLogs checks that each published epoch has a row of log for exactly the
// logs of which it has records, with where they end, and returns the last row of
// each.
func (s *memorySink) checkLogs(t *testing.T) map[string]table.LogRow {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	last := make(map[string]table.LogRow)
	for _, target := range slices.Sorted(maps.Keys(s.published)) {
		ends := make(map[string]record.Offset)
		for _, row := range s.published[target] {
			if f := strings.Fields(row); f[3] == "record" {
				offset, err := strconv.ParseUint(f[2], 10, 64)
				if err != nil {
					t.Fatal(err)
				}
				ends[f[1]] = max(ends[f[1]], record.Offset(offset)+1)
			}
		}
		for _, r := range s.logs[target] {
			if ends[r.Log] != r.NextOffset || !strings.HasSuffix(target, stream.Epoch(r.Epoch).Padded()) {
				t.Errorf("%s: log %s of %s to %s of epoch %d, its records end at %s", target, r.Log, r.Gateway, r.NextOffset, r.Epoch, ends[r.Log])
			}
			delete(ends, r.Log)
			last[r.Log] = r
		}
		for log := range ends {
			t.Errorf("%s: log %s has records and no row", target, log)
		}
	}
	return last
}

type memoryStage struct {
	sink         *memorySink
	name, target string
	lines        []string
	logs         []table.LogRow
}

func rowName(gateway, log string, offset record.Offset, what string) string {
	return fmt.Sprintf("%s %s %s %s", gateway, log, offset, what)
}

func (s *memoryStage) Write(b *table.Batch) error {
	s.logs = append(s.logs, b.Logs...)
	for _, r := range b.Records {
		s.lines = append(s.lines, rowName(r.Gateway, r.Log, r.Offset, "record"))
	}
	for _, w := range b.Windows {
		s.lines = append(s.lines, rowName(w.Gateway, w.Log, w.Offset, fmt.Sprint("window ", w.Source, w.Sensor, w.Metric, " ", w.WindowStart, w.WindowEnd, w.Count, w.Min, w.Max, w.Mean, w.Last)))
	}
	for _, r := range b.Readings {
		if r.IsLate {
			s.lines = append(s.lines, rowName(r.Gateway, r.Log, r.Offset, "is_late"))
		}
	}
	for _, l := range b.Lates {
		s.lines = append(s.lines, rowName(l.Gateway, l.Log, l.Offset, fmt.Sprint("late ", l.WindowStart)))
	}
	for _, l := range b.Losses {
		s.lines = append(s.lines, rowName(l.Gateway, l.Log, l.Offset, fmt.Sprint("loss ", l.Count)))
	}
	for _, c := range b.Conflicts {
		s.lines = append(s.lines, rowName(c.Gateway, c.Log, c.Offset, fmt.Sprint("conflict ", c.Reason)))
	}
	return nil
}

func (s *memoryStage) Seal(ctx context.Context) ([]stream.Staged, error) {
	if s.sink.sealing != nil {
		s.sink.sealing()
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(s.lines) == 0 {
		return nil, nil
	}
	s.sink.mu.Lock()
	defer s.sink.mu.Unlock()
	s.sink.staged[s.name], s.sink.logs[s.name] = s.lines, s.logs
	return []stream.Staged{{
		Sink: "memory", Table: table.Record, Name: s.name, Target: s.target, Rows: int64(len(s.lines)),
		SHA256: fmt.Sprintf("%064d", len(s.lines)),
	}}, nil
}

func (s *memoryStage) Abandon()     {}
func (s *memoryStage) Rows() int    { return len(s.lines) }
func (s *memoryStage) Bytes() int64 { return int64(len(s.lines)) * 64 }
