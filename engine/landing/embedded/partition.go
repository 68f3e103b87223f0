package embedded

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"landfall/edge/durable"
	"landfall/edge/durable/failpoint"
	"landfall/edge/record"
	"landfall/edge/seglog"
	"landfall/engine/landing"
)

const (
	// groupBytes is where a group ends that still has company waiting.
	groupBytes = 4 << 20
	// markRoom is more than a gateway's mark takes in a block.
	markRoom = 512
)

// pending is one block that waits to be durable.
type pending struct {
	landed landing.Landed
	head   []byte
	header record.Header
	err    error
	done   chan struct{} // closed when err is set
}

// partition is one chain of logs with the goroutine that writes it.
type partition struct {
	store  *seglog.Store
	stats  *stats
	logger *slog.Logger
	joined chan struct{} // closed when the writer has ended

	mu     sync.Mutex // guards what follows
	queue  []*pending
	work   chan struct{} // holds a token when there is work or closed was set
	tails  map[string]landing.Tail
	grown  chan struct{} // closed and replaced when there is more to read, or none ever
	closed bool

	b record.Builder // the writer's
}

func newPartition(store *seglog.Store, st *stats, logger *slog.Logger) *partition {
	p := &partition{
		store: store, stats: st, logger: logger, joined: make(chan struct{}),
		work: make(chan struct{}, 1), tails: map[string]landing.Tail{}, grown: make(chan struct{}),
	}
	for name, value := range store.Marks() {
		t, err := decodeTail(value)
		if err != nil {
			st.badMarks.Add(1)
			logger.Error("the tail of a gateway cannot be read", "gateway", name, "error", err)
			continue
		}
		p.tails[name] = t
	}
	go p.write()
	return p
}

// append hands a block to the writer and waits. Once it is being written the
// context no longer matters: the block is the writer's.
func (p *partition) append(ctx context.Context, w *pending) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w.done = make(chan struct{})
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return landing.ErrClosed
	}
	p.queue = append(p.queue, w)
	p.wake()
	p.mu.Unlock()
	select {
	case <-w.done:
		return w.err
	case <-ctx.Done():
	}
	p.mu.Lock()
	for i, q := range p.queue {
		if q == w {
			p.queue = append(p.queue[:i], p.queue[i+1:]...)
			p.mu.Unlock()
			return ctx.Err()
		}
	}
	p.mu.Unlock()
	<-w.done
	return w.err
}

// wake tells the writer to look. The caller holds mu.
func (p *partition) wake() {
	select {
	case p.work <- struct{}{}:
	default:
	}
}

// write is the writer: a group at a time, until closed.
func (p *partition) write() {
	defer close(p.joined)
	for range p.work {
		for {
			p.mu.Lock()
			if p.closed { // what waits is close's to answer
				p.mu.Unlock()
				return
			}
			group := p.group()
			p.mu.Unlock()
			if len(group) == 0 {
				break
			}
			p.commit(group)
		}
	}
}

// group takes what waits and fits one block. The caller holds mu.
func (p *partition) group() []*pending {
	p.b.Reset()
	n := 0
	for _, w := range p.queue {
		room := markRoom*(n+1) + len(w.head) + len(w.landed.Block)
		if n > 0 && p.b.Size()+room > groupBytes {
			break
		}
		if w.err = p.b.AddPayload(w.head, w.landed.Block); w.err != nil {
			break
		}
		n++
	}
	if n == 0 && len(p.queue) > 0 { // alone and yet too large
		close(p.queue[0].done)
		p.queue = p.queue[1:]
		return p.group()
	}
	group := p.queue[:n:n]
	p.queue = p.queue[n:]
	return group
}

// commit makes a group durable with the tails it leads to, and answers all who
// wait. Steps, and what a crash after each leaves: append (the blocks and the
// tails, or nothing of them), tell the readers and answer (blocks that nobody
// was told of: the gateway asks, and is told by the tail).
func (p *partition) commit(group []*pending) {
	tails, err := p.annotate(group)
	if err == nil {
		failpoint.Hit("c2.before-append")
		_, err = p.store.Append(&p.b) // Commit point C2
		failpoint.Hit("c2.after-append")
	}
	switch {
	case err == nil:
		p.landed(group, tails)
	case errors.Is(err, seglog.ErrFull), errors.Is(err, durable.ErrNoSpace):
		p.stats.full.Add(1)
		err = fmt.Errorf("append to landing log: %w: %w", landing.ErrFull, err)
	case errors.Is(err, seglog.ErrClosed):
		err = landing.ErrClosed
	default:
		p.stats.failed.Add(1)
		p.logger.Error("landing log cannot be written", "error", err)
		err = fmt.Errorf("append to landing log: %w", err)
	}
	for _, w := range group {
		w.err = err
		close(w.done)
	}
}

// annotate adds the tail of every gateway of the group as a mark.
func (p *partition) annotate(group []*pending) (map[string]landing.Tail, error) {
	tails := map[string]landing.Tail{}
	for _, w := range group {
		name := w.landed.Gateway
		t, known := tails[name]
		if !known {
			p.mu.Lock()
			t, known = p.tails[name]
			p.mu.Unlock()
		}
		if t, known = t.Advance(known, w.landed, w.header); known {
			tails[name] = t
		}
	}
	for name, t := range tails {
		if err := p.b.Annotate(record.Mark{Name: name, Value: encodeTail(t)}.Annotation()); err != nil {
			return nil, err
		}
	}
	return tails, nil
}

// landed makes a durable group known.
func (p *partition) landed(group []*pending, tails map[string]landing.Tail) {
	p.stats.commits.Add(1)
	p.stats.blocks.Add(uint64(len(group)))
	for _, w := range group {
		p.stats.bytes.Add(uint64(len(w.landed.Block)))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, t := range tails {
		p.tails[name] = t
	}
	close(p.grown)
	p.grown = make(chan struct{})
}

func (p *partition) close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	p.closed = true
	p.wake()
	p.mu.Unlock()
	<-p.joined
	p.mu.Lock()
	waiting := p.queue
	p.queue = nil
	close(p.grown)
	p.grown = make(chan struct{})
	p.mu.Unlock()
	for _, w := range waiting {
		w.err = landing.ErrClosed
		close(w.done)
	}
	return p.store.Close()
}

// A tail as a mark's value, version 1: 1 byte version, 1 byte flags (bit 0
// AfterLoss), 16 bytes LogID, 16 bytes hash, 8 bytes next offset, little-endian.
const (
	tailVersion = 1
	tailBytes   = 1 + 1 + 16 + 16 + 8
)

func encodeTail(t landing.Tail) []byte {
	p := []byte{tailVersion, 0}
	if t.AfterLoss {
		p[1] = 1
	}
	p = append(append(p, t.Log[:]...), t.Hash[:]...)
	return binary.LittleEndian.AppendUint64(p, uint64(t.Next))
}

// decodeTail reads what encodeTail wrote. Errors: record.ErrCorrupt,
// record.ErrVersion.
func decodeTail(p []byte) (landing.Tail, error) {
	if len(p) > 0 && p[0] > tailVersion {
		return landing.Tail{}, fmt.Errorf("decode tail version %d: %w", p[0], record.ErrVersion)
	}
	if len(p) != tailBytes || p[1] > 1 || !bytes.HasPrefix(p, []byte{tailVersion}) {
		return landing.Tail{}, fmt.Errorf("decode tail of %d bytes: %w", len(p), record.ErrCorrupt)
	}
	return landing.Tail{
		AfterLoss: p[1] == 1, Log: record.LogID(p[2:18]), Hash: record.Hash(p[18:34]),
		Next: record.Offset(binary.LittleEndian.Uint64(p[34:])),
	}, nil
}
