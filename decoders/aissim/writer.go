package aissim

// writer packs bits into the armoured characters of a payload.
type writer struct {
	buf  []byte
	acc  uint64
	nacc uint
}

// put writes the low width bits (at most 32) of v.
func (w *writer) put(v uint32, width uint) {
	w.acc = w.acc<<width | uint64(v)&(1<<width-1)
	for w.nacc += width; w.nacc >= 6; {
		w.nacc -= 6
		w.buf = append(w.buf, armour(byte(w.acc>>w.nacc&63)))
	}
}

func (w *writer) flag(v bool) {
	if v {
		w.put(1, 1)
	} else {
		w.put(0, 1)
	}
}

// text writes s as n six-bit characters, filled up with '@'. It knows upper
// case ASCII from ' ' to '_'.
func (w *writer) text(s string, n int) {
	for i := range n {
		c := byte('@')
		if i < len(s) {
			c = s[i]
		}
		w.put(uint32(c), 6)
	}
}

// finish fills the last character up and returns how many bits that took.
func (w *writer) finish() (fill int) {
	if w.nacc == 0 {
		return 0
	}
	fill = int(6 - w.nacc)
	w.put(0, uint(fill))
	return fill
}

// armour gives the payload character of six bits (IEC 61162-1, six-bit field).
func armour(v byte) byte {
	if v < 40 {
		return v + 48
	}
	return v + 56
}
