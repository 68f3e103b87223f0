package seglog

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"landfall/edge/record"
)

// Reasons of a Gap, the words of the table loss.
const (
	ReasonShed    = "shed"    // given up by the policy
	ReasonCorrupt = "corrupt" // damaged on disk; a copy is in quarantine
	ReasonMissing = "missing" // its segment is not there
)

// Gap is a range [From, To) of offsets that cannot be read. The next item
// begins at To.
type Gap struct {
	From, To record.Offset
	Reason   string
}

// Item is a Block, or a Gap when Gap.To is not zero.
type Item struct {
	Block record.Block // aliases the Reader's memory until its next call
	Gap   Gap
}

// IsGap tells a Gap from a Block.
func (it *Item) IsGap() bool { return it.Gap.To != 0 }

// Reader reads one log in order. It belongs to one goroutine and must be
// closed, or the segment in whose middle it stands is never recycled.
type Reader struct {
	s       *Store
	log     record.LogID
	next    record.Offset
	started bool // a block was served: the next one begins at next exactly
	segment *segment
	pinned  bool // the segment's file stays as it is while the Reader reads it
	scan    scanner
	pending record.Block // found behind a gap just served
}

// Reader gives a Reader of log. Its first item holds offset from: a block that
// may begin below it, or a Gap that begins at it. Errors: ErrUnknownLog,
// ErrBeyondEnd, ErrClosed.
func (s *Store) Reader(log record.LogID, from record.Offset) (*Reader, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	l, _ := s.find(log)
	if l == nil {
		return nil, fmt.Errorf("read log %s: %w", log, ErrUnknownLog)
	}
	if from > l.end {
		return nil, fmt.Errorf("read log %s from %d of %d: %w", log, from, l.end, ErrBeyondEnd)
	}
	return &Reader{s: s, log: log, next: from}, nil
}

// NextOffset is where the next item begins, or what it holds at first.
func (r *Reader) NextOffset() record.Offset { return r.next }

// Close lets go of the segment the Reader stands in. It may be called again.
func (r *Reader) Close() error {
	r.pending = record.Block{}
	err := r.unpin()
	r.segment = nil
	return err
}

// Next gives the next block or gap. Errors: ErrCaughtUp at DurableOffset of
// the active log (Next may be called again), io.EOF at the end of a closed one,
// ErrClosed, ErrUnknownLog when the log was released under the Reader,
// record.ErrVersion, or the file system's, after which Next may be tried again.
func (r *Reader) Next() (Item, error) {
	if r.pending.Bytes != nil {
		return r.serve(r.pending), nil
	}
	for {
		v, err := r.locate()
		if err != nil {
			return Item{}, err
		}
		if v.gap.To != 0 {
			return r.skip(v.gap), nil
		}
		if err := r.enter(v.segment); err != nil {
			return Item{}, fmt.Errorf("read log %s at %d: %w", r.log, r.next, err)
		}
		if r.segment == nil {
			continue // dropped since it was located
		}
		if r.scan.file == nil {
			return r.skip(Gap{r.next, v.end, ReasonMissing}), nil
		}
		item, found, err := r.step(v)
		if err == nil && r.next >= v.end {
			err = r.unpin() // whoever waits for more holds back no recycling
		}
		if err != nil {
			return Item{}, fmt.Errorf("read log %s at %d: %w", r.log, r.next, err)
		}
		if found {
			return item, nil
		}
	}
}

// step takes one block from the segment; found is false when it lies wholly
// below what is asked for.
func (r *Reader) step(v view) (item Item, found bool, err error) {
	block, damage, ok, err := r.scan.next(v.limit)
	if err != nil {
		return Item{}, false, err
	}
	if damage.size > 0 {
		r.s.noteDamage(v.segment, damage, r.scan.file)
	}
	switch {
	case !ok && damage.size == 0:
		return r.skip(Gap{r.next, v.end, ReasonMissing}), true, nil
	case !ok, block.First >= v.end, block.End() > v.end:
		return r.skip(Gap{r.next, v.end, ReasonCorrupt}), true, nil
	case block.End() <= r.next, r.started && block.First < r.next:
		return Item{}, false, nil
	case block.First > r.next:
		r.pending = block
		return r.skip(Gap{r.next, block.First, ReasonCorrupt}), true, nil
	}
	return r.serve(block), true, nil
}

func (r *Reader) serve(block record.Block) Item {
	r.pending = record.Block{}
	r.started, r.next = true, block.End()
	return Item{Block: block}
}

func (r *Reader) skip(g Gap) Item {
	r.started, r.next = true, g.To
	if g.Reason != ReasonShed {
		r.s.mu.Lock()
		r.s.stats.CorruptOffsets += uint64(g.To - g.From)
		r.s.mu.Unlock()
	}
	return Item{Gap: g}
}

// view is what holds the next offset: a segment with its bounds, or a gap.
type view struct {
	segment *segment
	end     record.Offset
	limit   int64
	gap     Gap
}

// locate finds what holds the next offset.
func (r *Reader) locate() (view, error) {
	s := r.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return view{}, ErrClosed
	}
	if g := r.segment; g != nil && g.first <= r.next && r.next < g.end {
		return view{segment: g, end: g.end, limit: g.limit}, nil
	}
	l, _ := s.find(r.log)
	if l == nil {
		return view{}, fmt.Errorf("read log %s: %w", r.log, ErrUnknownLog)
	}
	if r.next >= l.end {
		if l.active {
			return view{}, ErrCaughtUp
		}
		return view{}, io.EOF
	}
	return l.view(r.next), nil
}

// view finds what holds offset next, which is below the log's end.
func (l *logState) view(next record.Offset) view {
	gap := Gap{next, l.end, ReasonMissing}
	for _, g := range l.segments {
		if g.first <= next && next < g.end {
			return view{segment: g, end: g.end, limit: g.limit}
		}
		if g.first > next {
			gap.To = min(gap.To, g.first)
		}
	}
	for _, sh := range l.shed {
		if sh.from <= next && next < sh.to {
			return view{gap: Gap{next, min(gap.To, sh.to), ReasonShed}}
		}
		if sh.from > next {
			gap.To = min(gap.To, sh.from)
		}
	}
	return view{gap: gap}
}

// enter makes g the segment the Reader stands in and pins it. One that was
// dropped is left instead; one whose file is gone has no file to scan.
func (r *Reader) enter(g *segment) error {
	if r.segment == g && r.pinned {
		return nil
	}
	if err := r.unpin(); err != nil {
		return err
	}
	s := r.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.segment != nil && r.segment != g {
		if err := s.closeIdle(r.segment); err != nil {
			return err
		}
	}
	if g.dropped {
		r.segment = nil
		return nil
	}
	if g.file == nil {
		f, err := s.fs.Open(s.path(g.name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err == nil {
			g.file = f
		}
	}
	if r.segment != g {
		r.scan = scanner{id: g.id, fresh: g.fresh, at: g.dataAt, buf: r.scan.buf[:0]}
	}
	r.scan.file = nil
	if g.file != nil {
		r.scan.file = g.file
	}
	g.readers++
	r.segment, r.pinned = g, true
	return nil
}

// unpin lets the segment's file go, though the Reader remembers its place in
// it. The file of the newest segment stays open for the next block.
func (r *Reader) unpin() error {
	if !r.pinned {
		return nil
	}
	r.pinned = false
	s, g := r.s, r.segment
	s.mu.Lock()
	defer s.mu.Unlock()
	g.readers--
	if g == s.newestSegment() && !s.closed {
		return nil
	}
	return s.closeIdle(g)
}

// closeIdle closes the file of a segment that no Reader reads. Caller holds mu.
func (s *Store) closeIdle(g *segment) error {
	if g.readers > 0 || g.file == nil {
		return nil
	}
	f := g.file
	g.file = nil
	return f.Close()
}
