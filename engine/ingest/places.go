package ingest

import (
	"cmp"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"landfall/edge/wire"
)

// The places of an ingest are shared by the clients that hold them. A client is the
// gateway, where its name is proved, and else the host that the connection comes from,
// as names alone cost nothing. When all places are taken, whoever comes gets one
//
//   - of a body that stands still, the longest first: of a client that has more places
//     than the one that comes, or of its own;
//   - else of the client that has most, where it has two more at least: then both have
//     no more than before, and nobody is pushed out in turn;
//   - else of a client that has one more, or of its own, where that place was held for
//     longer than a slice: all take turns.
//
// So whoever has fewer places than others gets one within a slice, whatever these
// send, and keeps it for a slice at least. Where more clients ask than there are places,
// they wait in turn (edge/turns).

// stoodStill is how long a body has to have brought nothing to give way to another
// request that waits.
const stoodStill = time.Second

// clientOf returns who a request counts for where places are shared. proved says that
// the name of its gateway is.
func clientOf(r *http.Request, gateway string, proved bool) string {
	if proved {
		return "gateway " + gateway
	}
	return "host " + HostOf(r.RemoteAddr)
}

// HostOf returns for whom an address counts (host:port, as of a connection) where
// something is shared by hosts: its host, of IPv6 the network of 64 bits, because who
// has one address there has all of it. What is no address is empty.
func HostOf(remote string) string {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return ""
	}
	host := at.Addr().Unmap().WithZone("")
	if host.Is6() {
		network, _ := host.Prefix(64)
		return network.String()
	}
	return host.String()
}

// admit counts a session in and returns its gateway. When all places are taken, another
// request may have to give way, and this one waits for the place for BusyHold at most.
// Error: there are too many, of this gateway or of all.
func (h *Handler) admit(s *session) (*gateway, error) {
	g, turn, err := h.place(s)
	if err != nil || turn == nil {
		return g, err
	}
	t := time.NewTimer(h.cfg.BusyHold)
	defer t.Stop()
	select {
	case <-turn:
		return g, nil
	case <-t.C:
	case <-s.r.Context().Done():
	}
	if h.giveUp(s, g) {
		return nil, h.full()
	}
	return g, nil // it came at the last moment
}

// place takes a place for a session, or has it wait for the turn that it returns.
func (h *Handler) place(s *session) (g *gateway, turn chan struct{}, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if g = h.gateways[s.head.Gateway]; g == nil {
		h.evict()
		g = newGateway(&h.cfg)
		h.gateways[s.head.Gateway] = g
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.bounded(&h.cfg); err != nil {
		g.lastError = string(wire.CodeBusy) + ": " + err.Error()
		return nil, nil, err
	}
	now := h.now()
	ahead := h.turns.Ahead(s.client, h.places, now)
	kept := ahead > 0 && h.room(s.client, now) <= ahead
	full := len(h.sessions) >= h.cfg.MaxSessions
	if (full || kept) && !h.makeRoom(s.client, now, kept) { // for nobody who is over a bound of its own
		h.turns.Refused(s.client, now)
		return nil, nil, h.full()
	}
	g.users++
	h.places[s.client]++
	if !full && !kept {
		h.seat(s)
		return g, nil, nil
	}
	s.turn = make(chan struct{})
	h.waiting = append(h.waiting, s)
	return g, s.turn, nil
}

// seat gives a session its place. The caller holds mu.
func (h *Handler) seat(s *session) {
	s.since = h.now()
	h.sessions[s] = true
	h.turns.Served(s.client)
}

func (h *Handler) full() error { return fmt.Errorf("%d requests are being served", h.cfg.MaxSessions) }

// givesWay is how much a request is one to give way; zero: it is not.
type givesWay struct {
	still  time.Duration // its body has stood still for so long; 0: it does not
	places int           // that its client has
	held   time.Duration // since it has its place
}

// compare orders by who is to give way: the last of them.
func (a givesWay) compare(b givesWay) int {
	return cmp.Or(cmp.Compare(a.still, b.still), cmp.Compare(a.places, b.places), cmp.Compare(a.held, b.held))
}

// room returns how many places there are for a client: those that are free, and those of
// others that may have to give way to it. The caller holds mu.
func (h *Handler) room(client string, now time.Time) int {
	n := h.cfg.MaxSessions - len(h.sessions)
	for s := range h.sessions {
		if _, may := h.weigh(s, client, now); may && s.client != client {
			n++
		}
	}
	return n
}

// weigh says whether a session may have to give way to a request of a client, and how
// much. The caller holds mu.
func (h *Handler) weigh(s *session, client string, now time.Time) (givesWay, bool) {
	w := givesWay{places: h.places[s.client], held: now.Sub(s.since)}
	more, own := w.places-h.places[client], s.client == client
	if s.body.cutting() || more < 1 && !own {
		return w, false
	}
	if d := s.body.stalled(now); d >= stoodStill {
		w.still = d
		return w, true
	}
	return w, more > 1 || w.held >= h.cfg.Slice
}

// makeRoom has a request give way to one of a client, of its own ones alone where the
// others are kept for those that wait, and tells whether one does. The caller holds mu.
func (h *Handler) makeRoom(client string, now time.Time, kept bool) bool {
	var out *session
	var most givesWay
	for s := range h.sessions {
		if w, may := h.weigh(s, client, now); may && (s.client == client || !kept) && (out == nil || w.compare(most) > 0) {
			out, most = s, w
		}
	}
	if out == nil {
		return false
	}
	why := fmt.Sprintf("its client had %d of %d places, this one for %s", most.places, h.cfg.MaxSessions, most.held.Round(time.Second))
	if most.still > 0 {
		why = fmt.Sprintf("this one had brought nothing for %s", most.still.Round(time.Second))
	}
	out.body.giveWay(why, h.cfg.CutGrace)
	h.leaves(out)
	h.displaced.Add(1)
	return true
}

// leaves has a session count for its client no more. The caller holds mu.
func (h *Handler) leaves(s *session) {
	if s.gone {
		return
	}
	s.gone = true
	if h.places[s.client]--; h.places[s.client] == 0 {
		delete(h.places, s.client)
	}
}

// giveUp takes a session out of those that wait, and tells whether it was still among
// them.
func (h *Handler) giveUp(s *session, g *gateway) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	i := slices.Index(h.waiting, s)
	if i < 0 {
		return false
	}
	h.waiting = slices.Delete(h.waiting, i, i+1)
	h.leaves(s)
	h.turns.Refused(s.client, h.now())
	g.mu.Lock()
	defer g.mu.Unlock()
	g.users--
	return true
}

// dismiss hands a session's place to whoever waits for one longest.
func (h *Handler) dismiss(s *session, g *gateway) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.sessions, s)
	h.leaves(s)
	if len(h.waiting) > 0 {
		next := h.waiting[0]
		h.waiting = h.waiting[1:]
		h.seat(next)
		close(next.turn)
	}
	g.mu.Lock()
	g.users--
	if g.users == 0 && h.gateways[s.head.Gateway] == g { // else what is counted may change meanwhile
		h.remembered += g.entries() - g.counted
		g.counted = g.entries()
	}
	g.mu.Unlock()
	h.forget()
}

// forget has gateways that are not connected forgotten but for their names when more is
// remembered of all than may be. The caller holds mu.
func (h *Handler) forget() {
	for _, g := range h.gateways {
		if h.remembered <= keptEntries {
			return
		}
		g.mu.Lock()
		if g.users == 0 {
			h.remembered -= g.counted
			g.forget()
			g.counted = 0
		}
		g.mu.Unlock()
	}
}
