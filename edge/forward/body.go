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

// digestAt returns the digest of a log at an offset, where it is known.
type digestAt func(record.LogID, record.Offset) (record.Digest, bool)

// body is a request's body: blocks read from the store as the link takes them.
// The transport reads it from a goroutine of its own and may do so after the
// answer has come, so everything is under mu; after stop it gives nothing.
type body struct {
	log    record.LogID
	budget int64
	touch  func() // called whenever the link takes something
	// digestAt returns the digest of a log at its end, when no block carries it.
	digestAt digestAt

	mu      sync.Mutex
	reader  blocks
	ahead   *seglog.Item // read behind a loss, and not sent yet
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

func newBody(log record.LogID, m Mark, budget int64, already record.Offset, r blocks, enc *wire.Encoder, touch func(), digest digestAt) *body {
	b := &body{
		log: log, budget: budget, touch: touch, digestAt: digest, reader: r, enc: enc,
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
	item, err := b.read()
	switch {
	case errors.Is(err, seglog.ErrCaughtUp), err == io.EOF:
		b.ended = true
		return b.enc.Close()
	case err != nil:
		return fmt.Errorf("read log %s at offset %d: %w", b.log, b.next, err)
	case item.IsGap():
		return b.fillLosses(item.Gap)
	case item.Block.First != b.next:
		return fmt.Errorf("read log %s at offset %d: block begins at %d: %w", b.log, b.next, item.Block.First, record.ErrCorrupt)
	}
	if b.oldest == record.NoTime {
		b.oldest = item.Block.BaseTime
	}
	return b.put(item.Block.Bytes, item.Block.End(), item.Block.BaseTime)
}

// read returns what was read ahead, or what the reader returns.
func (b *body) read() (seglog.Item, error) {
	if b.ahead != nil {
		item := *b.ahead
		b.ahead = nil
		return item, nil
	}
	return b.reader.Next()
}

// fillLosses declares ranges that the store no longer has: g and those that
// directly follow it. Each says the digest of the log at the end of the last of
// them, when that is known. Inside them nobody knows it, so the first range
// stands for the digest of all, and the sum over all of them is right.
func (b *body) fillLosses(g seglog.Gap) error {
	gaps := []seglog.Gap{g}
	var digest *record.Digest
	for b.ahead == nil {
		item, err := b.reader.Next()
		last := gaps[len(gaps)-1].To
		if errors.Is(err, seglog.ErrCaughtUp) || err == io.EOF {
			if d, ok := b.digestAt(b.log, last); ok {
				digest = &d
			}
			break
		}
		if err != nil {
			return fmt.Errorf("read log %s at offset %d: %w", b.log, last, err)
		}
		if item.IsGap() {
			gaps = append(gaps, item.Gap)
			continue
		}
		b.ahead = &item
		if d, ok := item.Block.Digest(); ok {
			d -= item.Block.DigestRecords()
			digest = &d
		}
	}
	for _, g := range gaps {
		if err := b.fillLoss(g, digest); err != nil {
			return err
		}
	}
	return nil
}

// fillLoss declares one range, in as many blocks as it takes.
func (b *body) fillLoss(g seglog.Gap, digest *record.Digest) error {
	for b.next < g.To {
		count := uint32(min(uint64(g.To-b.next), math.MaxUint32))
		loss := record.SealLoss(b.log, b.next, count, b.prev, g.Reason, digest)
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
