package forward

import (
	"fmt"
	"slices"
	"time"
)

// Two engines of which each has a landing log of its own cannot share an address: a
// balancer that sends a gateway to one and to the other splits its logs between
// two lakes. Each hears a part, asks for the rest, and neither is told of the other; the
// gateway is who hears both.

const (
	// engineReturns is how often answers must have come back to a landing log from
	// another one: once they do when a lake was moved there and back.
	engineReturns = 2
	// engineMemory is how long it is told after it was last seen, and how far apart
	// the returns may be: in between all looks well.
	engineMemory = time.Hour
	// engineNames bounds the landing logs that are remembered.
	engineNames = 8
)

// engines is which landing logs have answered.
type engines struct {
	seen    []string // the newest last; no name twice
	returns int
	at      time.Time // of the last return
}

// hear notes the landing log that an answer names, "" for one of an engine that
// does not say, and tells whether it is a return.
func (e *engines) hear(now time.Time, landing string) bool {
	if landing == "" || len(e.seen) > 0 && e.seen[len(e.seen)-1] == landing {
		return false
	}
	before := slices.Index(e.seen, landing)
	if before >= 0 {
		e.seen = slices.Delete(e.seen, before, before+1)
	}
	e.seen = append(e.seen, landing)
	e.seen = e.seen[max(0, len(e.seen)-engineNames):]
	if before < 0 {
		return false
	}
	if now.Sub(e.at) > engineMemory {
		e.returns = 0
	}
	e.returns, e.at = e.returns+1, now
	return true
}

// problem says that two engines answer, in turn; "" when that is not known.
func (e *engines) problem(now time.Time) string {
	if e.returns < engineReturns || now.Sub(e.at) > engineMemory {
		return ""
	}
	two := e.seen[max(0, len(e.seen)-2):]
	return fmt.Sprintf("two engines answer under this address, with landing logs of their own (%s… and %s…), and each gets a part of what is sent: "+
		"let the balancer send this gateway to one of them, or let the engines share a Kafka topic", two[0], two[1])
}
