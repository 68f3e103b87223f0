package nmea

// joiner joins armoured payloads. When only the last has fill bits, which is
// what the standard says, that is a copy; fill bits in the middle are cut out
// and what follows is moved up.
type joiner struct {
	dst   []byte
	fill  int  // of the end of dst
	moved bool // dst no longer ends on a character boundary
	acc   uint32
	nacc  uint
}

func (j *joiner) add(payload []byte, fill int, last bool) {
	if !j.moved && (last || fill == 0) {
		j.dst = append(j.dst, payload...)
		j.fill = fill
		return
	}
	j.moved = true
	bits := 6*len(payload) - fill
	for _, c := range payload {
		n := min(bits, 6)
		if n <= 0 {
			break
		}
		bits -= n
		if !armoured(c) {
			j.dst = append(j.dst, c) // for the decoder to refuse
			continue
		}
		j.acc = j.acc<<n | uint32(unarmour(c))>>(6-n)
		j.nacc += uint(n)
		if j.nacc >= 6 {
			j.nacc -= 6
			j.dst = append(j.dst, armour(byte(j.acc>>j.nacc&63)))
		}
	}
	j.fill = 0
	if last && j.nacc > 0 {
		j.dst = append(j.dst, armour(byte(j.acc<<(6-j.nacc)&63)))
		j.fill = 6 - int(j.nacc)
	}
}

// armoured tells whether c is in the payload alphabet.
func armoured(c byte) bool { return c >= '0' && c <= 'W' || c >= '`' && c <= 'w' }

// unarmour gives the six bits of a payload character.
func unarmour(c byte) byte {
	c -= 48
	if c > 40 {
		c -= 8
	}
	return c & 63
}

// armour gives the payload character of six bits.
func armour(v byte) byte {
	if v < 40 {
		return v + 48
	}
	return v + 56
}
