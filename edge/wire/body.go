package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/klauspost/compress/zstd"

	"landfall/edge/record"
)

// Encoder writes the body of a request. It is reused with Reset, so that a
// gateway keeps one compressor's memory (about 3 MiB) whatever it sends.
type Encoder struct {
	z *zstd.Encoder
}

// NewEncoder gives an encoder that writes to w.
func NewEncoder(w io.Writer) (*Encoder, error) {
	z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(1<<20))
	if err != nil {
		return nil, fmt.Errorf("open zstd writer: %w", err)
	}
	return &Encoder{z: z}, nil
}

// Reset begins another body on w; an unfinished one is forgotten.
func (e *Encoder) Reset(w io.Writer) { e.z.Reset(w) }

// WriteBlock writes one block and flushes the stream, so that a reader of the
// bytes so far gets the block whole. Errors: record.ErrTooLarge, the writer's.
func (e *Encoder) WriteBlock(block []byte) error {
	if len(block) > MaxBlockBytes {
		return fmt.Errorf("send block of %d bytes: %w", len(block), record.ErrTooLarge)
	}
	var head [frameHeaderBytes]byte
	binary.LittleEndian.PutUint32(head[:], uint32(len(block)))
	if _, err := e.z.Write(head[:]); err != nil {
		return fmt.Errorf("write block length: %w", err)
	}
	if _, err := e.z.Write(block); err != nil {
		return fmt.Errorf("write block: %w", err)
	}
	if err := e.z.Flush(); err != nil {
		return fmt.Errorf("flush block: %w", err)
	}
	return nil
}

// Close ends the body; the encoder may be Reset for another.
func (e *Encoder) Close() error {
	if err := e.z.Close(); err != nil {
		return fmt.Errorf("end zstd stream: %w", err)
	}
	return nil
}

// Decoder reads the body of a request block by block. It reads no further than
// it must to give the next block.
type Decoder struct {
	src    *source
	z      *zstd.Decoder // nil: the stream has not begun
	window int64         // that the stream may ask for, bytes
	left   int64
	limit  int64
	err    error
	// Take is told how many bytes of memory are about to be taken, before they are, and,
	// below zero, how many are given back; an error of it ends the body. What it was told
	// in all is Taken; a block that Next has returned is its caller's to give back. Nil:
	// nobody counts.
	Take    func(bytes int64) error
	taken   int64
	refused error // of Take
}

// overhead is what a body may have beside its blocks, and beside as many bytes
// again: what zstd adds to small blocks, each flushed, is far less. A stream may
// hold frames that decode to nothing, so its length needs a bound of its own.
const overhead = 64 << 10

// honestWindow is the memory that a stream of Encoder asks for. What no stream asks for
// more than is taken for it at its beginning.
const honestWindow = 1 << 20

// decoderMemory is what a decoder takes beside its window, about.
const decoderMemory = 512 << 10

// MaxBodyMemory is the most that a Decoder takes at a time, with the block that it
// returns.
const MaxBodyMemory = maxWindowBytes + decoderMemory + MaxBlockBytes + MaxBlockBytes/2

// NewDecoder reads blocks from r. limit bounds the decoded bytes of the whole
// body; of r no more is read than twice as much, and 64 KiB. Close releases it.
func NewDecoder(r io.Reader, limit int64) *Decoder {
	src := &source{r: r, most: math.MaxInt64}
	if limit < (math.MaxInt64-overhead)/2 {
		src.most = 2*limit + overhead
	}
	return &Decoder{src: src, left: limit, limit: limit}
}

// begin opens the stream, once its first frame says how much memory it asks for.
func (d *Decoder) begin() error {
	head, window, err := d.src.begin()
	if err != nil {
		return err
	}
	d.window = max(honestWindow, min(window, maxWindowBytes))
	if err := d.take(d.window + decoderMemory); err != nil {
		return err
	}
	d.z, err = zstd.NewReader(io.MultiReader(head, d.src), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(uint64(d.window)), zstd.WithDecoderMaxMemory(maxWindowBytes+MaxBlockBytes))
	if err != nil {
		return fmt.Errorf("open zstd reader: %w", err)
	}
	return nil
}

// take tells Take.
func (d *Decoder) take(bytes int64) error {
	if d.Take == nil {
		return nil
	}
	if err := d.Take(bytes); err != nil {
		d.refused = err
		return err
	}
	d.taken += bytes
	return nil
}

// Taken is the sum of what Take was told.
func (d *Decoder) Taken() int64 { return d.taken }

// source hides every method of a body but Read from the decompressor, and
// keeps the body's own error apart from the stream's.
type source struct {
	r       io.Reader
	n, most int64 // bytes: read so far, and at most
	err     error
}

func (s *source) Read(p []byte) (int, error) {
	if s.n >= s.most {
		s.err = fmt.Errorf("body of more than %d bytes: %w", s.most, ErrBomb)
		return 0, s.err
	}
	n, err := s.r.Read(p[:min(int64(len(p)), s.most-s.n)])
	s.n += int64(n)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// begin reads the head of the first frame, which says how much memory the stream asks
// for, and returns what it read, to be read again. A stream that does not begin as one
// should is left to the decompressor to name.
func (s *source) begin() (head *bytes.Reader, window int64, err error) {
	var p [zstd.HeaderMaxSize]byte
	n := 0
	for {
		var h zstd.Header
		if bad := h.Decode(p[:n]); bad == nil {
			window = int64(min(h.WindowSize, math.MaxInt64))
			if h.SingleSegment {
				window = int64(min(h.FrameContentSize, math.MaxInt64))
			}
			if h.Skippable { // of the frame behind it nothing is known yet
				window = maxWindowBytes
			}
			break
		} else if !errors.Is(bad, io.ErrUnexpectedEOF) && n > 0 || n == len(p) {
			break
		}
		k, err := s.Read(p[n:])
		if n += k; err != nil {
			if s.err != nil {
				return nil, 0, s.err
			}
			break
		}
	}
	return bytes.NewReader(p[:n]), window, nil
}

// WireBytes is the number of compressed bytes read so far.
func (d *Decoder) WireBytes() int64 { return d.src.n }

// Next gives the next block, which belongs to the caller; neither its CRC nor
// its structure is checked. io.EOF after the last, when the stream ended as it
// should. Errors, all final: ErrNotZstd, ErrBomb, ErrTruncated (with the
// body's own error when it had one), ErrMalformed, record.ErrTooLarge for a
// length above MaxBlockBytes (nothing is allocated for it), and Take's.
func (d *Decoder) Next() ([]byte, error) {
	if d.err != nil {
		return nil, d.err
	}
	block, err := d.next()
	if err != nil {
		d.err = err
		return nil, err
	}
	return block, nil
}

func (d *Decoder) next() ([]byte, error) {
	if d.z == nil {
		if err := d.begin(); err != nil {
			return nil, d.classify(err)
		}
	}
	var head [frameHeaderBytes]byte
	if n, err := io.ReadFull(d.z, head[:]); err != nil {
		if err == io.EOF && n == 0 {
			return nil, io.EOF
		}
		return nil, d.classify(err)
	}
	size := int64(binary.LittleEndian.Uint32(head[:]))
	if size > MaxBlockBytes {
		return nil, fmt.Errorf("receive block of %d bytes: %w", size, record.ErrTooLarge)
	}
	if size < record.BlockHeaderBytes {
		return nil, fmt.Errorf("receive block of %d bytes: %w", size, ErrMalformed)
	}
	if d.left -= size + frameHeaderBytes; d.left < 0 {
		return nil, fmt.Errorf("receive body of more than %d bytes: %w", d.limit, ErrBomb)
	}
	return d.read(int(size))
}

// read takes memory for a block only as its bytes arrive: a length alone costs
// the reader nothing.
func (d *Decoder) read(size int) ([]byte, error) {
	const step = 256 << 10
	if err := d.take(int64(min(size, step))); err != nil {
		return nil, err
	}
	block := make([]byte, min(size, step))
	for have := 0; ; {
		n, err := io.ReadFull(d.z, block[have:])
		if have += n; err != nil {
			return nil, d.classify(err)
		}
		if have == size {
			return block, nil
		}
		if err := d.take(int64(min(size, 4*have))); err != nil {
			return nil, err
		}
		grown := make([]byte, min(size, 4*have))
		copy(grown, block)
		_ = d.take(-int64(len(block))) // what is given back is never refused
		block = grown
	}
}

func (d *Decoder) classify(err error) error {
	switch {
	case d.refused != nil:
		return d.refused
	case errors.Is(d.src.err, ErrBomb):
		return fmt.Errorf("receive block: %w", d.src.err)
	case d.src.err != nil:
		return fmt.Errorf("receive block: %w: %w", ErrTruncated, d.src.err)
	case errors.Is(err, io.ErrUnexpectedEOF), err == io.EOF:
		return fmt.Errorf("receive block: %w", ErrTruncated)
	case errors.Is(err, zstd.ErrMagicMismatch):
		return fmt.Errorf("receive block: %w: %w", ErrNotZstd, err)
	case errors.Is(err, zstd.ErrWindowSizeExceeded) && d.window < maxWindowBytes:
		// A later frame asks for more than the first. The request that begins with it is
		// given as much.
		return fmt.Errorf("receive block: %w: its stream asks for more memory than it began with", ErrTruncated)
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded), errors.Is(err, zstd.ErrFrameSizeExceeded):
		return fmt.Errorf("receive block: %w: %w", ErrBomb, err)
	default:
		return fmt.Errorf("receive block: %w: %w", ErrMalformed, err)
	}
}

// Close releases the decoder's memory.
func (d *Decoder) Close() {
	if d.z != nil {
		d.z.Close()
	}
}
