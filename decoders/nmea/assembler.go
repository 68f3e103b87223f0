package nmea

import (
	"iter"
	"maps"
)

// key is what fragments of one message share.
type key struct {
	source, group, station uint32
	seq                    int16
	talker                 [2]byte
	total, channel         byte
	own, grouped           bool
}

// slot is one incomplete message, or, contested, a key under which two senders
// were seen at once. Slots form a list in the order they were opened.
type slot struct {
	key       key
	parts     []Part // by number-1; buf kept for reuse
	have      int    // of parts
	present   uint16 // bit number-1
	contested bool
	backwards bool   // a fragment came after one with a higher number
	top       int    // highest number so far
	opened    int64  // time of the first fragment
	newer     uint64 // stream.groups when opened; meaningful as a difference
	line      uint64 // stream.lines at the last fragment; likewise
	stream    *stream
	prev      *slot
	next      *slot
}

// stream counts what one source and talker sent while a slot of theirs is open:
// only differences since a slot opened count, so between slots there is nothing
// to remember.
type stream struct {
	id            uint64
	groups, lines uint64
	slots         int // open ones
}

// Assembler joins the fragments of multi-sentence messages. It never joins
// halves of two messages when it can tell: the key is source, talker, own ship,
// channel, sequence id, total and the TAG group (or, without one, the TAG
// source); a number seen twice, TAG times apart, the time limit, too many lines
// in between or a sequence id's wrap end the older message. What it holds it has
// copied. Fragments may come in any order. Not safe for concurrent use.
type Assembler struct {
	cfg     AssemblerConfig
	open    map[key]*slot
	list    slot // ring: list.next is the oldest
	streams map[uint64]*stream
	slots   map[uint32]int // open ones, by source
	idle    []*stream      // for reuse
	free    []*slot
	retired []*slot // freed by this call; what it returned still refers to them
	held    int     // slots that are whole and held back
	out     []Group
	single  [1]Part
	payload []byte
}

// NewAssembler returns an empty Assembler.
func NewAssembler(cfg AssemblerConfig) *Assembler {
	a := &Assembler{cfg: cfg.withDefaults(), open: map[key]*slot{}, streams: map[uint64]*stream{}, slots: map[uint32]int{}}
	a.list.prev, a.list.next = &a.list, &a.list
	return a
}

// Open returns how many messages are incomplete, contested keys included.
func (a *Assembler) Open() int { return len(a.open) }

// OpenOf returns how many of them are a source's.
func (a *Assembler) OpenOf(source uint32) int { return a.slots[source] }

// OpenBySource returns how many of them each source has, in no order.
func (a *Assembler) OpenBySource() iter.Seq2[uint32, int] { return maps.All(a.slots) }

// Add takes one sentence of a source at the time now (microseconds, of any one
// clock that does not jump) and returns what became whole and what was given
// up. A message of one sentence comes back at once.
func (a *Assembler) Add(source uint32, s *Sentence, v VDM, now int64) []Group {
	a.begin()
	a.expire(now)
	var st *stream // nil: nothing of it is open
	if len(a.streams) > 0 {
		if st = a.streams[streamID(source, v.Talker, v.Own)]; st != nil {
			st.lines++
			a.release(st)
		}
	}
	if v.Total <= 1 {
		a.emitAlone(source, s, v, now, true)
		return a.out
	}
	k := makeKey(source, s, v)
	o := a.open[k]
	if o == nil && st != nil && v.Number > 1 && !k.grouped && k.station == 0 {
		o = a.neighbour(k, st)
	}
	if o != nil && a.stale(o, now) {
		a.giveUp(o)
		o = nil
	}
	if o != nil {
		switch a.judge(o, s, v) {
		case again:
			a.swap(o, v.Number)
		case newMessage:
			a.giveUp(o)
			o = nil
		case contest:
			a.contest(o)
			a.emitAlone(source, s, v, now, false)
			return a.out
		}
	}
	if o == nil {
		o = a.openSlot(k, now)
	}
	o.line = o.stream.lines
	o.put(s, v, now)
	if o.have == v.Total {
		if o.backwards && !k.grouped {
			a.held++
		} else {
			a.giveUp(o)
		}
	}
	return a.out
}

// Expire gives up what has waited longer than the time limit.
func (a *Assembler) Expire(now int64) []Group {
	a.begin()
	a.expire(now)
	return a.out
}

// GiveUpOldest gives up the oldest message, or contested key, of the sources that
// match; false: they have none.
func (a *Assembler) GiveUpOldest(match func(source uint32) bool) ([]Group, bool) {
	a.begin()
	for o := a.list.next; o != &a.list; o = o.next {
		if match(o.key.source) {
			a.giveUp(o)
			return a.out, true
		}
	}
	return nil, false
}

// Flush gives up everything.
func (a *Assembler) Flush() []Group {
	a.begin()
	for a.list.next != &a.list {
		a.giveUp(a.list.next)
	}
	return a.out
}

func (a *Assembler) begin() {
	a.out = a.out[:0]
	a.free = append(a.free, a.retired...)
	a.retired = a.retired[:0]
	a.payload = a.payload[:0]
}

func (a *Assembler) expire(now int64) {
	for o := a.list.next; o != &a.list && a.late(o, now); o = a.list.next {
		a.giveUp(o)
	}
}

func (a *Assembler) openSlot(k key, now int64) *slot {
	if len(a.open) >= a.cfg.MaxOpen {
		a.giveUp(a.list.next)
	}
	o := a.take()
	o.key, o.stream, o.opened = k, a.streamOf(k), now
	o.stream.groups++
	o.newer = o.stream.groups
	for len(o.parts) < int(k.total) {
		o.parts = append(o.parts, Part{})
	}
	a.insert(o)
	return o
}

// put copies the fragment into the slot.
func (o *slot) put(s *Sentence, v VDM, now int64) {
	p := &o.parts[v.Number-1]
	p.buf = append(p.buf[:0], s.Raw...)
	var pieces [1]Sentence
	p.Sentence = Split(p.buf, pieces[:0])[0]
	p.Sentence.Flags = s.Flags
	p.VDM = v
	if own, err := ParseVDM(p.Sentence.Body); err == nil {
		p.VDM = own
	} else {
		p.VDM.Payload = append([]byte(nil), v.Payload...)
	}
	p.At = now
	o.backwards = o.backwards || v.Number < o.top
	o.top = max(o.top, v.Number)
	o.have++
	o.present |= 1 << (v.Number - 1)
}

// giveUp ends a slot: out comes the message, or what there is of it.
func (a *Assembler) giveUp(o *slot) {
	if o.whole() {
		if o.backwards && !o.key.grouped {
			a.held--
		}
		a.emitWhole(o)
	} else {
		a.emitOrphans(o)
	}
	a.unlink(o)
}

func (a *Assembler) emitWhole(o *slot) {
	parts := o.parts[:o.have]
	from := len(a.payload)
	bits := joiner{dst: a.payload}
	for i := range parts {
		bits.add(parts[i].VDM.Payload, parts[i].VDM.Fill, i == len(parts)-1)
	}
	a.payload = bits.dst
	a.out = append(a.out, Group{
		Source: o.key.source, Complete: true, Parts: parts,
		Payload: a.payload[from:], Fill: bits.fill,
	})
}

func (a *Assembler) emitOrphans(o *slot) {
	for i := range o.parts {
		if o.present&(1<<i) == 0 {
			continue
		}
		p := o.parts[i : i+1]
		a.out = append(a.out, Group{
			Source: o.key.source, Parts: p, Payload: p[0].VDM.Payload, Fill: p[0].VDM.Fill,
		})
	}
}

// emitAlone hands the sentence just given straight back, uncopied.
func (a *Assembler) emitAlone(source uint32, s *Sentence, v VDM, now int64, complete bool) {
	p := &a.single[0] // field by field: a Part is large
	p.Sentence, p.VDM, p.At = *s, v, now
	a.out = append(a.out, Group{
		Source: source, Complete: complete, Parts: a.single[:], Payload: v.Payload, Fill: v.Fill,
	})
}

// take returns an empty slot, outside list and map.
func (a *Assembler) take() *slot {
	if n := len(a.free); n > 0 {
		o := a.free[n-1]
		a.free = a.free[:n-1]
		*o = slot{parts: o.parts}
		return o
	}
	return &slot{}
}

// insert makes o, whose stream is set, the open slot of its key.
func (a *Assembler) insert(o *slot) {
	a.open[o.key] = o
	a.slots[o.key.source]++
	o.stream.slots++
	o.prev, o.next = a.list.prev, &a.list
	o.prev.next, o.next.prev = o, o
}

func (a *Assembler) unlink(o *slot) {
	if a.open[o.key] == o {
		delete(a.open, o.key)
	}
	o.prev.next, o.next.prev = o.next, o.prev
	if a.slots[o.key.source]--; a.slots[o.key.source] == 0 {
		delete(a.slots, o.key.source)
	}
	if o.stream.slots--; o.stream.slots == 0 {
		delete(a.streams, o.stream.id)
		a.idle = append(a.idle, o.stream)
	}
	a.retired = append(a.retired, o)
}

// streamOf gives the stream a key belongs to.
func (a *Assembler) streamOf(k key) *stream {
	id := streamID(k.source, k.talker, k.own)
	st := a.streams[id]
	if st == nil {
		if n := len(a.idle); n > 0 {
			st, a.idle = a.idle[n-1], a.idle[:n-1]
		} else {
			st = &stream{}
		}
		*st = stream{id: id}
		a.streams[id] = st
	}
	return st
}

func makeKey(source uint32, s *Sentence, v VDM) key {
	k := key{
		source: source, talker: v.Talker, own: v.Own, channel: v.Channel,
		seq: int16(v.Seq), total: byte(v.Total),
	}
	if g, ok := s.Group(); ok {
		k.group, k.grouped = g.ID, true
	} else if station := s.Station(); station != nil {
		k.station = hash32(station)
	}
	return k
}

func streamID(source uint32, talker [2]byte, own bool) uint64 {
	id := uint64(source)<<17 | uint64(talker[0])<<9 | uint64(talker[1])<<1
	if own {
		id |= 1
	}
	return id
}
