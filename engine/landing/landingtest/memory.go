package landingtest

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"landfall/edge/record"
	"landfall/engine/landing"
	"landfall/engine/stream"
)

// Memory is the obvious landing log: a slice a partition. It keeps nothing when
// the process ends, and passes the conformance suite.
type Memory struct {
	id landing.ID

	mu     sync.Mutex
	grown  chan struct{} // closed and replaced when a partition grows or the log closes
	parts  []memoryPart
	tails  map[string]landing.Tail
	closed bool
	fail   func(landing.Landed) (stored bool, err error)
}

type memoryPart struct {
	first  int64 // offset of landed[0]
	landed []landing.Landed
}

// NewMemory gives an empty log of p partitions.
func NewMemory(id landing.ID, p int) *Memory {
	return &Memory{id: id, grown: make(chan struct{}), parts: make([]memoryPart, p), tails: map[string]landing.Tail{}}
}

// FailWith has f asked before each append: its error is Append's, and stored
// says whether the block lands all the same. nil ends it.
func (m *Memory) FailWith(f func(landing.Landed) (stored bool, err error)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = f
}

// Landed gives what is landed in one partition, from its beginning.
func (m *Memory) Landed(partition int) []landing.Landed {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]landing.Landed(nil), m.parts[partition].landed...)
}

// Forget drops the tails, as a restart without marks would.
func (m *Memory) Forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tails = map[string]landing.Tail{}
}

// ID implements landing.Log.
func (m *Memory) ID() landing.ID { return m.id }

// Partitions implements landing.Log.
func (m *Memory) Partitions() int { return len(m.parts) }

// Shared implements landing.Log.
func (m *Memory) Shared() bool { return false }

// Append implements landing.Log.
func (m *Memory) Append(ctx context.Context, l landing.Landed) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	h, err := record.ParseHeader(l.Block)
	if err != nil {
		return fmt.Errorf("append block: %w", err)
	}
	if _, err := l.EncodeHead(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return landing.ErrClosed
	}
	var failed error
	if m.fail != nil {
		var stored bool
		if stored, failed = m.fail(l); failed != nil && !stored {
			return failed
		}
	}
	l.Block = bytes.Clone(l.Block)
	p := &m.parts[landing.Partition(l.Gateway, len(m.parts))]
	p.landed = append(p.landed, l)
	close(m.grown)
	m.grown = make(chan struct{})
	if failed != nil {
		return failed
	}
	t, known := m.tails[l.Gateway]
	if t, known = t.Advance(known, l, h); known {
		m.tails[l.Gateway] = t
	}
	return nil
}

// Tail implements landing.Log.
func (m *Memory) Tail(gateway string) (landing.Tail, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t, ok := m.tails[gateway]
	return t, ok
}

// Tails implements landing.Log.
func (m *Memory) Tails(partition int) map[string]landing.Tail {
	m.mu.Lock()
	defer m.mu.Unlock()
	return landing.TailsOf(m.tails, partition, len(m.parts))
}

func (m *Memory) link() string { return "memory-" + string(m.id) }

// place checks a position against a partition; the caller holds mu.
func (m *Memory) place(partition int, at stream.Position) (int64, error) {
	if partition < 0 || partition >= len(m.parts) {
		return 0, fmt.Errorf("partition %d of %d: %w", partition, len(m.parts), landing.ErrPosition)
	}
	p := &m.parts[partition]
	if at == (stream.Position{}) {
		at.Log = m.link()
	}
	if at.Log != m.link() || at.Offset < p.first || at.Offset > p.first+int64(len(p.landed)) {
		return 0, fmt.Errorf("partition %d, position %s: %w", partition, at, landing.ErrCut)
	}
	if at.Hash != "" && at.Offset > p.first && p.landed[at.Offset-1-p.first].Gateway != "" &&
		p.landed[at.Offset-1-p.first].Hash() != at.Hash {
		return 0, fmt.Errorf("partition %d, position %s stands on another block: %w", partition, at, landing.ErrCut)
	}
	return at.Offset, nil
}

// Bounds implements landing.Log.
func (m *Memory) Bounds(_ context.Context, partition int) (first, end stream.Position, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return first, end, landing.ErrClosed
	}
	if partition < 0 || partition >= len(m.parts) {
		return first, end, fmt.Errorf("partition %d of %d: %w", partition, len(m.parts), landing.ErrPosition)
	}
	p := &m.parts[partition]
	if p.first == 0 && len(p.landed) == 0 {
		return first, end, nil
	}
	return stream.Position{Log: m.link(), Offset: p.first}, stream.Position{Log: m.link(), Offset: p.first +
		int64(len(p.landed))}, nil
}

// Copy returns a log with the same content, as a copy of its directory.
func (m *Memory) Copy() *Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	other := NewMemory(m.id, len(m.parts))
	for i, p := range m.parts {
		other.parts[i] = memoryPart{first: p.first, landed: slices.Clone(p.landed)}
	}
	maps.Copy(other.tails, m.tails)
	return other
}

// Damage makes one block of a partition unreadable: a Reader passes over it. Block 0
// is the oldest that is kept.
func (m *Memory) Damage(partition, block int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.parts[partition].landed = slices.Clone(m.parts[partition].landed)
	m.parts[partition].landed[block] = landing.Landed{}
}

// Cut drops the newest n blocks of a partition, as a log that lost its end; the
// next block takes the place of the first of them. Tails stay as they are.
func (m *Memory) Cut(partition, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := &m.parts[partition]
	p.landed = p.landed[: len(p.landed)-n : len(p.landed)-n]
}

// Reader implements landing.Log.
func (m *Memory) Reader(partition int, from stream.Position) (landing.Reader, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, landing.ErrClosed
	}
	at, err := m.place(partition, from)
	if err != nil {
		return nil, err
	}
	return &memoryReader{m: m, partition: partition, at: at}, nil
}

// Release implements landing.Log.
func (m *Memory) Release(partition int, below stream.Position) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return landing.ErrClosed
	}
	if partition >= 0 && partition < len(m.parts) && below == (stream.Position{}) {
		return nil
	}
	if partition >= 0 && partition < len(m.parts) && below.Log == m.link() && below.Offset >= 0 && below.Offset < m.parts[partition].first {
		return nil
	}
	at, err := m.place(partition, below)
	if err != nil {
		return err
	}
	p := &m.parts[partition]
	p.landed, p.first = p.landed[at-p.first:], at
	return nil
}

// Close implements io.Closer.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.closed {
		m.closed = true
		close(m.grown)
		m.grown = make(chan struct{})
	}
	return nil
}

// Reopen makes a closed log usable again, as a restart would.
func (m *Memory) Reopen() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = false
}

// View is what one of several ingests has of a Memory: the log is shared, and
// the tails are those of its own appends.
type View struct {
	*Memory
	mu    sync.Mutex
	tails map[string]landing.Tail // guarded by mu
}

// View gives a view without tails.
func (m *Memory) View() *View { return &View{Memory: m, tails: map[string]landing.Tail{}} }

// Shared implements landing.Log.
func (v *View) Shared() bool { return true }

// Append implements landing.Log.
func (v *View) Append(ctx context.Context, l landing.Landed) error {
	if err := v.Memory.Append(ctx, l); err != nil {
		return err
	}
	h, err := record.ParseHeader(l.Block)
	if err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	t, known := v.tails[l.Gateway]
	if t, known = t.Advance(known, l, h); known {
		v.tails[l.Gateway] = t
	}
	return nil
}

// Tail implements landing.Log.
func (v *View) Tail(gateway string) (landing.Tail, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	t, ok := v.tails[gateway]
	return t, ok
}

// Tails implements landing.Log.
func (v *View) Tails(partition int) map[string]landing.Tail {
	v.mu.Lock()
	defer v.mu.Unlock()
	return landing.TailsOf(v.tails, partition, v.Partitions())
}

// Forget drops the view's tails.
func (v *View) Forget() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.tails = map[string]landing.Tail{}
}

type memoryReader struct {
	m         *Memory
	partition int
	at        int64
}

func (r *memoryReader) Next(ctx context.Context) (landing.Landed, stream.Position, error) {
	for {
		r.m.mu.Lock()
		p, grown, closed := &r.m.parts[r.partition], r.m.grown, r.m.closed
		if i := r.at - p.first; !closed && i >= 0 && i < int64(len(p.landed)) {
			l := p.landed[i]
			r.m.mu.Unlock()
			r.at++
			if l.Gateway == "" {
				continue // damaged
			}
			l.Block = bytes.Clone(l.Block)
			return l, stream.Position{Log: r.m.link(), Offset: r.at, Hash: l.Hash()}, nil
		} else if i < 0 {
			closed = true
		}
		r.m.mu.Unlock()
		if closed {
			return landing.Landed{}, stream.Position{}, landing.ErrClosed
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return landing.Landed{}, stream.Position{}, ctx.Err()
		}
	}
}

func (r *memoryReader) Close() error { return nil }
