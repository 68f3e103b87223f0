package ais

import (
	"encoding/binary"
	mathbits "math/bits"
)

// Key names the content of a message: equal for every reception of the same
// transmission, whatever the receiver, radio channel or repeater.
type Key struct{ Hi, Lo uint64 }

// The constants of the two lanes: the fractions of √2 (made odd), √3, √5 and √7
// in 64 bits. Part of the stored format of Key.
const (
	lane1 = 0x6A09E667F3BCC909
	lane2 = 0xBB67AE8584CAA73B
	lane3 = 0x3C6EF372FE94F82B
	lane4 = 0xA54FF53A5F1D36F1
)

// Key hashes the bits of the message that the last Decode read, without the
// repeat indicator. Zero bits at the end do not count, because receivers
// disagree about fill bits. The value is stable between versions. After an
// error it means nothing.
func (r *Rows) Key() Key {
	b := &r.bits
	first := b.buf[0]
	b.buf[0] &^= 3 // bits 6 and 7
	k := hash(b.buf[:b.end])
	b.buf[0] = first
	return k
}

// hash runs two lanes of 64×64→128-bit multiplications over 8-byte words.
func hash(p []byte) Key {
	for len(p) > 0 && p[len(p)-1] == 0 {
		p = p[:len(p)-1]
	}
	x, y := uint64(lane1), uint64(lane2)
	for len(p) >= 8 {
		x, y = round(x, y, binary.BigEndian.Uint64(p))
		p = p[8:]
	}
	var last [8]byte
	copy(last[:], p)
	x, y = round(x, y, binary.BigEndian.Uint64(last[:]))
	x, y = round(x, y, lane3)
	return Key{x, y}
}

func round(x, y, word uint64) (uint64, uint64) {
	hi, lo := mathbits.Mul64(x^word, lane3)
	x = mathbits.RotateLeft64(hi^lo, 29) + word*lane4
	hi, lo = mathbits.Mul64(y+word, lane4)
	y = hi ^ lo ^ mathbits.RotateLeft64(x, 17)
	return x, y
}
