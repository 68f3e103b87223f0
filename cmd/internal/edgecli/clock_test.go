package edgecli

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"landfall/cmd/internal/cli"
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
			{Name: "ingest", Finest: "ingest", Difference: 3600, Uncertainty: 0.1, Clocks: 2, Tight: true, Dated: true,
				Supporters: 1, Refused: "contradicts_authenticated"},
			{Name: "pier", Finest: "base_station", Difference: 86400 * 365, Clocks: 1, Dated: true, Dates: 1,
				Refused: "lone_station"},
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
		"taken", "late", "contradicts what is authenticated", "one station alone tells no date", "2000001",
		"-1m20s to -1m10s", "too few or too scattered",
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

// TestDoctorSaysWhatIsBelieved, who says otherwise, and what helps.
func TestDoctorSaysWhatIsBelieved(t *testing.T) {
	now := agent.ClockStatus{Known: true, UTC: "2026-06-15T10:30:07.000000Z", Wall: "2026-06-15T10:30:07.000000Z",
		Quality: "synchronised", RestsOn: "engine"}
	for _, c := range []struct {
		name     string
		change   func(*agent.ClockStatus)
		verdict  cli.Verdict
		say, fix string
	}{
		{"nothing wrong", func(*agent.ClockStatus) {}, cli.Good, "rests on: engine", ""},
		{"nothing known", func(c *agent.ClockStatus) { c.Known = false }, cli.Good, "not known", ""},
		{"a delay is no lie", func(c *agent.ClockStatus) { c.Proposals = []agent.ClockProposal{{Name: "sat", Refused: "delays"}} }, cli.Good, "rests on", ""},
		{"a stranger says otherwise", func(c *agent.ClockStatus) {
			c.Proposals = []agent.ClockProposal{{Name: "pier", Difference: 86400 * 365,
				Refused: "contradicts_authenticated"}}
		}, cli.Look, "pier says +365.0 days (contradicts what is authenticated)", "clock forget"},
		{"the keepers disagree", func(c *agent.ClockStatus) { c.Split = true }, cli.Bad, "contradict each other",
			"landfall-edge clock"},
		{"the engine was ahead", func(c *agent.ClockStatus) { c.Proven = "2027-06-15T10:30:07.000000Z" }, cli.Look,
			"behind that", "landfall-edge clock forget"},
	} {
		s := now
		c.change(&s)
		if f := believed(&s); f.Verdict != c.verdict || !strings.Contains(f.Detail, c.say) ||
			!strings.Contains(f.Fix, c.fix) {
			t.Errorf("%s: %+v", c.name, f)
		}
	}
}

// TestForgetTheClock: the verb leaves its note, whether a gateway runs or not, and again.
func TestForgetTheClock(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "edge.yaml")
	data := filepath.Join(dir, "data")
	text := "gateway: g\ndata_dir: " + data + "\nstatus: 127.0.0.1:1\nforward: {url: 'http://127.0.0.1:1'}\nsources: [{name: s, udp: {listen: '127.0.0.1:0'}}]\n"
	if err := errors.Join(os.WriteFile(config, []byte(text), 0o600), os.Mkdir(data, 0o700)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		code, out, errs := run(t, "clock", "forget", "-c", config)
		if code != 0 || !strings.Contains(out, "when it starts") {
			t.Fatalf("%d: %s%s", code, out, errs)
		}
		if _, err := os.Stat(filepath.Join(data, "clock.forget")); err != nil {
			t.Error(err)
		}
	}
	if code, out, errs := run(t, "clock", "forget", "-c", config, "--json"); code != 0 ||
		!strings.Contains(out, `"running": false`) {
		t.Errorf("%d: %s%s", code, out, errs)
	}
}
