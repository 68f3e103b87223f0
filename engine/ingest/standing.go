package ingest

import (
	"fmt"
	"time"

	"landfall/edge/record"
	"landfall/edge/wire"
	"landfall/engine/landing"
	"landfall/engine/published"
)

// Published tells what is in the lake, and what the landing log lacks. Every
// method may be called from any goroutine and does not wait; published.Registry
// is one.
type Published interface {
	// Of returns how far a log is published; false: not known now.
	Of(gateway string, log record.LogID) (published.Log, bool)
	// Wanted returns the offset from which the gateway has to send the log again, but
	// for what is published of it since: it names the hole as long as that stands.
	// false: nothing of the log is missing, as far as is known.
	Wanted(gateway string, log record.LogID) (record.Offset, bool)
	// Count returns how many logs and gateways are known to be in the lake, as far as
	// tasks have told.
	Count(gateway string) published.Count
	// Newest returns the newest log of a gateway of which anything is published, and
	// the first offset of it that is not; false: none, or not known now.
	Newest(gateway string) (record.LogID, record.Offset, bool)
	// AgainIn is how long it takes until what lands now should be published; 0: not
	// known.
	AgainIn() time.Duration
	// Lake is the identity of the lake that the landing log feeds; empty: not known.
	Lake() string
}

// A gateway that has sent a log again, of which its task lacks the same still, is
// asked once more when nothing of it has come for so long; each time it takes twice
// as long. A task that is hours behind has not read yet what was sent.
const (
	firstResend = 10 * time.Minute
	lastResend  = 24 * time.Hour
)

// facts are what is known of a request's log before any of its blocks is read.
type facts struct {
	log    record.LogID
	offset record.Offset // where the request begins
	keeps  bool          // the gateway keeps what is not published, and is told
	shared bool          // others append to the landing log too

	landed   landing.Tail // of the gateway's newest log in the landing log
	anything bool         // landed is known

	published published.Log
	told      bool          // published is known
	wanted    record.Offset // where the hole was found that stands
	lacking   bool          // wanted is known
}

// standing is where a log goes on.
type standing struct {
	tail  landing.Tail
	known bool // tail is known
	// unsure says that the landing log lost what the gateway was told to have
	// landed, or that nobody knows whether it did, and that it is not known how much of
	// that is published.
	unsure bool
}

// stand finds where a log goes on: at the landing log's tail of it, and where
// there is none, or one that others have passed, where the gateway says; but never
// below what is published, which no landing log needs to hold. Where the landing log
// has nothing of a gateway that was told that something has landed, as a landing
// directory that is new, it goes on at what is published.
func (f *facts) stand() standing {
	var s standing
	if f.own() && !(f.shared && f.landed.Next < f.offset) { // another ingest landed what lies between
		s = standing{tail: f.landed, known: true}
	}
	lost := f.keeps && !f.shared && (!f.anything || f.own() && f.landed.Next < f.offset)
	switch {
	case !f.told:
		if (lost || f.stranger() && !s.known) && f.offset > 0 {
			s = standing{unsure: true}
		}
	case s.known && s.tail.Next >= f.published.Next:
	case s.known, f.offset <= f.published.Next, lost:
		s = standing{tail: f.end(f.published.Next), known: true}
	}
	return s
}

// stranger says that nothing has been heard yet of the task of a shared landing log,
// neither what is published nor whether it passes over what follows a hole: what lands
// behind a hole now would go to conflict.
func (f *facts) stranger() bool { return f.keeps && f.shared && !f.told && !f.published.Passes }

// own says that the log is the gateway's newest in the landing log.
func (f *facts) own() bool { return f.anything && f.landed.Log == f.log }

// missing returns the offset from which the landing log lacks what the gateway was
// told to have landed, and where that hole was found, which names it; s is where the
// log goes on without that. Either its task says so. A hole of which the beginning has
// come, and is published, begins there. Or the log is closed in the lake and not the newest here: what landed of
// it lies before the opening of the newer log, which is published, so that what is
// not published of it was lost.
func (f *facts) missing(s standing) (from, hole record.Offset, ok bool) {
	from = max(f.wanted, f.published.Next)
	switch {
	case !f.keeps || !f.told:
	case f.lacking && (!s.known || from < s.tail.Next):
		return from, f.wanted, true
	case f.published.Closed && !f.own() && !s.known && f.published.Next < f.offset:
		return f.published.Next, f.published.Next, true
	}
	return 0, 0, false
}

// end is a tail at an offset that is not the landing log's. Its hash is known
// where the lake has it; elsewhere the next block's is not checked here.
func (f *facts) end(next record.Offset) landing.Tail {
	t := landing.Tail{Log: f.log, Next: next}
	if next == f.published.Next {
		t.Hash = f.published.Hash
	}
	t.AfterLoss = next > 0 && t.Hash == (record.Hash{})
	return t
}

// resend is a log that a gateway was told to send again, from below what has
// landed of it. It belongs to the request that holds the gateway's turn.
type resend struct {
	from  record.Offset
	hole  record.Offset // where the hole was found for which it was begun
	tail  landing.Tail  // what has come since
	heard bool          // the gateway has begun a request there
	reach record.Offset // what had landed before, as far as is known
	over  bool          // that is reached: what comes now is new
	at    record.Micros // when something of it came last, or when it was begun
	wait  time.Duration // until it may be begun once more
}

// again takes a log back to where the landing log lacks something, and keeps it
// there until the gateway has sent what lies between once more; r is what was begun
// of it before, nil: nothing. It changes s, and returns what stands of r, and
// whether the log was taken back now.
//
// A log is taken back once for a hole, at each ingest: until the gateway begins
// there its answers say so, whatever it sends; from then on they follow what comes.
// The landing log's own tail does not go back with it, so r holds the place until
// that is reached. What another ingest landed meanwhile is passed over as
// everywhere.
func (f *facts) again(s *standing, r *resend, now record.Micros) (*resend, bool) {
	from, hole, missing := f.missing(*s)
	begin := missing && (r == nil || from < r.from || hole != r.hole && from < r.tail.Next ||
		r.heard && now-r.at >= record.Micros(r.wait.Microseconds()))
	switch {
	case begin:
		next := &resend{from: from, hole: hole, tail: f.end(from), reach: f.offset, at: now, wait: firstResend}
		if s.known {
			next.reach = max(next.reach, s.tail.Next)
		}
		if r != nil && r.hole == hole {
			next.wait = min(2*r.wait, lastResend)
		}
		r = next
	case r == nil:
		return nil, false
	}
	if r.tail.Next < f.published.Next {
		r.tail = f.end(f.published.Next)
	}
	r.heard = r.heard || f.offset <= r.from
	switch {
	case r.over:
	case s.known && r.tail.Next >= s.tail.Next:
		r.over = true
	case f.shared && r.heard && r.tail.Next < f.offset:
		*s, r.over = standing{}, f.offset >= r.reach
	default:
		*s = standing{tail: r.tail, known: true}
	}
	return r, begin
}

// came notes that a block of the log came, which ends at the tail. Once all is there
// that landed before, what comes says nothing of the hole.
func (r *resend) came(tail landing.Tail, now record.Micros) {
	if r.tail = tail; !r.over {
		r.at = now
	}
}

// facts gathers what is known. The caller holds the gateway's turn.
func (s *session) facts() facts {
	f := facts{log: s.head.Log, offset: s.head.Offset, keeps: s.keeps(), shared: s.h.cfg.Log.Shared()}
	f.landed, f.anything = s.h.cfg.Log.Tail(s.head.Gateway)
	if p := s.h.cfg.Published; p != nil {
		f.published, f.told = p.Of(s.head.Gateway, s.head.Log)
		f.wanted, f.lacking = p.Wanted(s.head.Gateway, s.head.Log)
	}
	return f
}

// passes says that what lands may say that its gateway keeps it. In a landing log of
// this engine alone its own tasks read that. Of a shared one the task may be an older
// program's, which would stop at such a block: it is told to those only whose HEAD
// says that they read it, or said so when it was looked at last. As long as nothing
// is known of its task, nothing is taken from the middle of a log (stranger); of an
// older program's task, a block behind a hole goes to conflict, and comes again with
// what was missing.
func (f *facts) passes() bool { return f.keeps && (!f.shared || f.published.Passes) }

// keeps says that the gateway lets go of nothing before it is told that it is
// published. An ingest that never tells is told so by nobody: its gateways let go
// of what has landed.
func (s *session) keeps() bool { return s.head.Keeps && s.h.cfg.Published != nil }

// stand finds where the request's log goes on.
func (s *session) stand(f *facts) {
	at := f.stand()
	r, begun := f.again(&at, s.gw.resends[f.log], s.h.cfg.Now())
	if begun {
		s.h.resends.Add(1)
		s.h.cfg.Logger.Warn("a gateway is to send a log again: the landing log lacks what follows", "gateway",
			s.head.Gateway, "log", f.log, "from", r.from)
	}
	if r != nil {
		s.gw.resend(f.log, r)
	}
	s.resend, s.tail, s.known, s.unsure = r, at.tail, at.known, at.unsure
}

// tell puts into an answer what is published, as of now. What is published need
// not be sent, so it is acknowledged too.
func (s *session) tell(a *wire.Answer) {
	p := s.h.cfg.Published
	if p == nil {
		return
	}
	a.Publishes, a.AgainIn = true, p.AgainIn()
	lake := p.Lake()
	a.Lake = lake[:min(len(lake), wire.MaxLakeBytes)]
	at, told := p.Of(s.head.Gateway, s.head.Log)
	if !told {
		return
	}
	a.PublishedKnown, a.Published = true, wire.Published{Next: at.Next, Hash: at.Hash}
	if at.Ledger.Number > 0 {
		a.Published.Ledger = wire.LedgerTip{Task: at.Task, Number: at.Ledger.Number, SHA256: at.Ledger.SHA256}
	}
	if a.Known && a.Acked < at.Next {
		a.Acked, a.Hash = at.Next, at.Hash
	}
}

// errUnsure is why nothing of a log is taken now.
func (s *session) errUnsure() error {
	return refusal{wire.CodeUnavailable, fmt.Errorf(
		"the landing log is not known to hold what was landed before offset %d, nor how far the log is published: "+
			"nothing is taken of it until the task has claimed its partition", s.head.Offset)}
}

// newest returns the newest log of the request's gateway, where the request is a
// question about another one of which nothing is held: a gateway that does not know that
// log has lost its data directory. The landing log tells what came last; where it has
// nothing of the gateway, as one that is new, the lake does.
func (s *session) newest() wire.HeldLog {
	f := s.facts()
	var held wire.HeldLog
	if f.anything {
		held = wire.HeldLog{Log: f.landed.Log, Next: f.landed.Next}
	} else if p := s.h.cfg.Published; p != nil {
		held.Log, held.Next, _ = p.Newest(s.head.Gateway)
	}
	if s.r.ContentLength != 0 || held.Log == s.head.Log || f.published.Next > 0 {
		return wire.HeldLog{}
	}
	return held
}
