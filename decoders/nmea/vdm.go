package nmea

import "bytes"

// VDM is the envelope of one AIS sentence (VDM or VDO), as ITU-R M.1371 payloads
// travel in IEC 61162-1. Its Payload aliases the line.
type VDM struct {
	// Payload is the armoured six-bit payload of this sentence; it may be empty.
	Payload []byte
	// Talker is the two-letter talker id.
	Talker [2]byte
	// Own is true for VDO: the receiver's own ship.
	Own bool
	// Channel is 'A', 'B', '1', '2', …; 0 when the field is empty. It is never
	// taken over from another sentence.
	Channel byte
	// Total and Number: this is sentence Number (from 1) of Total (1..9).
	Total, Number int
	// Seq is the sequential message id, -1 when the field is empty.
	Seq int
	// Fill is the count of bits to leave out at the payload's end. The standard
	// says 0..5; real feeds say 6, which is taken.
	Fill int
}

// ParseVDM reads the fields of an AIS sentence's Body. An eighth field after the
// fill bits, which some chart plotters write, is ignored. Errors are of type
// Error.
func ParseVDM(body []byte) (VDM, error) {
	var v VDM
	if len(body) < 7 || body[3] != 'V' || body[4] != 'D' || body[6] != ',' ||
		body[5] != 'M' && body[5] != 'O' {
		return v, ErrNotVDM
	}
	v.Talker = [2]byte{body[1], body[2]}
	v.Own = body[5] == 'O'
	if v.usual(body[7:]) {
		return v, nil
	}
	return v, v.fields(body[7:])
}

// usual reads the fields after the address when they are written as nearly all
// are: one digit each for total, number and fill bits, one character at most for
// the others. It tells whether they are; if not, v is as it was.
func (v *VDM) usual(p []byte) bool {
	if len(p) < 8 || p[1] != ',' || p[3] != ',' {
		return false
	}
	total, number := int(p[0])-'0', int(p[2])-'0'
	if total < 1 || total > 9 || number < 1 || number > total {
		return false
	}
	seq, channel := -1, byte(0)
	if p = p[4:]; p[0] != ',' {
		if !isDigit(p[0]) || p[1] != ',' {
			return false
		}
		seq = int(p[0] - '0')
		p = p[1:]
	}
	if p = p[1:]; len(p) < 3 {
		return false
	}
	if p[0] != ',' {
		if p[1] != ',' {
			return false
		}
		channel = p[0]
		p = p[1:]
	}
	p = p[1:]
	end := len(p) - 2
	if end < 0 || p[end] != ',' || p[end+1] < '0' || p[end+1] > '6' || bytes.IndexByte(p[:end], ',') >= 0 {
		return false
	}
	v.Total, v.Number, v.Seq, v.Channel = total, number, seq, channel
	v.Payload, v.Fill = p[:end], int(p[end+1]-'0')
	return true
}

// fields reads the fields after the address, however they are written.
func (v *VDM) fields(rest []byte) error {
	var fields [7][]byte // the seventh is the one too many
	n := 0
	for more := true; more; n++ {
		if n == len(fields) {
			return ErrFields
		}
		end := bytes.IndexByte(rest, ',')
		if more = end >= 0; !more {
			end = len(rest)
		}
		fields[n] = rest[:end]
		rest = rest[min(end+1, len(rest)):]
	}
	if n < 6 {
		return ErrFields
	}
	if v.Total = number(fields[0]); v.Total < 1 || v.Total > 9 {
		return ErrTotal
	}
	if v.Number = number(fields[1]); v.Number < 1 || v.Number > v.Total {
		return ErrNumber
	}
	v.Seq = -1
	if len(fields[2]) > 0 {
		if v.Seq = number(fields[2]); v.Seq < 0 {
			return ErrSeq
		}
	}
	switch len(fields[3]) {
	case 0:
	case 1:
		v.Channel = fields[3][0]
	default:
		return ErrChannel
	}
	v.Payload = fields[4]
	if v.Fill = number(fields[5]); v.Fill < 0 || v.Fill > 6 {
		return ErrFill
	}
	return nil
}

// number reads one or two decimal digits; -1 for anything else.
func number(b []byte) int {
	switch {
	case len(b) == 1 && isDigit(b[0]):
		return int(b[0] - '0')
	case len(b) == 2 && isDigit(b[0]) && isDigit(b[1]):
		return int(b[0]-'0')*10 + int(b[1]-'0')
	}
	return -1
}
