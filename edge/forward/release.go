package forward

import (
	"fmt"
	"time"

	"landfall/edge/record"
	"landfall/edge/wire"
)

// Release says what the gateway waits for before it lets records go.
type Release uint8

// The ways to release.
const (
	ReleasePublished Release = iota // records are in the lake, verified, in its ledger
	ReleaseLanded                   // the cloud's landing log holds them
)

// String returns the word of the configuration file.
func (r Release) String() string {
	switch r {
	case ReleasePublished:
		return "published"
	case ReleaseLanded:
		return "landed"
	}
	return fmt.Sprintf("release_%d", uint8(r))
}

// ParseRelease reads what String wrote.
func ParseRelease(s string) (Release, error) {
	for _, r := range []Release{ReleasePublished, ReleaseLanded} {
		if r.String() == s {
			return r, nil
		}
	}
	return 0, fmt.Errorf("parse release %q: want published or landed", s)
}

// Telling is whether the cloud tells what is published.
type Telling struct {
	// Told says that it has told once. Before, records are released when they have
	// landed: such an ingest is older than this promise, or has no lake.
	Told bool
	// QuietSince is when it first answered without telling, after it had told, by
	// its own clock; 0: its last answer told.
	QuietSince record.Micros
	// GaveUp says that it has been so for longer than quietLimit: until it tells again
	// records are released when they have landed.
	GaveUp bool
}

// quietLimit is for how long nothing more is released when an ingest that has told
// what is published tells it no more: it was replaced by an older one, by mistake
// or for a few hours. After that it is an ingest that does not tell.
const quietLimit = 24 * time.Hour

// hearTelling notes whether an answer tells what is published. A refusal may lack
// it for other reasons.
func (c *Core) hearTelling(a wire.Answer) {
	switch {
	case a.Publishes:
		c.telling = Telling{Told: true}
	case !c.telling.Told || a.Code != wire.CodeNone:
	case c.telling.QuietSince == 0:
		c.telling.QuietSince = max(a.LandedAt, 1)
	case a.LandedAt-c.telling.QuietSince >= record.Micros(quietLimit.Microseconds()):
		c.telling.GaveUp = true
	}
}

// Settled returns the offset of a log below which the cloud has everything, by the
// promise that counts: nothing below is sent again, and the store may let it go.
// An answer that acknowledges less is a contradiction. It goes back when the promise
// becomes another: see invariant 3.
//
// With ReleasePublished that is what is published, with ReleaseLanded what has
// landed; but what was sent while the gateway promised to keep it is kept until it
// is published. Where the cloud never told that, or has not for a day, it is what has
// landed.
func (c *Core) Settled(log record.LogID) record.Offset {
	m := c.marks[log]
	switch {
	case !c.telling.Told, c.telling.GaveUp:
		return m.Next
	case c.release == ReleasePublished:
		return m.Published
	case m.Published < m.Kept:
		return m.Published
	}
	return m.Next
}

// keeps says whether the gateway has everything of a log that is not known to be
// published, and lets nothing of it go before it is. Of a log that was released as it
// landed, under another promise, a part is gone that the cloud may ask for; it is kept
// again, and that is said, when that part is published.
func (c *Core) keeps(id record.LogID, logs []Log) bool {
	log := find(logs, id)
	return c.release == ReleasePublished && log != nil && log.First <= c.marks[id].Published
}

// Telling is whether the cloud tells what is published.
func (c *Core) Telling() Telling { return c.telling }

// Resume says how records are released from now on, how they were released
// before, and whether the cloud told what is published, given every log of the
// store. It is called once, before Next.
func (c *Core) Resume(to, was Release, telling Telling, logs []Log) {
	c.release, c.telling = to, telling
	for id, m := range c.marks {
		if to == ReleasePublished {
			m.Kept = 0
		}
		c.marks[id] = m
	}
	if to != ReleaseLanded || was != ReleasePublished || !telling.Told {
		return
	}
	for _, l := range logs { // any of it may have been sent under the promise
		m := c.marks[l.ID]
		m.Kept = max(m.Kept, l.End)
		c.marks[l.ID] = m
	}
}
