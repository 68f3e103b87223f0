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
// that was got over.
func (a *Agent) unready() []string {
	var why []string
	s := a.Status()
	if s.Capture.Blocked != "" {
		why = append(why, "the log takes nothing: "+s.Capture.Blocked)
	}
	open := 0
	for _, src := range s.Sources {
		if src.State == source.StateOpen || src.State == source.StateFinished {
			open++
		}
	}
	if open == 0 {
		why = append(why, "no source is open")
	}
	if age, err := time.ParseDuration(s.Forward.OldestAge); err == nil && age > stuckAfter {
		why = append(why, fmt.Sprintf("the oldest of %d records waits for %s to be forwarded: %s", s.Forward.Pending, age.Round(time.Second), s.Forward.LastError))
	}
	return why
}
