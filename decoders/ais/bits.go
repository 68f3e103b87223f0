package ais

import "encoding/binary"

// MaxPayload is the longest payload Decode takes, in characters: nine sentences
// of 82. The longest message, five slots, has 1,064 bits or 178 characters.
const MaxPayload = 738

// bits is a message's bits, first bit highest. Bits past n are zero.
type bits struct {
	buf [MaxPayload*6/8 + 1 + 8]byte // 8 more, so that field may load past the end
	n   int
	end int // bytes of buf in use
}

// sixbit gives a payload character's value, 0xFF outside the alphabet.
var sixbit = func() (t [256]byte) {
	for i := range t {
		t[i] = 0xFF
	}
	for v := range 40 {
		t['0'+v] = byte(v)
	}
	for v := 40; v < 64; v++ {
		t['`'+v-40] = byte(v)
	}
	return t
}()

// load unarmours a payload.
func (b *bits) load(payload []byte, fill int) error {
	b.n = 0
	switch {
	case len(payload) == 0:
		return ErrEmpty
	case len(payload) > MaxPayload:
		return ErrLong
	case fill < 0 || fill > 6:
		return ErrFill
	}
	var bad byte
	o, i := 0, 0
	for ; i+4 <= len(payload); i += 4 {
		p := payload[i : i+4 : i+4]
		c0, c1, c2, c3 := sixbit[p[0]], sixbit[p[1]], sixbit[p[2]], sixbit[p[3]]
		bad |= c0 | c1 | c2 | c3
		v := uint32(c0)<<18 | uint32(c1&63)<<12 | uint32(c2&63)<<6 | uint32(c3&63)
		b.buf[o], b.buf[o+1], b.buf[o+2] = byte(v>>16), byte(v>>8), byte(v)
		o += 3
	}
	if i < len(payload) {
		var v uint32
		for j := range 4 {
			v <<= 6
			if i+j < len(payload) {
				c := sixbit[payload[i+j]]
				bad |= c
				v |= uint32(c & 63)
			}
		}
		b.buf[o], b.buf[o+1], b.buf[o+2] = byte(v>>16), byte(v>>8), byte(v)
		o += 3
	}
	if bad&0xC0 != 0 {
		return ErrArmour
	}
	b.n = max(6*len(payload)-fill, 0)
	b.trim(o)
	return nil
}

// trim zeroes what lies past n, up to the written bytes and the load margin.
func (b *bits) trim(written int) {
	full := b.n / 8
	if rest := b.n % 8; rest > 0 {
		b.buf[full] &= 0xFF << (8 - rest)
		full++
	}
	b.end = full
	clear(b.buf[full:min(max(written, full+8), len(b.buf))])
}

// uint returns width bits (at most 32) from offset; bits past the end are zero.
func (b *bits) uint(offset, width int) uint32 {
	if offset >= b.n {
		return 0
	}
	v := binary.BigEndian.Uint64(b.buf[offset>>3:])
	return uint32(v << (offset & 7) >> (64 - width))
}

// int returns width bits from offset as two's complement.
func (b *bits) int(offset, width int) int32 {
	return int32(b.uint(offset, width)<<(32-width)) >> (32 - width)
}

// flag returns the bit at offset.
func (b *bits) flag(offset int) bool { return b.uint(offset, 1) == 1 }
