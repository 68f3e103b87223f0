package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"landfall/edge/record"
	"landfall/edge/wire"
	"landfall/engine/landing"
)

// session is one request being served, on one goroutine.
type session struct {
	h       *Handler
	r       *http.Request
	body    *requestBody
	head    wire.RequestHeader
	gw      *gateway
	client  string        // for whom it counts where places are shared
	turn    chan struct{} // closed when it has the place that it waited for; nil: it did not wait
	since   time.Time     // when it got its place; guarded by h.mu
	gone    bool          // it counts for its client no more; guarded by h.mu
	drained bool          // the body was read to its end

	tail   landing.Tail // of head.Log, kept block by block
	known  bool         // tail is known
	unsure bool         // see standing
	resend *resend      // of head.Log; nil: it was never taken back
	kept   bool         // what lands says that its gateway keeps it
	fresh  bool         // nothing of head.Log is known here
	first  bool         // nothing of the gateway is
	next   record.Offset
}

// serve carries the request out and gives its answer.
func (s *session) serve() wire.Answer {
	err := s.run()
	if unconfirmed := s.confirm(); unconfirmed != nil {
		s.known, err = false, unconfirmed
	}
	a := wire.Answer{
		Gateway: s.head.Gateway, Log: s.head.Log, Request: s.head.Request,
		LandedAt: s.h.cfg.Now(), Code: codeOf(err),
	}
	if err != nil {
		a.Detail = shorten(err.Error())
	}
	if s.gw != nil && s.known {
		a.Known, a.Acked, a.Hash = true, s.tail.Next, s.tail.Hash
	}
	if s.gw != nil {
		id := string(s.h.cfg.Log.ID())
		a.Landing = id[:min(len(id), wire.MaxLandingBytes)]
		a.Newest = s.newest()
		s.tell(&a)
	}
	a.Conflict = a.Code == wire.CodeConflict
	return a
}

// maxErrorBytes bounds what is told and remembered of an error: texts of a stranger may
// stand in it.
const maxErrorBytes = 1000

func shorten(text string) string { return text[:min(len(text), maxErrorBytes)] }

// confirm asks whether what the answer is to acknowledge may be let go of.
func (s *session) confirm() error {
	if s.gw == nil || !s.known || s.keeps() || s.h.cfg.Confirm == nil {
		return nil
	}
	if err := s.h.cfg.Confirm(context.WithoutCancel(s.r.Context())); err != nil {
		return refusal{wire.CodeUnavailable, fmt.Errorf("what has landed is not acknowledged: %w", err)}
	}
	return nil
}

func (s *session) run() (err error) {
	if s.head, err = wire.ParseRequestHeader(s.r.Header); err != nil {
		return err
	}
	proved, err := s.h.cfg.Identity.check(s.r, s.head.Gateway)
	if err != nil {
		s.h.unproven(reasonOf(err))
		return refusal{wire.CodeForbidden, fmt.Errorf("request of gateway %q: %w", s.head.Gateway, err)}
	}
	s.client = clientOf(s.r, s.head.Gateway, proved)
	g, err := s.h.admit(s)
	if err != nil {
		s.h.hold(s.r.Context())
		return refusal{wire.CodeBusy, err}
	}
	defer s.h.dismiss(s, g)
	g.enter(s, s.h.cfg.CutGrace)
	defer g.leave()
	s.gw = g
	s.begin()
	defer func() { s.end(err) }()
	if s.r.ContentLength == 0 {
		s.drained = true
		s.h.questions.Add(1)
		return nil
	}
	if err := wire.CheckContent(s.r.Header); err != nil {
		return err
	}
	s.h.requests.Add(1)
	if s.unsure {
		return s.errUnsure()
	}
	if s.known && s.head.Offset > s.tail.Next {
		return refusal{wire.CodeOutOfOrder, fmt.Errorf("request starts at offset %d, next is %d", s.head.Offset, s.tail.Next)}
	}
	return s.land()
}

// begin finds the place to go on from.
func (s *session) begin() {
	f := s.facts()
	s.stand(&f)
	s.next, s.kept = s.head.Offset, f.passes()
	s.fresh = f.published.Next == 0 && !f.own() && !s.gw.hasOpened(f.log)
	s.first = s.fresh && !f.anything
	if !s.known && s.r.ContentLength != 0 {
		s.h.unknown.Add(1)
	}
	// A question brings nothing; gateways ask about old logs. What the engine asked
	// for, or has closed, is no sign of another machine either, when it comes again.
	if s.r.ContentLength == 0 || f.lacking || f.published.Closed || s.resend != nil && !s.resend.over {
		return
	}
	s.gw.mu.Lock()
	alternates := s.gw.see(s.head.Log, s.head.Offset)
	if alternates {
		s.gw.alternatedAt = s.h.cfg.Now()
	}
	s.gw.mu.Unlock()
	if alternates {
		s.h.alternations.Add(1)
		s.h.cfg.Logger.Error("a log came back after another one: two machines under one gateway name?", "gateway", s.head.Gateway, "log", s.head.Log)
	}
}

// end notes what is known now, for Gateways.
func (s *session) end(err error) {
	s.gw.mu.Lock()
	defer s.gw.mu.Unlock()
	s.gw.seen, s.gw.behind, s.gw.lastError = s.h.cfg.Now(), s.left(), ""
	if code := codeOf(err); err != nil && code != wire.CodeSuperseded {
		s.gw.lastError = shorten(fmt.Sprintf("%s: %s", code, err))
	}
	if s.gw.log != s.head.Log {
		return
	}
	if s.known {
		s.gw.next = s.tail.Next
	}
	s.gw.reach = max(s.gw.reach, s.next)
}

// left is what the gateway told to wait, without what has landed of it.
func (s *session) left() wire.Behind {
	left := s.head.Behind
	if s.known && s.tail.Next > s.head.Offset {
		left.Records -= min(left.Records, uint64(s.tail.Next-s.head.Offset))
	}
	if left.Records == 0 {
		left.Age = 0
	}
	return left
}

// land lands the body's blocks, one after the other.
func (s *session) land() error {
	d := wire.NewDecoder(pacedBody{s.body, s.gw}, s.h.cfg.MaxRequestBytes)
	defer d.Close()
	d.Take = func(bytes int64) error { return s.h.bodies.take(s.h, s, bytes) }
	landed := int64(0) // bytes of blocks that were given back
	defer func() { s.h.bodies.give(s, d.Taken()-landed) }()
	defer func() { s.h.wireBytes.Add(uint64(d.WireBytes())) }()
	for {
		p, err := d.Next()
		if err == io.EOF {
			s.drained = true
			return nil
		}
		if err != nil {
			return s.cutOff(err)
		}
		s.gw.pace(s.r.Context(), len(p))
		block, err := record.Parse(p)
		if err != nil {
			return err
		}
		if block.Kind == record.BlockData && block.Count > record.MaxRecords {
			return refusal{wire.CodeMalformed, fmt.Errorf("block at offset %d of %d records: more than whole ones would fit", block.First, block.Count)}
		}
		if err := s.take(&block); err != nil {
			return err
		}
		s.h.bodies.give(s, int64(len(p)))
		landed += int64(len(p))
	}
}

// cutOff says why a body could not be read on, where it was this ingest that ended it.
func (s *session) cutOff(err error) error {
	superseded, gaveWay := s.body.ended()
	switch {
	case !errors.Is(err, wire.ErrTruncated) || !superseded:
		return err
	case gaveWay != "":
		return refusal{wire.CodeBusy, fmt.Errorf("ended because another request waited for its place, and %s: %w", gaveWay, err)}
	}
	return refusal{wire.CodeSuperseded, fmt.Errorf("ended by a newer request: %w", err)}
}

// verdict is what is to be done with a block.
type verdict uint8

const (
	landIt    verdict = iota
	skipIt            // landed already, the same bytes
	resync            // not where the request should be
	malformed         // not of this request
	contradiction
)

// take lands one block, or passes over one that is landed.
func (s *session) take(b *record.Block) error {
	hash := record.HashBlock(b.Bytes)
	v, why := s.judge(b, hash)
	switch v {
	case skipIt:
		s.h.duplicates.Add(1)
		s.next = b.End()
		return nil
	case resync:
		return refusal{wire.CodeOutOfOrder, errors.New(why)}
	case malformed:
		return refusal{wire.CodeMalformed, errors.New(why)}
	}
	if s.fresh {
		if err := s.mayOpen(); err != nil {
			return refusal{wire.CodeBusy, err}
		}
		s.fresh = false
	}
	if v == contradiction {
		return s.conflict(b, hash, why)
	}
	if err := s.append(landing.Landed{Gateway: s.head.Gateway, LandedAt: s.h.cfg.Now(), Keeps: s.kept, Block: b.Bytes, Clock: s.head.Clock}); err != nil {
		return err
	}
	s.tail = landing.Tail{Log: b.Log, Next: b.End(), Hash: hash, AfterLoss: b.Kind == record.BlockLoss}
	s.known, s.next = true, b.End()
	s.gw.landed(b.Log, boundary{end: b.End(), hash: hash})
	if s.resend != nil {
		s.resend.came(s.tail, s.h.cfg.Now())
	}
	s.h.blocks.Add(1)
	s.h.blockBytes.Add(uint64(len(b.Bytes)))
	if b.Kind == record.BlockData {
		s.h.records.Add(uint64(b.Count))
	}
	return nil
}

// judge compares a block with what is landed. It decides nothing for good: the
// task does.
func (s *session) judge(b *record.Block, hash record.Hash) (verdict, string) {
	switch {
	case b.Log != s.head.Log:
		return malformed, fmt.Sprintf("block of log %s in a request of log %s", b.Log, s.head.Log)
	case b.Count == 0:
		return malformed, fmt.Sprintf("block without offsets at %d", b.First)
	case b.First != s.next:
		return resync, fmt.Sprintf("block at offset %d, next of the request is %d", b.First, s.next)
	case !s.known:
		if b.First == 0 && b.Prev != (record.Hash{}) {
			return contradiction, "the first block of the log names one before it"
		}
		return landIt, ""
	case b.First == s.tail.Next:
		return s.judgeChain(b)
	case b.End() > s.tail.Next:
		return contradiction, fmt.Sprintf("block [%d,%d) lies across the landed end %d", b.First, b.End(), s.tail.Next)
	}
	landed, ok := s.gw.hashAt(b.Log, b.End())
	if b.End() == s.tail.Next && s.tail.Hash != (record.Hash{}) {
		landed, ok = s.tail.Hash, true
	}
	switch {
	case !ok:
		return resync, fmt.Sprintf("block [%d,%d) lies below the landed end %d", b.First, b.End(), s.tail.Next)
	case landed != hash:
		return contradiction, fmt.Sprintf("block [%d,%d) is landed with other bytes", b.First, b.End())
	}
	return skipIt, ""
}

// judgeChain checks that a block follows the tail's.
func (s *session) judgeChain(b *record.Block) (verdict, string) {
	unchecked := s.tail.AfterLoss || b.Kind == record.BlockLoss && b.Prev == (record.Hash{})
	if !unchecked && b.Prev != s.tail.Hash {
		return contradiction, fmt.Sprintf("the block at offset %d follows another block than the landed one", b.First)
	}
	return landIt, ""
}

// conflict lands a contradictory block once, marked, and refuses the request.
func (s *session) conflict(b *record.Block, hash record.Hash, why string) error {
	s.h.conflicts.Add(1)
	s.h.cfg.Logger.Error("a block contradicts what is landed", "gateway", s.head.Gateway, "log", b.Log, "offset", b.First, "why", why)
	if s.gw.contradicts(hash) {
		l := landing.Landed{Gateway: s.head.Gateway, LandedAt: s.h.cfg.Now(), Conflict: true, Keeps: s.kept, Block: b.Bytes}
		if err := s.append(l); err != nil {
			delete(s.gw.conflicts, hash)
			return err
		}
	}
	return refusal{wire.CodeConflict, errors.New(why)}
}

// append makes one block durable. It does not end with the connection: what
// has arrived is landed.
func (s *session) append(l landing.Landed) error {
	if err := s.waitForRoom(); err != nil {
		return err
	}
	if u := s.h.cfg.Unread; u != nil {
		u.add(l.Gateway, l.LandedAt, len(l.Block))
	}
	err := s.h.cfg.Log.Append(context.WithoutCancel(s.r.Context()), l)
	if u := s.h.cfg.Unread; u != nil && err != nil {
		u.failed(l.Gateway, l.LandedAt)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, landing.ErrFull):
		return refusal{wire.CodeFull, err}
	}
	return refusal{wire.CodeUnavailable, err}
}
