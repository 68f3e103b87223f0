package capture

import (
	"encoding/binary"
	"fmt"

	"landfall/decoders/nmea"
	"landfall/edge/clock"
	"landfall/edge/record"
)

// WaitingMark names the mark in which a block keeps what waits for partners. No
// source has that name: a '/' is not allowed there.
const WaitingMark = "/waiting"

// snapshotVersion is what Snapshot writes; Restore reads it and version 1.
const snapshotVersion = 2

// The entries of a snapshot.
const (
	entryFragment     = 0 // of a source that does not resend
	entryMessage      = 1 // incomplete, of a source that resends; contested: no parts
	entryAnnouncement = 2 // the time of the AIS sentence to come, of a source that resends
)

// The bits of an entryMessage.
const (
	bitContested = 1 << iota
	bitBackwards
	bitOwn
	bitGrouped
)

// Snapshot gives what waits for partners, in a form Restore takes. Version 2:
//
//	1 byte version (2) | 16 bytes boot id | entries, each:
//	1 byte, which one | uvarint length, source name | uvarint length, stream name
//	entry 0: a fragment
//	entry 1: the fields of nmea.Saved:
//	    1 byte, 1 contested, 2 backwards, 4 own, 8 grouped
//	    2 bytes talker | 1 byte channel | uvarint sequence id + 1 | uvarint total
//	    uvarint group | uvarint station | varint age | uvarint lines | uvarint newer
//	    uvarint number of parts, each: varint age | a fragment
//	entry 2: varint time, microseconds since 1970 UTC | 1 byte checksum
//	a fragment:
//	uvarint nmea flags | uvarint record flags
//	varint receipt, wall | varint receipt, monotonic
//	uvarint length, bytes of the sentence
//	1 byte source of the time that came with it; when not 0: varint that time
//
// Ages are in microseconds of capture at work. Version 1 held, after the boot
// id, source name, stream name and fragment, up to its bytes, of each fragment.
// sources gives each source's name by its number.
func (c *Capturer) Snapshot(boot clock.BootID, sources func(uint32) string) []byte {
	p := append([]byte{snapshotVersion}, boot[:]...)
	for m := range c.resent.Saved(c.steady.now) {
		s := c.byID[m.Source]
		if s == nil {
			continue // a contested key of a stream that was forgotten
		}
		p = appendEntry(p, entryMessage, sources(s.source), s.name)
		p = appendMessage(p, m)
		for i := range m.Parts {
			f := s.held[s.holding(&m.Parts[i])]
			p = f.append(binary.AppendVarint(p, c.steady.now-f.now))
		}
	}
	for s := range c.announced {
		p = appendEntry(p, entryAnnouncement, sources(s.source), s.name)
		p = append(binary.AppendVarint(p, int64(s.announced.at)), s.announced.sum)
	}
	for _, s := range c.holders {
		if s.resends {
			continue
		}
		for _, f := range s.held {
			p = f.append(appendEntry(p, entryFragment, sources(s.source), s.name))
		}
	}
	return p
}

// Remembers tells whether Snapshot would give any entry.
func (c *Capturer) Remembers() bool {
	return c.waiting > 0 || c.resent.Open() > 0 || len(c.announced) > 0
}

func appendEntry(p []byte, entry byte, source, stream string) []byte {
	return appendString(appendString(append(p, entry), source), stream)
}

func appendString(p []byte, s string) []byte {
	return append(binary.AppendUvarint(p, uint64(len(s))), s...)
}

func appendMessage(p []byte, m *nmea.Saved) []byte {
	bits := bit(m.Contested, bitContested) | bit(m.Backwards, bitBackwards) | bit(m.Own, bitOwn) | bit(m.Grouped, bitGrouped)
	p = append(p, bits, m.Talker[0], m.Talker[1], m.Channel)
	p = binary.AppendUvarint(p, uint64(m.Seq+1))
	p = binary.AppendUvarint(p, uint64(m.Total))
	p = binary.AppendUvarint(p, uint64(m.Group))
	p = binary.AppendUvarint(p, uint64(m.Station))
	p = binary.AppendVarint(p, m.Age)
	p = binary.AppendUvarint(p, m.Lines)
	p = binary.AppendUvarint(p, m.Newer)
	return binary.AppendUvarint(p, uint64(len(m.Parts)))
}

func bit(set bool, b byte) byte {
	if set {
		return b
	}
	return 0
}

func (f *fragment) append(p []byte) []byte {
	p = binary.AppendUvarint(p, uint64(f.flags))
	p = binary.AppendUvarint(p, uint64(f.meta.flags))
	p = binary.AppendVarint(p, int64(f.at.At))
	p = binary.AppendVarint(p, f.at.Monotonic)
	p = append(appendString(p, string(f.raw)), byte(f.own.source))
	if f.own.is() {
		p = binary.AppendVarint(p, int64(f.own.at))
	}
	return p
}

// Restore gives an empty Capturer what a snapshot holds. Of a source that
// resends, everything is as it was: the source goes on where the snapshot was
// taken, and each line that follows meets what it would have met. Of other
// sources the fragments become records: what was sent meanwhile is lost, and the
// next fragment with the same sequence id may be another message's. Receipt
// times stay, the monotonic one only within the same boot. source gives the
// number of a source's name. Errors: ErrCorrupt, ErrVersion; what stands before
// the damage is restored.
func (c *Capturer) Restore(snapshot []byte, boot clock.BootID, now int64, source func(string) uint32) error {
	if len(snapshot) == 0 {
		return nil
	}
	version := snapshot[0]
	if version != 1 && version != snapshotVersion {
		return fmt.Errorf("restore waiting fragments, version %d: %w", version, record.ErrVersion)
	}
	r := restoring{c: c, version: version, f: record.NewFields(snapshot[1:]), now: now}
	copy(r.boot[:], r.f.Take(uint64(len(boot))))
	r.sameBoot = r.boot == boot
	c.steady.tick(now)
	for len(r.f.Rest()) > 0 && !r.f.Bad() {
		entry := byte(entryFragment)
		if version > 1 {
			entry = r.f.Byte()
		}
		sourceName, streamName := string(r.f.Bytes()), string(r.f.Bytes())
		if r.f.Bad() || entry > entryAnnouncement {
			return fmt.Errorf("restore waiting fragments: %w", record.ErrCorrupt)
		}
		s := c.Stream(source(sourceName), streamName)
		switch {
		case entry == entryMessage:
			r.message(s)
		case entry == entryAnnouncement:
			r.announcement(s)
		default:
			if f := r.fragment(s); f != nil {
				r.alone(s, f)
			}
		}
	}
	if r.f.Bad() {
		return fmt.Errorf("restore waiting fragments: %w", record.ErrCorrupt)
	}
	return nil
}

// restoring is a Restore under way.
type restoring struct {
	c        *Capturer
	f        record.Fields
	version  byte
	now      int64
	boot     clock.BootID
	sameBoot bool
}

// fragment reads one; nil: it is damaged.
func (r *restoring) fragment(s *Stream) *fragment {
	flags, recFlags := nmea.Flags(r.f.Uvarint()), record.Flags(r.f.Uvarint())
	at := Receipt{At: record.Micros(r.f.Varint()), Monotonic: r.f.Varint()}
	raw, own := r.f.Bytes(), stated{}
	if r.version > 1 {
		if own.source = record.TimeSource(r.f.Byte()); own.is() {
			own.at = record.Micros(r.f.Varint())
		}
	}
	if r.f.Bad() {
		return nil
	}
	if !r.sameBoot {
		at.Monotonic = r.now
	}
	r.c.counts.Lines++
	f := &fragment{meta: meta{source: s.source, flags: recFlags, at: at, own: own}, flags: flags, raw: raw}
	if p, _ := f.sentence(); p != nil && r.version == 1 {
		f.own = r.c.ownTime(s, p)
	}
	return f
}

// alone takes a fragment as a record of its own; one of a source that resends,
// from version 1, as if it came now.
func (r *restoring) alone(s *Stream, f *fragment) {
	if p, v := f.sentence(); p != nil && r.version == 1 && s.resends {
		now := r.c.steady.now
		r.c.hold(s, p, &f.meta, now)
		r.c.groups(r.c.resent.Add(s.id, p, v, now))
		return
	}
	r.c.emit(record.KindFragment, &f.meta, f.raw)
}

// announcement reads the time of the AIS sentence to come.
func (r *restoring) announcement(s *Stream) {
	a := announcement{record.Micros(r.f.Varint()), r.f.Byte()}
	if s.resends && !r.f.Bad() {
		r.c.announce(s, a)
	}
}

// sentence gives the AIS sentence a fragment is; nil: it is none.
func (f *fragment) sentence() (*nmea.Sentence, nmea.VDM) {
	pieces := nmea.Split(f.raw, nil)
	v, err := nmea.ParseVDM(pieces[0].Body)
	if len(pieces) != 1 || err != nil || v.Total < 2 {
		return nil, v
	}
	pieces[0].Flags = f.flags
	return &pieces[0], v
}

// message reads an incomplete message and gives it to the assembler. When its
// source resends no more, or it is not what an assembler gave, its fragments
// become records.
func (r *restoring) message(s *Stream) {
	m, parts := r.saved(s)
	if !s.resends || m.Total == 0 {
		for _, f := range parts {
			r.alone(s, f)
		}
		return
	}
	for i, f := range parts {
		r.c.hold(s, &m.Parts[i].Sentence, &f.meta, m.Parts[i].At)
	}
	if r.c.resent.Restore(m, r.c.steady.now) {
		return
	}
	for i := range m.Parts {
		f := r.c.release(s, &m.Parts[i])
		r.c.emit(record.KindFragment, &f.meta, f.raw)
	}
}

// saved reads an entryMessage and its fragments; Total is 0 when it is damaged.
func (r *restoring) saved(s *Stream) (*nmea.Saved, []*fragment) {
	bits := r.f.Byte()
	m := &nmea.Saved{
		Source: s.id, Contested: bits&bitContested != 0, Backwards: bits&bitBackwards != 0,
		Own: bits&bitOwn != 0, Grouped: bits&bitGrouped != 0,
		Talker: [2]byte{r.f.Byte(), r.f.Byte()}, Channel: r.f.Byte(),
		Seq: int(r.f.Uvarint()) - 1, Total: int(r.f.Uvarint()),
		Group: uint32(r.f.Uvarint()), Station: uint32(r.f.Uvarint()),
		Age: r.f.Varint(), Lines: r.f.Uvarint(), Newer: r.f.Uvarint(),
	}
	var parts []*fragment
	for n := r.f.Uvarint(); n > 0 && !r.f.Bad(); n-- {
		age := r.f.Varint()
		f := r.fragment(s)
		if f == nil {
			break
		}
		if !r.sameBoot {
			f.at.Monotonic -= age // in the order in which they came
		}
		parts = append(parts, f)
		if p, _ := f.sentence(); p != nil {
			m.Parts = append(m.Parts, nmea.Part{Sentence: *p, At: r.c.steady.now - age})
		}
	}
	if r.f.Bad() || len(m.Parts) < len(parts) {
		m.Total = 0
	}
	return m, parts
}
