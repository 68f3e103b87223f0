package checkpoint

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"landfall/engine/stream"
)

// memory is the simplest Store: a map. fail, if set, may answer for a call.
type memory struct {
	mu      sync.Mutex
	objects map[string]memoryObject
	count   int
	fail    func(op, name string) error
}

type memoryObject struct {
	data    []byte
	version Version
}

func newMemory() *memory { return &memory{objects: map[string]memoryObject{}} }

func (m *memory) answer(op, name string) error {
	m.mu.Lock()
	fail := m.fail
	m.mu.Unlock()
	if fail == nil {
		return nil
	}
	return fail(op, name)
}

// failWith sets fail beside a claim that works; nil ends it.
func (m *memory) failWith(fail func(op, name string) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = fail
}

// replace puts other bytes under a name beside a claim that works.
func (m *memory) replace(name string, data []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.put(name, data)
}

// content returns an object's bytes.
func (m *memory) content(name string) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.objects[name].data
}

func (m *memory) put(name string, data []byte) Version {
	m.count++
	v := Version(strconv.Itoa(m.count))
	m.objects[name] = memoryObject{slices.Clone(data), v}
	return v
}

func (m *memory) Read(_ context.Context, name string) ([]byte, Version, error) {
	if err := m.answer("read", name); err != nil {
		return nil, "", err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	o, ok := m.objects[name]
	if !ok {
		return nil, "", ErrNotExist
	}
	return slices.Clone(o.data), o.version, nil
}

func (m *memory) Create(_ context.Context, name string, data []byte) error {
	if err := m.answer("create", name); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.objects[name]; ok {
		return ErrExist
	}
	m.put(name, data)
	return nil
}

func (m *memory) Swap(_ context.Context, name string, old Version, data []byte) (Version, error) {
	if err := m.answer("swap", name); err != nil {
		return "", err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.objects[name].version != old {
		return "", ErrChanged
	}
	return m.put(name, data), nil
}

func (m *memory) List(_ context.Context, prefix string) ([]string, error) {
	if err := m.answer("list", prefix); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	for name := range m.objects {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

func (m *memory) Delete(_ context.Context, name string) error {
	if err := m.answer("delete", name); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.objects, name)
	return nil
}

func (m *memory) Settle(_ context.Context, name string) error { return m.answer("settle", name) }
func (m *memory) Sweep(_ context.Context, prefix string) error {
	return m.answer("sweep", prefix)
}

// names lists all objects.
func (m *memory) names(t *testing.T) []string {
	t.Helper()
	names, err := m.List(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// sink is a Sink of one output an epoch, without content.
type sink struct {
	mu        sync.Mutex
	published []string
	sealing   error
	publish   func() error // answers for Publish, if set
}

func (s *sink) Name() string { return "fake" }

func (s *sink) Begin(_ stream.TaskID, claim stream.ClaimID, epoch stream.Epoch) (stream.Stage, error) {
	return &fakeStage{sink: s, name: epoch.String() + "-" + string(claim)}, nil
}

func (s *sink) Publish(_ context.Context, staged []stream.Staged) error {
	if s.publish != nil {
		if err := s.publish(); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range staged {
		s.published = append(s.published, o.Target)
	}
	return nil
}

func (s *sink) Verify(_ context.Context, staged []stream.Staged) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range staged {
		if !slices.Contains(s.published, o.Target) {
			return &stream.DamagedError{Staged: o, Where: o.Target, Detail: "is missing"}
		}
	}
	return nil
}

func (s *sink) Collect(context.Context, stream.TaskID, map[string]bool, func() error) error {
	return nil
}

// seen gives what was published, and how often in all.
func (s *sink) seen() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.published)
}

type fakeStage struct {
	stream.Stage
	sink *sink
	name string
}

func (f *fakeStage) Abandon() {}

func (f *fakeStage) Seal(context.Context) ([]stream.Staged, error) {
	if f.sink.sealing != nil {
		return nil, f.sink.sealing
	}
	epoch, _, _ := strings.Cut(f.name, "-")
	return []stream.Staged{{Sink: "fake", Table: "record", Name: f.name, Target: epoch, SHA256: hashA}}, nil
}

func config(store Store, s *sink) Config {
	return Config{
		Store: store, Sinks: []stream.Sink{s}, Task: stream.TaskID{Landing: "l"}, Partitions: 1, Schema: 1,
		Params: map[string]string{"gateway": "aurora"}, Attempts: 3, Backoff: time.Nanosecond,
	}
}

func claim(t *testing.T, cfg Config) *Committer {
	t.Helper()
	c, err := Claim(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func commit(t *testing.T, c *Committer, offset int64) error {
	t.Helper()
	stages, err := c.Begin()
	if err != nil {
		t.Fatal(err)
	}
	return c.Commit(t.Context(), Cut{
		Position: stream.Position{Log: "x", Offset: offset}, Stages: stages,
		Snapshot: func() ([]byte, int) { return []byte(strconv.FormatInt(offset, 10)), len(c.Manifest().State) % 3 },
	})
}

func closed(t *testing.T, c *Committer) {
	t.Helper()
	if err := c.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

var errLost = errors.New("answer lost")
