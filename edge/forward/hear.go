package forward

import (
	"time"

	"landfall/edge/record"
	"landfall/edge/wire"
)

// What is published is told with every answer, so that a log that is being sent
// hears it for nothing. Of the others, a small question is asked when the cloud
// said that there may be news.
const (
	// hearPatience is after how many such answers in a row what has landed and is
	// not published is sent again, if the cloud does not say either that it holds
	// it: a landing log may have lost the end of a log that nothing follows. After
	// each time it takes hearLonger times as many.
	hearPatience = 2
	hearLonger   = 4
)

// hearing is when a log is asked about that has landed and is not published.
type hearing struct {
	due      time.Time
	same     int // answers in a row that told nothing new, each when it was due
	patience int // of them, until it is sent again; 0: hearPatience
}

// waits says whether records of a log are kept only because they are not
// published.
func (c *Core) waits(l *Log) bool { return c.Settled(l.ID) < min(c.next(l), l.End) }

// toHear returns the first log that is to be asked about, and else when one is.
// busy is being sent, and hears without a question; nil: none is.
func (c *Core) toHear(now time.Time, logs []Log, busy *Log) (*Log, time.Time) {
	var next time.Time
	for i := range logs {
		l := &logs[i]
		if !c.waits(l) || busy != nil && busy.ID == l.ID {
			continue
		}
		h := c.hear[l.ID]
		due := h.due
		r, red := c.red[l.ID]
		if red && r.Until.After(due) {
			due = r.Until
		}
		if !now.Before(due) {
			return l, time.Time{}
		}
		next = earlier(next, due)
		if h.same < hearPatience && !red {
			break // the logs after it landed later, and are published later
		}
	}
	return nil, next
}

// unheard puts a question off that was not answered.
func (c *Core) unheard(now time.Time, log record.LogID) {
	if h := c.hear[log]; !now.Before(h.due) {
		h.due = now.Add(c.t.HearMin)
		c.hear[log] = h
	}
}

// heard plans the next question about a log after an answer. news: more of it is
// published, or has landed, than before.
func (c *Core) heard(now time.Time, log record.LogID, a wire.Answer, news bool, rnd float64) {
	h := c.hear[log]
	switch {
	case news:
		h.same = 0
	case now.Before(h.due):
		return // an answer for nothing: the plan stands
	case !h.due.IsZero():
		h.same++
	}
	every := c.t.HearMin
	if a.Publishes && a.AgainIn > 0 {
		every = a.AgainIn
	}
	wait := max(every, min(every<<min(h.same, 20), c.t.HearMax))
	h.due = now.Add(wait + time.Duration(rnd*float64(wait)/8))
	c.hear[log] = h
}

// sendAgain says whether a log that was asked about is to be sent again from what
// is published, because the cloud neither publishes more nor says that it holds
// more. What is settled is not.
func (c *Core) sendAgain(log *Log, e Exchange) bool {
	h := c.hear[e.Action.Log]
	if h.patience == 0 {
		h.patience = hearPatience
	}
	if !c.waits(log) || e.Action.Kind != ActAsk || e.Answer.Known || !e.Answer.PublishedKnown || e.Answer.Code != wire.CodeNone || h.same < h.patience {
		return false
	}
	h.same, h.patience = 0, h.patience*hearLonger
	c.hear[e.Action.Log] = h
	return true
}

// earlier returns the earlier of two times; a zero one is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
