package presence_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"landfall/edge/durable"
	"landfall/engine/checkpoint"
	"landfall/engine/ledger"
	"landfall/engine/presence"
	"landfall/engine/stream"
	"landfall/engine/table"
	"landfall/sinks/object"
)

var task = stream.TaskID{Landing: "l"}

// lake is a sink that remembers what it has published, by length.
type lake struct {
	sizes map[string]int64
	gate  chan struct{} // publishing waits for it; nil: it does not
}

func (l *lake) Name() string { return "s" }

func (l *lake) Begin(_ stream.TaskID, claim stream.ClaimID, epoch stream.Epoch) (stream.Stage, error) {
	return &stage{name: fmt.Sprintf("%s-%s", claim, epoch), target: "record/" + epoch.Padded()}, nil
}

func (l *lake) Publish(_ context.Context, staged []stream.Staged) error {
	if l.gate != nil {
		<-l.gate
	}
	for _, s := range staged {
		l.sizes[s.Target] = s.Bytes
	}
	return nil
}

func (l *lake) Verify(context.Context, []stream.Staged) error { return nil }

func (l *lake) Collect(context.Context, stream.TaskID, map[string]bool, func() error) error {
	return nil
}

func (l *lake) size(_ context.Context, name string) (int64, error) {
	n, ok := l.sizes[name]
	if !ok {
		return 0, checkpoint.ErrNotExist
	}
	return n, nil
}

type stage struct{ name, target string }

func (s *stage) Write(*table.Batch) error { return nil }
func (s *stage) Abandon()                 {}
func (s *stage) Rows() int                { return 0 }
func (s *stage) Bytes() int64             { return 0 }
func (s *stage) Seal(context.Context) ([]stream.Staged, error) {
	return []stream.Staged{{Sink: "s", Table: "record", Name: s.name, Target: s.target, Bytes: 7, SHA256: strings.Repeat("a", 64)}}, nil
}

// world is a task with so many published epochs.
func world(t *testing.T, epochs int) (checkpoint.Store, *lake, checkpoint.Config) {
	t.Helper()
	store, err := object.OpenDir(durable.OS{}, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	l := &lake{sizes: map[string]int64{}}
	cfg := checkpoint.Config{Store: store, Sinks: []stream.Sink{l}, Task: task, Partitions: 1, Schema: 1}
	c := commit(t, cfg, epochs)
	if err := c.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return store, l, cfg
}

// commit claims and commits epochs.
func commit(t *testing.T, cfg checkpoint.Config, epochs int) *checkpoint.Committer {
	t.Helper()
	c, err := checkpoint.Claim(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	more(t, c, epochs)
	return c
}

// more commits epochs.
func more(t *testing.T, c *checkpoint.Committer, epochs int) {
	t.Helper()
	for range epochs {
		stages, err := c.Begin()
		if err == nil {
			at := c.Manifest().Position.Offset + 1
			err = c.Commit(t.Context(), checkpoint.Cut{Position: stream.Position{Log: "x", Offset: at}, Stages: stages})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func looks(t *testing.T, w *presence.Watch, n int, published stream.Epoch) []string {
	t.Helper()
	for range n {
		if err := w.Look(t.Context(), published); err != nil {
			t.Fatal(err)
		}
	}
	return w.Findings()
}

func file(epoch uint64) string { return "record/" + stream.Epoch(epoch).Padded() }

// TestAFileThatIsGoneIsMissed: of the newest at once, of the others when the pass
// comes to them; until it is there again.
func TestAFileThatIsGoneIsMissed(t *testing.T) {
	const epochs, sample = presence.MaxEntries + 6, 10 // of which a pass takes two steps
	for _, test := range []struct {
		epoch uint64
		looks int // until it is found
	}{{epochs, 1}, {3, epochs/sample + 2}, {1, epochs/sample + 2}} {
		store, l, cfg := world(t, epochs)
		w := presence.New(presence.Config{Store: store, Task: task, Sink: "s", Size: l.size, Newest: 100, Sample: sample})
		if missed := looks(t, w, 20, 1<<40); len(missed) > 0 {
			t.Fatalf("missed %q", missed)
		}
		delete(l.sizes, file(test.epoch))
		if test.epoch == epochs { // another watch, to which it is new
			w = presence.New(presence.Config{Store: store, Task: task, Sink: "s", Size: l.size, Newest: 100, Sample: sample})
		}
		if missed := looks(t, w, test.looks, 1<<40); !slices.Equal(missed, []string{file(test.epoch) + " is gone"}) {
			t.Errorf("epoch %d: missed %q", test.epoch, missed)
		}
		l.sizes[file(test.epoch)] = 6
		if missed := looks(t, w, 1, 1<<40); !slices.Equal(missed, []string{file(test.epoch) + " has 6 bytes, and its ledger entry says 7"}) {
			t.Errorf("epoch %d: missed %q", test.epoch, missed)
		}
		l.sizes[file(test.epoch)] = 7
		if missed := looks(t, w, 1, 1<<40); len(missed) > 0 {
			t.Errorf("missed %q though it is there again", missed)
		}
		l.sizes = map[string]int64{}
		c := commit(t, cfg, 2)
		if err := c.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if missed := looks(t, w, 20, 1<<40); len(missed) != epochs+2-len(l.sizes) {
			t.Errorf("%d are missed, and %d of %d are there", len(missed), len(l.sizes), epochs+2)
		}
	}
}

// TestWhatIsNotPublishedYetIsNotMissed until it is.
func TestWhatIsNotPublishedYetIsNotMissed(t *testing.T) {
	store, l, cfg := world(t, 2)
	gated := &lake{sizes: map[string]int64{}}
	gated.sizes[file(1)] = l.sizes[file(1)]
	cfg.Sinks = []stream.Sink{gated}
	c := commit(t, cfg, 0)
	gated.gate = make(chan struct{})
	more(t, c, 2)
	w := presence.New(presence.Config{Store: store, Task: task, Sink: "s", Size: gated.size, Newest: 100, Sample: 100})
	if missed := looks(t, w, 5, 2); len(missed) > 0 {
		t.Errorf("missed %q", missed)
	}
	close(gated.gate)
	if err := c.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestWhatARepairReplacedIsNotMissed: the file that took the place is looked for.
func TestWhatARepairReplacedIsNotMissed(t *testing.T) {
	store, l, cfg := world(t, 5)
	w := presence.New(presence.Config{Store: store, Task: task, Sink: "s", Size: l.size, Newest: 100, Sample: 100})
	delete(l.sizes, file(2))
	if missed := looks(t, w, 2, 1<<40); len(missed) != 1 {
		t.Fatalf("missed %q", missed)
	}
	err := checkpoint.Repair(t.Context(), cfg, nil, func(context.Context, stream.ClaimID, *checkpoint.Manifest) (checkpoint.Repairing, error) {
		return checkpoint.Repairing{
			Note:    "made again",
			Staged:  []stream.Staged{{Sink: "s", Table: "record", Name: "again", Target: file(2), Bytes: 9, SHA256: strings.Repeat("b", 64)}},
			Removed: []ledger.File{{Sink: "s", Table: "record", Name: file(2), Bytes: 7, SHA256: strings.Repeat("a", 64)}},
		}, nil
	})
	if err != nil || l.sizes[file(2)] != 9 {
		t.Fatal(err, l.sizes)
	}
	if missed := looks(t, w, 5, 1<<40); len(missed) > 0 {
		t.Errorf("missed %q", missed)
	}
	if err := commit(t, cfg, 1).Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	delete(l.sizes, file(2))
	if missed := looks(t, w, 5, 1<<40); !slices.Equal(missed, []string{file(2) + " is gone"}) {
		t.Errorf("missed %q", missed)
	}
}

// TestARepairLongAgoIsKnown: a file that a repair replaced is not missed by a watch
// that begins, or goes on, many entries later.
func TestARepairLongAgoIsKnown(t *testing.T) {
	const later = presence.MaxEntries + 6
	store, l, cfg := world(t, 5)
	newWatch := func() *presence.Watch {
		return presence.New(presence.Config{Store: store, Task: task, Sink: "s", Size: l.size, Newest: 100, Sample: 2})
	}
	running := newWatch()
	looks(t, running, 2, 1<<40) // in the middle of its pass
	err := checkpoint.Repair(t.Context(), cfg, nil, func(context.Context, stream.ClaimID, *checkpoint.Manifest) (checkpoint.Repairing, error) {
		return checkpoint.Repairing{
			Note:    "made again",
			Staged:  []stream.Staged{{Sink: "s", Table: "record", Name: "again", Target: file(1), Bytes: 9, SHA256: strings.Repeat("b", 64)}},
			Removed: []ledger.File{{Sink: "s", Table: "record", Name: file(1), Bytes: 7, SHA256: strings.Repeat("a", 64)}},
		}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := commit(t, cfg, later).Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for what, w := range map[string]*presence.Watch{"it begins": newWatch(), "it goes on": running} {
		for range later {
			if missed := looks(t, w, 1, 1<<40); len(missed) > 0 {
				t.Errorf("%s: missed %q", what, missed)
				break
			}
		}
		delete(l.sizes, file(1))
		if missed := looks(t, w, later, 1<<40); !slices.Equal(missed, []string{file(1) + " is gone"}) {
			t.Errorf("%s: missed %q", what, missed)
		}
		l.sizes[file(1)] = 9
	}
}
