package replay

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"landfall/edge/record"
	"landfall/edge/source"
	"landfall/engine/landing"
	"landfall/engine/stream"
)

// aheadBlocks is how many captured blocks wait for the task: capture runs on
// one core while the task works on another.
const aheadBlocks = 8

// Reader is a landing.Reader that captures as it reads. It owns one goroutine,
// which Close joins.
type Reader struct {
	log    *Log
	file   *source.Recorded
	from   record.Offset
	stands string        // hash of the block before from; empty: not known
	blocks chan []byte   // closed by the goroutine after its last block
	stop   chan struct{} // closed by Close
	done   chan struct{} // closed when the goroutine has ended
	err    error         // why it ended; set before blocks is closed
	closed bool

	read  atomic.Int64 // bytes of the file read
	grown atomic.Bool  // there was more than at Open
	size  int64        // of the file
}

func newReader(l *Log, f *source.Recorded, from record.Offset, stands string) *Reader {
	_, size := f.Progress()
	r := &Reader{
		log: l, file: f, from: from, stands: stands, size: size,
		blocks: make(chan []byte, aheadBlocks), stop: make(chan struct{}), done: make(chan struct{}),
	}
	go r.run()
	return r
}

// Progress gives how many bytes of the file were read, and its size. From any
// goroutine.
func (r *Reader) Progress() (read, size int64) { return r.read.Load(), r.size }

// Grown says, once Next returned io.EOF, that the file has become longer since
// Open. What it gained was not read. From any goroutine.
func (r *Reader) Grown() bool { return r.grown.Load() }

// Next returns the next block; see landing.Reader. ErrChanged when the file is
// not what it was; no block holds bytes of what it became.
func (r *Reader) Next(ctx context.Context) (landing.Landed, stream.Position, error) {
	select {
	case block, ok := <-r.blocks:
		if !ok {
			return landing.Landed{}, stream.Position{}, r.err
		}
		h, err := record.ParseHeader(block)
		if err != nil {
			return landing.Landed{}, stream.Position{}, fmt.Errorf("replay %s: %w", r.log.path, err)
		}
		landed := r.log.landed(block)
		return landed, stream.Position{Log: r.log.id.String(), Offset: int64(h.End()), Hash: r.log.hash(block)}, nil
	case <-ctx.Done():
		return landing.Landed{}, stream.Position{}, ctx.Err()
	}
}

// Close joins the goroutine and closes the file.
func (r *Reader) Close() error {
	if r.closed {
		return nil
	}
	r.closed = true
	close(r.stop)
	<-r.done
	return r.file.Close()
}

var errStopped = errors.New("stopped")

// run captures the whole content, hands over the blocks from r.from on, and ends
// with io.EOF.
func (r *Reader) run() {
	defer close(r.done)
	defer close(r.blocks)
	p := newPacker(r.log, r.hand)
	err := r.lines(p)
	if err == nil {
		err = p.finish()
	}
	if err == nil && r.from > p.next {
		err = fmt.Errorf("replay %s: position %d of %d: %w", r.log.path, r.from, p.next, landing.ErrCut)
	}
	if err == nil {
		err = io.EOF
	}
	r.err = err
}

// lines feeds the content to p line by line, each piece after it was found to be
// what it was at Open: nothing is captured from other bytes. What the file gained
// since then is left out.
func (r *Reader) lines(p *packer) error {
	var split source.Splitter
	sum, buf := sha256.New(), make([]byte, pieceBytes)
	left := r.log.size
	for _, want := range r.log.pieces {
		piece := buf[:min(left, pieceBytes)]
		left -= int64(len(piece))
		_, err := io.ReadFull(r.file, piece)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("replay %s: it is shorter: %w", r.log.path, ErrChanged)
		}
		if err != nil {
			return fmt.Errorf("replay %s: %w", r.log.path, err)
		}
		_, _ = sum.Write(piece) // never fails
		if !bytes.Equal(sum.Sum(nil), want[:]) {
			return fmt.Errorf("replay %s: %w", r.log.path, ErrChanged)
		}
		split.Feed(piece, p.line)
		read, _ := r.file.Progress()
		r.read.Store(read)
		if p.err != nil {
			return p.err
		}
	}
	split.Flush(false, p.line)
	if p.err != nil {
		return p.err
	}
	n, err := r.file.Read(buf) // also gzip's own checksum
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("replay %s: %w", r.log.path, err)
	}
	r.grown.Store(n > 0)
	return nil
}

// hand gives one block to the task unless it lies before the position.
func (r *Reader) hand(block []byte, end record.Offset) error {
	if end < r.from {
		return nil
	}
	if end == r.from {
		if r.stands != "" && r.log.hash(block) != r.stands {
			return fmt.Errorf("replay %s: position %d stands on another block than %s: %w", r.log.path, r.from,
				r.stands, landing.ErrCut)
		}
		return nil
	}
	if first := end - record.Offset(blockCount(block)); first < r.from {
		return fmt.Errorf("replay %s: position %d is inside a block: %w", r.log.path, r.from, landing.ErrPosition)
	}
	select {
	case r.blocks <- bytes.Clone(block):
		return nil
	case <-r.stop:
		return errStopped
	}
}

// landed returns a block of the file as it lands.
func (l *Log) landed(block []byte) landing.Landed {
	return landing.Landed{Gateway: l.opt.Gateway, LandedAt: l.opt.LandedAt, Block: block}
}

// hash identifies a block of the file in a Position. When it landed is left out:
// who goes on with a replay may say another time.
func (l *Log) hash(block []byte) string {
	return landing.Landed{Gateway: l.opt.Gateway, Block: block}.Hash()
}

func blockCount(block []byte) uint32 {
	h, err := record.ParseHeader(block)
	if err != nil {
		return 0 // the packer has just sealed it
	}
	return h.Count
}
