package nmea

// What may be joined, and when it is too late: the assembler's doubts.

// release hands out the messages of the stream that were held long enough.
func (a *Assembler) release(st *stream) {
	if a.held == 0 {
		return
	}
	for o := a.list.next; o != &a.list; {
		next := o.next
		if o.stream == st && o.whole() && st.lines-o.line > uint64(a.cfg.ContestLines) {
			a.giveUp(o)
		}
		o = next
	}
}

func (o *slot) whole() bool { return o.have > 0 && o.have == int(o.key.total) }

func (a *Assembler) late(o *slot, now int64) bool {
	age := now - o.opened
	return age > a.cfg.TimeoutMicros || age < -a.cfg.TimeoutMicros
}

// stale tells whether o can no longer be completed: too old, too far back, too
// many newer messages, or a contest nobody has heard of for long.
func (a *Assembler) stale(o *slot, now int64) bool {
	lines := o.stream.lines - o.line
	return a.late(o, now) || o.stream.groups-o.newer > uint64(a.cfg.MaxNewer) ||
		lines > uint64(a.cfg.MaxLines) || o.contested && lines > uint64(a.cfg.ContestLines)
}

// verdict is what a fragment means to the open slot with its key.
type verdict int

const (
	belongs    verdict = iota // it is another part of the message
	again                     // it is a part that is there already, to the letter
	newMessage                // the slot's missing partner is lost
	contest                   // two senders use one key at once
)

func (a *Assembler) judge(o *slot, s *Sentence, v VDM) verdict {
	if o.contested {
		return contest
	}
	present := o.present&(1<<(v.Number-1)) != 0
	apart := a.apart(o, s, v.Number)
	switch {
	case !present && !apart:
		return belongs
	case present && !apart && string(o.parts[v.Number-1].VDM.Payload) == string(v.Payload):
		return again
	case o.stream.lines-o.line > uint64(a.cfg.ContestLines):
		return newMessage
	default:
		return contest
	}
}

// apart tells whether the fragment's TAG time or source differs from those of
// the slot's other parts.
func (a *Assembler) apart(o *slot, s *Sentence, number int) bool {
	t, timed := s.TagTime()
	station := s.Station()
	for i := range o.parts {
		if o.present&(1<<i) == 0 || i == number-1 {
			continue
		}
		other := &o.parts[i].Sentence
		if u, ok := other.TagTime(); ok && timed && (t-u > a.cfg.TimeoutMicros || u-t > a.cfg.TimeoutMicros) {
			return true
		}
		if w := other.Station(); w != nil && station != nil && string(w) != string(station) {
			return true
		}
	}
	return false
}

// swap takes a part out of the slot as an orphan, to make room for its like,
// which came later and is therefore likelier to be the others' partner.
func (a *Assembler) swap(o *slot, number int) {
	if o.whole() {
		a.held--
	}
	a.single[0] = o.parts[number-1]
	a.out = append(a.out, Group{
		Source: o.key.source, Parts: a.single[:],
		Payload: a.single[0].VDM.Payload, Fill: a.single[0].VDM.Fill,
	})
	o.parts[number-1] = Part{}
	o.present &^= 1 << (number - 1)
	o.have--
	o.top, o.backwards = 0, false
	for i := range o.parts {
		if o.present&(1<<i) != 0 {
			o.top = i + 1
		}
	}
}

// contest marks the slot's key as used by two senders: what it holds, and
// whatever comes under the key in the next lines, can be joined with nothing.
func (a *Assembler) contest(o *slot) {
	if !o.contested {
		a.emitOrphans(o)
		if o.whole() {
			a.held--
		}
		c := a.take()
		c.key, c.stream, c.opened, c.newer = o.key, o.stream, o.opened, o.newer
		c.contested = true
		a.insert(c) // before unlink: the stream stays
		a.unlink(o)
		o = c
	}
	o.line = o.stream.lines
}

// neighbour finds the one slot that the fragment follows at once and whose key
// differs only in the TAG source: some feeds write a TAG block before a
// message's first sentence only.
func (a *Assembler) neighbour(k key, st *stream) *slot {
	var found *slot
	for o := a.list.next; o != &a.list; o = o.next {
		like := o.key
		like.station = 0
		if like != k || o.contested || st.lines-o.line != 1 {
			continue
		}
		if found != nil {
			return nil
		}
		found = o
	}
	return found
}
