package nmea

// AssemblerConfig bounds an Assembler. The zero value takes every default.
type AssemblerConfig struct {
	// TimeoutMicros is how long after its first fragment a message may still be
	// completed, and how far apart two fragments' TAG times may be, in
	// microseconds. Default 2,000,000.
	TimeoutMicros int64
	// MaxOpen is how many incomplete messages are held; the oldest is given up
	// for a new one. Default 256.
	MaxOpen int
	// MaxNewer is how many messages of the same source and talker may begin
	// while one is incomplete. Receivers count sequence ids 0..9, so an id comes
	// again after nine newer messages. Default 7.
	MaxNewer int
	// ContestLines is how many sentences of the same source and talker may lie
	// between two different fragments with equal key and number for them to be
	// taken as two senders using one id at once. Then neither is joined with
	// anything. Further apart, the older one's partner is taken as lost.
	// Default 16.
	ContestLines int
}

func (c AssemblerConfig) withDefaults() AssemblerConfig {
	if c.TimeoutMicros <= 0 {
		c.TimeoutMicros = 2_000_000
	}
	if c.MaxOpen <= 0 {
		c.MaxOpen = 256
	}
	if c.MaxNewer <= 0 {
		c.MaxNewer = 7
	}
	if c.ContestLines <= 0 {
		c.ContestLines = 16
	}
	return c
}

// Part is one sentence of a Group.
type Part struct {
	// Sentence and VDM are what Add was given; they alias the assembler's copy.
	Sentence Sentence
	VDM      VDM
	// At is the time Add was given.
	At int64

	buf []byte // backs Sentence and VDM of an open slot
}

// Group is what comes out of an Assembler: one message, or an orphan. It and
// all it refers to are valid until the next call of a method of the Assembler.
type Group struct {
	// Source is what Add was given.
	Source uint32
	// Complete is true for a whole message, false for an orphan: one fragment
	// whose partners did not come, or not beyond doubt.
	Complete bool
	// Parts are the sentences in order of their number, not of arrival. An
	// orphan has one.
	Parts []Part
	// Payload is the armoured payload, all parts joined; Fill belongs to its end.
	Payload []byte
	Fill    int
}

// First returns the envelope of the part with the lowest number.
func (g *Group) First() *VDM { return &g.Parts[0].VDM }

// Flags returns the flags of all parts together.
func (g *Group) Flags() Flags {
	var f Flags
	for i := range g.Parts {
		f |= g.Parts[i].Sentence.Flags
	}
	return f
}

// TagTime returns the TAG time of the first part that has one.
func (g *Group) TagTime() (micros int64, ok bool) {
	for i := range g.Parts {
		if micros, ok = g.Parts[i].Sentence.TagTime(); ok {
			return micros, true
		}
	}
	return 0, false
}

// Station returns the TAG source of the first part that has one, else nil.
func (g *Group) Station() []byte {
	for i := range g.Parts {
		if s := g.Parts[i].Sentence.Station(); s != nil {
			return s
		}
	}
	return nil
}

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
	opened    int64  // time of the first fragment
	newer     uint64 // stream.groups when opened
	line      uint64 // stream.lines at the last fragment
	stream    *stream
	prev      *slot
	next      *slot
}

// stream counts what one source and talker sent. Streams share counters when
// their hashes meet: the counts then run faster and slots are given up sooner.
type stream struct{ groups, lines uint64 }

// Assembler joins the fragments of multi-sentence messages. It never joins
// halves of two messages when it can tell: the key is source, talker, own ship,
// channel, sequence id, total and the TAG group (or, without one, the TAG
// source); a number seen twice, TAG times apart, the time limit or a sequence
// id's wrap end the older message. What it holds it has copied. Fragments may
// come in any order. Not safe for concurrent use.
type Assembler struct {
	cfg     AssemblerConfig
	open    map[key]*slot
	list    slot // ring: list.next is the oldest
	streams [256]stream
	free    []*slot
	retired []*slot // freed by this call; what it returned still refers to them
	out     []Group
	single  [1]Part
	payload []byte
}

// NewAssembler returns an empty Assembler.
func NewAssembler(cfg AssemblerConfig) *Assembler {
	a := &Assembler{cfg: cfg.withDefaults(), open: map[key]*slot{}}
	a.list.prev, a.list.next = &a.list, &a.list
	return a
}

// Open returns how many messages are incomplete, contested keys included.
func (a *Assembler) Open() int { return len(a.open) }

// Add takes one sentence of a source at the time now (microseconds, of any one
// clock that does not jump) and returns what became whole and what was given
// up. A message of one sentence comes back at once.
func (a *Assembler) Add(source uint32, s *Sentence, v VDM, now int64) []Group {
	a.begin()
	a.expire(now)
	st := &a.streams[streamHash(source, v)]
	st.lines++
	if v.Total <= 1 {
		a.emitAlone(source, s, v, now, true)
		return a.out
	}
	k := makeKey(source, s, v)
	o := a.open[k]
	if o != nil && a.stale(o, now) {
		a.giveUp(o)
		o = nil
	}
	if o != nil && (o.contested || a.foreign(o, s, v)) {
		if !a.replace(o, s, v) {
			o.line = st.lines
			a.emitAlone(source, s, v, now, false)
			return a.out
		}
		a.giveUp(o)
		o = nil
	}
	if o == nil {
		o = a.openSlot(k, st, now)
	}
	o.line = st.lines
	o.put(s, v, now)
	if o.have == v.Total {
		a.complete(o)
	}
	return a.out
}

// Expire gives up what has waited longer than the time limit.
func (a *Assembler) Expire(now int64) []Group {
	a.begin()
	a.expire(now)
	return a.out
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
}

func (a *Assembler) expire(now int64) {
	for o := a.list.next; o != &a.list && a.late(o, now); o = a.list.next {
		a.giveUp(o)
	}
}

func (a *Assembler) late(o *slot, now int64) bool {
	age := now - o.opened
	return age > a.cfg.TimeoutMicros || age < -a.cfg.TimeoutMicros
}

// stale tells whether o can no longer be completed: too old, too many newer
// messages, or a contest nobody has heard of for long.
func (a *Assembler) stale(o *slot, now int64) bool {
	return a.late(o, now) || o.stream.groups-o.newer > uint64(a.cfg.MaxNewer) ||
		o.contested && o.stream.lines-o.line > uint64(a.cfg.ContestLines)
}

// foreign tells whether the fragment cannot belong to o: its number is there
// already, or its TAG time or source differs from the others'.
func (a *Assembler) foreign(o *slot, s *Sentence, v VDM) bool {
	if o.present&(1<<(v.Number-1)) != 0 {
		return true
	}
	t, timed := s.TagTime()
	station := s.Station()
	for i := range o.parts {
		if o.present&(1<<i) == 0 {
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

// replace decides what a foreign fragment means. True: o's partner is lost and
// the fragment begins a new message. False: two senders use one key at once; o
// has become contested and the fragment can be joined with nothing.
func (a *Assembler) replace(o *slot, s *Sentence, v VDM) bool {
	if o.contested {
		return false
	}
	if o.present&(1<<(v.Number-1)) != 0 && string(o.parts[v.Number-1].VDM.Payload) == string(v.Payload) {
		return true // the same fragment again: no two ships
	}
	if o.stream.lines-o.line > uint64(a.cfg.ContestLines) {
		return true
	}
	a.emitOrphans(o)
	c := a.take()
	c.key, c.stream, c.opened, c.newer = o.key, o.stream, o.opened, o.newer
	c.contested = true
	a.remove(o)
	a.insert(c)
	return false
}

func (a *Assembler) openSlot(k key, st *stream, now int64) *slot {
	if len(a.open) >= a.cfg.MaxOpen {
		a.giveUp(a.list.next)
	}
	st.groups++
	o := a.take()
	o.key, o.stream, o.opened, o.newer = k, st, now, st.groups
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
	o.have++
	o.present |= 1 << (v.Number - 1)
}

func (a *Assembler) complete(o *slot) {
	parts := o.parts[:o.have]
	a.payload = a.payload[:0]
	bits := joiner{dst: a.payload}
	for i := range parts {
		bits.add(parts[i].VDM.Payload, parts[i].VDM.Fill, i == len(parts)-1)
	}
	a.payload = bits.dst
	a.out = append(a.out, Group{
		Source: o.key.source, Complete: true, Parts: parts,
		Payload: a.payload, Fill: bits.fill,
	})
	a.remove(o)
}

func (a *Assembler) giveUp(o *slot) {
	a.emitOrphans(o)
	a.remove(o)
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
	a.single[0] = Part{Sentence: *s, VDM: v, At: now}
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

func (a *Assembler) insert(o *slot) {
	a.open[o.key] = o
	o.prev, o.next = a.list.prev, &a.list
	o.prev.next, o.next.prev = o, o
}

func (a *Assembler) remove(o *slot) {
	delete(a.open, o.key)
	o.prev.next, o.next.prev = o.next, o.prev
	a.retired = append(a.retired, o)
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

func streamHash(source uint32, v VDM) uint8 {
	h := source*2654435761 + uint32(v.Talker[0])*31 + uint32(v.Talker[1])*1009
	if v.Own {
		h += 7919
	}
	return uint8(h ^ h>>8 ^ h>>16 ^ h>>24)
}
