package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"landfall/edge/record"
	"landfall/engine/ledger"
	"landfall/engine/stream"
)

// diary notes what happens to epochs, in order.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) note(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, fmt.Sprintf(format, args...))
}

// noting is a sink that notes what it is told to do; verify answers for Verify.
type noting struct {
	*sink
	diary  *diary
	verify func() error
}

func (s noting) Publish(ctx context.Context, staged []stream.Staged) error {
	s.diary.note("publish %s", staged[0].Target)
	return s.sink.Publish(ctx, staged)
}

func (s noting) Verify(_ context.Context, staged []stream.Staged) error {
	s.diary.note("verify %s", staged[0].Target)
	return s.verify()
}

// TestAnEpochIsToldWhenItIsVerified: after its outputs were read back, before the
// landing log lets go of it, with its logs and its ledger entry, in order; and
// never when reading back fails.
func TestAnEpochIsToldWhenItIsVerified(t *testing.T) {
	var verify error
	store, d := newMemory(), new(diary)
	cfg := config(store, nil)
	cfg.Sinks = []stream.Sink{noting{new(sink), d, func() error { return verify }}}
	cfg.Release = func(_ context.Context, p stream.Position) error {
		d.note("release %d", p.Offset)
		return nil
	}
	tips, committed := map[stream.Epoch]ledger.Tip{}, map[stream.Epoch]ledger.Tip{}
	cfg.OnPublished = func(epoch stream.Epoch, logs []ledger.Log, tip ledger.Tip) {
		for _, l := range logs {
			d.note("told %s of %s to %s", epoch, l.Gateway, l.Next)
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		tips[epoch] = tip
	}
	c := claim(t, cfg)
	for n := int64(1); n <= 2; n++ {
		stages, err := c.Begin()
		if err != nil {
			t.Fatal(err)
		}
		log := ledger.Log{Gateway: "aurora", Log: hashA[:32], Next: record.Offset(10 * n)}
		if err := c.Commit(t.Context(), Cut{Position: stream.Position{Log: "x", Offset: n}, Stages: stages, Logs: []ledger.Log{log}}); err != nil {
			t.Fatal(err)
		}
		committed[stream.Epoch(n)] = *c.Manifest().Ledger
	}
	closed(t, c)
	want := []string{
		"publish 1", "verify 1", "told 1 of aurora to 10", "release 1",
		"publish 2", "verify 2", "told 2 of aurora to 20", "release 2",
	}
	if !slices.Equal(d.lines, want) || !maps.Equal(tips, committed) || tips[2].Number != 2 {
		t.Errorf("%q, tips %v", d.lines, tips)
	}
	c = claim(t, cfg)
	verify, d.lines = errors.New("cannot be read"), nil
	if err := commit(t, c, 3); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(t.Context()); err == nil || slices.ContainsFunc(d.lines, func(l string) bool { return strings.HasPrefix(l, "release") || strings.HasPrefix(l, "told") }) {
		t.Errorf("%v: %q", err, d.lines)
	}
}
