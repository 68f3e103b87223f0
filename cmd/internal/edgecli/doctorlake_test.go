package edgecli

import (
	"strings"
	"testing"

	"landfall/cmd/internal/cli"
	"landfall/edge/agent"
)

// TestDoctorSaysThatAnotherLakeAnswers: which lake the engine feeds that answers, which
// one the records go to, and both ways out.
func TestDoctorSaysThatAnotherLakeAnswers(t *testing.T) {
	f := lakeOf(&agent.ForwardStatus{Lake: "aaaaaaaaaaaaaaaa"}, "http://x")
	if f.Verdict != cli.Good || !strings.Contains(f.Detail, "aaaaaaaaaaaaaaaa") {
		t.Errorf("the right one: %+v", f)
	}
	f = lakeOf(&agent.ForwardStatus{Lake: "aaaaaaaaaaaaaaaa", OtherLake: "bbbbbbbbbbbbbbbb"}, "http://x")
	for _, want := range []string{"http://x feeds lake bbbbbbbbbbbbbbbb", "go to lake aaaaaaaaaaaaaaaa"} {
		if f.Verdict != cli.Bad || !strings.Contains(f.Detail, want) {
			t.Errorf("%q is not in %+v", want, f)
		}
	}
	if !strings.Contains(f.Fix, "forward.lake: bbbbbbbbbbbbbbbb") ||
		!strings.Contains(f.Fix, "feeds lake aaaaaaaaaaaaaaaa") {
		t.Errorf("%+v", f)
	}
}
