package published

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"landfall/edge/durable"
	"landfall/edge/record"
	"landfall/engine/checkpoint"
	"landfall/engine/ledger"
	"landfall/engine/stream"
	"landfall/sinks/object"
)

// world is a lake with one task, and an engine elsewhere that follows it.
type world struct {
	t        *testing.T
	dir      string
	store    checkpoint.Store
	id       stream.TaskID
	sink     *gate
	logs     map[record.LogID]ledger.Log // as the task's state has them
	own      *Registry                   // of the engine that runs the task
	follower *Follower
	registry *Registry // of the engine that follows
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, dir: t.TempDir(), id: stream.TaskID{Landing: "land"}, sink: &gate{}, logs: map[record.LogID]ledger.Log{}}
	var err error
	if w.store, err = object.OpenDir(durable.OS{}, w.dir); err != nil {
		t.Fatal(err)
	}
	w.own = New(Config{Landing: "land", Partitions: 1})
	w.registry, w.follower = w.fresh()
	return w
}

// fresh is an engine that follows from now on.
func (w *world) fresh() (*Registry, *Follower) {
	r := New(Config{Landing: "land", Partitions: 1})
	return r, NewFollower(FollowConfig{Registry: r, Store: w.store, Tasks: []stream.TaskID{w.id}, LogsOf: logsOf})
}

// logsOf reads the state that commit writes.
func logsOf(objects iter.Seq2[[]byte, error]) ([]ledger.Log, error) {
	var logs []ledger.Log
	for data, err := range objects {
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(data, &logs); err != nil {
			return nil, err
		}
	}
	return logs, nil
}

// claimed is one claim of the task.
type claimed struct {
	w *world
	*checkpoint.Committer
	announcer *Announcer
}

// claim takes the task and tells what it found.
func (w *world) claim() *claimed {
	w.t.Helper()
	c, err := checkpoint.Claim(w.t.Context(), checkpoint.Config{
		Store: w.store, Sinks: []stream.Sink{w.sink}, Task: w.id, Partitions: 1, Schema: 1, Attempts: 1, Backoff: time.Nanosecond, PublishBacklog: 8,
		OnPublished: func(_ stream.Epoch, logs []ledger.Log, tip ledger.Tip) { w.own.Published(w.id, logs, tip) },
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.own.Claimed(w.id, w.all(), c.Manifest().Ledger)
	return &claimed{w: w, Committer: c, announcer: &Announcer{Registry: w.own, Store: w.store, Task: w.id, Claim: c.ClaimID(), Alive: c.Alive}}
}

func (w *world) all() []ledger.Log {
	var all []ledger.Log
	for _, l := range w.logs {
		l.From = 0
		all = append(all, l)
	}
	return all
}

// hashAt is the chain hash that the tests give a log at an offset.
func hashAt(log record.LogID, next record.Offset) record.Hash {
	return record.Hash{log[0], byte(next), byte(next >> 8), 1}
}

// commit makes an epoch that takes logs to offsets.
func (c *claimed) commit(to map[record.LogID]record.Offset) {
	c.w.t.Helper()
	stages, err := c.Begin()
	if err != nil {
		c.w.t.Fatal(err)
	}
	var logs []ledger.Log
	for id, next := range to {
		l := ledger.Log{Gateway: "g", Log: id.String(), From: c.w.logs[id].Next, Next: next, Chain: hashAt(id, next).String()}
		if l.From == 0 && id == logB {
			l.Previous = logA.String()
		}
		c.w.logs[id] = l
		logs = append(logs, l)
	}
	state, err := json.Marshal(c.w.all())
	if err != nil {
		c.w.t.Fatal(err)
	}
	cut := checkpoint.Cut{
		Position: stream.Position{Log: "x", Offset: int64(c.Manifest().Epoch) + 1}, Stages: stages, Logs: logs,
		Snapshot: func() ([]byte, int) { return state, 0 },
	}
	if err := c.Commit(c.w.t.Context(), cut); err != nil {
		c.w.t.Fatal(err)
	}
}

// announce writes the progress, as Run would.
func (c *claimed) announce() error { return c.announcer.write(c.w.t.Context()) }

// published waits until everything committed is published, and announces it.
func (c *claimed) published() {
	c.w.t.Helper()
	c.w.until("all is published", func() bool { return c.Stats().Backlog == 0 })
	tip := c.Manifest().Ledger
	c.w.until("it was told", func() bool {
		p, _ := c.w.own.progress(c.w.id, c.ClaimID())
		return tip == nil || p.Ledger != nil && *p.Ledger == *tip
	})
	if err := c.announce(); err != nil {
		c.w.t.Fatal(err)
	}
}

// die ends a claim at once, as a crash does.
func (c *claimed) die() {
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	_ = c.Close(gone) // what is unpublished is left to the next claim
	c.w.own.Lost(c.w.id)
}

func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.After(time.Minute); !ok(); {
		select {
		case <-tick.C:
		case <-end:
			w.t.Fatalf("waited in vain until %s", what)
		}
	}
}

// expect looks, and checks what is known of a log, -1: nothing; hashed: with the
// hash that belongs there.
func (w *world) expect(what string, log record.LogID, next int, hashed bool) {
	w.t.Helper()
	w.follower.Look(w.t.Context())
	w.known(what, w.registry, log, next, hashed)
}

func (w *world) known(what string, r *Registry, log record.LogID, next int, hashed bool) {
	w.t.Helper()
	got, ok := r.Of("g", log)
	hash := record.Hash{}
	if hashed {
		hash = hashAt(log, record.Offset(next))
	}
	if have := map[bool]int{true: int(got.Next), false: -1}[ok]; have != next || got.Hash != hash {
		w.t.Errorf("%s: log %x is known up to %d with hash %s, want %d, %s", what, log[0], have, got.Hash, next, hash)
	}
}

// file is an object of the store on its disk.
func (w *world) file(name string) string { return filepath.Join(w.dir, filepath.FromSlash(name)) }

// copyOf returns an object's bytes; put writes it back, as a restored backup would.
func (w *world) copyOf(name string) []byte {
	w.t.Helper()
	data, err := os.ReadFile(w.file(name))
	if err != nil {
		w.t.Fatal(err)
	}
	return data
}

func (w *world) put(name string, data []byte) {
	w.t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(w.file(name)), 0o700), os.WriteFile(w.file(name), data, 0o600)); err != nil {
		w.t.Fatal(err)
	}
}

// gate is a sink of one output an epoch, whose publishing can be held.
type gate struct {
	mu   sync.Mutex
	held chan struct{} // closed when it goes on; nil: it is open
}

func (g *gate) hold() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held = make(chan struct{})
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.held)
	g.held = nil
}

func (g *gate) Name() string { return "gate" }

func (g *gate) Begin(_ stream.TaskID, claim stream.ClaimID, epoch stream.Epoch) (stream.Stage, error) {
	return &gateStage{name: fmt.Sprint(epoch, "-", claim)}, nil
}

func (g *gate) Publish(ctx context.Context, _ []stream.Staged) error {
	g.mu.Lock()
	held := g.held
	g.mu.Unlock()
	if held == nil {
		return nil
	}
	select {
	case <-held:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g *gate) Verify(context.Context, []stream.Staged) error { return nil }

func (g *gate) Collect(context.Context, stream.TaskID, map[string]bool, func() error) error {
	return nil
}

type gateStage struct {
	stream.Stage
	name string
}

func (s *gateStage) Abandon() {}

func (s *gateStage) Seal(context.Context) ([]stream.Staged, error) {
	return []stream.Staged{{Sink: "gate", Table: "record", Name: s.name, Target: s.name, SHA256: ledger.Hash([]byte(s.name))}}, nil
}

// hooked is a store with something that happens before a swap, or in its place.
type hooked struct {
	checkpoint.Store
	before func(name string) error
}

func (h *hooked) Swap(ctx context.Context, name string, old checkpoint.Version, data []byte) (checkpoint.Version, error) {
	if h.before != nil {
		if err := h.before(name); err != nil {
			return "", err
		}
	}
	return h.Store.Swap(ctx, name, old, data)
}

var errDown = errors.New("the store does not answer")
