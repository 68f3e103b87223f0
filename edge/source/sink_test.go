package source

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"landfall/decoders/sensor"
	"landfall/edge/record"
)

// testClock counts: each Now is a millisecond after the one before.
type testClock struct {
	mu sync.Mutex
	n  int64
}

func (c *testClock) Now() (record.Micros, int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n += 1000
	return record.Micros(1_700_000_000_000_000 + c.n), c.n
}

// realClock is for sources whose limits are in real time.
type realClock struct{ began time.Time }

func (c realClock) Now() (record.Micros, int64) {
	return record.Micros(time.Now().UnixMicro()), time.Since(c.began).Microseconds()
}

func options(name string) Options { return Options{Name: name, Clock: &testClock{}} }

// testSink keeps what it is given.
type testSink struct {
	mu        sync.Mutex
	batches   []*Batch
	positions map[string][]byte
	refuse    bool
	changed   chan struct{}
}

func newTestSink() *testSink {
	return &testSink{positions: map[string][]byte{}, changed: make(chan struct{}, 1)}
}

func (s *testSink) Deliver(b *Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse {
		return errors.New("refused")
	}
	s.batches = append(s.batches, b)
	select {
	case s.changed <- struct{}{}:
	default:
	}
	return nil
}

func (s *testSink) Position(mark string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.positions[mark]
}

func (s *testSink) Marks(prefix string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for name := range s.positions {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	return names
}

// lines are all lines so far, "stream|line", a trailing ~ when truncated.
func (s *testSink) lines() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for _, b := range s.batches {
		for _, l := range b.Lines {
			if gapOf(l) != "" {
				continue
			}
			all = append(all, mark(string(l.Data), l.Truncated))
		}
	}
	return all
}

// gaps are the reasons of the gaps declared so far.
func (s *testSink) gaps() (all []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.batches {
		for _, l := range b.Lines {
			if g := gapOf(l); g != "" {
				all = append(all, g)
			}
		}
	}
	return all
}

// gapOf is the reason of the gap that a line declares; empty: it is none.
func gapOf(l Line) string {
	if !l.Reading {
		return ""
	}
	var r sensor.Report
	if err := r.Decode(l.Data, func(p []byte) string { return string(p) }); err != nil || r.Origin != sensor.OriginFile {
		return ""
	}
	return r.Readings[0].Text
}

// last is the position of the last batch.
func (s *testSink) last() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.batches[len(s.batches)-1].Position
}

func mark(line string, truncated bool) string {
	if truncated {
		return line + "~"
	}
	return line
}

// await waits until the sink holds n lines.
func (s *testSink) await(t *testing.T, n int) []string {
	t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	for len(s.lines()) < n {
		select {
		case <-s.changed:
		case <-deadline.C:
			t.Fatalf("waited for %d lines, have %q", n, s.lines())
		}
	}
	return s.lines()
}

// eventually waits for a fact outside the process's own control.
func eventually(t testing.TB, what string, fact func() bool) {
	t.Helper()
	tick, deadline := time.NewTicker(2*time.Millisecond), time.NewTimer(20*time.Second)
	defer tick.Stop()
	defer deadline.Stop()
	for !fact() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("waited for: %s", what)
		}
	}
}

// start runs a source until the returned function is called, which gives Run's
// error.
func start(t *testing.T, run func(context.Context, Sink) error, sink Sink) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx, sink) }()
	var once sync.Once
	var err error
	stop = func() error {
		once.Do(func() {
			cancel()
			select {
			case err = <-done:
			case <-time.After(20 * time.Second):
				err = errors.New("Run did not end")
			}
		})
		return err
	}
	t.Cleanup(func() { _ = stop() })
	return stop
}

func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("got %s\nwant %s", strings.Join(quoted(got), " "), strings.Join(quoted(want), " "))
	}
}

func quoted(s []string) (q []string) {
	for _, v := range s {
		q = append(q, fmt.Sprintf("%q", v))
	}
	return q
}
