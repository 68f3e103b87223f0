package server

import (
	"strings"
	"testing"

	"landfall/engine/task"
)

// TestOverItsShareIsSaid: status names the gateway, and what it lost.
func TestOverItsShareIsSaid(t *testing.T) {
	for what, lost := range map[string]string{
		task.OverReceptions: "duplicate", task.OverShips: "halves of type 24", task.OverWindows: "in late", task.OverDates: "date on which they landed",
	} {
		all := overStatus([]task.Over{{Gateway: "pier", What: what, Count: 7, LandedAt: 1_790_000_000_000_000}})
		if len(all) != 1 || all[0].LandedAt == "" {
			t.Fatalf("%+v", all)
		}
		text := all[0].String()
		for _, part := range []string{"gateway pier is over its share", " 7 ", lost, all[0].LandedAt} {
			if !strings.Contains(text, part) {
				t.Errorf("%q does not say %q", text, part)
			}
		}
	}
}
