package ingest

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"landfall/edge/record"
	"landfall/edge/wire"
	"landfall/engine/landing"
)

// A task reads its partition in the order in which blocks landed, so whatever of a gateway
// lies there unread is before everything that others land. What a gateway may have there
// is bounded: beyond it the gateway waits, and what it waits with stays on its own disk.
const (
	// maxUnread is how many bytes of one gateway may have landed and not be read.
	maxUnread = 32 << 20
	// maxAllUnread is the same of all gateways of a partition together; beyond it each
	// may have an equal share of that, and one block at least. Those that have more keep
	// what they have, so that n gateways have maxAllUnread·(1 + 1/5 + 1/6 + … + 1/n) at
	// most, and a block each: 236 MiB of 10, 525 MiB of 100.
	maxAllUnread = 128 << 20
	// unreadBlock is what a block counts for beside its bytes, because it costs something
	// however small it is.
	unreadBlock = 4 << 10
	// unreadWait is how long a block waits at most before its request is refused as busy.
	unreadWait = 5 * time.Second
	// readLately is how long ago a task may have read its last block to be waited for. One
	// that stands, as when the lake's store does not answer, holds nobody back: what lands
	// meanwhile is what the landing log is for.
	readLately = time.Minute
)

// Unread knows what of each gateway has landed through this process and was not read by
// its task in this process. What had landed before the process began, and what lands while
// the task stands and is over the bounds, it does not count: whatever lands after that
// waits for it all the same. NewUnread makes one; its methods may be called from any
// goroutine.
type Unread struct {
	now func() time.Time

	mu    sync.Mutex
	of    map[string]*unreadOf
	parts []unreadPart
}

// unreadOf is what was not read of one gateway, oldest first.
type unreadOf struct {
	blocks []unreadEntry
	bytes  int64
	room   chan struct{} // closed when something was read; nil: nobody waits
}

type unreadEntry struct {
	at    record.Micros // when it landed, which names it
	bytes int64
}

// unreadPart is one partition.
type unreadPart struct {
	bytes    int64
	gateways int       // that have any
	read     time.Time // when its task read last
}

// NewUnread makes one of a landing log of so many partitions. now nil: time.Now.
func NewUnread(partitions int, now func() time.Time) *Unread {
	if now == nil {
		now = time.Now
	}
	return &Unread{now: now, of: map[string]*unreadOf{}, parts: make([]unreadPart, partitions)}
}

func (u *Unread) part(gateway string) *unreadPart {
	return &u.parts[landing.Partition(gateway, len(u.parts))]
}

// add notes a block that lands at a time.
func (u *Unread) add(gateway string, at record.Micros, bytes int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	q, p := u.of[gateway], u.part(gateway)
	if q != nil && q.bytes > maxUnread || p.bytes > 4*maxAllUnread {
		return // only while the task stands, or of ever new gateways
	}
	if q == nil {
		q = new(unreadOf)
		u.of[gateway] = q
		p.gateways++
	}
	if p.bytes == 0 {
		p.read = u.now() // there was nothing to be read
	}
	e := unreadEntry{at, int64(bytes) + unreadBlock}
	q.blocks = append(q.blocks, e)
	q.bytes += e.bytes
	p.bytes += e.bytes
}

// failed takes back what add noted last of a gateway.
func (u *Unread) failed(gateway string, at record.Micros) {
	u.mu.Lock()
	defer u.mu.Unlock()
	q := u.of[gateway]
	if q == nil {
		return
	}
	if last := len(q.blocks) - 1; q.blocks[last].at == at {
		u.cut(gateway, q, last, last+1)
	}
}

// cut takes out the blocks from one to another. The caller holds mu.
func (u *Unread) cut(gateway string, q *unreadOf, from, to int) {
	p := u.part(gateway)
	for _, e := range q.blocks[from:to] {
		q.bytes -= e.bytes
		p.bytes -= e.bytes
	}
	q.blocks = slices.Delete(q.blocks, from, to)
	if q.room != nil && to > from {
		close(q.room)
		q.room = nil
	}
	if len(q.blocks) == 0 {
		delete(u.of, gateway)
		p.gateways--
	}
}

// Read notes that the task has read a block that landed at a time, and with it what landed
// of its gateway before. A block that this does not know changes nothing but that the task
// reads.
func (u *Unread) Read(gateway string, at record.Micros) {
	u.mu.Lock()
	defer u.mu.Unlock()
	q, p := u.of[gateway], u.part(gateway)
	p.read = u.now()
	if q == nil || at < q.blocks[0].at {
		return
	}
	n := 1 + slices.IndexFunc(q.blocks, func(e unreadEntry) bool { return e.at == at })
	u.cut(gateway, q, 0, n)
}

// over returns how many bytes of a gateway are unread, and what is closed when the task has
// read some of them, where that is more than it may have; nil: it is not, or the task
// stands.
func (u *Unread) over(gateway string) (int64, <-chan struct{}) {
	u.mu.Lock()
	defer u.mu.Unlock()
	q, p := u.of[gateway], u.part(gateway)
	if q == nil || u.now().Sub(p.read) >= readLately {
		return 0, nil
	}
	if q.bytes <= maxUnread && (p.bytes <= maxAllUnread || q.bytes <= maxAllUnread/int64(p.gateways)) {
		return 0, nil
	}
	if q.room == nil {
		q.room = make(chan struct{})
	}
	return q.bytes, q.room
}

// waitForRoom waits until the gateway may have one more block that is not read. Error: it
// may not, and the request is refused as busy.
func (s *session) waitForRoom() error {
	u := s.h.cfg.Unread
	if u == nil {
		return nil
	}
	bytes, room := u.over(s.head.Gateway)
	if room == nil {
		return nil
	}
	until, look := time.NewTimer(unreadWait), time.NewTicker(100*time.Millisecond)
	defer until.Stop()
	defer look.Stop()
	for waits := true; waits && room != nil; {
		select {
		case <-room:
			bytes, room = u.over(s.head.Gateway)
		case <-look.C:
			waits = !s.body.cutting()
		case <-until.C:
			waits = false
		}
	}
	if room == nil {
		return nil
	}
	s.h.heldBack.Add(1)
	return refusal{wire.CodeBusy, fmt.Errorf("%d bytes of this gateway have landed and its task has not read them yet: "+
		"that is its share, and the rest has to wait", bytes)}
}

// Of returns how many bytes of a gateway are unread.
func (u *Unread) Of(gateway string) int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	if q := u.of[gateway]; q != nil {
		return q.bytes
	}
	return 0
}

// All returns how many bytes of a partition are unread.
func (u *Unread) All(partition int) int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.parts[partition].bytes
}
