package source

import "bytes"

// Splitter cuts one stream of bytes into lines. CR, LF or both end a line;
// empty lines are passed over; every other byte is kept, NULs and noise
// included. A line longer than MaxLineBytes is cut into pieces of that size.
// The lines do not depend on how the bytes were cut into chunks. The zero
// value is ready. It belongs to one goroutine.
type Splitter struct {
	pending []byte // the beginning of a line whose end has not come
	cut     bool   // pending continues a line of which a piece was given
}

// Feed takes the next chunk and calls emit for each line that it ends. A line
// is valid during the call only.
func (s *Splitter) Feed(chunk []byte, emit func(line []byte, truncated bool)) {
	lf := -1 // next LF at or after from; len(chunk) for none
	for from := 0; from < len(chunk); {
		if lf < from {
			if lf = bytes.IndexByte(chunk[from:], '\n'); lf < 0 {
				lf = len(chunk)
			} else {
				lf += from
			}
		}
		end := lf
		if cr := bytes.IndexByte(chunk[from:lf], '\r'); cr >= 0 {
			end = from + cr
		}
		if end == len(chunk) {
			s.hold(chunk[from:], emit)
			return
		}
		s.finish(chunk[from:end], emit)
		from = end + 1
	}
}

// Flush gives what is pending as a line, because no more will come of it;
// truncated says that it ended in the middle.
func (s *Splitter) Flush(truncated bool, emit func(line []byte, truncated bool)) {
	if len(s.pending) > 0 {
		emit(s.pending, truncated || s.cut)
	}
	s.pending, s.cut = s.pending[:0], false
}

// Pending is the number of bytes fed that are in no line yet.
func (s *Splitter) Pending() int { return len(s.pending) }

// Cut tells whether the next line continues one of which a piece was given;
// with the count of bytes fed less Pending it is all that Resume needs.
func (s *Splitter) Cut() bool { return s.cut }

// Resume makes s as it was when Cut was asked and its pending bytes are to be
// fed again.
func (s *Splitter) Resume(cut bool) { s.pending, s.cut = s.pending[:0], cut }

// hold keeps the beginning of a line and gives the pieces it is too long for.
func (s *Splitter) hold(p []byte, emit func([]byte, bool)) {
	for len(s.pending)+len(p) > MaxLineBytes {
		n := MaxLineBytes - len(s.pending)
		s.pending = append(s.pending, p[:n]...)
		emit(s.pending, true)
		s.pending, s.cut, p = s.pending[:0], true, p[n:]
	}
	s.pending = append(s.pending, p...)
}

// finish gives the line that ends with p.
func (s *Splitter) finish(p []byte, emit func([]byte, bool)) {
	if len(s.pending) == 0 && len(p) <= MaxLineBytes {
		if len(p) > 0 {
			emit(p, s.cut)
		}
		s.cut = false
		return
	}
	s.hold(p, emit)
	s.Flush(false, emit)
}
