package clock

import (
	"bytes"
	"time"

	"landfall/edge/record"
)

// Fix keeps, of one source, whether its GNSS receiver has a fix, which not every
// sentence says itself.
type Fix struct {
	at    int64 // monotonic time of the last sentence that said so
	valid bool
	heard bool
}

// fixLasts is how long a word about the fix counts for sentences without one.
const fixLasts = 5 * sec

// Read takes the body of a sentence of IEC 61162-1, between start delimiter and
// checksum, and gives the time it tells. ZDA and RMC tell a date: an RMC that
// says V, or a ZDA without a word of a fix in the last seconds, tells nothing,
// for it may be a clock without battery. GGA, GLL and GNS tell the time of day
// only: whoever guesses a date for them jumps a day at midnight.
func (f *Fix) Read(body []byte, mono int64) (Kind, record.Micros, bool) {
	if len(body) < 7 || body[6] != ',' || body[1] == 'P' { // $ttfff, two letters talker; P is proprietary
		return 0, 0, false
	}
	switch string(body[3:6]) {
	case "RMC", "ZDA", "GGA", "GNS", "GLL":
	default:
		return 0, 0, false
	}
	var fields [13][]byte
	if n := split(body, fields[:]); n < 5 {
		return 0, 0, false
	}
	switch string(body[3:6]) {
	case "RMC": // time, status, lat, N, lon, E, sog, cog, date ddmmyy, variation, E, mode
		valid := is(fields[2], "A") && (len(fields[12]) == 0 || is(fields[12], "ADFPR"))
		return f.dated(f.status(mono, valid), fields[1], rmcDate(fields[9]))
	case "ZDA": // time, dd, mm, yyyy
		return f.dated(f.heard && f.valid && mono-f.at <= fixLasts, fields[1], zdaDate(fields[2], fields[3], fields[4]))
	case "GGA": // time, lat, N, lon, E, quality: 0 none, 6 estimated, 7 manual, 8 simulator
		return f.daytime(f.status(mono, is(fields[6], "123459")), fields[1])
	case "GNS": // time, lat, N, lon, E, a mode for each system: N none, E, M, S as above
		return f.daytime(f.status(mono, bytes.ContainsAny(fields[6], "ADFPR")), fields[1])
	case "GLL": // lat, N, lon, E, time, status
		return f.daytime(f.status(mono, is(fields[6], "A")), fields[5])
	}
	return 0, 0, false
}

// is tells whether a field is one of the letters.
func is(field []byte, letters string) bool {
	return len(field) == 1 && bytes.IndexByte([]byte(letters), field[0]) >= 0
}

func (f *Fix) status(mono int64, valid bool) bool {
	f.at, f.valid, f.heard = mono, valid, true
	return valid
}

func (f *Fix) dated(valid bool, clock []byte, date int64) (Kind, record.Micros, bool) {
	t, ok := daytime(clock)
	if !valid || !ok || date < 0 {
		return 0, 0, false
	}
	return KindGNSS, record.Micros(date + t), true
}

func (f *Fix) daytime(valid bool, clock []byte) (Kind, record.Micros, bool) {
	t, ok := daytime(clock)
	return KindDaytime, record.Micros(t), valid && ok
}

// split gives the fields between commas, the address first.
func split(body []byte, to [][]byte) int {
	for i := range to {
		field, rest, more := bytes.Cut(body, []byte{','})
		to[i] = field
		if !more {
			return i + 1
		}
		body = rest
	}
	return len(to)
}

// daytime reads hhmmss[.s…], as microseconds of the day.
func daytime(p []byte) (int64, bool) {
	if len(p) < 6 || len(p) > 6 && p[6] != '.' {
		return 0, false
	}
	h, m, s := digits(p[:2]), digits(p[2:4]), digits(p[4:6])
	if h < 0 || h > 23 || m < 0 || m > 59 || s < 0 || s > 59 {
		return 0, false
	}
	t := (h*60+m)*minute + s*sec
	unit := sec
	for i := 7; i < len(p) && i < 13; i++ {
		d := digits(p[i : i+1])
		if d < 0 {
			return 0, false
		}
		unit /= 10
		t += d * unit
	}
	return t, true
}

// rmcDate reads ddmmyy, as microseconds since 1970, -1: none. Of two digits of
// the year 80 to 99 are of the last century, before which there was no GPS.
func rmcDate(p []byte) int64 {
	if len(p) != 6 {
		return -1
	}
	year := digits(p[4:6])
	if year >= 80 {
		year -= 100
	}
	return dateOf(digits(p[:2]), digits(p[2:4]), 2000+year)
}

func zdaDate(d, m, y []byte) int64 {
	if len(d) != 2 || len(m) != 2 || len(y) != 4 {
		return -1
	}
	return dateOf(digits(d), digits(m), digits(y))
}

func dateOf(d, m, y int64) int64 {
	if d < 1 || d > 31 || m < 1 || m > 12 || y < 1980 || y > 2100 {
		return -1
	}
	t := time.Date(int(y), time.Month(m), int(d), 0, 0, 0, 0, time.UTC)
	if t.Day() != int(d) {
		return -1
	}
	return t.UnixMicro()
}

// digits reads decimal digits, -1 for anything else.
func digits(p []byte) int64 {
	v := int64(0)
	for _, c := range p {
		if c < '0' || c > '9' {
			return -1
		}
		v = 10*v + int64(c-'0')
	}
	return v
}
