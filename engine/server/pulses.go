package server

import (
	"strconv"

	"landfall/edge/pulse"
)

// Pulses names the loops that a watchdog asks. A task that is red or waits to
// be tried again is at rest: restarting the engine would not mend it.
func (s *Server) Pulses() []pulse.Named {
	all := []pulse.Named{{Name: "landing", Pulse: &s.landing}}
	for _, t := range s.tasks {
		all = append(all, pulse.Named{Name: "task " + strconv.Itoa(t.partition), Pulse: t.pulse})
	}
	return all
}

// Warn puts a text into what Status complains of, in place of the one before;
// empty: none.
func (s *Server) Warn(text string) { s.warning.Store(&text) }
