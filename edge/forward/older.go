package forward

import (
	"fmt"
	"time"

	"landfall/edge/record"
	"landfall/edge/wire"
)

// olderPatience is for how long in a row a log may be answered with less than is
// known to be published, before it is red. Of several ingests each hears for itself
// how far the lake is: one that has not heard yet what another told is seconds behind
// it, or minutes where it reads the lake badly. A lake that was put back stays behind.
// A series of such answers begins again when none came for so long.
const olderPatience = 10 * time.Minute

// doubt is a series of answers about one log, each older than what is known.
type doubt struct{ since, last time.Time }

// isOlder says whether an answer tells less than is known to be published, and
// nothing shows that it is not only older: its ledger entry is one before the newest
// that was told of its task, or cannot be compared with that.
func (c *Core) isOlder(was Mark, a wire.Answer) bool {
	if !a.PublishedKnown || a.Published.Next >= was.Published {
		return false
	}
	tip := a.Published.Ledger
	return tip.IsZero() || tip.Task != c.newest.Task || tip.Number < c.newest.Number
}

// doubt takes an older answer about a log, and says why the log is red; "": it is
// not, for such answers have not come for long. It makes no red log well, and has the
// log asked about again soon.
func (c *Core) doubt(now time.Time, log record.LogID, was Mark, a wire.Answer, rnd float64) string {
	h := c.hear[log]
	h.due = now.Add(c.t.HearMin + time.Duration(rnd*float64(c.t.HearMin)/8))
	c.hear[log] = h
	d := c.doubts[log]
	if now.Sub(d.last) > olderPatience {
		d.since = now
	}
	d.last = now
	c.doubts[log] = d
	if r, red := c.red[log]; red {
		return r.Reason
	}
	if now.Sub(d.since) < olderPatience {
		return ""
	}
	return fmt.Sprintf("for %s the cloud has told that it has published offsets below %d and had published those below %d: was an older lake put back?",
		now.Sub(d.since).Round(time.Minute), a.Published.Next, was.Published)
}

// withoutOlder returns an exchange without what an older answer tells: what is
// published, and an acknowledgement below floor, which is as old.
func withoutOlder(e Exchange, floor record.Offset) Exchange {
	e.Answer.PublishedKnown, e.Answer.Published, e.Forged = false, wire.Published{}, false
	if e.Answer.Acked < floor {
		e.Answer.Known, e.Contradicts = false, false
	}
	return e
}

// believed notes that an answer about a log is not older than what was known.
func (c *Core) believed(log record.LogID, a wire.Answer) {
	if !a.PublishedKnown {
		return
	}
	delete(c.doubts, log)
	if tip := a.Published.Ledger; !tip.IsZero() && (tip.Task != c.newest.Task || tip.Number > c.newest.Number) {
		c.newest = tip
	}
}
