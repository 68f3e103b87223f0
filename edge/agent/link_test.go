package agent

import (
	"slices"
	"testing"

	"landfall/edge/forward"
)

// TestTwoEnginesAreAReason: what a gateway alone can see of two engines that do not share
// a landing log turns its health red.
func TestTwoEnginesAreAReason(t *testing.T) {
	var s Status
	linkReasons(&s, &forward.Status{TwoEngines: "two engines answer under this address"})
	if !slices.Equal(s.Reasons, []string{"forwarding: two engines answer under this address"}) {
		t.Errorf("%q", s.Reasons)
	}
	s = Status{}
	if linkReasons(&s, &forward.Status{}); len(s.Reasons) != 0 {
		t.Errorf("of one engine: %q", s.Reasons)
	}
}
