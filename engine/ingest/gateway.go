package ingest

import (
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"landfall/edge/record"
	"landfall/edge/wire"
)

const (
	keptBoundaries = 256 // ends of blocks remembered of a gateway's log
	keptConflicts  = 256 // contradictions remembered, so that each lands once
	keptLogs       = 8   // logs remembered, to see machines alternate
	keptResends    = 64  // logs remembered that were to be sent again
)

// gateway is what one ingest remembers of a gateway: all of it a help, none of
// it needed. Fields below turn belong to the request that holds turn.
type gateway struct {
	turn   chan struct{} // holds one token
	limits limits

	mu      sync.Mutex
	running *session // holds turn
	newest  *session // asked for turn last
	users   int      // requests that hold or wait for turn

	seenLog              // whose blocks came last
	before    []seenLog  // seen earlier, newest last
	first     uint64     // of the log that came first last
	ends      []boundary // of endsOf, newest last
	endsOf    record.LogID
	opened    []record.LogID // that were new and were let in, newest last
	resends   map[record.LogID]*resend
	conflicts map[record.Hash]bool
	next      record.Offset
	seen      record.Micros
	behind    wire.Behind // as the last request told
	lastError string      // of the last request

	alternatedAt record.Micros // when a log last came back after another; 0: never

	counted int // of Handler.remembered; guarded by Handler.mu
}

// entries is how many ends, contradictions and repeats are remembered.
func (g *gateway) entries() int { return len(g.ends) + len(g.conflicts) + len(g.resends) }

// forget forgets them.
func (g *gateway) forget() {
	g.ends, g.conflicts, g.resends = nil, map[record.Hash]bool{}, map[record.LogID]*resend{}
}

// seenLog is a log of which blocks came.
type seenLog struct {
	log   record.LogID
	reach record.Offset // how far they came
	order uint64        // logs that came first later have higher ones
	again bool          // it was left, and came back
}

// boundary is the end of a block that is landed.
type boundary struct {
	end  record.Offset
	hash record.Hash
}

func newGateway(c *Config) *gateway {
	g := &gateway{turn: make(chan struct{}, 1), limits: newLimits(c), conflicts: map[record.Hash]bool{},
		resends: map[record.LogID]*resend{}}
	g.turn <- struct{}{}
	return g
}

// enter waits for the gateway's turn. Whoever has it, and whoever waited for it
// before, brings only what has arrived already.
func (g *gateway) enter(s *session, grace time.Duration) {
	g.mu.Lock()
	g.newest = s
	if g.running != nil {
		g.running.body.supersede(grace)
	}
	g.mu.Unlock()
	<-g.turn
	g.mu.Lock()
	defer g.mu.Unlock()
	g.running = s
	if g.newest != s {
		s.body.supersede(grace)
	}
}

// leave gives the turn to the next.
func (g *gateway) leave() {
	g.mu.Lock()
	g.running = nil
	g.mu.Unlock()
	g.turn <- struct{}{}
}

// see notes that blocks of a log come, from an offset on, and says whether it takes
// turns with another: two machines.
//
// A gateway, too, goes back to an older log: what the landing log lost, and what was
// sent under another promise and is not published, it sends again. Then it begins below
// what came of that log before, which the log of no second machine does; or that log
// came first after the newer one, to which the gateway returns once. Whoever returns
// to it after that is another machine.
func (g *gateway) see(log record.LogID, offset record.Offset) (turns bool) {
	if log == g.log {
		return false
	}
	old := seenLog{log: log}
	i := slices.IndexFunc(g.before, func(s seenLog) bool { return s.log == log })
	switch {
	case i < 0:
		g.first++
		old.order = g.first
	case offset < g.before[i].reach:
		return false
	default:
		old = g.before[i]
		turns, old.again = g.order < old.order || g.again, true
		g.before = slices.Delete(g.before, i, i+1)
	}
	if !g.log.IsZero() {
		g.before = append(g.before, g.seenLog)
	}
	if len(g.before) > keptLogs {
		g.before = g.before[1:]
	}
	g.seenLog = old
	return turns
}

// landed remembers the end of a landed block of a log, which is the only one of
// which ends are remembered.
func (g *gateway) landed(log record.LogID, b boundary) {
	if g.endsOf != log {
		g.endsOf, g.ends = log, nil
	}
	if len(g.ends) == keptBoundaries {
		g.ends = append(g.ends[:0], g.ends[keptBoundaries/2:]...)
	}
	g.ends = append(g.ends, b)
}

// resend remembers a log that is to be sent again.
func (g *gateway) resend(log record.LogID, r *resend) {
	if g.resends[log] == nil && len(g.resends) >= keptResends {
		clear(g.resends) // of which something is lacking still is begun again with its next request
	}
	g.resends[log] = r
}

// hashAt gives the hash of the landed block of a log that ends at an offset.
func (g *gateway) hashAt(log record.LogID, end record.Offset) (record.Hash, bool) {
	if g.endsOf != log {
		return record.Hash{}, false
	}
	for i := len(g.ends) - 1; i >= 0; i-- {
		if g.ends[i].end == end {
			return g.ends[i].hash, true
		}
	}
	return record.Hash{}, false
}

// contradicts notes a contradictory block and says whether it is new.
func (g *gateway) contradicts(h record.Hash) bool {
	if g.conflicts[h] {
		return false
	}
	if len(g.conflicts) >= keptConflicts {
		clear(g.conflicts)
	}
	g.conflicts[h] = true
	return true
}

// progress is how many bytes a body has to bring not to stand still: a byte now and
// then is none.
const progress = 512

// requestBody gives a body time to make progress, until a newer request, or one that
// waits for its place, allows no more than a grace.
type requestBody struct {
	r       io.Reader
	control *http.ResponseController
	stall   time.Duration

	mu         sync.Mutex
	began      time.Time     // of the Read that waits for bytes; zero: none does
	waited     time.Duration // of the Reads before it, since the last progress
	got        int           // bytes since then
	superseded bool
	gaveWay    string // why it had to when another needed its place; empty: it had not
}

// Read implements io.Reader.
func (b *requestBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	b.began = time.Now()
	if !b.superseded {
		b.deadline(b.began.Add(b.stall - b.waited))
	}
	b.mu.Unlock()
	n, err := b.r.Read(p)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waited += time.Since(b.began)
	b.began = time.Time{}
	if b.got += n; b.got >= progress {
		b.waited, b.got = 0, 0
	}
	return n, err
}

// deadline sets when reads fail; a connection that has none stalls until it
// ends by itself.
func (b *requestBody) deadline(t time.Time) { _ = b.control.SetReadDeadline(t) }

// supersede lets the body bring what has arrived, for a grace.
func (b *requestBody) supersede(grace time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cut(grace)
}

// cut is supersede for the holder of mu.
func (b *requestBody) cut(grace time.Duration) {
	if !b.superseded {
		b.superseded = true
		b.deadline(time.Now().Add(grace))
	}
}

// stalled is how long the body has stood still by now; 0: it does not, or has to end
// already.
func (b *requestBody) stalled(now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.began.IsZero() || b.superseded {
		return 0
	}
	return b.waited + now.Sub(b.began)
}

// cutting tells that the body has to end already.
func (b *requestBody) cutting() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.superseded
}

// giveWay ends the body for another request that waits, and remembers why.
func (b *requestBody) giveWay(why string, grace time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.gaveWay = why
	b.cut(grace)
}

// ended tells why the body was cut off: for a newer request of the gateway, or, with a
// reason, for another that waited.
func (b *requestBody) ended() (superseded bool, gaveWay string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.superseded, b.gaveWay
}
