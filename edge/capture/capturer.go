package capture

import (
	"landfall/decoders/aistime"
	"landfall/decoders/nmea"
	"landfall/edge/clock"
	"landfall/edge/record"
	"landfall/edge/source"
)

// Config configures a Capturer.
type Config struct {
	// Assembler bounds multi-sentence assembly. In a replay its clock counts
	// lines, one millisecond each, and follows the newest TAG time.
	Assembler nmea.AssemblerConfig
	// Replay leaves every wall clock aside: see replayClock.
	Replay bool
	// Clock takes what is heard of the time, and gives it. Its observers are the
	// sources, by number. nil: event time is what came with a line, or receipt.
	Clock *clock.Estimator
	// BaseTime is the event time, in a replay, of records before the first time
	// in the file. record.NoTime: they have none.
	BaseTime record.Micros
	// Resends tells whether a source, by its number, gives again after a restart
	// what was not durable; nil: none does. What of it waits for partners is
	// kept over a restart as it was, see Restore.
	Resends func(source uint32) bool
	// StallMicros bounds how much time may seem to pass, for fragments of sources
	// that resend, between two calls: the longest silence while capture is at
	// work. 0: 500,000.
	StallMicros int64
	// Emit takes each record, in the log's order; required. The record and its
	// Raw are valid during the call.
	Emit func(*record.Record)
	// OnPanic is told of a line that made a decoder panic: it became a record all the
	// same. nil disables it.
	OnPanic func(source uint32, line []byte, what any)
}

// Counts tells what became of the lines.
type Counts struct {
	Lines     uint64 // fed, empty ones left out
	Records   uint64
	Messages  uint64 // records of kind ais
	Fragments uint64 // records of kind fragment: partners that did not come
	Sentences uint64 // records of kind sentence
	Texts     uint64 // records of kind text
	Readings  uint64 // records of kind reading
	Flagged   uint64 // records with any flag
	Crowded   uint64 // fragments given up early because too many of their sender waited
}

// Receipt is when a line was received. A replay leaves it zero.
type Receipt struct {
	At        record.Micros // wall clock
	Monotonic int64         // microseconds since boot
}

// Stream is one sender's lines; fragments are joined only within one. It is
// made and used by one Capturer.
type Stream struct {
	id      uint32
	source  uint32
	name    string
	sender  string // who sends it: see From and senderOf
	resends bool

	held      []*fragment // waiting for partners, in order of arrival
	heldBytes int         // of them

	announced announcement // of the AIS sentence to come
	fix       clock.Fix    // of the GNSS receiver on the same bus
	bias      bias         // of the times stated
}

// Capturer makes records of lines.
type Capturer struct {
	cfg      Config
	decoders decoders
	live     *nmea.Assembler // of streams heard once; its clock is monotonic time
	resent   *nmea.Assembler // of streams that resend; its clock is steady
	steady   steadyClock
	streams  map[streamKey]*Stream
	byID     map[uint32]*Stream
	nextID   uint32
	replay   replayClock
	counts   Counts

	pieces  []nmea.Sentence // reused
	raw     []byte          // reused: a message's lines joined
	rec     record.Record   // reused
	free    []*fragment     // reused
	holders []*Stream       // those with fragments held
	// announced are the streams that resend with an announcement.
	announced map[*Stream]struct{}

	waiting      int // fragments held in all streams
	waitingBytes int // of them
	// takings are what each sender takes of the bound, and takers where it stands in
	// them; reused.
	takings []taking
	takers  map[owner]int
	crowded record.Flags // FlagCrowded while what is given up made room
}

type streamKey struct {
	source uint32
	name   string
}

// New makes a Capturer. It touches nothing.
func New(cfg Config) *Capturer {
	if cfg.StallMicros <= 0 {
		cfg.StallMicros = 500_000
	}
	if cfg.Assembler.MaxOpen == 0 && !cfg.Replay {
		cfg.Assembler.MaxOpen = maxOpen
	}
	return &Capturer{
		takers: map[owner]int{},
		cfg:    cfg, decoders: decoders{nmea.Split, nmea.ParseVDM, aistime.Read}, live: nmea.NewAssembler(cfg.Assembler), resent: nmea.NewAssembler(cfg.Assembler),
		steady:  steadyClock{step: cfg.StallMicros},
		streams: map[streamKey]*Stream{}, byID: map[uint32]*Stream{}, announced: map[*Stream]struct{}{},
		replay: replayClock{base: cfg.BaseTime, newest: record.NoTime},
	}
}

// maxStreams is how many streams are remembered before those with nothing
// waiting are forgotten: of the source that has a new one, where it has any, else
// of all.
const maxStreams = 4096

// Stream gives the stream of that name within a source. A Stream is good until
// Stream is asked for the next one.
func (c *Capturer) Stream(source uint32, name string) *Stream {
	k := streamKey{source, name}
	if s := c.streams[k]; s != nil {
		return s
	}
	if len(c.streams) >= maxStreams {
		if !c.forget(func(s *Stream) bool { return s.source == source }) {
			c.forget(func(*Stream) bool { return true })
		}
	}
	c.nextID++
	s := &Stream{id: c.nextID, source: source, name: name, sender: senderOf(name)}
	s.resends = c.cfg.Resends != nil && c.cfg.Resends(source)
	c.streams[k], c.byID[s.id] = s, s
	return s
}

// forget drops the streams that match and have nothing waiting, and tells whether
// there were any.
func (c *Capturer) forget(match func(*Stream) bool) (any bool) {
	for k, s := range c.streams {
		_, announced := c.announced[s]
		if match(s) && !announced && c.live.OpenOf(s.id)+c.resent.OpenOf(s.id) == 0 {
			delete(c.streams, k)
			delete(c.byID, s.id)
			any = true
		}
	}
	return any
}

// From says who sends the stream now, for the bound of what waits: where a sender
// may take any name, the host it sends from. Empty: it is what the name says.
func (s *Stream) From(client string) {
	if client != "" {
		s.sender = client
	}
}

// Counts gives the counters so far.
func (c *Capturer) Counts() Counts { return c.counts }

// Waiting is the number of fragments that wait for partners.
func (c *Capturer) Waiting() int { return c.waiting }

// Feed takes one line without its line end; truncated says that it is only part
// of one. The line is not kept.
func (c *Capturer) Feed(s *Stream, line []byte, truncated bool, at Receipt) {
	if len(line) == 0 {
		return
	}
	c.counts.Lines++
	c.tick(at.Monotonic)
	c.split(s, line)
	for i := range c.pieces {
		c.piece(s, &c.pieces[i], truncated, at)
	}
}

// Keep takes one line in which nothing is to be read: it becomes a record as it is, with
// FlagKills. The line is not kept.
func (c *Capturer) Keep(s *Stream, line []byte, truncated bool, at Receipt) {
	if len(line) == 0 {
		return
	}
	c.counts.Lines++
	c.tick(at.Monotonic)
	m := meta{source: s.source, flags: record.FlagKills, at: at}
	if truncated {
		m.flags |= record.FlagTruncated
	}
	c.emit(record.KindText, &m, line)
}

// Reading takes one report of sensor readings, which becomes a record as it is.
// The report is not kept.
func (c *Capturer) Reading(s *Stream, report *source.Line, at Receipt) {
	c.counts.Lines++
	c.tick(at.Monotonic)
	m := meta{source: s.source, at: at}
	if report.Truncated {
		m.flags = record.FlagTruncated
	}
	if t, ok := sane(int64(report.Time), report.Time != 0); ok {
		m.own = stated{t, record.TimePayload}
		if c.cfg.Clock != nil && !report.Kept {
			c.cfg.Clock.Observe(clock.Evidence{Kind: clock.KindSensor, Observer: int(s.source), Mono: at.Monotonic, UTC: t})
		}
	}
	c.emit(record.KindReading, &m, report.Data)
}

// Expire gives up fragments that waited too long as of a monotonic time.
func (c *Capturer) Expire(monotonic int64) {
	c.tick(monotonic)
	if c.live.Open() > 0 {
		c.groups(c.live.Expire(monotonic))
	}
}

// tick lets the steady clock go on.
func (c *Capturer) tick(monotonic int64) {
	if now := c.steady.tick(monotonic); c.resent.Open() > 0 {
		c.groups(c.resent.Expire(now))
	}
}

// Flush gives up all waiting fragments: nothing more will come.
func (c *Capturer) Flush() {
	c.FlushLive()
	c.groups(c.resent.Flush())
	for s := range c.announced {
		c.announce(s, announcement{})
	}
}

// FlushLive gives up the waiting fragments of sources that do not resend.
func (c *Capturer) FlushLive() { c.groups(c.live.Flush()) }

// piece takes one sentence, or a line without one.
func (c *Capturer) piece(s *Stream, p *nmea.Sentence, truncated bool, at Receipt) {
	m := meta{source: s.source, flags: recordFlags(p.Flags), at: at}
	if truncated {
		m.flags |= record.FlagTruncated
	}
	v, err := c.read(s, p, &m)
	now, assembler := at.Monotonic, c.live
	if s.resends {
		now, assembler = c.steady.now, c.resent
	}
	if c.cfg.Replay {
		now = c.replay.tick(m.own)
		m.at = Receipt{At: c.replay.time()}
	}
	if p.Kind != nmea.KindVDM {
		kind := record.KindSentence
		if p.Kind == nmea.KindText {
			kind = record.KindText
		}
		c.emit(kind, &m, p.Raw)
		return
	}
	if err != nil {
		m.flags |= record.FlagMalformed
		c.emit(record.KindAIS, &m, p.Raw)
		return
	}
	if v.Total > 1 && p.Flags&(nmea.FlagBadChecksum|nmea.FlagNoChecksum) != 0 {
		// Its fields are not to be trusted: it must neither join a message nor
		// contest the place of the good copy.
		c.emit(record.KindFragment, &m, p.Raw)
		return
	}
	if v.Total > 1 {
		c.hold(s, p, &m, now)
		c.groups(assembler.Add(s.id, p, v, now))
		c.share()
		return
	}
	c.time(s, p, &v, &m)
	// A single sentence comes back at once, last; before it what it made the
	// assembler give up.
	if groups := assembler.Add(s.id, p, v, now); len(groups) > 1 {
		c.groups(groups[:len(groups)-1])
	}
	c.emit(record.KindAIS, &m, p.Raw)
}

// groups emits what the assembler gave back.
func (c *Capturer) groups(groups []nmea.Group) {
	for i := range groups {
		g := &groups[i]
		s := c.byID[g.Source]
		var m meta
		bits := 0
		c.raw = c.raw[:0]
		for j := range g.Parts {
			f := c.release(s, &g.Parts[j])
			if j > 0 {
				c.raw = append(c.raw, '\n')
			}
			c.raw = append(c.raw, f.raw...)
			m.join(&f.meta, j == 0)
			bits += 6*len(g.Parts[j].VDM.Payload) - g.Parts[j].VDM.Fill
			c.free = append(c.free, f)
		}
		kind := record.KindFragment
		if g.Complete {
			kind = record.KindAIS
			m.timing = timing{slot: aistime.Absent, slots: uint8(aistime.Slots(bits))}
		} else {
			m.flags |= c.crowded
		}
		c.emit(kind, &m, c.raw)
	}
}

// meta is what a record has beside its bytes.
type meta struct {
	source uint32
	flags  record.Flags
	at     Receipt
	own    stated // the time that came with the line
	timing timing
}

// join adds a further part, in order of number: a message was received when the
// first of its parts to arrive was, and its own time is that of the first part
// that has one.
func (m *meta) join(part *meta, first bool) {
	if first {
		*m = *part
		return
	}
	m.flags |= part.flags
	if part.at.Monotonic < m.at.Monotonic {
		m.at = part.at
	}
	if !m.own.is() {
		m.own = part.own
	}
}

func (c *Capturer) emit(kind record.Kind, m *meta, raw []byte) {
	c.rec = record.Record{
		Kind: kind, Flags: m.flags, Source: m.source,
		ReceivedAt: m.at.At, Monotonic: m.at.Monotonic, Raw: raw,
	}
	c.stamp(&c.rec, m)
	c.counts.add(kind, m.flags)
	c.cfg.Emit(&c.rec)
}

func (n *Counts) add(kind record.Kind, flags record.Flags) {
	n.Records++
	switch kind {
	case record.KindAIS:
		n.Messages++
	case record.KindFragment:
		n.Fragments++
	case record.KindSentence:
		n.Sentences++
	case record.KindReading:
		n.Readings++
	default:
		n.Texts++
	}
	if flags != 0 {
		n.Flagged++
	}
	if flags&record.FlagCrowded != 0 {
		n.Crowded++
	}
}
