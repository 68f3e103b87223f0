package forward

import (
	"fmt"
	"maps"
	"time"

	"landfall/edge/record"
	"landfall/edge/wire"
)

// Mark is what the cloud is known to hold of a log. Published is at most Next.
type Mark struct {
	Next record.Offset // AckedOffset: the first offset that has not landed. It may go back
	Hash record.Hash   // of the block that ends at Next; zero: not known

	Published     record.Offset // the first offset that is not published. It never goes back, whatever an older answer tells
	PublishedHash record.Hash   // of the block that ends there; zero: not known
	// Kept ends what may have been sent while the gateway promised to keep it until
	// it is published, after a change to ReleaseLanded; 0: nothing.
	Kept record.Offset
}

// Log is a fact about one log of the store.
type Log struct {
	ID     record.LogID
	First  record.Offset // oldest kept
	End    record.Offset // DurableOffset
	Closed bool          // nothing more is appended
}

// ActionKind says what a Session does next.
type ActionKind uint8

// The kinds of actions.
const (
	ActWait ActionKind = iota // until there is more, or until Until if that is set
	ActAsk                    // send a request without blocks
	ActSend                   // send blocks from Offset, about Bytes of them
)

// Action is what a Session does next.
type Action struct {
	Kind   ActionKind
	Log    record.LogID
	Offset record.Offset
	Bytes  int64 // of blocks, before compression
	Until  time.Time
}

// Exchange is what came of an Ask or Send that was answered.
type Exchange struct {
	Action      Action
	Answer      wire.Answer
	Contradicts bool          // the gateway's own log has no such block at Answer.Acked
	Forged      bool          // nor at Answer.Published.Next
	Sent        int64         // bytes of blocks sent, before compression
	Records     int64         // in those blocks
	Whole       bool          // all of them were handed to the link
	Took        time.Duration // from the request's first byte to the answer
}

// Progress is what an answer changed.
type Progress struct {
	Log  record.LogID
	Mark Mark
	Back bool // less has landed than before: it is sent again from Mark.Next
}

// turn is a log of which less has landed than before.
type turn struct {
	times int
	reach record.Offset // it had landed up to here
}

// Red says why a log is not sent.
type Red struct {
	Log    record.LogID
	Reason string
	Until  time.Time // it is asked about again then

	looks int // how often it was, and stayed red
}

// Core is the state of forwarding. It belongs to one goroutine.
type Core struct {
	t       Tuning
	marks   map[record.LogID]Mark
	red     map[record.LogID]Red
	hear    map[record.LogID]hearing
	back    map[record.LogID]turn
	doubts  map[record.LogID]doubt
	newest  wire.LedgerTip // told last, the highest number of its task
	release Release
	telling Telling
	lake    string // whose engine is believed; "": that of the first answer that names one
	current record.LogID
	ask     bool
	attempt int
	until   time.Time // backoff
	started time.Time // of the last Send
	limit   int64     // bytes a request, doubled while requests end well
	rate    float64   // bytes of blocks a second, smoothed
	trip    time.Duration
	record  float64 // bytes a record takes in a block, smoothed
}

// NewCore starts from what is known to be acknowledged. Until Resume says more, it
// releases as ReleasePublished, and no ingest has told what is published.
func NewCore(t Tuning, marks map[record.LogID]Mark) *Core {
	c := &Core{
		t: t.withDefaults(), marks: map[record.LogID]Mark{}, red: map[record.LogID]Red{},
		hear: map[record.LogID]hearing{}, back: map[record.LogID]turn{}, doubts: map[record.LogID]doubt{},
	}
	for log, m := range marks {
		c.marks[log] = m
	}
	c.limit, c.record = c.t.MinRequestBytes, 128
	return c
}

// Acked is what the cloud is known to hold of a log.
func (c *Core) Acked(log record.LogID) Mark { return c.marks[log] }

// Reds lists the logs that are red at now.
func (c *Core) Reds() []Red {
	var out []Red
	for _, r := range c.red {
		out = append(out, r)
	}
	return out
}

// Pace tells what is known of the link: bytes of blocks a second and the round
// trip; zero: not known yet.
func (c *Core) Pace() (bytesPerSecond float64, roundTrip time.Duration) { return c.rate, c.trip }

// Next says what to do now, given every log of the store in opening order.
func (c *Core) Next(now time.Time, logs []Log) Action {
	c.forget(logs)
	if now.Before(c.until) {
		return Action{Kind: ActWait, Until: c.until}
	}
	log, recheck := c.pick(now, logs)
	if log != nil && log.ID != c.current {
		c.current, c.ask = log.ID, true
	}
	if log != nil && c.ask {
		return Action{Kind: ActAsk, Log: log.ID, Offset: c.next(log)}
	}
	waiting, due := c.toHear(now, logs, log)
	if waiting != nil {
		return Action{Kind: ActAsk, Log: waiting.ID, Offset: c.next(waiting)}
	}
	if log == nil {
		return Action{Kind: ActWait, Until: earlier(recheck, due)}
	}
	next := c.next(log)
	backlog := int64(c.record * float64(log.End-next))
	if linger := c.started.Add(c.t.Linger); backlog < c.t.MinRequestBytes && !log.Closed && now.Before(linger) {
		return Action{Kind: ActWait, Until: earlier(linger, due)}
	}
	c.started = now
	return Action{Kind: ActSend, Log: log.ID, Offset: next, Bytes: c.size(backlog)}
}

// pick gives the first log with something to send that is not red, and else
// when the first red one is to be asked about again.
func (c *Core) pick(now time.Time, logs []Log) (*Log, time.Time) {
	var recheck time.Time
	for i := range logs {
		l := &logs[i]
		if c.next(l) >= l.End {
			continue
		}
		r, red := c.red[l.ID]
		if !red || !now.Before(r.Until) {
			return l, time.Time{}
		}
		if recheck.IsZero() || r.Until.Before(recheck) {
			recheck = r.Until
		}
	}
	return nil, recheck
}

// forget drops what is known of logs that the store has no more, once it is more than
// the store has.
func (c *Core) forget(logs []Log) {
	if max(len(c.marks), len(c.red), len(c.hear), len(c.back), len(c.doubts)) <= len(logs) {
		return
	}
	c.keepOnly(logs)
}

// keepOnly drops what is known of logs that are not among the given ones.
func (c *Core) keepOnly(logs []Log) {
	here := make(map[record.LogID]bool, len(logs))
	for _, l := range logs {
		here[l.ID] = true
	}
	gone := func(id record.LogID) bool { return !here[id] }
	maps.DeleteFunc(c.marks, func(id record.LogID, _ Mark) bool { return gone(id) })
	maps.DeleteFunc(c.red, func(id record.LogID, _ Red) bool { return gone(id) })
	maps.DeleteFunc(c.hear, func(id record.LogID, _ hearing) bool { return gone(id) })
	maps.DeleteFunc(c.back, func(id record.LogID, _ turn) bool { return gone(id) })
	maps.DeleteFunc(c.doubts, func(id record.LogID, _ doubt) bool { return gone(id) })
}

// next is the first offset to send: AckedOffset, or the oldest kept one where
// that is not known any more, for nothing is released that was not acknowledged.
func (c *Core) next(l *Log) record.Offset { return max(c.marks[l.ID].Next, l.First) }

// size gives the bytes of the next request: enough that the link carries data
// for many round trips before it waits one for the answer, no more than there
// is, and no more than the limit that good ends have raised.
func (c *Core) size(backlog int64) int64 {
	want := c.limit
	if c.rate > 0 {
		fill := max(time.Duration(c.t.RoundTrips)*c.trip, c.t.MinTransfer)
		want = min(want, max(int64(c.rate*fill.Seconds()), c.t.MinRequestBytes))
	}
	want = min(want, max(backlog, c.t.MinRequestBytes))
	return min(max(want, c.t.MinRequestBytes), c.t.MaxRequestBytes)
}

// Answered takes a well-formed answer. logs are the store's logs now. rnd, in
// [0,1), is the jitter of waits that may begin. What Settled returns after it must
// be durable before anything is released; false: no mark changed.
func (c *Core) Answered(now time.Time, e Exchange, logs []Log, rnd float64) (Progress, bool) {
	log := find(logs, e.Action.Log)
	a := e.Answer
	own := e.Action.Log == c.current
	c.ask = c.ask || own
	if why := c.otherLake(a); why != "" {
		c.redden(now, e.Action.Log, why)
		return Progress{}, false
	}
	c.hearTelling(a)
	if log == nil { // the store has it no more
		return Progress{}, false
	}
	was := c.marks[log.ID]
	was.Next = c.next(log)
	why, older := "", c.isOlder(was, a)
	if older {
		why = c.doubt(now, log.ID, was, a, rnd)
		e = withoutOlder(e, c.floor(log))
	}
	if why == "" {
		why = c.contradiction(log, was, e)
	}
	if why != "" {
		c.redden(now, log.ID, why)
		return Progress{}, false
	}
	delete(c.red, log.ID)
	c.hearLake(a)
	mark := c.advance(log, was, e)
	if !older {
		c.believed(log.ID, a)
		c.heard(now, log.ID, a, mark.Published > was.Published || mark.Next > was.Next, rnd)
	}
	if c.sendAgain(log, e) {
		mark.Next, mark.Hash = mark.Published, mark.PublishedHash
	}
	c.judge(now, e, own, mark.Next != was.Next, rnd)
	c.turned(now, log.ID, was.Next, mark.Next, rnd)
	if mark == was {
		return Progress{}, false
	}
	c.marks[log.ID] = mark
	return Progress{Log: log.ID, Mark: mark, Back: mark.Next < was.Next}, true
}

// floor returns the offset of a log below which nothing can be sent again.
func (c *Core) floor(log *Log) record.Offset { return max(c.Settled(log.ID), log.First) }

// contradiction says what in an answer cannot be true, given what the cloud said
// before and what the gateway has; "" when all of it can. What is not settled may
// have landed and be lost again.
func (c *Core) contradiction(log *Log, was Mark, e Exchange) string {
	a := e.Answer
	floor := c.floor(log)
	switch pub := a.Published; {
	case a.Conflict:
		return "the cloud holds other bytes under these offsets: " + a.Detail
	case a.PublishedKnown && pub.Next < was.Published:
		return fmt.Sprintf("the cloud has published offsets below %d and had published those below %d: was an older lake put back?", pub.Next, was.Published)
	case a.PublishedKnown && pub.Next > log.End && !log.Closed:
		return fmt.Sprintf("the cloud has published offsets below %d of a log that has reached %d", pub.Next, log.End)
	case e.Forged, a.PublishedKnown && pub.Next == was.Published && differ(pub.Hash, was.PublishedHash):
		return fmt.Sprintf("the block that ends at %d is another here than in the lake", pub.Next)
	case a.Known && a.Acked < floor:
		return fmt.Sprintf("the cloud holds offsets below %d and has acknowledged those below %d, which are not sent again", a.Acked, floor)
	case a.Known && a.Acked > log.End && !log.Closed:
		return fmt.Sprintf("the cloud holds offsets below %d of a log that has reached %d", a.Acked, log.End)
	case e.Contradicts:
		return fmt.Sprintf("the block that ends at %d is another here than in the cloud", a.Acked)
	}
	return ""
}

// advance returns the mark of a log after an answer that contradicts nothing. A
// closed log may have lost its tail here after the cloud had got it.
func (c *Core) advance(log *Log, was Mark, e Exchange) Mark {
	a, mark := e.Answer, was
	if a.Known && a.Acked != was.Next {
		mark.Next, mark.Hash = min(a.Acked, log.End), a.Hash
	}
	if a.PublishedKnown && a.Published.Next > was.Published {
		mark.Published, mark.PublishedHash = min(a.Published.Next, log.End), a.Published.Hash
	}
	if mark.Published > mark.Next {
		mark.Next, mark.Hash = mark.Published, mark.PublishedHash
	}
	if mark.Published >= mark.Kept {
		mark.Kept = 0
	}
	return mark
}

// turned has a log wait before it is sent again, longer with each time until more
// of it has landed than ever: ingests that do not agree must not have the link
// send the same blocks all the time.
func (c *Core) turned(now time.Time, log record.LogID, was, next record.Offset, rnd float64) {
	t := c.back[log]
	switch {
	case next < was:
		c.back[log] = turn{times: t.times + 1, reach: max(t.reach, was)}
		if wait := now.Add(c.t.Backoff(t.times, rnd)); wait.After(c.until) {
			c.until = wait
		}
	case next > t.reach:
		delete(c.back, log)
	}
}

// differ says that two known hashes are not the same.
func differ(a, b record.Hash) bool { return a != b && a != (record.Hash{}) && b != (record.Hash{}) }

// judge decides from the answer's code how to go on. own: it is of the log that is
// being sent. moved: the place to go on from is another than before.
func (c *Core) judge(now time.Time, e Exchange, own, moved bool, rnd float64) {
	switch e.Answer.Code {
	case wire.CodeNone:
		if e.Action.Kind == ActSend && !moved {
			c.retry(now, rnd)
			return
		}
		c.ask, c.attempt, c.until = c.ask && !own, 0, time.Time{}
		c.learn(e)
	case wire.CodeOutOfOrder:
		if !moved {
			c.retry(now, rnd)
			return
		}
		c.ask, c.attempt, c.until = c.ask && !own, 0, time.Time{}
	case wire.CodeBomb:
		c.limit = max(c.limit/2, c.t.MinRequestBytes)
		c.retry(now, rnd)
	case wire.CodeMalformed, wire.CodeVersion, wire.CodeForbidden, wire.CodeTooLarge, wire.CodeNotZstd:
		c.attempt = maxAttempt // nothing will change by asking often
		c.retry(now, rnd)
	default:
		c.retry(now, rnd)
	}
}

// learn takes the link's measure from a request that ended well.
func (c *Core) learn(e Exchange) {
	if e.Action.Kind == ActAsk {
		c.trip = smoothTime(c.trip, e.Took)
		return
	}
	if !e.Whole || e.Took <= 0 {
		return
	}
	if e.Records > 0 {
		c.record = smooth(c.record, float64(e.Sent)/float64(e.Records))
	}
	if e.Sent >= c.t.MinRequestBytes/2 {
		c.rate = smooth(c.rate, float64(e.Sent)/e.Took.Seconds())
	} else if c.trip == 0 || e.Took < c.trip {
		c.trip = smoothTime(c.trip, e.Took)
	}
	if e.Sent >= c.limit/2 {
		c.limit = min(2*c.limit, c.t.MaxRequestBytes)
	}
}

// Failed takes an end without an answer: a cut, a timeout, a captive portal.
// What was landed is open, so the next act is to ask.
func (c *Core) Failed(now time.Time, a Action, rnd float64) {
	if a.Kind == ActSend {
		c.limit = max(c.limit/2, c.t.MinRequestBytes)
	}
	c.ask = c.ask || a.Log == c.current
	c.unheard(now, a.Log)
	c.retry(now, rnd)
}

func (c *Core) retry(now time.Time, rnd float64) {
	c.until = now.Add(c.t.Backoff(c.attempt, rnd))
	c.attempt = min(c.attempt+1, maxAttempt)
}

func (c *Core) redden(now time.Time, log record.LogID, reason string) {
	looks, rest := c.red[log].looks+1, c.t.RedRetry
	if looks < maxAttempt && c.t.RedMin<<(looks-1) < rest {
		rest = c.t.RedMin << (looks - 1)
	}
	c.red[log] = Red{Log: log, Reason: reason, Until: now.Add(rest), looks: looks}
	c.attempt, c.until = 0, time.Time{}
}

func find(logs []Log, id record.LogID) *Log {
	for i := range logs {
		if logs[i].ID == id {
			return &logs[i]
		}
	}
	return nil
}

func smooth(old, now float64) float64 {
	if old == 0 {
		return now
	}
	return old + (now-old)/4
}

func smoothTime(old, now time.Duration) time.Duration {
	return time.Duration(smooth(float64(old), float64(now)))
}

// Stick makes a log red for a reason found on the gateway.
func (c *Core) Stick(now time.Time, log record.LogID, reason string) { c.redden(now, log, reason) }

// Hurry ends the linger and the backoff that run, and every later linger: what
// is captured now is all that is to come.
func (c *Core) Hurry() { c.t.Linger, c.until = 0, time.Time{} }

// LookAgain ends the backoff that runs and has each red log asked about at once: an
// operator has mended something.
func (c *Core) LookAgain() {
	c.attempt, c.until = 0, time.Time{}
	for id, r := range c.red {
		r.Until, r.looks = time.Time{}, 0
		c.red[id] = r
	}
}

// Rest returns until when nothing will be sent, whatever is captured meanwhile. It
// may lie in the past.
func (c *Core) Rest() time.Time {
	linger := c.started.Add(c.t.Linger)
	if c.until.After(linger) {
		return c.until
	}
	return linger
}
