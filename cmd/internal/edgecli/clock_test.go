package edgecli

import (
	"strings"
	"testing"

	"landfall/edge/agent"
)

// TestClockSaysWhy: what is believed, and of each witness what became of it.
func TestClockSaysWhy(t *testing.T) {
	var out strings.Builder
	c := &agent.ClockStatus{
		Known: true, UTC: "2026-06-15T10:30:07.000000Z", Wall: "1970-01-01T00:00:07.000000Z", WallAhead: -1_781_519_400, Uncertainty: 0.04,
		Quality: "synchronised", Radio: true, Boot: "07", Untimed: 12,
		Proposals: []agent.ClockProposal{
			{Name: "radio", Finest: "slot", Uncertainty: 0.04, Clocks: 3, Tight: true, Dated: true, Supporters: 2, Agrees: true, Chosen: true},
			{Name: "satellite", Finest: "slot", Difference: -5.5, Uncertainty: 0.8, Clocks: 3, Dated: true, Supporters: 1},
			{Name: "ingest", Finest: "ingest", Difference: 3600, Uncertainty: 0.1, Clocks: 2, Tight: true, Dated: true, Supporters: 1},
		},
		Witnesses: []agent.ClockWitness{
			{Source: "radio", Kind: "base_station", Clock: 2_000_001, Heard: 40, Samples: 5, Cluster: 5, Age: "3s", Least: -0.5, Most: 2.5, Used: true, Agrees: true},
			{Source: "radio", Kind: "tag", Heard: 400, Samples: 64, Cluster: 64, Age: "0s", Least: -80, Most: -69.5, Used: true},
			{Source: "radio", Kind: "utc_minute", Heard: 2, Samples: 2, Cluster: 2, Age: "9s"},
		},
	}
	if err := printClock(&out, c); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"2026-06-15T10:30:07.000000Z, give or take 40ms: synchronised, from AIS traffic", "20619.4 days behind", "12 records captured while nothing",
		"taken", "late", "contradicts", "2000001", "-1m20s to -1m10s", "too few or too scattered",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("missing %q in\n%s", want, out.String())
		}
	}
	out.Reset()
	c.Quality, c.WallAhead, c.RolledOver = "unsynchronised", 0.0001, 3
	if err := printClock(&out, c); err != nil || !strings.Contains(out.String(), "the day is the machine's own") ||
		!strings.Contains(out.String(), "the same to the millisecond") || !strings.Contains(out.String(), "3 GNSS dates moved by 1,024 weeks") {
		t.Errorf("%v: %s", err, out.String())
	}
	out.Reset()
	if err := printClock(&out, &agent.ClockStatus{Wall: "1970-01-01T00:00:07.000000Z"}); err != nil || !strings.Contains(out.String(), "not known") {
		t.Errorf("%v: %s", err, out.String())
	}
}
