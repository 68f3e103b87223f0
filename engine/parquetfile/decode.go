package parquetfile

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// decoder reads the values of one page that are not NULL.
type decoder interface {
	// read fills dst. The kinds of its values are those of the column.
	read(dst []Value) error
	// done tells what is wrong when all of the page's values were read.
	done() error
}

var errValues = errors.New("its values go on beyond its end")

// hybrid reads runs of equal values and of values packed bit by bit, without
// allocating for their counts.
type hybrid struct {
	b     []byte
	width uint // bits of a value, 32 at most
	most  uint64

	equal  uint64 // left of a run of equal values
	value  uint32
	packed uint64 // left of a run of packed values
	bit    uint64 // of the next packed value, in b
	after  int    // bytes of b up to the packed run's end
}

// maxRun bounds the groups of eight values of a packed run.
const maxRun = 1 << 32

// next fills dst. most bounds what a run of equal values may hold: the page's
// values.
func (h *hybrid) next(dst []uint32) error {
	for len(dst) > 0 {
		switch {
		case h.equal > 0:
			n := int(min(h.equal, uint64(len(dst))))
			for i := range n {
				dst[i] = h.value
			}
			h.equal -= uint64(n)
			dst = dst[n:]
		case h.packed > 0:
			n := int(min(h.packed, uint64(len(dst))))
			for i := range n {
				dst[i] = uint32(unpack(h.b, h.bit, h.width))
				h.bit += uint64(h.width)
			}
			if h.packed -= uint64(n); h.packed == 0 {
				h.b = h.b[h.after:]
			}
			dst = dst[n:]
		default:
			if err := h.run(); err != nil {
				return err
			}
		}
	}
	return nil
}

// run reads the head of a run.
func (h *hybrid) run() error {
	head, n := binary.Uvarint(h.b)
	if n <= 0 {
		return errValues
	}
	h.b = h.b[n:]
	count := head >> 1
	if count == 0 {
		return errors.New("a run of no values")
	}
	if head&1 == 0 {
		size := int(h.width+7) / 8
		if count > h.most {
			return errors.New("a run of more values than its page has")
		}
		if size > len(h.b) {
			return errValues
		}
		h.value = 0
		for i := range size {
			h.value |= uint32(h.b[i]) << (8 * i)
		}
		if uint64(h.value) >= 1<<h.width {
			return errors.New("a value of more bits than the others")
		}
		h.b, h.equal = h.b[size:], count
		return nil
	}
	if count > maxRun { // some writers pack many more than they have
		return errors.New("a run of more values than any page has")
	}
	bytes := count * uint64(h.width)
	if bytes > uint64(len(h.b)) {
		return errValues
	}
	h.packed, h.bit, h.after = count*8, 0, int(bytes)
	return nil
}

// unpack returns width bits of b from a bit on, least significant first.
func unpack(b []byte, bit uint64, width uint) uint64 {
	at, shift := bit/8, uint(bit%8)
	if at+9 <= uint64(len(b)) {
		v := binary.LittleEndian.Uint64(b[at:]) >> shift
		if shift > 0 {
			v |= uint64(b[at+8]) << (64 - shift)
		}
		if width < 64 {
			v &= 1<<width - 1
		}
		return v
	}
	var v uint64
	for have := uint(0); have < width; {
		v |= uint64(b[at]>>shift) << have
		have += 8 - shift
		at, shift = at+1, 0
	}
	if width < 64 {
		v &= 1<<width - 1
	}
	return v
}

// deltas reads DELTA_BINARY_PACKED, without allocating for its counts.
type deltas struct {
	b      []byte
	narrow bool // numbers of 32 bits
	left   uint64
	first  bool
	value  int64

	perMini uint64 // values of a miniblock
	minis   int    // of a block
	least   int64  // of the block's deltas
	widths  []byte // of the miniblocks that are left in the block
	bit     uint64
	width   uint
	inMini  uint64 // values left in the miniblock
	after   int    // bytes of b up to the miniblock's end
}

// maxBlock bounds the values of a block, of which widths are read at a time.
const maxBlock = 1 << 20

// newDeltas reads the head. most bounds how many values there may be.
func newDeltas(b []byte, narrow bool, most uint64) (*deltas, error) {
	d := &deltas{narrow: narrow, first: true}
	var head [3]uint64
	for i := range head {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return nil, errValues
		}
		head[i], b = v, b[n:]
	}
	block, minis, total := head[0], head[1], head[2]
	first, n := binary.Varint(b)
	switch {
	case n <= 0:
		return nil, errValues
	case block == 0 || block > maxBlock || minis == 0 || minis > block || block%minis != 0 || block/minis%8 != 0:
		return nil, errors.New("deltas in impossible blocks")
	case total > most:
		return nil, errors.New("more deltas than its page has values")
	}
	d.b, d.left, d.value = b[n:], total, first
	d.perMini, d.minis = block/minis, int(minis)
	return d, nil
}

// next returns the next number.
func (d *deltas) next() (int64, error) {
	if d.left == 0 {
		return 0, errValues
	}
	d.left--
	if d.first {
		d.first = false
		return d.value, nil
	}
	if d.inMini == 0 {
		if err := d.miniblock(); err != nil {
			return 0, err
		}
	}
	d.value += d.least + int64(unpack(d.b, d.bit, d.width))
	d.bit += uint64(d.width)
	if d.inMini--; d.inMini == 0 {
		d.b = d.b[d.after:]
	}
	if d.narrow {
		d.value = int64(int32(d.value))
	}
	if d.left == 0 && d.inMini > 0 {
		d.b = d.b[d.after:]
	}
	return d.value, nil
}

// miniblock begins the next miniblock, and a block before it where one is over.
func (d *deltas) miniblock() error {
	if len(d.widths) == 0 {
		least, n := binary.Varint(d.b)
		if n <= 0 || d.minis > len(d.b)-n {
			return errValues
		}
		d.least, d.widths, d.b = least, d.b[n:n+d.minis], d.b[n+d.minis:]
	}
	d.width, d.widths = uint(d.widths[0]), d.widths[1:]
	if d.width > 64 {
		return errors.New("deltas of more than 64 bits")
	}
	bytes := d.perMini * uint64(d.width) / 8
	if bytes > uint64(len(d.b)) {
		return errValues
	}
	d.bit, d.inMini, d.after = 0, d.perMini, int(bytes)
	return nil
}

// numbers reads a page of deltas.
type numbers struct{ *deltas }

func (d numbers) read(dst []Value) error {
	for i := range dst {
		v, err := d.next()
		if err != nil {
			return err
		}
		dst[i] = Value{bits: uint64(v), there: true}
	}
	return nil
}

func (d numbers) done() error {
	if d.left > 0 {
		return errors.New("more deltas than values")
	}
	return nil
}

// fixed reads plain values of a fixed size.
type fixed struct {
	b    []byte
	kind Kind
}

func (p *fixed) read(dst []Value) error {
	if p.kind == Int32 || p.kind == Float {
		if len(p.b)/4 < len(dst) {
			return errValues
		}
		for i := range dst {
			v := binary.LittleEndian.Uint32(p.b[4*i:])
			dst[i] = Value{bits: uint64(v), there: true}
			if p.kind == Int32 {
				dst[i].bits = uint64(int64(int32(v)))
			}
		}
		p.b = p.b[4*len(dst):]
		return nil
	}
	if len(p.b)/8 < len(dst) {
		return errValues
	}
	for i := range dst {
		dst[i] = Value{bits: binary.LittleEndian.Uint64(p.b[8*i:]), there: true}
	}
	p.b = p.b[8*len(dst):]
	return nil
}

func (p *fixed) done() error { return nothingLeft(len(p.b)) }

func nothingLeft(n int) error {
	if n > 0 {
		return errors.New("bytes behind its values")
	}
	return nil
}

// truths reads plain BOOLEANs, a bit each.
type truths struct {
	b   []byte
	bit int
}

func (p *truths) read(dst []Value) error {
	if len(p.b)*8-p.bit < len(dst) {
		return errValues
	}
	for i := range dst {
		dst[i] = Value{bits: uint64(p.b[p.bit/8] >> (p.bit % 8) & 1), there: true}
		p.bit++
	}
	return nil
}

func (p *truths) done() error { return nothingLeft(len(p.b) - (p.bit+7)/8) }

// texts reads plain byte arrays.
type texts struct{ b []byte }

func (p *texts) read(dst []Value) error {
	for i := range dst {
		if len(p.b) < 4 {
			return errValues
		}
		n := binary.LittleEndian.Uint32(p.b)
		if uint64(n) > uint64(len(p.b)-4) {
			return errValues
		}
		dst[i] = Value{bytes: p.b[4 : 4+n : 4+n], there: true}
		p.b = p.b[4+n:]
	}
	return nil
}

func (p *texts) done() error { return nothingLeft(len(p.b)) }

// lengthTexts reads byte arrays whose lengths stand before them as deltas.
type lengthTexts struct {
	lengths *deltas
	b       []byte
}

// newLengthTexts finds the bytes behind the lengths.
func newLengthTexts(b []byte, most uint64) (*lengthTexts, error) {
	rest, err := pastDeltas(b, most)
	if err != nil {
		return nil, err
	}
	lengths, err := newDeltas(b, true, most)
	return &lengthTexts{lengths, rest}, err
}

// pastDeltas returns what lies behind deltas.
func pastDeltas(b []byte, most uint64) ([]byte, error) {
	d, err := newDeltas(b, true, most)
	for err == nil && d.left > 0 {
		_, err = d.next()
	}
	if err != nil {
		return nil, err
	}
	return d.b, nil
}

func (p *lengthTexts) read(dst []Value) error {
	for i := range dst {
		b, err := p.next()
		if err != nil {
			return err
		}
		dst[i] = Value{bytes: b, there: true}
	}
	return nil
}

func (p *lengthTexts) next() ([]byte, error) {
	n, err := p.lengths.next()
	if err != nil {
		return nil, err
	}
	if n < 0 || n > int64(len(p.b)) {
		return nil, errValues
	}
	b := p.b[:n:n]
	p.b = p.b[n:]
	return b, nil
}

func (p *lengthTexts) done() error {
	if p.lengths.left > 0 {
		return errors.New("more lengths than values")
	}
	return nothingLeft(len(p.b))
}

// deltaTexts reads byte arrays of which the beginning may be the one's before.
type deltaTexts struct {
	prefixes *deltas
	suffixes *lengthTexts
	last     []byte
	made     int // bytes of values put together so far
}

func newDeltaTexts(b []byte, most uint64) (*deltaTexts, error) {
	rest, err := pastDeltas(b, most)
	if err != nil {
		return nil, err
	}
	prefixes, err := newDeltas(b, true, most)
	if err != nil {
		return nil, err
	}
	suffixes, err := newLengthTexts(rest, most)
	return &deltaTexts{prefixes: prefixes, suffixes: suffixes}, err
}

func (p *deltaTexts) read(dst []Value) error {
	for i := range dst {
		n, err := p.prefixes.next()
		if err != nil {
			return err
		}
		suffix, err := p.suffixes.next()
		if err != nil {
			return err
		}
		if n < 0 || n > int64(len(p.last)) {
			return errors.New("a value begins with more than the one before it has")
		}
		if n > 0 {
			if p.made += int(n) + len(suffix); p.made > MaxPageBytes {
				return errors.New("more bytes of values than a page may have")
			}
			whole := make([]byte, 0, int(n)+len(suffix))
			suffix = append(append(whole, p.last[:n]...), suffix...)
		}
		p.last = suffix
		dst[i] = Value{bytes: suffix, there: true}
	}
	return nil
}

func (p *deltaTexts) done() error {
	if p.prefixes.left > 0 {
		return errors.New("more values than there are")
	}
	return p.suffixes.done()
}

// words is a dictionary: values in their plain encoding, and of byte arrays where
// each begins.
type words struct {
	kind  Kind
	plain []byte
	at    []uint32
	n     int
}

// newWords finds the values. Each takes as much as its place in at does, so
// what is allocated is no more than the bytes that are there.
func newWords(kind Kind, plain []byte, n int) (*words, error) {
	w := &words{kind: kind, plain: plain, n: n}
	size := map[Kind]int{ByteArray: 4, Int32: 4, Float: 4, Int64: 8, Double: 8}[kind]
	if size == 0 || n > len(plain)/size {
		return nil, fmt.Errorf("a dictionary of %d values of %s in %d bytes", n, kind, len(plain))
	}
	if kind != ByteArray {
		return w, nothingLeft(len(plain) - n*size)
	}
	w.at = make([]uint32, n)
	p := texts{b: plain}
	var v [1]Value
	for i := range w.at {
		w.at[i] = uint32(len(plain) - len(p.b))
		if err := p.read(v[:]); err != nil {
			return nil, err
		}
	}
	return w, p.done()
}

func (w *words) value(i uint32) Value {
	if w.kind == ByteArray {
		b := w.plain[w.at[i]:]
		n := binary.LittleEndian.Uint32(b)
		return Value{bytes: b[4 : 4+n : 4+n], there: true}
	}
	var v [1]Value
	size := 8
	if w.kind == Int32 || w.kind == Float {
		size = 4
	}
	p := fixed{b: w.plain[size*int(i):], kind: w.kind}
	_ = p.read(v[:]) // newWords has seen that it is there
	return v[0]
}

// indexed reads values by their places in a dictionary.
type indexed struct {
	places hybrid
	words  *words
	buf    []uint32
}

func (p *indexed) read(dst []Value) error {
	for len(dst) > 0 {
		n := min(len(dst), len(p.buf))
		if err := p.places.next(p.buf[:n]); err != nil {
			return err
		}
		for i, at := range p.buf[:n] {
			if p.words == nil || int(at) >= p.words.n {
				return errors.New("a place beyond its dictionary")
			}
			if i > 0 && at == p.buf[i-1] {
				dst[i] = dst[i-1]
				continue
			}
			dst[i] = p.words.value(at)
		}
		dst = dst[n:]
	}
	return nil
}

func (p *indexed) done() error { return nil }

// runs reads BOOLEANs in runs.
type runs struct {
	places hybrid
	buf    []uint32
}

func (p *runs) read(dst []Value) error {
	for len(dst) > 0 {
		n := min(len(dst), len(p.buf))
		if err := p.places.next(p.buf[:n]); err != nil {
			return err
		}
		for i, v := range p.buf[:n] {
			dst[i] = Value{bits: uint64(v), there: true}
		}
		dst = dst[n:]
	}
	return nil
}

func (p *runs) done() error { return nil }
