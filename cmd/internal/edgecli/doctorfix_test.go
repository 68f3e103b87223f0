package edgecli

import (
	"strings"
	"testing"
)

// TestDoctorKnowsTheWayOutOfTooManySenders: status alone does not say it, and forget is
// refused while the source has its name.
func TestDoctorKnowsTheWayOutOfTooManySenders(t *testing.T) {
	other := "source ais is absent: no such file"
	full := "source k refuses clients, last at 2026-12-01T10:00:00Z sender flood7: too many senders"
	if fix := healthFix([]string{other, full}); !strings.Contains(fix, "another name for the source") || !strings.Contains(fix, "landfall-edge forget") {
		t.Errorf("the way out of %q is %q", full, fix)
	}
	if fix := healthFix([]string{other}); fix != "landfall-edge status" {
		t.Errorf("of %q it is %q", other, fix)
	}
}
