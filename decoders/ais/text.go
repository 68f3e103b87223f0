package ais

import "strings"

// maxText is the longest text of a fixed length: the name of an aid to
// navigation, 20 characters, with its extension of 14 (type 21).
const maxText = 34

// maxNames is how many different texts a names remembers before it forgets
// them all: senders choose texts.
const maxNames = 1 << 14

// names gives equal texts one shared string: a ship sends the same name every
// six minutes.
type names map[string]string

func (n *names) of(b []byte) string {
	if s, ok := (*n)[string(b)]; ok {
		return s
	}
	if *n == nil || len(*n) >= maxNames {
		*n = names{}
	}
	s := string(b)
	(*n)[s] = s
	return s
}

// text reads count characters of six-bit ASCII (ITU-R M.1371-5, annex 8, table
// 47) from offset: up to the first '@', without trailing spaces. Empty is
// nothing.
func (r *Rows) text(b *bits, offset, count int) Opt[string] {
	var buf [maxText]byte
	return r.trimmed(sixbitText(buf[:0], b, offset, count))
}

// sixbitText appends count characters from offset to dst, up to the first '@'.
func sixbitText(dst []byte, b *bits, offset, count int) []byte {
	for ; count > 0; count-- {
		v := byte(b.uint(offset, 6))
		if v == 0 {
			break
		}
		if v < 32 {
			v += 64
		}
		dst = append(dst, v)
		offset += 6
	}
	return dst
}

// trimmed makes a column of a text: trailing spaces off, empty is nothing.
func (r *Rows) trimmed(p []byte) Opt[string] {
	for len(p) > 0 && p[len(p)-1] == ' ' {
		p = p[:len(p)-1]
	}
	if len(p) == 0 {
		return Opt[string]{}
	}
	return Some(r.names.of(p))
}

// cut makes a column of a text that go-ais read: it cuts at the first '@' and
// drops trailing spaces; empty is nothing.
func cut(s string) Opt[string] {
	if i := strings.IndexByte(s, '@'); i >= 0 {
		s = s[:i]
	}
	s = strings.TrimRight(s, " ")
	return optional(s, s != "")
}
