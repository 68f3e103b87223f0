package aissim

import "strconv"

// noise appends a line that is no AIS sentence, or a damaged one. l is the
// sentence before it.
func (o *output) noise(b []byte, l *Line) []byte {
	switch o.rand.IntN(6) {
	case 0: // a comment
		b = append(b, "# sim receiver restarted, run "...)
		return strconv.AppendUint(b, o.rand.Uint64(), 36)
	case 1: // line noise
		for range 1 + o.rand.IntN(60) {
			b = append(b, byte(1+o.rand.IntN(9))<<4|byte(o.rand.IntN(16)))
		}
		for i, c := range b {
			if c == '\n' || c == '\r' {
				b[i] = '~'
			}
		}
		return b
	case 2: // another sentence
		b = append(b, '$')
		from := len(b)
		b = append(b, "GPTXT,01,01,02,SIM UPTIME "...)
		b = strconv.AppendUint(b, o.rand.Uint64N(1e9), 10)
		return checksum(b, from)
	case 3: // a sentence cut off
		b = o.sentence(b, l, &o.cfg.Receivers[l.Receiver])
		return b[:len(b)-4-o.rand.IntN(20)]
	case 4: // one with a changed character: the checksum tells
		b = o.sentence(b, l, &o.cfg.Receivers[l.Receiver])
		b[len(b)-6] ^= 1
		return b
	default: // the checksum itself wrong
		b = o.sentence(b, l, &o.cfg.Receivers[l.Receiver])
		if b[len(b)-1]++; b[len(b)-1] == '9'+1 || b[len(b)-1] == 'F'+1 {
			b[len(b)-1] = '0'
		}
		return b
	}
}
