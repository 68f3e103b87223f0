package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"landfall/edge/record"
	"landfall/edge/seglog"
	"landfall/engine/landing"
	"landfall/engine/stream"
)

// place is a position that was checked against the chain. A zero log stands
// for a chain without any log yet.
type place struct {
	log     record.LogID
	ordinal uint64
	next    record.Offset
}

// place checks a position. The zero Position is where the first log of the
// chain began, as long as that is kept.
func (p *partition) place(at stream.Position) (place, error) {
	logs := p.store.Logs()
	if at == (stream.Position{}) {
		if len(logs) == 0 {
			return place{}, nil
		}
		if first := logs[0]; first.First > 0 || !first.Prev.IsZero() {
			return place{}, fmt.Errorf("the beginning is gone; log %s is kept from offset %d: %w", first.ID,
				first.First, landing.ErrCut)
		}
		return place{log: logs[0].ID, ordinal: logs[0].Ordinal}, nil
	}
	id, err := record.ParseLogID(at.Log)
	if err != nil || at.Offset < 0 {
		return place{}, fmt.Errorf("position %s: %w", at, landing.ErrPosition)
	}
	next := record.Offset(at.Offset)
	for _, l := range logs {
		if l.ID == id {
			if next < l.First || next > l.End {
				return place{}, fmt.Errorf("position %s of log kept in [%d,%d): %w", at, l.First, l.End, landing.ErrCut)
			}
			return place{log: id, ordinal: l.Ordinal, next: next}, nil
		}
		if l.Prev == id && l.PrevEnd == next && l.First == 0 { // the end of a log that is released whole
			return place{log: l.ID, ordinal: l.Ordinal}, nil
		}
	}
	return place{}, fmt.Errorf("position %s of a log that is not in the chain: %w", at, landing.ErrCut)
}

// stands compares the block before a place with what a position says of it. What
// is released, or damaged, is not compared.
func (p *partition) stands(at place, from stream.Position) error {
	if from.Hash == "" || at.next == 0 {
		return nil
	}
	seg, err := p.store.Reader(at.log, at.next-1)
	if errors.Is(err, seglog.ErrUnknownLog) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the block before position %s: %w", from, err)
	}
	defer func() { _ = seg.Close() }()
	item, err := seg.Next()
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, seglog.ErrUnknownLog), err == nil && item.IsGap():
		return nil
	case err != nil:
		return fmt.Errorf("read the block before position %s: %w", from, err)
	}
	for offset, bytes := range item.Block.Payloads {
		if offset != at.next-1 {
			continue
		}
		if l, err := landing.DecodeLanded(bytes); err != nil || offset == 0 || l.Hash() != from.Hash {
			return fmt.Errorf("position %s stands on another block than %s: %w", from, from.Hash, landing.ErrCut)
		}
	}
	return nil
}

// bounds is Log.Bounds.
func (p *partition) bounds() (first, end stream.Position, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return first, end, landing.ErrClosed
	}
	logs := p.store.Logs()
	if len(logs) == 0 {
		return first, end, nil
	}
	l := logs[len(logs)-1]
	return stream.Position{Log: logs[0].ID.String(), Offset: int64(logs[0].First)}, stream.Position{Log: l.ID.String(),
		Offset: int64(l.End)}, nil
}

// reader opens a Reader at a position.
func (p *partition) reader(from stream.Position) (*reader, error) {
	p.mu.Lock()
	closed := p.closed
	p.mu.Unlock()
	if closed {
		return nil, landing.ErrClosed
	}
	at, err := p.place(from)
	if err != nil {
		return nil, err
	}
	if err := p.stands(at, from); err != nil {
		return nil, err
	}
	return &reader{p: p, place: at}, nil
}

// release drops what lies below a position: earlier logs whole.
func (p *partition) release(below stream.Position) error {
	p.mu.Lock()
	closed := p.closed
	p.mu.Unlock()
	if closed {
		return landing.ErrClosed
	}
	if below == (stream.Position{}) {
		return nil
	}
	at, err := p.place(below)
	if err != nil {
		if p.released(below) {
			return nil
		}
		return err
	}
	for _, l := range p.store.Logs() {
		if l.Ordinal > at.ordinal {
			break
		}
		end := l.End
		if l.ID == at.log {
			end = at.next
		}
		if err := p.store.Release(l.ID, end); err != nil && !errors.Is(err, seglog.ErrUnknownLog) {
			return err
		}
	}
	return nil
}

// released says that a position lies in a log that is kept, below what is.
func (p *partition) released(at stream.Position) bool {
	for _, l := range p.store.Logs() {
		if l.ID.String() == at.Log {
			return at.Offset >= 0 && record.Offset(at.Offset) < l.First
		}
	}
	return false
}

// behind counts the landing offsets after a position.
func (p *partition) behind(at stream.Position) (int64, error) {
	from, err := p.place(at)
	if err != nil {
		return 0, err
	}
	n := int64(0)
	for _, l := range p.store.Logs() {
		switch {
		case l.ID == from.log:
			n += int64(l.End - from.next)
		case l.Ordinal > from.ordinal:
			n += int64(l.End)
		}
	}
	return n, nil
}

// reader reads one partition. It belongs to one goroutine.
type reader struct {
	p *partition
	place
	seg    *seglog.Reader // of log; nil: not open
	queued []payload      // of the block being given out
}

type payload struct {
	offset record.Offset
	bytes  []byte
}

// Next implements landing.Reader.
func (r *reader) Next(ctx context.Context) (landing.Landed, stream.Position, error) {
	for len(r.queued) == 0 {
		r.p.mu.Lock()
		grown, closed := r.p.grown, r.p.closed
		r.p.mu.Unlock()
		if closed {
			return landing.Landed{}, stream.Position{}, landing.ErrClosed
		}
		found, err := r.fetch()
		if err != nil {
			return landing.Landed{}, stream.Position{}, err
		}
		if found {
			continue
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return landing.Landed{}, stream.Position{}, ctx.Err()
		}
	}
	q := r.queued[0]
	l, err := landing.DecodeLanded(q.bytes)
	if err != nil {
		return landing.Landed{}, stream.Position{}, fmt.Errorf("read landing log %s at offset %d: %w", r.log, q.offset, err)
	}
	r.queued[0] = payload{} // what is taken holds its block no longer
	r.queued = r.queued[1:]
	return l, stream.Position{Log: r.log.String(), Offset: int64(q.offset) + 1, Hash: l.Hash()}, nil
}

// fetch reads one block ahead; false: there is no more for now.
func (r *reader) fetch() (bool, error) {
	if r.seg == nil {
		if ok, err := r.enter(); !ok || err != nil {
			return false, err
		}
	}
	item, err := r.seg.Next()
	switch {
	case errors.Is(err, seglog.ErrCaughtUp):
		return false, nil
	case err == io.EOF:
		return r.follow()
	case errors.Is(err, seglog.ErrClosed):
		return false, landing.ErrClosed
	case errors.Is(err, seglog.ErrUnknownLog):
		return r.again()
	case err != nil:
		return false, fmt.Errorf("read landing log: %w", err)
	case item.IsGap():
		r.p.stats.damaged.Add(uint64(item.Gap.To - item.Gap.From))
		r.p.logger.Error("landed blocks cannot be read back", "log", r.log, "from", item.Gap.From, "to", item.Gap.To, "reason", item.Gap.Reason)
		r.next = item.Gap.To
		return true, nil
	}
	return true, r.queue(item.Block.Bytes)
}

// queue takes the landed blocks out of a copy of one block of the store, for
// what is given out belongs to the caller for good.
func (r *reader) queue(p []byte) error {
	block, err := record.Parse(bytes.Clone(p))
	if err != nil {
		return fmt.Errorf("read landing log %s: %w", r.log, err)
	}
	for offset, bytes := range block.Payloads {
		if offset >= r.next && offset > 0 { // offset 0 is the log's opening
			r.queued = append(r.queued, payload{offset, bytes})
		}
	}
	r.next = block.End()
	return nil
}

// enter opens the log the reader stands in; false: the chain is empty still.
func (r *reader) enter() (bool, error) {
	if r.log.IsZero() {
		first, ok := r.after(math.MaxUint64)
		if !ok {
			return false, nil
		}
		r.place = first
	}
	seg, err := r.p.store.Reader(r.log, r.next)
	if errors.Is(err, seglog.ErrClosed) {
		return false, landing.ErrClosed
	}
	if errors.Is(err, seglog.ErrUnknownLog) { // released since the reader was placed, at its end perhaps
		if _, err := r.again(); err != nil {
			return false, err
		}
		return r.enter()
	}
	if err != nil {
		return false, fmt.Errorf("read landing log %s at offset %d: %w: %w", r.log, r.next, landing.ErrCut, err)
	}
	r.seg = seg
	return true, nil
}

// follow goes on to the next log of the chain.
func (r *reader) follow() (bool, error) {
	next, ok := r.after(r.ordinal)
	if !ok {
		return false, nil
	}
	if err := r.seg.Close(); err != nil {
		return false, fmt.Errorf("leave landing log %s: %w", r.log, err)
	}
	r.seg, r.place = nil, next
	return true, nil
}

// again goes on after the log was released under the reader, which is right
// where it had read it to its end.
func (r *reader) again() (bool, error) {
	at, err := r.p.place(stream.Position{Log: r.log.String(), Offset: int64(r.next)})
	if err != nil {
		return false, fmt.Errorf("read landing log: released under its reader: %w", err)
	}
	r.seg, r.place = nil, at
	return true, nil
}

// after gives the beginning of the first log after an ordinal; MaxUint64
// stands for before all.
func (r *reader) after(ordinal uint64) (place, bool) {
	for _, l := range r.p.store.Logs() {
		if ordinal == math.MaxUint64 || l.Ordinal > ordinal {
			return place{log: l.ID, ordinal: l.Ordinal}, true
		}
	}
	return place{}, false
}

// Close implements landing.Reader.
func (r *reader) Close() error {
	if r.seg == nil {
		return nil
	}
	return r.seg.Close()
}
