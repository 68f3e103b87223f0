package parquetfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Column reads the values of one column of one row group, in their order. It
// belongs to one goroutine, and holds one page of the file at a time, and the
// dictionary.
type Column struct {
	schema Schema
	pages  pages
	left   int64 // values of the chunk that were not read

	words  *words  // the dictionary; nil: none
	inPage int     // values left in the page
	total  uint64  // values of the page
	levels *hybrid // of the page: 1 where there is a value; nil: no NULLs
	values decoder
	spare  []byte // for pages whose bytes no value aliases
	defs   []uint32
	places []uint32
}

// readBatch is how many levels are decoded at a time.
const readBatch = 1024

// Column opens a column by its place.
func (g Group) Column(column int) (*Column, error) {
	f := g.file
	c := &Column{schema: f.columns[column], left: g.NumRows()}
	c.pages = pages{r: f.r, chunk: f.groups[g.at].chunks[column], ours: f.created == createdHere}
	c.pages.at = c.pages.chunk.start
	switch c.schema.Kind {
	case Int96, FixedLenByteArray:
		return nil, unsupported("column %s is of %s", c.schema.Name, c.schema.Kind)
	}
	c.defs, c.places = make([]uint32, readBatch), make([]uint32, readBatch)
	return c, nil
}

// Fill reads len(dst) values: more than the column has left is damage. The bytes
// of values stay as they are while anybody holds them, but must not be changed.
func (c *Column) Fill(dst []Value) error {
	for len(dst) > 0 {
		if c.inPage == 0 {
			if err := c.turn(); err != nil {
				return fmt.Errorf("column %s: %w", c.schema.Name, err)
			}
		}
		n := min(len(dst), c.inPage, readBatch)
		if err := c.read(dst[:n]); err != nil {
			return fmt.Errorf("column %s: page before %d: %w", c.schema.Name, c.pages.offset(), classified(err))
		}
		dst = dst[n:]
	}
	return nil
}

// Skip passes over values; pages that hold no other are not decompressed, but
// compared with their CRC.
func (c *Column) Skip(n int64) error {
	var buf [64]Value
	for n > 0 {
		if c.inPage == 0 {
			passed, err := c.turnOver(n)
			if err != nil {
				return fmt.Errorf("column %s: %w", c.schema.Name, err)
			}
			if n -= passed; passed > 0 {
				continue
			}
		}
		k := min(n, int64(len(buf)), int64(c.inPage))
		if err := c.Fill(buf[:k]); err != nil {
			return err
		}
		n -= k
	}
	return nil
}

// Check reads the column's pages to their end and compares each with its CRC. It
// decompresses and decodes dictionaries, but no page of values.
func (c *Column) Check() error {
	c.inPage = 0
	for c.left > 0 {
		if _, err := c.turnOver(c.left); err != nil {
			return fmt.Errorf("column %s: %w", c.schema.Name, err)
		}
	}
	return nil
}

func (c *Column) read(dst []Value) error {
	if c.levels == nil {
		if err := c.values.read(dst); err != nil {
			return err
		}
	} else if err := c.readLevels(dst); err != nil {
		return err
	}
	if c.inPage -= len(dst); c.inPage == 0 {
		return c.values.done()
	}
	return nil
}

// readLevels reads the values that are there into the beginning of dst, and then
// moves them to their places.
func (c *Column) readLevels(dst []Value) error {
	defs := c.defs[:len(dst)]
	if err := c.levels.next(defs); err != nil {
		return err
	}
	there := 0
	for _, d := range defs {
		there += int(d)
	}
	if err := c.values.read(dst[:there]); err != nil {
		return err
	}
	for i := len(dst) - 1; i >= 0; i-- {
		if defs[i] == 0 {
			dst[i] = Value{}
			continue
		}
		there--
		dst[i] = dst[there]
	}
	return nil
}

// turn goes on to the next page with values.
func (c *Column) turn() error {
	for c.inPage == 0 {
		if _, err := c.turnOver(0); err != nil {
			return err
		}
	}
	return nil
}

// turnOver goes on by one page; one of data with no more values than pass is
// passed over, and their number returned.
func (c *Column) turnOver(pass int64) (passed int64, err error) {
	at := c.pages.offset()
	h, page, err := c.pages.next()
	if errors.Is(err, io.EOF) {
		return 0, damaged("%d values are missing at its end", c.left)
	}
	if err != nil {
		return 0, err
	}
	wrong := func(err error) error { return fmt.Errorf("page at %d: %w", at, classified(err)) }
	switch h.kind {
	case indexPage:
		return 0, nil
	case dictionaryPage:
		if err := c.dictionary(&h, page); err != nil {
			return 0, wrong(err)
		}
		return 0, nil
	case dataPage, dataPageV2:
	default:
		return 0, wrong(unsupported("a page of kind %d", h.kind))
	}
	if int64(h.values) > c.left {
		return 0, wrong(fmt.Errorf("%d values, its column has %d left", h.values, c.left))
	}
	c.left -= int64(h.values)
	if c.left == 0 && c.pages.offset() != c.pages.chunk.end {
		return 0, wrong(errors.New("pages behind the column's last value"))
	}
	if int64(h.values) <= pass {
		return int64(h.values), nil
	}
	if err := c.open(&h, page); err != nil {
		return 0, wrong(err)
	}
	return 0, nil
}

// dictionary reads the dictionary page.
func (c *Column) dictionary(h *pageHeader, page []byte) error {
	if c.words != nil || c.left != c.pages.chunk.values {
		return errors.New("a dictionary behind another page")
	}
	if h.encoding != plain && h.encoding != plainDictionary {
		return unsupported("a dictionary in encoding %d", h.encoding)
	}
	body, err := c.unpacked(h, page, true)
	if err != nil {
		return err
	}
	c.words, err = newWords(c.schema.Kind, body, h.values)
	return err
}

// unpacked decompresses a page. Bytes that values alias are their own; others
// are overwritten by the next page.
func (c *Column) unpacked(h *pageHeader, page []byte, aliased bool) ([]byte, error) {
	codec := c.pages.chunk.codec
	if codec == codecNone || h.stored {
		codec = codecNone
		if len(page) != h.uncompressed {
			return nil, fmt.Errorf("%d bytes, its header says %d", len(page), h.uncompressed)
		}
	}
	if codec == codecNone && !aliased {
		return page, nil
	}
	if len(page) == 0 && h.uncompressed == 0 {
		return nil, nil
	}
	var dst []byte
	if aliased {
		dst = make([]byte, h.uncompressed, h.uncompressed+overAlloc)
	} else {
		if cap(c.spare) < h.uncompressed+overAlloc {
			c.spare = make([]byte, h.uncompressed+overAlloc)
		}
		dst = c.spare[: h.uncompressed : h.uncompressed+overAlloc]
	}
	if codec == codecNone {
		copy(dst, page)
		return dst, nil
	}
	return dst, decompress(codec, dst, page)
}

// Bytes returns how many bytes the column's pages have at most, decompressed, in
// this row group.
func (c *Column) Bytes() int64 { return c.pages.chunk.uncompressed }

// open begins a data page.
func (c *Column) open(h *pageHeader, page []byte) error {
	var levels []byte
	if h.kind == dataPageV2 {
		before := h.repBytes + h.defBytes
		if before < 0 || before > len(page) || before > h.uncompressed || h.repBytes != 0 {
			return fmt.Errorf("%d and %d bytes of levels in a page of %d", h.repBytes, h.defBytes, len(page))
		}
		levels, page = page[:before], page[before:]
		h.uncompressed -= before
	}
	aliased := c.schema.Kind == ByteArray && h.encoding != rleDictionary && h.encoding != plainDictionary
	body, err := c.unpacked(h, page, aliased)
	if err != nil {
		return err
	}
	if h.kind == dataPage && c.schema.Optional {
		if h.levels != rle {
			return unsupported("levels in encoding %d", h.levels)
		}
		if levels, body, err = prefixed(body); err != nil {
			return err
		}
	}
	c.inPage, c.total, c.levels = h.values, uint64(h.values), nil
	if c.schema.Optional {
		c.levels = &hybrid{b: levels, width: 1, most: c.total}
	}
	c.values, err = c.decoder(h.encoding, body)
	return err
}

// prefixed takes apart what begins with its length.
func prefixed(b []byte) (head, rest []byte, err error) {
	if len(b) < 4 {
		return nil, nil, errValues
	}
	n := binary.LittleEndian.Uint32(b)
	if uint64(n) > uint64(len(b)-4) {
		return nil, nil, errValues
	}
	return b[4 : 4+n], b[4+n:], nil
}

// plain returns the decoder of plain values.
func (c *Column) plain(b []byte) decoder {
	switch c.schema.Kind {
	case Boolean:
		return &truths{b: b}
	case ByteArray:
		return &texts{b: b}
	}
	return &fixed{b: b, kind: c.schema.Kind}
}

// decoder returns the decoder of a page's values.
func (c *Column) decoder(encoding int32, b []byte) (decoder, error) {
	kind := c.schema.Kind
	number := kind == Int32 || kind == Int64
	switch {
	case encoding == plain:
		return c.plain(b), nil
	case encoding == rleDictionary || encoding == plainDictionary:
		if len(b) == 0 { // of NULLs only
			return &indexed{buf: c.places}, nil
		}
		if b[0] > 32 {
			return nil, fmt.Errorf("places in a dictionary of %d bits", b[0])
		}
		return &indexed{places: hybrid{b: b[1:], width: uint(b[0]), most: c.total}, words: c.words, buf: c.places}, nil
	case encoding == rle && kind == Boolean:
		b, _, err := prefixed(b)
		return &runs{places: hybrid{b: b, width: 1, most: c.total}, buf: c.places}, err
	case encoding == deltaBinary && number:
		d, err := newDeltas(b, kind == Int32, c.total)
		return numbers{d}, err
	case encoding == deltaLength && kind == ByteArray:
		return newLengthTexts(b, c.total)
	case encoding == deltaBytes && kind == ByteArray:
		return newDeltaTexts(b, c.total)
	}
	return nil, unsupported("values of %s in encoding %d", kind, encoding)
}
