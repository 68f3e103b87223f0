package nmea

import (
	"bytes"
	"time"
)

// Metadata is what a shore network wrote after a sentence's checksum. The U.S.
// Coast Guard's network (N-AIS) writes, comma-separated and each optional:
// d<dBm>, S<slot>, t<hhmmss.ss>, T<second of arrival in its minute>, r<station>
// and the Unix time of the message; others write a Unix time alone, in seconds
// or milliseconds. What is not there, or cannot be read, is left at its zero.
// None of it is covered by a checksum, and nobody has judged it yet.
type Metadata struct {
	// Time is when the message arrived, in microseconds since 1970 UTC: the
	// Unix time, moved by less than half a minute to the second T when there is
	// one; good when HasTime.
	Time    int64
	HasTime bool
	// Station is the name of the receiving station, without the r; nil: none.
	// It aliases the line.
	Station []byte
	// Slot is the TDMA slot of arrival, 0..2249, good when HasSlot.
	Slot    int
	HasSlot bool
	// Signal is the signal strength in dBm, good when HasSignal.
	Signal    int
	HasSignal bool
}

// Metadata reads the Suffix.
func (s *Sentence) Metadata() (m Metadata) {
	if s.Flags&FlagSuffix == 0 {
		return m
	}
	arrival, hasArrival := int64(0), false // microseconds within the minute
	for rest := s.Suffix; len(rest) > 0; {
		var f []byte
		if i := bytes.IndexByte(rest, ','); i >= 0 {
			f, rest = rest[:i], rest[i+1:]
		} else {
			f, rest = rest, nil
		}
		if f = bytes.TrimSpace(f); len(f) < 2 {
			continue
		}
		switch f[0] {
		case 'r':
			m.Station = f[1:]
		case 'T':
			arrival, hasArrival = parseDecimal(f[1:])
			hasArrival = hasArrival && arrival < minute
		case 'S':
			if n, ok := parseDecimal(f[1:]); ok && n < 2250e6 && len(f) <= 5 {
				m.Slot, m.HasSlot = int(n/1e6), true
			}
		case 'd':
			if n, ok := parseDecimal(bytes.TrimPrefix(f[1:], []byte("-"))); ok && n < 1000e6 {
				if m.Signal, m.HasSignal = int(n/1e6), true; f[1] == '-' {
					m.Signal = -m.Signal
				}
			}
		default:
			if t, ok := unixStamp(f); ok && !m.HasTime {
				m.Time, m.HasTime = t, true
			}
		}
	}
	if m.HasTime && hasArrival {
		t := m.Time/minute*minute + arrival
		switch {
		case t-m.Time > minute/2:
			t -= minute
		case m.Time-t > minute/2:
			t += minute
		}
		m.Time = t
	}
	return m
}

const minute = 60_000_000 // microseconds

// PrefixTime reads a Unix time that stands before the sentence, with a blank or
// a colon after it, as recorders write it: microseconds since 1970 UTC.
func (s *Sentence) PrefixTime() (micros int64, ok bool) {
	if s.Flags&FlagPrefix == 0 {
		return 0, false
	}
	p := bytes.TrimSpace(bytes.TrimPrefix(s.Prefix, []byte(udpbc)))
	if n := len(p); n > 0 && (p[n-1] == ':' || p[n-1] == ',') {
		p = p[:n-1]
	}
	return unixStamp(p)
}

// unixStamp reads a Unix time of at least nine digits before the point: after
// March 1973, told from a count or a number of a station by its length.
func unixStamp(p []byte) (micros int64, ok bool) {
	digits := bytes.IndexByte(p, '.')
	if digits < 0 {
		digits = len(p)
	}
	if digits < 9 {
		return 0, false
	}
	return parseUnix(p)
}

// parseDecimal reads an unsigned decimal in millionths.
func parseDecimal(p []byte) (millionths int64, ok bool) {
	whole := p
	if i := bytes.IndexByte(p, '.'); i >= 0 {
		whole = p[:i]
	}
	if len(whole) == 0 || len(whole) > 9 {
		return 0, false
	}
	// Below 1e11 parseUnix takes a number for seconds.
	return parseUnix(p)
}

// PGHP is the proprietary sentence that shore networks of Gatehouse write before
// an AIS sentence:
//
//	$PGHP,1,year,month,day,hour,minute,second,millisecond,country,region,station,online,sum*hh
//
// country and station are MMSI numbers of the shore station's country and of the
// station, sum is the checksum of the AIS sentence that follows; of a message of
// several sentences it is the XOR of theirs.
type PGHP struct {
	Time    int64  // when the message was received, microseconds since 1970 UTC; not judged yet
	Station []byte // aliases the line; nil: none
	Sum     byte
	HasSum  bool
}

// PGHP reads a $PGHP sentence of type 1 whose checksum is right and whose date
// there is.
func (s *Sentence) PGHP() (p PGHP, ok bool) {
	if s.Kind != KindOther || string(s.Formatter) != "GHP" || s.Talker[0] != 'P' || s.Flags&(FlagBadChecksum|FlagNoChecksum) != 0 {
		return p, false
	}
	var numbers [8]int // type, year to millisecond
	rest := s.Body
	for i := -1; i < 13; i++ {
		if rest == nil {
			return p, i > 7 && p.Time > 0
		}
		var f []byte
		if j := bytes.IndexByte(rest, ','); j >= 0 {
			f, rest = rest[:j], rest[j+1:]
		} else {
			f, rest = rest, nil
		}
		switch {
		case i < 0:
		case i < 8:
			n, digits := parseDecimal(f)
			if !digits || len(f) > 4 {
				return PGHP{}, false
			}
			if numbers[i] = int(n / 1e6); i == 7 && !p.setTime(&numbers) {
				return PGHP{}, false
			}
		case i == 10 && len(f) > 0:
			p.Station = f
		case i == 12 && len(f) == 2 && isHex(f[0]) && isHex(f[1]):
			p.Sum, p.HasSum = unhex(f[0])<<4|unhex(f[1]), true
		}
	}
	return p, true
}

func (p *PGHP) setTime(n *[8]int) bool {
	year, month, day, hour, min, sec, ms := n[1], n[2], n[3], n[4], n[5], n[6], n[7]
	t := time.Date(year, time.Month(month), day, hour, min, sec, ms*1e6, time.UTC)
	if n[0] != 1 || year < 1970 || t.Year() != year || int(t.Month()) != month || t.Day() != day || hour > 23 || min > 59 || sec > 59 || ms > 999 {
		return false
	}
	p.Time = t.UnixMicro()
	return true
}

// Sum is the checksum that the sentence states; false when it states none.
func (s *Sentence) Sum() (sum byte, ok bool) {
	end := len(s.Raw) - len(s.Suffix)
	if len(s.Body) == 0 || s.Flags&FlagNoChecksum != 0 || end < 3 {
		return 0, false
	}
	p := s.Raw[end-3 : end]
	if p[0] != '*' || !isHex(p[1]) || !isHex(p[2]) {
		return 0, false
	}
	return unhex(p[1])<<4 | unhex(p[2]), true
}
