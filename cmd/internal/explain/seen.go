package explain

import (
	"fmt"
	"strings"

	"landfall/edge/agent"
)

// Observe adds to the handoffs of Edge(c) what the running gateway has seen of them:
// where a source brought what its configuration does not promise, the guarantee is
// another one. Its counters begin when it starts.
func Observe(all []Handoff, c *agent.Config, s *agent.Status) {
	for i := range c.Sources {
		for j := range s.Sources {
			if s.Sources[j].Name == c.Sources[i].Name {
				all[i].observe(&s.Sources[j], s.StartedAt)
			}
		}
	}
}

// observe adds what was seen of one source.
func (h *Handoff) observe(s *agent.SourceStatus, since string) {
	var saw []string
	see := func(n uint64, g Guarantee, format string, args ...any) {
		if n == 0 {
			return
		}
		saw = append(saw, fmt.Sprintf(format, args...))
		if h.Guarantee == ExactlyOnce && g != "" {
			h.Seen = append(h.Seen, g)
		}
	}
	switch s.Kind {
	case "mqtt":
		see(s.Unidentified, AtLeastOnce, "%d messages had no time or number of their own that can be used (time_field, time_unit, sequence_field): one that is sent again is taken twice. "+
			"%d of them the broker had sent before, and they may be there twice.", s.Unidentified, s.PossiblyTwice)
		see(s.Takeovers, "", "%d times the broker ended the connection and took the next at once: if another client has the client_id, what that acknowledged is not here.", s.Takeovers)
		see(s.Downgraded+s.Forgotten, AtMostOnce, "%d messages came at QoS 0, and %d times the broker had forgotten the session: what was lost of these is not told.", s.Downgraded, s.Forgotten)
	case "node":
		see(s.PossiblyTwice, AtLeastOnce, "%d readings may be there twice, once of each gateway: their node came from another one, or this one lost its data.", s.PossiblyTwice)
	case "acked":
		see(s.Moved, "", "%d senders were not known here and began above 1: if they came from another gateway, what that one took and they did not hear of is there twice.", s.Moved)
	}
	if len(saw) > 0 {
		h.SeenWhy = "since " + since + ": " + strings.Join(saw, " ")
	}
}

// Words says a guarantee, and what was seen in its place.
func Words(g Guarantee, seen []Guarantee) string {
	if len(seen) == 0 {
		return string(g)
	}
	words := make([]string, len(seen))
	for i, s := range seen {
		words[i] = string(s)
	}
	return fmt.Sprintf("%s configured, %s seen", g, strings.Join(words, " and "))
}
