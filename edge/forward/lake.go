package forward

import (
	"fmt"

	"landfall/edge/wire"
)

// A gateway's records go to one lake. An engine of another lake that answers under
// the same address, by a mistake of an address, a balancer or a restored disk, would
// take them as well, publish them, and say so: the gateway would let go of what its
// own lake never got. So the first lake that answers is remembered, in the state file
// before anything is released, and of an engine of another one nothing is believed.

// otherLake says that an answer is that of another lake's engine; "" when it is not,
// or does not say.
func (c *Core) otherLake(a wire.Answer) string {
	if a.Lake == "" || c.lake == "" || a.Lake == c.lake {
		return ""
	}
	return fmt.Sprintf("the engine that answers feeds the lake %s…, and the records of this gateway go to the lake %s…: nothing more is sent and nothing let go; "+
		"if the engine is the right one, forward.lake: %s in the configuration has all that is kept sent to it", a.Lake, c.lake, a.Lake)
}

// hearLake remembers the lake of the first answer that names one.
func (c *Core) hearLake(a wire.Answer) {
	if c.lake == "" {
		c.lake = a.Lake
	}
}

// chooseLake has the state of an earlier session be one of the lake that the
// configuration names, "" for whichever it was. What is known of another lake says
// nothing of this one: all that the store has is sent to it. It tells whether that is
// so.
func (s *state) chooseLake(lake string) (another bool) {
	if lake == "" || lake == s.lake {
		return false
	}
	if another = s.lake != ""; another {
		clear(s.marks)
	}
	s.lake = lake
	return another
}
