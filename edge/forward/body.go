package forward

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"
	"time"

	"landfall/edge/record"
	"landfall/edge/seglog"
	"landfall/edge/wire"
)

// blocks is where a body takes its blocks from.
type blocks interface {
	Next() (seglog.Item, error)
	Close() error
}

// boundary is the end of a block that was handed to the link.
type boundary struct {
	end  record.Offset
	hash record.Hash
	at   record.Micros // receipt of its block; NoTime: of a loss
}

// body is a request's body: blocks read from the store as the link takes them.
// The transport reads it from a goroutine of its own and may do so after the
// answer has come, so everything is under mu; after stop it gives nothing.
type body struct {
	log    record.LogID
	budget int64
	touch  func() // called whenever the link takes something

	mu      sync.Mutex
	reader  blocks
	enc     *wire.Encoder
	buf     bytes.Buffer
	next    record.Offset
	prev    record.Hash
	ended   bool      // the whole stream is in buf
	whole   bool      // the link took all of it
	taken   time.Time // when it had
	stopped bool
	err     error

	from    record.Offset
	already record.Offset // blocks below were sent before
	marks   []boundary
	sent    int64 // bytes of blocks
	resent  int64
	wire    int64 // compressed bytes the link took
	losses  uint64
	oldest  record.Micros
}

func newBody(log record.LogID, m Mark, budget int64, already record.Offset, r blocks, enc *wire.Encoder, touch func()) *body {
	b := &body{
		log: log, budget: budget, touch: touch, reader: r, enc: enc,
		next: m.Next, prev: m.Hash, from: m.Next, already: already, oldest: record.NoTime,
	}
	enc.Reset(&b.buf)
	return b
}

var errBodyStopped = errors.New("request is over")

// Read implements io.Reader for the transport.
func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.touch()
	for b.buf.Len() == 0 {
		if b.stopped {
			return 0, errBodyStopped
		}
		if b.err != nil {
			return 0, b.err
		}
		if b.ended {
			b.whole, b.taken = true, time.Now()
			return 0, io.EOF
		}
		b.buf.Reset()
		b.err = b.fill()
	}
	n, _ := b.buf.Read(p)
	b.wire += int64(n)
	return n, nil
}

// Close implements io.Closer for the transport.
func (b *body) Close() error { return b.stop() }

// stop ends reading for good and lets go of the store's reader.
func (b *body) stop() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopped {
		return nil
	}
	b.stopped = true
	b.buf.Reset()
	return b.reader.Close()
}

// fill encodes the next block, or ends the stream at DurableOffset, at the end
// of the log, or where the budget is spent.
func (b *body) fill() error {
	if b.sent >= b.budget {
		b.ended = true
		return b.enc.Close()
	}
	item, err := b.reader.Next()
	switch {
	case errors.Is(err, seglog.ErrCaughtUp), err == io.EOF:
		b.ended = true
		return b.enc.Close()
	case err != nil:
		return fmt.Errorf("read log %s at offset %d: %w", b.log, b.next, err)
	case item.IsGap():
		return b.fillLoss(item.Gap)
	case item.Block.First != b.next:
		return fmt.Errorf("read log %s at offset %d: block begins at %d: %w", b.log, b.next, item.Block.First, record.ErrCorrupt)
	}
	if b.oldest == record.NoTime {
		b.oldest = item.Block.BaseTime
	}
	return b.put(item.Block.Bytes, item.Block.End(), item.Block.BaseTime)
}

// fillLoss declares a range that the store has no more.
func (b *body) fillLoss(g seglog.Gap) error {
	for b.next < g.To {
		count := uint32(min(uint64(g.To-b.next), math.MaxUint32))
		loss := record.SealLoss(b.log, b.next, count, b.prev, g.Reason, nil)
		if err := b.put(loss, b.next+record.Offset(count), record.NoTime); err != nil {
			return err
		}
		b.losses++
	}
	return nil
}

func (b *body) put(block []byte, end record.Offset, at record.Micros) error {
	if err := b.enc.WriteBlock(block); err != nil {
		return fmt.Errorf("send log %s at offset %d: %w", b.log, b.next, err)
	}
	if b.next < b.already {
		b.resent += int64(len(block))
	}
	b.sent += int64(len(block))
	b.next, b.prev = end, record.HashBlock(block)
	b.marks = append(b.marks, boundary{end: end, hash: b.prev, at: at})
	return nil
}

// sums is what a body did.
type sums struct {
	from, end    record.Offset
	sent, resent int64
	wire         int64
	losses       uint64
	whole        bool
	taken        time.Time // when the link had taken all of it
	marks        []boundary
	oldest       record.Micros
	err          error
}

// sums stops the body and gives what it did.
func (b *body) sums() (sums, error) {
	err := b.stop()
	b.mu.Lock()
	defer b.mu.Unlock()
	return sums{
		from: b.from, end: b.next, sent: b.sent, resent: b.resent, wire: b.wire, losses: b.losses,
		whole: b.whole, taken: b.taken, marks: b.marks, oldest: b.oldest, err: b.err,
	}, err
}

// after gives the latest time before which no answer was given: one to a whole
// body is given when all of it has arrived.
func (s *sums) after(begin time.Time) time.Time {
	if s.whole && s.taken.After(begin) {
		return s.taken
	}
	return begin
}
