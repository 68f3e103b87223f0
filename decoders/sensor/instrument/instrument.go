// Package instrument makes sensor readings of the sentences that ships'
// instruments send on an NMEA 0183 bus (IEC 61162-1): wind, depth, water,
// heading, motion, engine and other transducers (XDR), GNSS. go-nmea reads the
// fields; this package says which of them are readings, and under which name and
// unit.
//
// In:  the body of one sentence whose checksum was found good.
// Out: readings; or a reason, as an Error.
//
// Invariants
//
//  1. A field that is empty gives no reading: not available is not zero.
//  2. What a sentence itself calls invalid is a reading of quality bad, what it
//     calls estimated, manual or simulated one of quality uncertain.
//  3. A sentence's own time is not taken: a receiver without a fix, or after a
//     rollover of its weeks, states wrong ones. When it was is for the record's
//     event time to say.
//
// The sensor is the talker, and for a numbered or named thing behind it
// <talker>/<name>. A Decoder belongs to one goroutine.
package instrument

import (
	"errors"
	"math"
	"slices"

	"github.com/adrianmo/go-nmea"

	"landfall/decoders/sensor"
)

// Error is why a sentence gives no readings.
type Error struct{ reason string }

// Error implements error.
func (e *Error) Error() string { return e.reason }

// Reason gives the stable word used as a record's reject reason.
func (e *Error) Reason() string { return e.reason }

// Why a sentence gives no readings.
var (
	ErrUnknown = &Error{"no_decoder"}        // a sentence from which no readings are made
	ErrFields  = &Error{"instrument_fields"} // its fields are not what its format says
	ErrEmpty   = &Error{"instrument_empty"}  // every field that would be a reading is empty
)

// Decoder reads sentences. The zero value is ready.
type Decoder struct {
	parser nmea.SentenceParser
	rows   rows
}

// Decode appends the readings of a sentence, from its '$' to before its '*', to
// dst. Errors: of type Error; dst is then given back as it was.
func (d *Decoder) Decode(body []byte, dst []sensor.Reading) ([]sensor.Reading, error) {
	d.rows = rows{dst: dst}
	d.parser.CheckCRC = func(nmea.BaseSentence, string) error { return nil }
	d.parser.OnBaseSentence = d.rows.base
	s, err := d.parser.Parse(string(body))
	switch {
	case errors.Is(err, ErrUnknown):
		return dst, ErrUnknown
	case err != nil || !d.rows.take(s):
		return dst, ErrFields
	case len(d.rows.dst) == len(dst):
		return dst, ErrEmpty
	}
	return d.rows.dst, nil
}

// known are the formatters from which readings are made. go-nmea is shown no
// other: it panics on some sentences with too few fields (ALC).
var known = map[string]bool{
	nmea.TypeMWV: true, nmea.TypeMWD: true, nmea.TypeVWR: true, nmea.TypeVWT: true, nmea.TypeMDA: true,
	nmea.TypeDBT: true, nmea.TypeDBS: true, nmea.TypeDBK: true, nmea.TypeDPT: true, nmea.TypeMTW: true, nmea.TypeVHW: true, nmea.TypeVBW: true, nmea.TypeVLW: true,
	nmea.TypeHDT: true, nmea.TypeHDM: true, nmea.TypeHDG: true, nmea.TypeTHS: true, nmea.TypeROT: true,
	nmea.TypeRPM: true, nmea.TypeRSA: true, nmea.TypeXDR: true,
	nmea.TypeRMC: true, nmea.TypeGGA: true, nmea.TypeGLL: true, nmea.TypeGNS: true, nmea.TypeVTG: true, nmea.TypeGSA: true, nmea.TypeGSV: true,
}

// rows gathers the readings of one sentence.
type rows struct {
	dst     []sensor.Reading
	sensor  string
	fields  []string // as sent
	quality sensor.Quality
}

// base takes the fields as sent, and gives go-nmea the quality of an estimated
// fix for those of a manual and a simulated one, which it does not know.
func (r *rows) base(s *nmea.BaseSentence) error {
	if !known[s.Type] {
		return ErrUnknown
	}
	r.sensor, r.fields, r.quality = s.Talker, s.Fields, sensor.QualityGood
	if s.Type == nmea.TypeGGA && len(s.Fields) > 5 && (s.Fields[5] == "7" || s.Fields[5] == "8") {
		s.Fields = slices.Clone(s.Fields)
		s.Fields[5] = nmea.EST
	}
	return nil
}

// has says whether a field was sent.
func (r *rows) has(field int) bool { return field < len(r.fields) && r.fields[field] != "" }

// number adds a reading of a field, when it was sent.
func (r *rows) number(field int, metric, unit string, v float64) {
	if !r.has(field) {
		return
	}
	g := sensor.Reading{Sensor: r.sensor, Metric: metric, Unit: unit, Kind: sensor.Number, Number: v, Quality: r.quality}
	if math.IsNaN(v) || math.IsInf(v, 0) {
		g.Kind, g.Text, g.Number, g.Quality = sensor.Text, r.fields[field], 0, sensor.QualityBadValue
	}
	r.dst = append(r.dst, g)
}

// valid makes what follows bad unless ok.
func (r *rows) valid(ok bool) {
	r.quality = sensor.QualityGood
	if !ok {
		r.quality = sensor.QualityBad
	}
}

// mode takes a mode indicator of positioning or heading (IEC 61162-1, 8.3):
// A, D, P, R, F are measured; E, M, S estimated, manual, simulated; N and V not
// valid; empty: nothing is said.
func (r *rows) mode(m string) {
	if r.quality == sensor.QualityBad {
		return
	}
	switch m {
	case "N", "V":
		r.quality = sensor.QualityBad
	case "E", "M", "S":
		r.quality = sensor.QualityUncertain
	}
}

// take adds the readings of s and says whether it is of a kind that has any.
func (r *rows) take(s nmea.Sentence) bool {
	return r.wind(s) || r.water(s) || r.heading(s) || r.machinery(s) || r.gnss(s)
}
