package ais

import "encoding/binary"

// MaxPayload is the longest payload Decode takes, in characters: nine sentences
// of 82. The longest message, five slots, has 1,064 bits or 178 characters.
const MaxPayload = 738

// margin is how many zero bytes follow a message's bits, so that a field that
// the message is too short for reads as zeros.
const margin = 8

// bits is a message's bits, first bit highest. The 64 bits past n are zero.
type bits struct {
	buf [MaxPayload*6/8 + 1 + 2*margin]byte // the second margin is for uint's load
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

// load unarmours a payload (IEC 61162-1, 8.3.92; six bits a character).
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
	o := 0
	p := payload
	for ; len(p) >= 4; p = p[4:] {
		c0, c1, c2, c3 := sixbit[p[0]], sixbit[p[1]], sixbit[p[2]], sixbit[p[3]]
		bad |= c0 | c1 | c2 | c3
		v := uint32(c0)<<18 | uint32(c1&63)<<12 | uint32(c2&63)<<6 | uint32(c3&63)
		binary.BigEndian.PutUint32(b.buf[o:], v<<8)
		o += 3
	}
	if len(p) > 0 {
		var v uint32
		for j := range 3 {
			v <<= 6
			if j < len(p) {
				c := sixbit[p[j]]
				bad |= c
				v |= uint32(c & 63)
			}
		}
		binary.BigEndian.PutUint32(b.buf[o:], v<<14)
	}
	if bad&0xC0 != 0 {
		return ErrArmour
	}
	b.n = max(6*len(payload)-fill, 0)
	b.trim()
	return nil
}

// trim zeroes what lies past n, up to the end of the margin.
func (b *bits) trim() {
	full := b.n / 8
	if rest := b.n % 8; rest > 0 {
		b.buf[full] &= 0xFF << (8 - rest)
		full++
	}
	b.end = full
	binary.BigEndian.PutUint64(b.buf[full:], 0)
}

// uint returns width bits (at most 32) from offset, which may not lie more than
// 64-width bits past the end; bits past the end are zero.
func (b *bits) uint(offset, width int) uint32 {
	return uint32(binary.BigEndian.Uint64(b.buf[offset>>3:]) << (offset & 7) >> (64 - width))
}

// int returns width bits from offset as two's complement.
func (b *bits) int(offset, width int) int32 {
	return int32(b.uint(offset, width)<<(32-width)) >> (32 - width)
}

// flag returns the bit at offset.
func (b *bits) flag(offset int) bool { return b.uint(offset, 1) == 1 }

// some returns width bits from offset, or nothing when the message ends before.
func (b *bits) some(offset, width int) Opt[uint32] {
	if b.n < offset+width {
		return Opt[uint32]{}
	}
	return Some(b.uint(offset, width))
}
