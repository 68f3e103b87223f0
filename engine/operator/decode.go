package operator

import (
	"errors"
	"fmt"
	"runtime/debug"

	"landfall/decoders/ais"
	"landfall/decoders/nmea"
	"landfall/decoders/sensor"
	"landfall/decoders/sensor/instrument"
	"landfall/edge/record"
	"landfall/engine/table"
)

// DecoderVersion changes whenever the same record would give other rows. It
// stands in every manifest. A flag that no older version has a name for needs no
// new one: in their rows it is not there, and what is made of a row again is the
// same.
const DecoderVersion = 6

// Reasons why a record gave no typed row, beside those of decoders/nmea and
// decoders/ais.
const (
	RejectNoSentence  = "no_sentence"  // a line without any sentence
	RejectNoDecoder   = "no_decoder"   // a sentence of which no rows are made
	RejectIncomplete  = "incomplete"   // fragment whose partners never came
	RejectCrowded     = "crowded"      // fragment that its gateway gave up early: too many of its sender waited
	RejectBadChecksum = "bad_checksum" // bits that are known to be wrong
	RejectNoChecksum  = "no_checksum"  // bits that nothing vouches for
	RejectPanic       = "panic"        // the decoder met a case that nobody thought of
	RejectKills       = "kills"        // a line of which its gateway died: nothing is read in it here either
)

// Decode turns records into rows. It allocates only to grow.
type Decode struct {
	message nmea.Message
	rows    ais.Rows
	report  sensor.Report
	// Of instrument sentences.
	instruments instrument.Decoder
	pieces      []nmea.Sentence
	dedupe      *Dedupe
	static      *Static
	window      *Window
	names       interner
	panicked    func(what string) // of a record that gave no rows because of it
	implausible uint64            // records with such a time since Implausible was asked
}

// NewDecode joins the operators of one task. panicked is called with each panic of a
// decoder, and its stack; nil: it is not.
func NewDecode(dedupe *Dedupe, static *Static, window *Window, panicked func(what string)) *Decode {
	if panicked == nil {
		panicked = func(string) {}
	}
	return &Decode{dedupe: dedupe, static: static, window: window, names: interner{}, panicked: panicked}
}

// Record appends the rows of one record to out. r.Raw must stay unchanged as
// long as out is used. A record on which a decoder panics has its row in record, with
// the reason RejectPanic, and no other: it does not stop those behind it.
func (d *Decode) Record(c *Context, offset record.Offset, r *record.Record, out *table.Batch) {
	lineage := table.Lineage{Gateway: c.Gateway, Log: c.LogName, Offset: offset}
	times := d.times(c, r)
	var reason string
	lineage.Rows, reason = d.guarded(c, lineage, times, r, out)
	out.Records = append(out.Records, table.RecordRow{
		Lineage: lineage, Times: times, LandedAt: c.LandedAt, Kind: r.Kind, Source: c.source(r.Source), Flags: r.Flags,
		BootID: c.BootID, Monotonic: boundedMonotonic(r), Raw: r.Raw, RejectReason: reason,
	})
}

// guarded is typed, and RejectPanic without a row when that panics.
func (d *Decode) guarded(c *Context, lineage table.Lineage, times table.Times, r *record.Record, out *table.Batch) (rows int32, reason string) {
	before := out.Typed()
	defer func() {
		if what := recover(); what != nil {
			out.CutTyped(before)
			rows, reason = 0, RejectPanic
			d.panicked(fmt.Sprintf("%v\n%s", what, debug.Stack()))
		}
	}()
	return d.typed(c, lineage, times, r, out)
}

// typed appends a record's typed rows and gives their number, and the reason
// when it has none.
func (d *Decode) typed(c *Context, lineage table.Lineage, times table.Times, r *record.Record, out *table.Batch) (int32, string) {
	if r.Flags&record.FlagKills != 0 {
		return 0, RejectKills
	}
	switch r.Kind {
	case record.KindLogOpen:
		return 0, ""
	case record.KindText:
		return 0, RejectNoSentence
	case record.KindFragment:
		return 0, rejectFragment(r.Flags)
	case record.KindAIS:
		return d.ais(c, lineage, times, r, out)
	case record.KindSentence:
		return d.sentence(c, lineage, times, r, out)
	case record.KindReading:
		return d.readings(c, lineage, times, r, out)
	default:
		return 0, RejectNoDecoder
	}
}

// ais appends the rows of an AIS message.
func (d *Decode) ais(c *Context, lineage table.Lineage, times table.Times, r *record.Record, out *table.Batch) (int32, string) {
	err := d.message.Parse(r.Raw)
	switch {
	case err != nil:
		return 0, rejectReason(err)
	case d.message.Flags&nmea.FlagBadChecksum != 0:
		return 0, RejectBadChecksum
	case d.message.Flags&nmea.FlagNoChecksum != 0:
		return 0, RejectNoChecksum
	}
	if err := ais.Decode(d.message.Payload, d.message.Fill, &d.rows); err != nil {
		return 0, rejectReason(err)
	}
	lineage.Rows = int32(d.rows.Count())
	reception := d.reception(c, times, r)
	d.dedupe.mark(c, lineage.Offset, times, d.rows.Key(), &reception)
	d.append(c, lineage, times, reception, out)
	return lineage.Rows, ""
}

// rejectFragment is why a fragment found no partners.
func rejectFragment(f record.Flags) string {
	switch {
	case f&record.FlagBadChecksum != 0:
		return RejectBadChecksum
	case f&record.FlagNoChecksum != 0:
		return RejectNoChecksum
	case f&record.FlagCrowded != 0:
		return RejectCrowded
	}
	return RejectIncomplete
}

// reception says how the message at hand was heard.
func (d *Decode) reception(c *Context, times table.Times, r *record.Record) table.Reception {
	m := &d.message
	return table.Reception{
		Channel: m.First.Channel,
		Talker:  d.names.talker(m.First.Talker),
		Source:  c.source(r.Source),
		Station: d.names.of(m.Station),
		OwnShip: m.First.Own,
		IsLate:  c.late(times),
	}
}

// append adds the typed rows of the decoded message, numbered from 0.
func (d *Decode) append(c *Context, l table.Lineage, t table.Times, rc table.Reception, out *table.Batch) {
	rows := &d.rows
	if rows.HasPosition {
		out.Positions = append(out.Positions, table.PositionRow{Lineage: l, Times: t, Reception: rc, Position: rows.Position})
		l.Row++
	}
	if rows.HasStatic {
		d.static.fill(c, t, &rows.Static)
		out.Statics = append(out.Statics, table.StaticRow{Lineage: l, Times: t, Reception: rc, Static: rows.Static})
		l.Row++
	}
	if rows.HasBaseStation {
		out.BaseStations = append(out.BaseStations, table.BaseStationRow{Lineage: l, Times: t, Reception: rc, BaseStation: rows.BaseStation})
		l.Row++
	}
	if rows.HasAtoN {
		out.AtoNs = append(out.AtoNs, table.AtoNRow{Lineage: l, Times: t, Reception: rc, AtoN: rows.AtoN})
		l.Row++
	}
	if rows.HasBinary {
		rows.Binary.Data = out.Keep(rows.Binary.Data)
		out.Binaries = append(out.Binaries, table.BinaryRow{Lineage: l, Times: t, Reception: rc, Binary: rows.Binary})
		l.Row++
	}
	if rows.HasSafety {
		out.Safeties = append(out.Safeties, table.SafetyRow{Lineage: l, Times: t, Reception: rc, Safety: rows.Safety})
		l.Row++
	}
	if rows.HasOther {
		out.Others = append(out.Others, table.OtherRow{Lineage: l, Times: t, Reception: rc, Other: rows.Other})
	}
}

// rejectReason is the stable word for a decoder's error.
func rejectReason(err error) string {
	var r interface{ Reason() string }
	if errors.As(err, &r) {
		return r.Reason()
	}
	return "undecodable"
}

// interner gives equal bytes one shared string. Senders choose stations, so it
// forgets everything when it has grown past maxInterned.
type interner map[string]string

const maxInterned = 1 << 16

// maxInternedBytes is how long a string is at most that is shared.
const maxInternedBytes = 128

func (n interner) of(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	if s, ok := n[string(b)]; ok {
		return s
	}
	if len(b) > maxInternedBytes {
		return string(b)
	}
	if len(n) >= maxInterned {
		clear(n)
	}
	s := string(b)
	n[s] = s
	return s
}

// same is of for a string.
func (n interner) same(s string) string {
	shared, ok := n[s]
	if !ok {
		shared = n.of([]byte(s))
	}
	return shared
}

func (n interner) talker(t [2]byte) string { return n.of(t[:]) }
