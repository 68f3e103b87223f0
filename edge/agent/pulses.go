package agent

import "landfall/edge/pulse"

// pulses are those of the gateway's loops.
type pulses struct{ capture, forward pulse.Pulse }

// Pulses names the loops that a watchdog asks.
func (a *Agent) Pulses() []pulse.Named {
	return []pulse.Named{{Name: "capture", Pulse: &a.pulses.capture}, {Name: "forward", Pulse: &a.pulses.forward}}
}

// Warn puts a text into what Status complains of, in place of the one before;
// empty: none.
func (a *Agent) Warn(text string) { a.warning.Store(&text) }
