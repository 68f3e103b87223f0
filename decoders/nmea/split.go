package nmea

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// Kind is what a piece of a line is.
type Kind uint8

// The kinds of piece.
const (
	// KindText is a line, or what remains of one, without a sentence: a
	// comment, noise, an empty line, or a TAG block alone (then Tag is set).
	KindText Kind = iota
	// KindVDM is an AIS sentence: formatter VDM (received) or VDO (own ship).
	KindVDM
	// KindOther is any other sentence.
	KindOther
)

// Sentence is one piece of a line. Its slices alias the line; no slice is
// longer than Raw. In order, Raw holds: prefix and TAG blocks, body, checksum,
// suffix.
type Sentence struct {
	// Raw is the whole piece as received.
	Raw []byte
	// Prefix is the text before the body that is no TAG block, a UdPbC header
	// included; when text stands both before and after a TAG block, the former.
	Prefix []byte
	// Tag is the TAG block or adjoining TAG blocks, with their backslashes.
	Tag []byte
	// Body runs from '!' or '$' to before '*' (or to the end, without one).
	Body []byte
	// Suffix is what follows the checksum.
	Suffix []byte
	// Talker is the talker id: "AI", or "P" of a proprietary sentence.
	Talker []byte
	// Formatter is the rest of the address: "VDM", "GGA".
	Formatter []byte
	// Kind says which of the parts above are set.
	Kind Kind
	// Flags says what is unusual.
	Flags Flags
}

const udpbc = "UdPbC\x00"

// Split appends the pieces of one text line (without CR LF) to dst. It gives at
// least one piece, except for an empty line, which gives one empty text piece
// too. Text between two sentences belongs to the first when it begins with a
// comma (metadata after a checksum), else to the second.
func Split(line []byte, dst []Sentence) []Sentence {
	first := len(dst)
	begin, after := 0, 0 // of the piece being built: its start, the end of its checksum
	for {
		tag, tagEnd, body, address := findSentence(line, after)
		if body < 0 {
			break
		}
		if n := len(dst); n > first {
			next := after
			if line[after] == ',' {
				next = body
				if tag >= 0 {
					next = tag
				}
			}
			dst[n-1].close(line, begin, after, next)
			begin = next
		}
		dst = append(dst, Sentence{})
		after = dst[len(dst)-1].open(line, begin, tag, tagEnd, body, address)
	}
	if n := len(dst); n > first {
		dst[n-1].close(line, begin, after, len(line))
		return dst
	}
	return append(dst, textPiece(line))
}

// textPiece is the piece of a line without a sentence.
func textPiece(line []byte) Sentence {
	s := Sentence{Raw: line}
	for i := 0; i < len(line); i++ {
		if line[i] != '\\' {
			continue
		}
		if end := tagEndAt(line, i); end > 0 {
			s.setTag(line, i, end)
			break
		}
	}
	return s
}

// open sets the parts of s up to its checksum and returns the index after it.
func (s *Sentence) open(line []byte, begin, tag, tagEnd, body, address int) int {
	if tag >= 0 {
		s.setTag(line, tag, tagEnd)
		s.Prefix = line[begin:tag]
		if len(s.Prefix) == 0 {
			s.Prefix = line[tagEnd:body]
		}
		s.flagPrefix(line[begin:tag])
		s.flagPrefix(line[tagEnd:body])
	} else {
		s.Prefix = line[begin:body]
		s.flagPrefix(s.Prefix)
	}
	s.setAddress(line[body+1 : address])
	end, sum := endOfBody(line, body, address)
	s.Body = line[body:end]
	if end == len(line) || line[end] != '*' {
		s.Flags |= FlagNoChecksum
		if end < len(line) {
			s.Flags |= FlagTruncated
		}
		for end > address && isSpace(line[end-1]) {
			end--
		}
		s.Body = line[body:end]
		return end
	}
	if end+2 >= len(line) || !isHex(line[end+1]) || !isHex(line[end+2]) {
		s.Flags |= FlagBadChecksum
		return end + 1
	}
	if sum != unhex(line[end+1])<<4|unhex(line[end+2]) {
		s.Flags |= FlagBadChecksum
	}
	return end + 3
}

// close ends the piece s at end: what follows its checksum is the suffix.
func (s *Sentence) close(line []byte, begin, after, end int) {
	s.Raw = line[begin:end]
	s.Suffix = line[after:end]
	for _, c := range s.Suffix {
		if !isSpace(c) {
			s.Flags |= FlagSuffix
			return
		}
	}
}

func (s *Sentence) flagPrefix(p []byte) {
	if len(p) >= len(udpbc) && string(p[:len(udpbc)]) == udpbc {
		s.Flags |= FlagUdPbC
		p = p[len(udpbc):]
	}
	for _, c := range p {
		if !isSpace(c) {
			s.Flags |= FlagPrefix
			return
		}
	}
}

func (s *Sentence) setTag(line []byte, from, to int) {
	s.Tag = line[from:to]
	if !tagChecksumsOK(s.Tag) {
		s.Flags |= FlagBadTagChecksum
	}
}

func (s *Sentence) setAddress(a []byte) {
	s.Kind = KindOther
	if a[0] == 'P' {
		s.Talker, s.Formatter = a[:1], a[1:]
		return
	}
	s.Talker, s.Formatter = a[:2], a[2:]
	if len(a) != 5 {
		s.Flags |= FlagMalformed
		return
	}
	if a[2] == 'V' && a[3] == 'D' && (a[4] == 'M' || a[4] == 'O') {
		s.Kind = KindVDM
		if !knownAISTalker(a[0], a[1]) {
			s.Flags |= FlagUnknownTalker
		}
	}
}

// findSentence finds the next sentence at or after from: its TAG blocks [tag,
// tagEnd) or tag -1, its start character, and the index after its address.
// body is -1 when there is none.
func findSentence(line []byte, from int) (tag, tagEnd, body, address int) {
	tag = -1
	for i := from; i < len(line); i++ {
		switch line[i] {
		case '\\':
			if end := tagEndAt(line, i); end > 0 {
				if tag < 0 || tagEnd != i {
					tag = i
				}
				tagEnd = end
				i = end - 1
			}
		case '!', '$':
			if end := addressEnd(line, i); end > 0 {
				return tag, tagEnd, i, end
			}
		}
	}
	return -1, -1, -1, -1
}

// addressEnd returns the index of the comma or '*' after the address of a
// sentence that begins at i, or 0 when none begins there.
func addressEnd(line []byte, i int) int {
	for j := i + 1; j < len(line) && j < i+12; j++ {
		c := line[j]
		switch {
		case c >= 'A' && c <= 'Z' || c >= '0' && c <= '9':
		case (c == ',' || c == '*') && j-i > 3:
			return j
		default:
			return 0
		}
	}
	return 0
}

// endOfBody finds the end of the body that begins at body, given the index
// after its address, and its checksum: the XOR of all between the start
// character and '*'. A body without '*' ends where a sentence or TAG block
// begins, or with the line.
func endOfBody(line []byte, body, address int) (end int, sum byte) {
	if end, sum = firstSpecial(line[body+1:]); end >= 0 && line[body+1+end] == '*' {
		return body + 1 + end, sum
	}
	end = len(line)
	if n := bytes.IndexByte(line[address:], '*'); n >= 0 {
		end = address + n
	}
	for i := address; i < end; i++ {
		c := line[i]
		if c == '\\' && tagEndAt(line, i) > 0 || (c == '!' || c == '$') && addressEnd(line, i) > 0 {
			end = i
		}
	}
	return end, xor(line[body+1 : end])
}

// firstSpecial gives the index of the first byte that is '\\' or at most '*',
// which '!' and '$' are too, and the XOR of what stands before it; -1 for none.
// It looks at eight bytes at a time: subtracting c from each byte of a word sets
// the highest bit of those below c, exactly so up to the first of them.
func firstSpecial(p []byte) (at int, sum byte) {
	const (
		ones  = 0x0101010101010101
		highs = 0x80 * ones
	)
	var folded uint64
	i := 0
	for ; i+8 <= len(p); i += 8 {
		w := binary.LittleEndian.Uint64(p[i:])
		slash := w ^ '\\'*ones
		found := ((w-('*'+1)*ones)&^w | (slash-ones)&^slash) & highs
		if found != 0 {
			n := bits.TrailingZeros64(found) &^ 7
			return i + n/8, fold(folded ^ w&(1<<n-1))
		}
		folded ^= w
	}
	sum = fold(folded)
	for ; i < len(p); i++ {
		if c := p[i]; c <= '*' || c == '\\' {
			return i, sum
		}
		sum ^= p[i]
	}
	return -1, sum
}

// fold is the XOR of the bytes of a word.
func fold(w uint64) byte {
	w ^= w >> 32
	w ^= w >> 16
	return byte(w ^ w>>8)
}

// xor folds bytes together, eight at a time.
func xor(b []byte) byte {
	var words uint64
	for ; len(b) >= 8; b = b[8:] {
		words ^= binary.LittleEndian.Uint64(b)
	}
	sum := fold(words)
	for _, c := range b {
		sum ^= c
	}
	return sum
}

// knownAISTalker: the talkers of AIS equipment in NMEA 0183 v4.10 and
// IEC 61162-1, with the retired BS and SA that shore systems still use.
func knownAISTalker(a, b byte) bool {
	switch a {
	case 'A':
		switch b {
		case 'B', 'D', 'I', 'N', 'R', 'S', 'T', 'X':
			return true
		}
	case 'B':
		return b == 'S'
	case 'S':
		return b == 'A'
	}
	return false
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == 0 }

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'F' || c >= 'a' && c <= 'f'
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	default:
		return c - 'a' + 10
	}
}
