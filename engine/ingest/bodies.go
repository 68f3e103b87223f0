package ingest

import (
	"cmp"
	"fmt"
	"sync"
	"time"

	"landfall/edge/wire"
)

const (
	// DefaultMaxBodies is Config.MaxBodies when it is not said.
	DefaultMaxBodies = 256 << 20
	// MinMaxBodies is the least that MaxBodies may be: one body comes through whatever
	// it holds.
	MinMaxBodies = wire.MaxBodyMemory
	// bodyWait is how long a body waits for memory that others hold.
	bodyWait = 5 * time.Second
)

// bodies is the memory that the bodies of all requests share: what their streams ask for
// to be unpacked, and the block of each that is being read or landed. Each takes what it
// needs before it does. Where there is not enough
//
//   - a body gives way that stands still, the longest first;
//   - else, of the client (as of places, places.go) that holds the most, the body that
//     does, if that client holds more than the one that waits would then;
//   - else the one that waits is refused after bodyWait.
//
// So whoever needs little gets it from those that hold much. Its methods may be called
// from any goroutine.
type bodies struct {
	max int64

	mu      sync.Mutex
	used    int64
	of      map[*session]int64 // bytes
	clients map[string]int64   // bytes, by session.client
	freed   chan struct{}      // closed, and made again, when something was given back or has to be
}

func newBodies(most int64) *bodies {
	return &bodies{max: most, of: map[*session]int64{}, clients: map[string]int64{}, freed: make(chan struct{})}
}

// take waits until a session may take so many bytes more; below zero it gives them back,
// which is never refused. A body that has to end meanwhile is refused at once.
func (b *bodies) take(h *Handler, s *session, bytes int64) error {
	if bytes <= 0 {
		b.give(s, -bytes)
		return nil
	}
	var over <-chan time.Time
	for {
		freed, ok := b.grant(h, s, bytes)
		if ok {
			return nil
		}
		if s.body.cutting() {
			return refusal{wire.CodeBusy, fmt.Errorf("ended while it waited for memory: %w", wire.ErrTruncated)}
		}
		if over == nil {
			t := time.NewTimer(bodyWait)
			defer t.Stop()
			over = t.C
		}
		again := time.NewTimer(stoodStill / 4) // others may stand still by then
		select {
		case <-freed:
		case <-again.C:
		case <-over:
			return refusal{wire.CodeBusy, fmt.Errorf("bodies of requests hold the %d MiB that they may, and none gave way within %s", b.max>>20, bodyWait)}
		case <-s.r.Context().Done():
			return refusal{wire.CodeBusy, s.r.Context().Err()}
		}
		again.Stop()
	}
}

// grant takes the bytes, or has another body give way and returns what tells when to try
// again.
func (b *bodies) grant(h *Handler, s *session, bytes int64) (freed chan struct{}, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.used+bytes <= b.max {
		b.used += bytes
		b.of[s] += bytes
		b.clients[s.client] += bytes
		return nil, true
	}
	if out, most := b.givesWay(s, bytes, time.Now()); out != nil {
		why := fmt.Sprintf("its client held %d of %d MiB of memory", most.client>>20, b.max>>20)
		if most.still > 0 {
			why = fmt.Sprintf("this one had brought nothing for %s", most.still.Round(time.Second))
		}
		out.body.giveWay(why, h.cfg.CutGrace)
		h.displaced.Add(1)
		close(b.freed) // it may be one that waits itself
		b.freed = make(chan struct{})
	}
	return b.freed, false
}

// holds is how much a body is one to give way; zero: it is not.
type holds struct {
	still  time.Duration // it has stood still for so long; 0: it does not
	client int64         // bytes that its client holds
	own    int64         // bytes that it holds
}

// compare orders by who is to give way: the last of them.
func (a holds) compare(b holds) int {
	return cmp.Or(cmp.Compare(a.still, b.still), cmp.Compare(a.client, b.client), cmp.Compare(a.own, b.own))
}

// weigh says how much a body is one to give way to another, which wants so many bytes
// more. The caller holds mu.
func (b *bodies) weigh(o, s *session, bytes int64, now time.Time) (holds, bool) {
	w := holds{client: b.clients[o.client], own: b.of[o]}
	if o == s {
		return w, false
	}
	if d := o.body.stalled(now); d >= stoodStill {
		w.still = d
		return w, true
	}
	if o.client == s.client {
		return w, w.own > b.of[s]+bytes
	}
	return w, w.client > b.clients[s.client]+bytes
}

// givesWay returns the body that is to give way so that s can take so many bytes more;
// nil: none, or one does already. The caller holds mu.
func (b *bodies) givesWay(s *session, bytes int64, now time.Time) (out *session, most holds) {
	for o := range b.of {
		if o != s && o.body.cutting() {
			return nil, most // what it gives back comes first
		}
		if w, may := b.weigh(o, s, bytes, now); may && (out == nil || w.compare(most) > 0) {
			out, most = o, w
		}
	}
	return out, most
}

// give gives bytes back.
func (b *bodies) give(s *session, bytes int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= bytes
	if b.of[s] -= bytes; b.of[s] == 0 {
		delete(b.of, s)
	}
	if b.clients[s.client] -= bytes; b.clients[s.client] == 0 {
		delete(b.clients, s.client)
	}
	close(b.freed)
	b.freed = make(chan struct{})
}

// held is how many bytes all bodies hold.
func (b *bodies) held() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}
