package server

import (
	"fmt"
	"testing"

	"landfall/engine/task"
)

// TestEveryContradictingGatewayIsNamed: the newest first, so that who contradicts in
// many names hides nobody from the operator who acknowledges.
func TestEveryContradictingGatewayIsNamed(t *testing.T) {
	s := supervisor{counters: &task.Counters{}}
	for i := range 20 {
		s.counters.Contradictions.Add(fmt.Sprint("g", i), 1_790_000_000_000_000)
	}
	s.counters.Contradictions.Add("g7", 1_790_000_001_000_000)
	var out TaskStatus
	s.contradictions(&out)
	if all := out.ContradictingGateways; len(all) != 20 || all[0].Gateway != "g7" || all[0].Count != 2 || all[0].Newest.Unix() != 1_790_000_001 {
		t.Errorf("%d of 20 are named: %v", len(all), all)
	}
	for i := range maxContradicting + 1 {
		s.counters.Contradictions.Add(fmt.Sprint("more", i), 1_790_000_002_000_000)
	}
	out = TaskStatus{}
	s.contradictions(&out)
	if n := len(out.ContradictingGateways); n != maxContradicting {
		t.Errorf("%d are named", n)
	}
}
