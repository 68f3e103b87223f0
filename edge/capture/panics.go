package capture

import (
	"errors"

	"landfall/decoders/aistime"
	"landfall/decoders/nmea"
	"landfall/edge/record"
)

// A decoder that panics costs its line what it would have read of it, and nothing else:
// the line becomes a record with its bytes like any other, and a source that resends is
// told that it is taken, so that it does not bring it again and again.

// decoders are what reads the bytes of strangers; a test puts others there.
type decoders struct {
	split func(line []byte, dst []nmea.Sentence) []nmea.Sentence
	parse func(body []byte) (nmea.VDM, error)
	heard func(payload []byte, fill int) aistime.Heard
}

// errPanic says that a decoder panicked.
var errPanic = errors.New("a decoder panicked")

// split cuts a line into sentences; one that cannot be cut is one piece of text.
func (c *Capturer) split(s *Stream, line []byte) {
	defer func() {
		if what := recover(); what != nil {
			c.panicked(s, line, what)
			c.pieces = append(c.pieces[:0], nmea.Sentence{Kind: nmea.KindText, Raw: line})
		}
	}()
	c.pieces = c.decoders.split(line, c.pieces[:0])
}

// read reads what a sentence says of time, for m and the clock, and of an AIS sentence
// its fields. Errors: those of nmea.ParseVDM; errPanic, where m.own is not told.
func (c *Capturer) read(s *Stream, p *nmea.Sentence, m *meta) (v nmea.VDM, err error) {
	defer func() {
		if what := recover(); what != nil {
			c.panicked(s, p.Raw, what)
			m.own, err = stated{}, errPanic
		}
	}()
	m.own = c.ownTime(s, p)
	if c.cfg.Clock != nil {
		c.witness(s, p, m)
	}
	if p.Kind == nmea.KindVDM {
		v, err = c.decoders.parse(p.Body)
	}
	return v, err
}

// time reads what an AIS sentence that is a whole message says of time.
func (c *Capturer) time(s *Stream, p *nmea.Sentence, v *nmea.VDM, m *meta) {
	defer func() {
		if what := recover(); what != nil {
			c.panicked(s, p.Raw, what)
			m.flags |= record.FlagMalformed
		}
	}()
	m.timing = c.hear(s, p, v, m)
	c.unbias(s, m)
}

func (c *Capturer) panicked(s *Stream, line []byte, what any) {
	if c.cfg.OnPanic != nil {
		c.cfg.OnPanic(s.source, line, what)
	}
}
