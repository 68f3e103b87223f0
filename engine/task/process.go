package task

import (
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"

	"landfall/decoders/ais"
	"landfall/decoders/sensor"
	"landfall/edge/durable/failpoint"
	"landfall/edge/record"
	"landfall/engine/landing"
	"landfall/engine/operator"
	"landfall/engine/state"
	"landfall/engine/stream"
	"landfall/engine/table"
)

// RejectRecordCorrupt is the reject reason of a record whose block is whole
// but whose own bytes cannot be read.
const RejectRecordCorrupt = "record_corrupt"

// processor turns landed blocks into rows: judge, decode, operators. It holds
// all of a task's keyed state and does no I/O.
type processor struct {
	state    *state.State
	logs     *state.Table[record.LogID, logState]
	gateways *state.Table[string, gatewayState]
	aside    *state.Table[record.Hash, aside]
	decode   *operator.Decode
	dedupe   *operator.Dedupe
	static   *operator.Static
	window   *operator.Window

	counters *Counters
	context  operator.Context                // of the block at hand
	at       stream.Position                 // where the block at hand begins
	open     map[record.LogID]bool           // logs with a hole
	short    map[record.LogID][]ShortLog     // one of each gateway that says so; not in the state: it follows from that
	claims   map[record.LogID][]foreignClaim // what gateways say of others' logs; not in the state: it follows from that
	found    []finding                       // holes found or filled since they were asked for
	sources  map[string]string
	over     overs
	logsOf   map[string]int         // of each gateway, how many of logs anything was taken of
	touched  map[record.LogID]touch // logs that the open epoch advanced, opened or closed
	// spill takes a batch that has many rows, of the block at hand, and returns an empty one
	// for what follows. Nil: all rows of a block go into one batch.
	spill func(*table.Batch) (*table.Batch, error)
}

// spillRows is how many rows of a block go into one batch, and those of one record more: a
// batch takes memory for each, and of a block that was made to have many it is to be no
// matter how many there are.
const spillRows = 1 << 15

// What rows take, bytes.
const (
	rowMemory = 400 // in a batch
	// blockMemory is by how much rows of one block go beyond the size of an epoch, which is
	// asked for after each block, at most.
	blockMemory = 160 << 20
	// sealMemory is what it takes to sort rows and write them into files.
	sealMemory = 64 << 20
)

// EpochMemory returns what the rows of an epoch of so many bytes take at most, with what
// it takes to make and write them.
func EpochMemory(size int64) int64 {
	return size + blockMemory + sealMemory + 2*rowMemory*(spillRows+2*sensor.MaxReadings)
}

func newProcessor(c *Counters, windows operator.WindowConfig) (*processor, error) {
	p := &processor{state: state.New(), counters: c, sources: map[string]string{}, touched: map[record.LogID]touch{},
		logsOf: map[string]int{}, open: map[record.LogID]bool{}, short: map[record.LogID][]ShortLog{}, claims: map[record.LogID][]foreignClaim{}, over: overs{}}
	var err error
	if p.logs, err = state.Register(p.state, "logs", logCodec{}); err != nil {
		return nil, err
	}
	if p.gateways, err = state.Register(p.state, "gateways", gatewayCodec{}); err != nil {
		return nil, err
	}
	if p.aside, err = state.Register(p.state, "aside", asideCodec{}); err != nil {
		return nil, err
	}
	if p.dedupe, err = operator.NewDedupe(p.state, p.overBy(OverReceptions, &c.Forgotten)); err != nil {
		return nil, err
	}
	if p.static, err = operator.NewStatic(p.state, p.overBy(OverShips, &c.Forgotten)); err != nil {
		return nil, err
	}
	if p.window, err = operator.NewWindow(p.state, windows, p.overBy(OverWindows, &c.WindowsFull)); err != nil {
		return nil, err
	}
	p.decode = operator.NewDecode(p.dedupe, p.static, p.window, func(what string) {
		c.Panics.Add(1)
		c.LastPanic.Store(&what)
	})
	return p, nil
}

// overBy returns what counts that a gateway has more of something than its share.
func (p *processor) overBy(what string, counter *atomic.Uint64) func(gateway string, n int) {
	return func(gateway string, n int) {
		counter.Add(uint64(n))
		p.over.add(gateway, what, n, p.context.LandedAt)
	}
}

// names are the gateways that the state knows, for keys of older versions.
func (p *processor) names() operator.Names {
	return operator.NamesOf(func(yield func(string) bool) {
		for name := range p.gateways.All() {
			if !yield(name) {
				return
			}
		}
	})
}

// restoreFrom fills a new processor's state from the objects of a checkpoint.
func (p *processor) restoreFrom(objects iter.Seq2[[]byte, error]) error {
	if err := p.state.Restore(objects); err != nil {
		return err
	}
	for id, st := range p.logs.All() {
		if st.Hole.isOpen() {
			p.open[id] = true
		}
		if st.begun() {
			p.logsOf[st.Gateway]++
		}
	}
	p.findShort()
	p.findClaims()
	names := p.names()
	p.dedupe.Restored(names)
	p.static.Restored(names)
	p.window.Restored()
	return nil
}

// block appends to out the rows of one landed block; after is the position
// behind it. The rows alias l.Block. Errors: a block of a newer format (to pass over it
// would lose it, so the task stops), and those of spill.
func (p *processor) block(l *landing.Landed, after stream.Position, out *table.Batch) error {
	_, err := p.pieces(l, after, out)
	return err
}

// pieces is block where rows may be spilled, and returns the batch with the last of them.
func (p *processor) pieces(l *landing.Landed, after stream.Position, out *table.Batch) (last *table.Batch, err error) {
	err = p.take(l, after, &out)
	p.at = place(after)
	return out, err
}

func (p *processor) take(l *landing.Landed, after stream.Position, into **table.Batch) error {
	out := *into
	b, err := record.Parse(l.Block)
	if errors.Is(err, record.ErrVersion) {
		return fmt.Errorf("read block of gateway %s before landing offset %d: %w", l.Gateway, after.Offset, err)
	}
	if err != nil {
		p.conflict(l, after, &record.Header{}, "corrupt", out)
		return nil
	}
	hash := record.HashBlock(l.Block)
	st, ok := p.logs.Get(b.Log)
	if !ok {
		st = newLogState()
	}
	known := st.begun()
	r := judge(&st, known, l.Gateway, &b.Header, hash, l.Keeps && !l.Conflict && !st.Hole.GivenUp)
	if l.Conflict && (r.Verdict == take || r.Verdict == takeLoss) {
		// Ingest refused it, so the gateway sends what is right again.
		r = ruling{Verdict: keepConflict, Reason: "ingest"}
	}
	switch r.Verdict {
	case keepConflict:
		p.conflict(l, after, &b.Header, r.Reason, out)
		if r.Reason == "gap" {
			st.Gaps++
			p.counters.Gaps.Add(1)
			p.logs.Put(b.Log, st)
		}
		return nil
	case passOver:
		p.passOver(l, &b.Header, st)
		return nil
	case dropDuplicate:
		p.counters.Duplicates.Add(uint64(b.Count))
		return nil
	case dropUnchecked:
		p.counters.Duplicates.Add(uint64(b.Count))
		p.counters.Unchecked.Add(uint64(b.Count))
		return nil
	}
	p.belongs(b.Log, &st, l.Gateway)
	gate := p.gateway(l, &b.Header, &st, known)
	var digest ais.Opt[record.Digest]
	digest.Value, digest.Valid = b.Digest()
	p.touch(b.Log, st.Next, l.LandedAt)
	poison := r.Verdict == take && p.isAside(hash)
	switch {
	case poison:
		p.setAside(l, after, &b, hash, gate, out)
	case r.Verdict == takeLoss:
		p.loss(l, &b, r.From, st.lossDigest(digest), out)
	default:
		if out, err = p.records(l, &b, gate.Watermark, out); err != nil {
			return err
		}
		*into = out
	}
	if !known {
		p.logsOf[l.Gateway]++
		p.opened(l, after, &b, &st, out)
	}
	st.advance(&b.Header, hash, digest)
	p.goesBeyond(b.Log, &st, l.LandedAt)
	p.fill(b.Log, &st)
	p.goesOn(l.Gateway, b.Log, st.Next)
	p.logs.Put(b.Log, st)
	if !poison {
		p.watermark(l, gate, &b, out)
	}
	return nil
}

func (p *processor) conflict(l *landing.Landed, after stream.Position, h *record.Header, reason string, out *table.Batch) {
	log := ""
	if !h.Log.IsZero() {
		log = h.Log.String()
	}
	out.Conflicts = append(out.Conflicts, table.ConflictRow{
		Gateway: l.Gateway, Log: log, Offset: h.First, Count: uint64(h.Count), Reason: reason,
		Block: l.Block, LandedAt: l.LandedAt, LandingLog: after.Log, LandingOffset: after.Offset,
	})
	p.counters.Conflicts.Add(1)
	p.contradicts(l.Gateway, l.LandedAt)
}

// gateway notes which log a gateway writes. An older log that goes on after a
// newer one was opened means two machines under one name, unless it goes no further
// than the newer one says: then it was missing in the landing log, and came again.
func (p *processor) gateway(l *landing.Landed, h *record.Header, st *logState, known bool) gatewayState {
	log := h.Log
	g, ok := p.gateways.Get(l.Gateway)
	if !ok {
		g.Watermark = record.NoTime
	}
	p.withdraw(l, &g)
	newest, _ := p.logs.Get(g.Log)
	switch {
	case !known && newest.Gateway == l.Gateway && newest.Previous == log:
	case known && st.Closed && h.End() <= st.End:
	case !known:
		if old, ok := p.logs.Get(g.Log); ok && old.trim() {
			p.logs.Put(g.Log, old)
		}
		g.Log = log
	case g.Log != log || st.Closed: // by its next log, or under another name
		p.counters.Alternations.Add(1)
		p.counters.AlternatedAt.Store(int64(l.LandedAt))
		p.counters.Alternating.Add(l.Gateway)
	}
	return g
}

func (p *processor) loss(l *landing.Landed, b *record.Block, from record.Offset, digest ais.Opt[record.Digest], out *table.Batch) {
	reason := ""
	for a := range b.Annotations {
		if a.Type == record.AnnLoss {
			reason = string(a.Body)
		}
	}
	out.Losses = append(out.Losses, table.LossRow{
		Gateway: l.Gateway, Log: b.Log.String(), Offset: from, Count: uint64(b.End() - from), Reason: reason, LandedAt: l.LandedAt, Digest: digest,
	})
	p.counters.Lost.Add(uint64(b.End() - from))
}

// records appends the rows of every record of a taken block, and returns the batch with
// the last of them. Errors: those of spill.
func (p *processor) records(l *landing.Landed, b *record.Block, watermark record.Micros, out *table.Batch) (*table.Batch, error) {
	failpoint.Content(l.Block)
	c := &p.context
	if c.Log != b.Log {
		c.Log, c.LogName = b.Log, b.Log.String()
	}
	c.Gateway, c.LandedAt, c.Watermark = l.Gateway, l.LandedAt, watermark
	c.Sources, c.BootID = c.Sources[:0], ""
	for a := range b.Annotations {
		p.annotation(c, a)
	}
	c.Anchor = p.anchor(l.Clock, c.BootID)
	var r record.Record
	for offset, payload := range b.Payloads {
		if p.spill != nil && out.Rows() >= spillRows {
			var err error
			if out, err = p.spill(out); err != nil {
				return out, err
			}
		}
		if err := b.DecodeRecord(payload, &r); err != nil {
			out.Records = append(out.Records, table.RecordRow{
				Lineage:  table.Lineage{Gateway: c.Gateway, Log: c.LogName, Offset: offset},
				Times:    table.Times{EventTime: record.NoTime, ReceivedAt: b.BaseTime.Bounded()},
				LandedAt: l.LandedAt, Raw: payload, RejectReason: RejectRecordCorrupt,
			})
			continue
		}
		p.decode.Record(c, offset, &r, out)
	}
	p.counters.Records.Add(uint64(b.Count))
	p.counters.Implausible.Add(p.decode.Implausible())
	return out, nil
}

// anchor finds what the gateway knew of a boot's time when it sent a block; nil:
// nothing.
func (p *processor) anchor(clock []byte, boot string) *record.Anchor {
	if len(clock) == 0 || boot == "" {
		return nil
	}
	all, err := record.DecodeAnchors(clock)
	if err != nil {
		p.counters.BadAnnotations.Add(1)
		return nil
	}
	for i := range all {
		if hex.EncodeToString(all[i].Boot[:]) == boot {
			return &all[i]
		}
	}
	return nil
}

// maxSources bounds the numbers a block may give its sources.
const maxSources = 1 << 12

// annotation takes what a block says of its records; what it does not know, and
// what is malformed, says nothing.
func (p *processor) annotation(c *operator.Context, a record.Annotation) {
	switch a.Type {
	case record.AnnSource:
		s, err := a.SourceName()
		if err != nil || s.Source >= maxSources {
			p.counters.BadAnnotations.Add(1)
			return
		}
		for len(c.Sources) <= int(s.Source) {
			c.Sources = append(c.Sources, "")
		}
		c.Sources[s.Source] = p.sourceName(s.Name)
	case record.AnnBoot:
		if c.BootID = p.sourceName(hex.EncodeToString(a.Body)); len(a.Body) != 16 {
			p.counters.BadAnnotations.Add(1)
			c.BootID = ""
		}
	}
}

// sourceName gives equal names one shared string.
func (p *processor) sourceName(s string) string {
	if shared, ok := p.sources[s]; ok {
		return shared
	}
	if len(p.sources) >= maxSources {
		clear(p.sources)
	}
	p.sources[s] = s
	return s
}

// withdraw forgets a gateway's watermark that a version before this one took, or a
// cloud whose clock was ahead: what the gateway tells from now on counts.
func (p *processor) withdraw(l *landing.Landed, g *gatewayState) {
	if g.Watermark == record.NoTime || !operator.Ahead(l.LandedAt, g.Watermark) {
		return
	}
	p.counters.Withdrawn.Add(1)
	g.Watermark = record.NoTime
}

// watermark takes the gateway's watermark as of the block's end. It never goes
// back but by withdraw, and one that is far beyond the time of landing is not taken.
func (p *processor) watermark(l *landing.Landed, g gatewayState, b *record.Block, out *table.Batch) {
	for a := range b.Annotations {
		if a.Type != record.AnnWatermark {
			continue
		}
		w, err := a.Watermark()
		if err != nil {
			p.counters.BadAnnotations.Add(1)
			continue
		}
		if w.Source != "" || w.At == record.NoTime || w.At <= g.Watermark {
			continue
		}
		if operator.Ahead(l.LandedAt, w.At) {
			p.counters.Ahead.Add(1)
			continue
		}
		g.Watermark = w.At
	}
	name := l.Gateway
	p.putGateway(name, g)
	if g.Watermark != record.NoTime {
		p.dedupe.Advance(name, g.Watermark)
		p.static.Advance(name, g.Watermark)
		p.window.Advance(name, g.Watermark, out)
	}
}

// watermarks lists every gateway's watermark, for the manifest.
func (p *processor) watermarks() []stream.Watermark {
	var all []stream.Watermark
	for name, g := range p.gateways.All() {
		if g.Watermark == record.NoTime && g.Log.IsZero() {
			continue // all that came of it are contradictions
		}
		all = append(all, stream.Watermark{Gateway: name, At: g.Watermark})
	}
	return all
}
