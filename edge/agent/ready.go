package agent

import (
	"fmt"
	"time"

	"landfall/edge/source"
)

// stuckAfter is how old the oldest record that waits may be before the gateway
// is not ready: far more than a request, its linger and a retry take.
const stuckAfter = 10 * time.Minute

// unready says why data does not flow. Health complains of more, as of damage
// that was got over, or of one source among others.
func (a *Agent) unready() []string {
	s := a.Status()
	return s.unready()
}

func (s *Status) unready() []string {
	var why []string
	if s.Capture.Blocked != "" {
		why = append(why, "the log takes nothing: "+s.Capture.Blocked)
	}
	open, silent := 0, 0
	for i := range s.Sources {
		if src := &s.Sources[i]; src.State == source.StateOpen || src.State == source.StateFinished {
			open++
			if src.Silent {
				silent++
			}
		}
	}
	switch {
	case open == 0:
		why = append(why, "no source is open")
	case silent == open:
		why = append(why, fmt.Sprintf("none of %d open sources says anything, for longer than its silent_after", open))
	}
	if age, err := time.ParseDuration(s.Forward.OldestAge); err == nil && age > stuckAfter {
		why = append(why, fmt.Sprintf("the oldest of %d records waits for %s to be forwarded: %s", s.Forward.Pending, age.Round(time.Second), s.Forward.LastError))
	}
	return why
}
