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
	// MaxLines is how many sentences of the same source and talker may lie
	// between two fragments of one message. It guards where time does not: in a
	// file without times, in a feed in a hurry. Default 48.
	MaxLines int
	// ContestLines is how many sentences of the same source and talker may lie
	// between two different fragments with equal key and number for them to be
	// taken as two senders using one id at once. Then neither is joined with
	// anything. Further apart, the older one's partner is taken as lost. So long
	// too a message that became whole backwards, without a TAG group, is held
	// back, lest its younger half belongs to a partner yet to come. Default 16.
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
	if c.MaxLines <= 0 {
		c.MaxLines = 48
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
