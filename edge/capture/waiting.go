package capture

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"landfall/decoders/nmea"
	"landfall/edge/clock"
	"landfall/edge/record"
)

// WaitingMark names the mark in which a block keeps the fragments that wait for
// partners. No source has that name: a '/' is not allowed there.
const WaitingMark = "/waiting"

// fragment is one sentence of a message whose others have not come.
type fragment struct {
	meta
	raw   []byte
	flags nmea.Flags
	now   int64 // the time the assembler was given
}

// maxWaitingBytes bounds what Snapshot gives: it rides in blocks.
const maxWaitingBytes = 64 << 10

// hold keeps a copy of a fragment until the assembler gives it back.
func (c *Capturer) hold(s *Stream, p *nmea.Sentence, m *meta, now int64) {
	if c.waitingBytes+len(p.Raw) > maxWaitingBytes {
		c.Flush()
	}
	var f *fragment
	if n := len(c.free); n > 0 {
		f, c.free = c.free[n-1], c.free[:n-1]
	} else {
		f = &fragment{}
	}
	f.meta, f.flags, f.now = *m, p.Flags, now
	f.raw = append(f.raw[:0], p.Raw...)
	if len(s.held) == 0 {
		c.holders = append(c.holders, s)
	}
	s.held = append(s.held, f)
	c.waiting++
	c.waitingBytes += len(f.raw)
	c.changes++
}

// release gives the fragment that came back as part. Where several are equal in
// bytes and time it does not matter which.
func (c *Capturer) release(s *Stream, part *nmea.Part) *fragment {
	for i, f := range s.held {
		if f.now == part.At && bytes.Equal(f.raw, part.Sentence.Raw) {
			s.held = append(s.held[:i], s.held[i+1:]...)
			if len(s.held) == 0 {
				c.holders = slices.DeleteFunc(c.holders, func(h *Stream) bool { return h == s })
			}
			c.waiting--
			c.waitingBytes -= len(f.raw)
			c.changes++
			return f
		}
	}
	// The assembler gives back what it was given; were it not so, the bytes
	// would still be kept, without their receipt time.
	f := &fragment{raw: append([]byte(nil), part.Sentence.Raw...), flags: part.Sentence.Flags}
	f.meta = meta{source: s.source, flags: recordFlags(part.Sentence.Flags), at: Receipt{At: record.NoTime}}
	return f
}

// Snapshot gives the waiting fragments in a form Restore takes, version 1:
//
//	1 byte version (1) | 16 bytes boot id | fragments, each:
//	uvarint length, source name | uvarint length, stream name
//	uvarint nmea flags | uvarint record flags
//	varint receipt, wall | varint receipt, monotonic
//	uvarint length, bytes of the sentence
//
// sources gives each source's name by its number.
func (c *Capturer) Snapshot(boot clock.BootID, sources func(uint32) string) []byte {
	p := append([]byte{1}, boot[:]...)
	for _, s := range c.holders {
		for _, f := range s.held {
			p = appendString(p, sources(s.source))
			p = appendString(p, s.name)
			p = binary.AppendUvarint(p, uint64(f.flags))
			p = binary.AppendUvarint(p, uint64(f.meta.flags))
			p = binary.AppendVarint(p, int64(f.at.At))
			p = binary.AppendVarint(p, f.at.Monotonic)
			p = appendString(p, string(f.raw))
		}
	}
	return p
}

func appendString(p []byte, s string) []byte {
	return append(binary.AppendUvarint(p, uint64(len(s))), s...)
}

// Restore feeds the fragments of a snapshot to an empty Capturer, as if they
// had come now; their receipt times stay, the monotonic one only within the
// same boot. source gives the number of a source's name. Errors: ErrCorrupt,
// ErrVersion; what stands before the damage is restored.
func (c *Capturer) Restore(snapshot []byte, boot clock.BootID, now int64, source func(string) uint32) error {
	if len(snapshot) == 0 {
		return nil
	}
	if snapshot[0] != 1 {
		return fmt.Errorf("restore waiting fragments, version %d: %w", snapshot[0], record.ErrVersion)
	}
	d := record.NewFields(snapshot[1:])
	var was clock.BootID
	copy(was[:], d.Take(uint64(len(was))))
	sameBoot := boot == was
	for len(d.Rest()) > 0 && !d.Bad() {
		sourceName, streamName := string(d.Bytes()), string(d.Bytes())
		flags, recFlags := nmea.Flags(d.Uvarint()), record.Flags(d.Uvarint())
		at := Receipt{At: record.Micros(d.Varint()), Monotonic: d.Varint()}
		raw := d.Bytes()
		if d.Bad() {
			break
		}
		if !sameBoot {
			at.Monotonic = now
		}
		c.refeed(c.Stream(source(sourceName), streamName), raw, flags, recFlags, at, now)
	}
	if d.Bad() {
		return fmt.Errorf("restore waiting fragments: %w", record.ErrCorrupt)
	}
	return nil
}

// refeed takes a sentence that was waiting before the restart.
func (c *Capturer) refeed(s *Stream, raw []byte, flags nmea.Flags, recFlags record.Flags, at Receipt, now int64) {
	c.counts.Lines++
	c.pieces = nmea.Split(raw, c.pieces[:0])
	p := &c.pieces[0]
	v, err := nmea.ParseVDM(p.Body)
	if len(c.pieces) != 1 || err != nil || v.Total < 2 {
		// Not what was saved; the bytes are kept all the same.
		c.emit(record.KindFragment, &meta{source: s.source, flags: recFlags, at: at}, raw)
		return
	}
	p.Flags = flags
	m := meta{source: s.source, flags: recFlags, at: at}
	m.own, m.hasOwn = ownTime(p)
	c.hold(s, p, &m, now)
	c.groups(c.assembler.Add(s.id, p, v, now))
}
