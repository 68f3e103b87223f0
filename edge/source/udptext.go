package source

import "bytes"

// beginsSentence tells whether a datagram begins a new sentence although its
// sender's last one ended without a line end: it opens with a start character
// (or a TAG block) and the line before it has its sentence already.
func beginsSentence(pending, datagram []byte) bool {
	if len(datagram) == 0 {
		return false
	}
	switch datagram[0] {
	case '!', '$':
		return bytes.ContainsAny(pending, "!$")
	case '\\':
		return hasChecksum(pending)
	}
	return false
}

// hasChecksum tells whether p holds a sentence and the checksum after it.
func hasChecksum(p []byte) bool {
	start, star := bytes.LastIndexAny(p, "!$"), bytes.LastIndexByte(p, '*')
	return start >= 0 && star > start && star+2 < len(p) && isHex(p[star+1]) && isHex(p[star+2])
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'F' || 'a' <= c && c <= 'f'
}
