package parquetfile

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// Kinds of pages.
const (
	dataPage = iota
	indexPage
	dictionaryPage
	dataPageV2
)

// Encodings.
const (
	plain           = 0
	plainDictionary = 2
	rle             = 3
	deltaBinary     = 5
	deltaLength     = 6
	deltaBytes      = 7
	rleDictionary   = 8
)

// pageHeader is a PageHeader; sizes are not negative.
type pageHeader struct {
	kind                     int32
	uncompressed, compressed int
	crc                      int32
	hasCRC                   bool
	body                     bool // the header of its kind is there

	values, nulls, defBytes, repBytes int
	encoding, levels                  int32
	stored                            bool // version 2: the values are not compressed
}

// readHeader reads a PageHeader from the beginning of b and returns its length.
// errShort: b may not be all of it.
func readHeader(b []byte) (h pageHeader, n int, err error) {
	d := &thrift{b: b}
	h.kind, h.uncompressed, h.compressed, h.encoding, h.levels = -1, -1, -1, -1, rle
	err = d.structure(tStruct, func(id int, t byte) (err error) {
		switch id {
		case 1:
			h.kind, err = d.i32(t)
		case 2:
			h.uncompressed, err = d.length(t)
		case 3:
			h.compressed, err = d.length(t)
		case 4:
			h.crc, err = d.i32(t)
			h.hasCRC = true
		case 5, 7, 8:
			err = h.details(d, id, t)
		default:
			err = d.skip(t)
		}
		return err
	})
	if err != nil {
		return h, 0, err
	}
	if h.uncompressed < 0 || h.compressed < 0 || h.kind != indexPage && !h.body {
		return h, 0, errors.New("a page header without sizes, or of another kind")
	}
	return h, d.at, nil
}

// details reads the header of the page's kind; of another kind it is damage.
func (h *pageHeader) details(d *thrift, id int, t byte) error {
	kind := map[int]int32{5: dataPage, 7: dictionaryPage, 8: dataPageV2}[id]
	if h.kind != kind || h.body {
		return fmt.Errorf("a page of kind %d with the header of kind %d", h.kind, kind)
	}
	h.body, h.values, h.encoding = true, -1, -1
	if kind == dataPageV2 {
		h.nulls, h.defBytes, h.repBytes = -1, -1, -1
	}
	err := d.structure(t, func(id int, t byte) (err error) {
		switch {
		case id == 1:
			h.values, err = d.length(t)
		case id == 2 && kind == dataPageV2:
			h.nulls, err = d.length(t)
		case id == 2:
			h.encoding, err = d.i32(t)
		case id == 3 && kind == dataPage:
			h.levels, err = d.i32(t)
		case id == 4 && kind == dataPageV2:
			h.encoding, err = d.i32(t)
		case id == 5 && kind == dataPageV2:
			h.defBytes, err = d.length(t)
		case id == 6 && kind == dataPageV2:
			h.repBytes, err = d.length(t)
		case id == 7 && kind == dataPageV2:
			h.stored = t == tFalse
			err = d.skip(t)
		default:
			err = d.skip(t)
		}
		return err
	})
	if err == nil && (h.values < 0 || h.encoding < 0 || h.nulls < 0 || h.defBytes < 0 || h.repBytes < 0) {
		err = errors.New("a page header without counts")
	}
	return err
}

// pages reads the pages of a chunk one after the other.
type pages struct {
	r     io.ReaderAt
	chunk chunk
	ours  bool // every page has a CRC

	at           int64  // of the next byte to be read into window
	window       []byte // bytes before at that are not taken
	buf          []byte // what window lies in
	uncompressed int64  // of the pages so far, headers included
}

// readAhead is how much is read at a time, at least.
const readAhead = 64 << 10

// offset is where the next page begins.
func (p *pages) offset() int64 { return p.at - int64(len(p.window)) }

// want makes the window n bytes long, or as long as the chunk has any.
func (p *pages) want(n int) error {
	if len(p.window) >= n || p.at == p.chunk.end {
		return nil
	}
	n = int(min(int64(max(n, readAhead)), p.chunk.end-p.offset()))
	if cap(p.buf) < n {
		p.buf = make([]byte, n)
	}
	have := copy(p.buf[:n], p.window)
	if err := readFull(p.r, p.buf[have:n], p.at); err != nil {
		return err
	}
	p.window, p.at = p.buf[:n], p.at+int64(n-have)
	return nil
}

// next reads a header and its page as stored, which is valid until the next
// call. io.EOF at the chunk's end.
func (p *pages) next() (pageHeader, []byte, error) {
	if p.offset() == p.chunk.end {
		return pageHeader{}, nil, io.EOF
	}
	at := p.offset()
	h, n, err := p.header()
	if err != nil {
		return h, nil, fmt.Errorf("page at %d: %w", at, classified(err))
	}
	left := p.chunk.end - at - int64(n)
	p.uncompressed += int64(n) + int64(h.uncompressed)
	switch {
	case int64(h.compressed) > left:
		return h, nil, damaged("page at %d: %d bytes, %d are left in its column", at, h.compressed, left)
	case p.uncompressed > p.chunk.uncompressed:
		return h, nil, damaged("page at %d: %d bytes of pages in a column of %d", at, p.uncompressed, p.chunk.uncompressed)
	case h.compressed > MaxPageBytes || h.uncompressed > MaxPageBytes:
		return h, nil, unsupported("page at %d: %d bytes, %d compressed, at most %d are read", at, h.uncompressed, h.compressed, MaxPageBytes)
	}
	if err := p.want(n + h.compressed); err != nil {
		return h, nil, err
	}
	page := p.window[n : n+h.compressed]
	p.window = p.window[n+h.compressed:]
	if h.hasCRC || p.ours {
		if have := int32(crc32.ChecksumIEEE(page)); have != h.crc {
			return h, nil, damaged("page at %d: CRC-32 %08x, its header says %08x", at, uint32(have), uint32(h.crc))
		}
	}
	return h, page, nil
}

// header reads a header, with as much of the file as it takes.
func (p *pages) header() (pageHeader, int, error) {
	for n := 512; ; n *= 4 {
		if err := p.want(n); err != nil {
			return pageHeader{}, 0, err
		}
		h, used, err := readHeader(p.window[:min(len(p.window), maxHeaderBytes)])
		if !errors.Is(err, errShort) || p.at == p.chunk.end || n > maxHeaderBytes {
			return h, used, err
		}
	}
}
