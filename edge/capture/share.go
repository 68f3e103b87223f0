package capture

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"landfall/decoders/nmea"
	"landfall/edge/record"
)

// What waits for partners is bounded, because each block carries it and because
// memory is. The bound is shared: whoever waits with more than the others pays
// for it. Where all together exceed it, the source that takes most of it gives up
// its oldest message, of the sender that takes most of the source's; so a source
// that takes no more than an equal part of the bound, and a sender that takes no
// more than an equal part of its source's, lose nothing to others. What is given
// up becomes records, flagged crowded, and is counted with its source.
const (
	// maxWaitingBytes bounds what waits, in bytes of fragments and of slotBytes.
	maxWaitingBytes = 64 << 10
	// slotBytes is what an incomplete message, or a contested key, counts for
	// beside its fragments.
	slotBytes = 100
	// roomBytes is what is made room for when the bound is exceeded, because finding
	// out who takes most costs more than giving up.
	roomBytes = maxWaitingBytes / 16
	// maxOpen is what an Assembler may hold: more than maxWaitingBytes has room for.
	maxOpen = maxWaitingBytes / slotBytes * 2
)

// owner is who pays for what waits: a sender within a source.
type owner struct {
	source uint32
	sender string
}

// senderOf returns who sends a stream: of host:port the host, because whoever
// sends has any number of ports.
func senderOf(stream string) string {
	if at, err := netip.ParseAddrPort(stream); err == nil {
		return at.Addr().Unmap().String()
	}
	return stream
}

// waitingSize is what waits now, in the bound's measure.
func (c *Capturer) waitingSize() int {
	return c.waitingBytes + slotBytes*(c.live.Open()+c.resent.Open())
}

// share has whoever takes most of the bound give up its oldest, until there is room
// again. A replay is one sender's, and gives up all: its records are the same as
// ever.
func (c *Capturer) share() {
	if c.cfg.Replay || c.waitingSize() <= maxWaitingBytes {
		return
	}
	c.crowded = record.FlagCrowded
	c.measure()
	for c.waitingSize() > maxWaitingBytes-roomBytes {
		taker := c.largest()
		assembler := c.live
		if taker.resends {
			assembler = c.resent
		}
		before := c.waitingSize()
		groups, ok := assembler.GiveUpOldest(func(id uint32) bool { return c.byID[id].owner() == taker.owner })
		if !ok {
			break // cannot be: who takes something has a message
		}
		c.groups(groups)
		taker.bytes -= before - c.waitingSize()
	}
	c.crowded = 0
}

// taking is what a sender takes of the bound.
type taking struct {
	owner
	resends bool
	bytes   int
}

func (s *Stream) owner() owner { return owner{s.source, s.sender} }

// measure finds out what each sender takes, in order of source and name, so that
// the same lines give the same records.
func (c *Capturer) measure() {
	clear(c.takers)
	c.takings = c.takings[:0]
	for _, a := range [...]*nmea.Assembler{c.live, c.resent} {
		for id, slots := range a.OpenBySource() {
			s := c.byID[id]
			i, known := c.takers[s.owner()]
			if !known {
				i = len(c.takings)
				c.takers[s.owner()] = i
				c.takings = append(c.takings, taking{owner: s.owner(), resends: s.resends})
			}
			c.takings[i].bytes += s.heldBytes + slots*slotBytes
		}
	}
	slices.SortFunc(c.takings, func(a, b taking) int {
		return cmp.Or(cmp.Compare(a.source, b.source), strings.Compare(a.sender, b.sender))
	})
}

// largest returns the sender that takes most, of the source that takes most; of
// equal ones the first.
func (c *Capturer) largest() *taking {
	var most, found *taking
	sum, bytes := 0, 0
	for i := range c.takings {
		t := &c.takings[i]
		if most == nil || most.source != t.source {
			most, sum = t, 0
		}
		if sum += t.bytes; t.bytes > most.bytes {
			most = t
		}
		if last := i+1 == len(c.takings) || c.takings[i+1].source != t.source; last && sum > bytes {
			found, bytes = most, sum
		}
	}
	return found
}
