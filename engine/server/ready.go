package server

import "fmt"

// stuckEpochs is how many intervals may pass without a commit while blocks
// wait, before the engine is not ready.
const stuckEpochs = 3

// unready says why blocks are not landed or not committed. Health complains of
// more, as of what contradicted a log.
func (s *Server) unready() []string {
	st := s.Status()
	why := append(s.diskReasons(), s.landingReasons()...)
	for _, t := range st.Tasks {
		if t.State == TaskRed || t.State == TaskRetrying {
			why = append(why, fmt.Sprintf("partition %d is %s: %s", t.Partition, t.State, t.Error))
		}
	}
	for _, t := range s.tasks {
		if idle, waiting := t.idle(); waiting && idle > stuckEpochs*s.cfg.Epoch.Interval+s.cfg.DrainTimeout {
			if n, err := s.log.Behind(t.partition, t.position()); err == nil && n > 0 {
				why = append(why, fmt.Sprintf("partition %d: %d landed blocks wait, and nothing was committed for %s", t.partition, n, idle.Round(1e9)))
			}
		}
	}
	return why
}
