package nmea

import "iter"

// Saved is one entry of an Assembler's memory: an incomplete message, or,
// contested, a key under which two senders were seen at once. Restored in
// another Assembler, in the same order, everything that is fed afterwards is
// judged as it would have been by the first. Times and counts are differences,
// so the two may run on different clocks.
type Saved struct {
	Source  uint32
	Talker  [2]byte
	Own     bool
	Channel byte
	Seq     int // sequence id; as in VDM
	Total   int
	Grouped bool   // Group is that of a TAG g:
	Group   uint32 // its id
	Station uint32 // FNV-1a of the TAG source, 0 without one
	// Contested: no parts, and none will be taken.
	Contested bool
	// Backwards: a fragment came after one with a higher number.
	Backwards bool
	// Age is the time since the first fragment, microseconds.
	Age int64
	// Lines and Newer are how many sentences of the same source and talker came
	// since the last fragment, and how many messages began since the first.
	Lines, Newer uint64
	// Parts are those that came, in order of number. They are valid until the
	// next call of a method of the Assembler.
	Parts []Part
}

// Saved gives what the Assembler remembers as of the time now, oldest first.
func (a *Assembler) Saved(now int64) iter.Seq[*Saved] {
	return func(yield func(*Saved) bool) {
		var s Saved
		for o := a.list.next; o != &a.list; o = o.next {
			k := &o.key
			s = Saved{
				Source: k.source, Talker: k.talker, Own: k.own, Channel: k.channel, Seq: int(k.seq), Total: int(k.total),
				Grouped: k.grouped, Group: k.group, Station: k.station,
				Contested: o.contested, Backwards: o.backwards,
				Age: now - o.opened, Lines: o.stream.lines - o.line, Newer: o.stream.groups - o.newer,
				Parts: s.Parts[:0],
			}
			for i := range o.parts {
				if o.present&(1<<i) != 0 {
					s.Parts = append(s.Parts, o.parts[i])
				}
			}
			if !yield(&s) {
				return
			}
		}
	}
}

// Restore takes an entry as of the time now; of its parts, Sentence and At are
// used. False: it is none that Saved gives, or there is no room for it, and the
// Assembler is as before.
func (a *Assembler) Restore(s *Saved, now int64) bool {
	k := key{
		source: s.Source, talker: s.Talker, own: s.Own, channel: s.Channel, seq: int16(s.Seq), total: byte(s.Total),
		grouped: s.Grouped, group: s.Group, station: s.Station,
	}
	if !s.consistent() || a.open[k] != nil || len(a.open) >= a.cfg.MaxOpen {
		return false
	}
	a.begin()
	o := a.openSlot(k, now-s.Age)
	o.stream.groups-- // it began before
	o.line, o.newer = o.stream.lines-s.Lines, o.stream.groups-s.Newer
	o.contested = s.Contested
	for i := range s.Parts {
		v, _ := ParseVDM(s.Parts[i].Sentence.Body)
		o.put(&s.Parts[i].Sentence, v, s.Parts[i].At)
	}
	if o.backwards = s.Backwards; o.whole() {
		a.held++
	}
	return true
}

// consistent tells whether an Assembler can have come to remember s.
func (s *Saved) consistent() bool {
	if s.Total < 2 || s.Total > 9 || s.Seq < -1 || s.Seq > 99 || s.Contested != (len(s.Parts) == 0) {
		return false
	}
	last := 0
	for i := range s.Parts {
		v, err := ParseVDM(s.Parts[i].Sentence.Body)
		if err != nil || v.Number <= last || v.Total != s.Total || v.Seq != s.Seq ||
			v.Talker != s.Talker || v.Own != s.Own || v.Channel != s.Channel {
			return false
		}
		last = v.Number
	}
	return len(s.Parts) < s.Total || s.Backwards && !s.Grouped
}
