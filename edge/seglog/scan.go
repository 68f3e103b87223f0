package seglog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"landfall/edge/durable"
	"landfall/edge/record"
)

const (
	scanChunk = 64 << 10 // bytes read at a time
	mediaPage = 4 << 10  // bytes given up where the medium cannot be read
)

// span is a range of bytes of a segment's file.
type span struct{ at, size int64 }

// scanner walks the frames of one segment. It decides from bytes alone what is
// a block of this segment and what is damage. It belongs to one goroutine.
type scanner struct {
	file  io.ReaderAt
	id    segmentID
	fresh bool
	at    int64 // where the next frame is expected
	codec frameCodec
	buf   []byte // window of the file, from bufAt
	bufAt int64
}

// next gives the next block that begins and ends below limit, and the damaged
// bytes passed over to find it. Without such a block ok is false, the scanner
// stands at limit, and damage is what is not the clean end of a segment. The
// block aliases the scanner's memory until the next call. Errors are those of
// the file; unreadable pages count as damage. A block of a newer version is
// record.ErrVersion.
func (sc *scanner) next(limit int64) (block record.Block, damage span, ok bool, err error) {
	start := sc.at
	for sc.at+frameBytes <= limit {
		block, size, err := sc.frame(limit)
		if err != nil {
			return record.Block{}, span{}, false, err
		}
		if block.Bytes != nil {
			damage := span{start, sc.at - start}
			sc.at += size
			return block, damage, true, nil
		}
		if size == 0 {
			size, err = sc.search(limit)
			if err != nil {
				return record.Block{}, span{}, false, err
			}
		}
		sc.at += size
	}
	size, err := sc.torn(start, limit)
	if err != nil {
		return record.Block{}, span{}, false, err
	}
	sc.at = limit
	return record.Block{}, span{start, size}, false, nil
}

// frame reads the frame at sc.at. A valid head in front of a damaged block
// gives its size alone; no valid head gives size 0.
func (sc *scanner) frame(limit int64) (record.Block, int64, error) {
	p, err := sc.fetch(sc.at, frameBytes, limit)
	if err != nil || len(p) < frameBytes {
		return record.Block{}, 0, err
	}
	head, ok := sc.codec.parse(p, sc.id, sc.at)
	if !ok || sc.at+frameBytes+int64(head.length) > limit {
		return record.Block{}, 0, nil
	}
	size := frameSize(head.length)
	p, err = sc.fetch(sc.at, frameBytes+head.length, limit)
	if err != nil || len(p) < frameBytes+head.length {
		return record.Block{}, 0, err
	}
	p = p[frameBytes:]
	if binary.LittleEndian.Uint32(p[4:]) != head.crc {
		return record.Block{}, size, nil
	}
	block, err := record.Parse(record.Mend(p))
	if errors.Is(err, record.ErrVersion) {
		return record.Block{}, 0, fmt.Errorf("read segment %d of log %s at %d: %w", sc.id.number, sc.id.log, sc.at, err)
	}
	if err != nil || block.Log != sc.id.log || block.First != head.first || block.Count != head.count {
		return record.Block{}, size, nil
	}
	return block, size, nil
}

// search gives the distance from sc.at to the next place where a frame may
// begin, or to limit.
func (sc *scanner) search(limit int64) (int64, error) {
	for at := sc.at + frameAlign; at < limit; {
		p, err := sc.fetch(at, min(scanChunk, int(limit-at)), limit)
		if err != nil {
			return 0, err
		}
		if len(p) == 0 {
			break
		}
		for i := 0; i < len(p); {
			k := bytes.Index(p[i:], []byte(frameMagic))
			if k < 0 {
				break
			}
			if (at+int64(i+k))%frameAlign == 0 {
				return at + int64(i+k) - sc.at, nil
			}
			i += k + 1
		}
		at += int64(len(p)) &^ (frameAlign - 1)
		if len(p) < frameAlign {
			break
		}
	}
	return limit - sc.at, nil
}

// torn measures what begins at start and is no block, when nothing valid
// follows. In a file that began full of zeros it is everything up to the last
// byte that is not zero; in a recycled one, everything up to the first run of
// zeros as long as a frame's head, because older lives follow.
func (sc *scanner) torn(start, limit int64) (int64, error) {
	last := start
	for at := start; at < limit; {
		p, err := sc.fetch(at, min(scanChunk, int(limit-at)), limit)
		if err != nil {
			return 0, err
		}
		if len(p) == 0 {
			break
		}
		for i := 0; i < len(p); i += endBytes {
			piece := bytes.TrimRight(p[i:min(i+endBytes, len(p))], "\x00")
			if len(piece) > 0 {
				last = at + int64(i+len(piece))
			} else if !sc.fresh {
				return last - start, nil
			}
		}
		at += int64(len(p))
	}
	return last - start, nil
}

// fetch gives n bytes at position at, fewer at limit or at the end of the
// file.
func (sc *scanner) fetch(at int64, n int, limit int64) ([]byte, error) {
	if skip := at - sc.bufAt; skip >= 0 && skip+int64(n) <= int64(len(sc.buf)) {
		return sc.buf[skip : skip+int64(n)], nil
	}
	want := int(min(int64(max(n, scanChunk)), limit-at))
	if cap(sc.buf) < want {
		sc.buf = make([]byte, want)
	}
	sc.buf, sc.bufAt = sc.buf[:want], at
	got, err := readPages(sc.file, sc.buf, at)
	sc.buf = sc.buf[:got]
	return sc.buf[:min(n, got)], err
}

// readPages is ReadAt that ends without error at the end of the file, and
// where pages the medium cannot read are zeros.
func readPages(r io.ReaderAt, p []byte, at int64) (int, error) {
	n, err := r.ReadAt(p, at)
	if err == nil || err == io.EOF {
		return n, nil
	}
	if !errors.Is(err, durable.ErrMedia) {
		return 0, err
	}
	for done := 0; done < len(p); {
		page := p[done:min(len(p), done+mediaPage)]
		n, err := r.ReadAt(page, at+int64(done))
		switch {
		case err == io.EOF:
			return done + n, nil
		case errors.Is(err, durable.ErrMedia):
			clear(page)
		case err != nil:
			return 0, err
		}
		done += len(page)
	}
	return len(p), nil
}
