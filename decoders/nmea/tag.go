package nmea

import (
	"bytes"
	"math"
)

// maxTag bounds how far a TAG block's closing backslash is looked for. NMEA
// 4.10 allows 80 bytes; real feeds with vendor keys go beyond.
const maxTag = 512

// tagEndAt returns the index after the TAG block that begins with the backslash
// at i, or 0 when none does: no closing backslash, no "key:value" or "xGy:",
// or a sentence begins inside.
func tagEndAt(line []byte, i int) int {
	inside := line[i+1 : min(len(line), i+maxTag)]
	n := bytes.IndexByte(inside, '\\')
	if n < 0 || bytes.IndexByte(inside[:n], ':') < 0 {
		return 0
	}
	for j, c := range inside[:n] {
		if (c == '!' || c == '$') && addressEnd(line, i+1+j) > 0 {
			return 0
		}
	}
	return i + 1 + n + 1
}

// tagChecksumsOK tells whether each of the adjoining TAG blocks ends in a right
// *hh: the XOR of all between the opening backslash and '*'.
func tagChecksumsOK(tag []byte) bool {
	for len(tag) > 0 {
		var block []byte
		block, tag = cutBlock(tag)
		n := len(block)
		if n < 3 || block[n-3] != '*' || !isHex(block[n-2]) || !isHex(block[n-1]) {
			return false
		}
		if xor(block[:n-3]) != unhex(block[n-2])<<4|unhex(block[n-1]) {
			return false
		}
	}
	return true
}

// cutBlock returns the inside of the first TAG block and what follows it.
func cutBlock(tag []byte) (block, rest []byte) {
	tag = tag[1:]
	if i := bytes.IndexByte(tag, '\\'); i >= 0 {
		return tag[:i], tag[i+1:]
	}
	return tag, nil
}

// TagIter walks the fields of the TAG blocks of one sentence.
type TagIter struct {
	tag, block []byte
	key, value []byte
}

// TagFields returns an iterator over the TAG fields in order, those of all
// adjoining blocks, known keys and vendors' alike. Fields are split on commas,
// then on the first colon, so a value may hold colons.
func (s *Sentence) TagFields() TagIter { return TagIter{tag: s.Tag} }

// Next steps to the next field and tells whether there is one.
func (t *TagIter) Next() bool {
	for len(t.block) == 0 {
		if len(t.tag) == 0 {
			return false
		}
		t.block, t.tag = cutBlock(t.tag)
		for i := len(t.block) - 1; i >= 0 && i >= len(t.block)-3; i-- {
			if t.block[i] == '*' {
				t.block = t.block[:i]
				break
			}
		}
	}
	field := t.block
	t.block = nil
	for i, c := range field {
		if c == ',' {
			field, t.block = field[:i], field[i+1:]
			break
		}
	}
	t.key, t.value = field, nil
	for i, c := range field {
		if c == ':' {
			t.key, t.value = field[:i], field[i+1:]
			break
		}
	}
	return true
}

// Key returns the current field's key; it aliases the line.
func (t *TagIter) Key() []byte { return t.key }

// Value returns the current field's value; it aliases the line.
func (t *TagIter) Value() []byte { return t.value }

// TagField returns the value of the first field with the one-letter key.
func (s *Sentence) TagField(key byte) (value []byte, ok bool) {
	for it := s.TagFields(); it.Next(); {
		if len(it.key) == 1 && it.key[0] == key {
			return it.value, true
		}
	}
	return nil, false
}

// Station returns the TAG source (s:), nil when absent; it aliases the line.
func (s *Sentence) Station() []byte {
	v, _ := s.TagField('s')
	return v
}

// TagTime returns the TAG time (c:) in microseconds since 1970 UTC. The unit is
// told by magnitude: below 1e11 seconds (until the year 5138), below 1e14
// milliseconds, above microseconds; a fraction is kept to the microsecond.
// The value is what the sender wrote: nobody has judged it yet.
func (s *Sentence) TagTime() (micros int64, ok bool) {
	v, ok := s.TagField('c')
	if !ok {
		return 0, false
	}
	return parseUnix(v)
}

func parseUnix(v []byte) (micros int64, ok bool) {
	var whole, fraction int64
	i := 0
	for ; i < len(v) && v[i] != '.'; i++ {
		if v[i] < '0' || v[i] > '9' || whole > math.MaxInt64/100 {
			return 0, false
		}
		whole = whole*10 + int64(v[i]-'0')
	}
	if i == 0 {
		return 0, false
	}
	digits := 0 // of fraction, at most 6
	for i++; i < len(v); i++ {
		if v[i] < '0' || v[i] > '9' {
			return 0, false
		}
		if digits < 6 {
			fraction = fraction*10 + int64(v[i]-'0')
			digits++
		}
	}
	for ; digits < 6; digits++ {
		fraction *= 10
	}
	switch {
	case whole < 1e11:
		return whole*1e6 + fraction, true
	case whole < 1e14:
		return whole*1e3 + fraction/1e3, true
	default:
		return whole, true
	}
}

// TagGroup is a sentence's place in a group of sentences: its number of total,
// and the group's id.
type TagGroup struct {
	Number, Total int
	ID            uint32
}

// Group returns the TAG group, from "g:number-total-id" or the "xGy:id" of
// IEC 62320-1. An id that is no number is hashed into one.
func (s *Sentence) Group() (g TagGroup, ok bool) {
	for it := s.TagFields(); it.Next(); {
		k := it.key
		switch {
		case len(k) == 1 && k[0] == 'g':
			v := it.value
			if len(v) >= 5 && isDigit(v[0]) && v[1] == '-' && isDigit(v[2]) && v[3] == '-' {
				return TagGroup{int(v[0] - '0'), int(v[2] - '0'), groupID(v[4:])}, true
			}
		case len(k) == 3 && isDigit(k[0]) && k[1] == 'G' && isDigit(k[2]) && len(it.value) > 0:
			return TagGroup{int(k[0] - '0'), int(k[2] - '0'), groupID(it.value)}, true
		}
	}
	return TagGroup{}, false
}

// groupID: decimal digits give their number, anything else an FNV-1a hash.
func groupID(v []byte) uint32 {
	n, digits := uint32(0), len(v) <= 9
	for _, c := range v {
		digits = digits && isDigit(c)
		n = n*10 + uint32(c-'0')
	}
	if digits {
		return n
	}
	return hash32(v)
}

// hash32 is FNV-1a.
func hash32(v []byte) uint32 {
	h := uint32(2166136261)
	for _, c := range v {
		h = (h ^ uint32(c)) * 16777619
	}
	return h
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
