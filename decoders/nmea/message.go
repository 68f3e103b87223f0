package nmea

import "bytes"

// Message is a whole AIS message read back from the lines of its sentences, in
// order of their number and joined by '\n': the form in which an assembled
// message is kept. It is reused from call to call and allocates only to grow.
type Message struct {
	// Payload is the armoured payload of all parts; Fill belongs to its end.
	// It aliases the lines, or the Message until the next Parse.
	Payload []byte
	Fill    int
	// First is the envelope of the first part.
	First VDM
	// Flags are those of all parts together.
	Flags Flags
	// Station is the TAG source of the first part that has one, else nil.
	Station []byte

	pieces []Sentence
	joined []byte
}

// Parse reads raw. Each line must hold one AIS sentence, and the lines must be
// parts 1 to n of one message. Errors are of type Error; the fields are then
// not to be used, except Flags.
func (m *Message) Parse(raw []byte) error {
	m.Flags, m.Station = 0, nil
	j := joiner{dst: m.joined[:0]}
	for number := 1; ; number++ {
		line, rest, more := bytes.Cut(raw, newline)
		m.pieces = Split(line, m.pieces[:0])
		s := &m.pieces[0]
		for _, p := range m.pieces {
			m.Flags |= p.Flags
		}
		v, err := ParseVDM(s.Body)
		switch {
		case err != nil:
			return err
		case len(m.pieces) != 1:
			return ErrNotVDM
		case v.Number != number || !more && v.Total != number:
			return ErrNumber
		case number == 1:
			m.First = v
		}
		if m.Station == nil && len(s.Tag) > 0 {
			m.Station = s.Station()
		}
		if number == 1 && !more {
			m.Payload, m.Fill = v.Payload, v.Fill
			return nil
		}
		j.add(v.Payload, v.Fill, !more)
		if !more {
			m.Payload, m.Fill, m.joined = j.dst, j.fill, j.dst
			return nil
		}
		raw = rest
	}
}

var newline = []byte{'\n'}
