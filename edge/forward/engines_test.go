package forward

import (
	"strings"
	"testing"
	"time"
)

// TestTwoEnginesByTurns: answers that go back and forth between two landing logs are
// noticed at the second return, and told for an hour; a lake that was moved, also there
// and back, an engine that does not say, and one that was always the same, are not.
func TestTwoEnginesByTurns(t *testing.T) {
	start := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		heard   string // a letter a landing log, a minute apart; '-': not said
		returns int
		told    bool
	}{
		"one":                         {"aaaa", 0, false},
		"moved":                       {"aabb", 0, false},
		"moved there and back":        {"abba", 1, false},
		"upgraded and moved":          {"--a-b", 0, false},
		"by turns":                    {"abab", 2, true},
		"three by turns":              {"abcab", 2, true},
		"by turns with an older one":  {"a-b-a-b", 2, true},
		"a new one each time":         {"abcdefghijklmnop", 0, false},
		"the first of many came back": {"abcdefghijka", 0, false},
	} {
		var e engines
		returns, now := 0, start
		for _, one := range strings.ReplaceAll(c.heard, "-", "\x00") {
			landing := string(one)
			if one == 0 {
				landing = ""
			}
			if e.hear(now, landing) {
				returns++
			}
			now = now.Add(time.Minute)
		}
		problem := e.problem(now)
		if returns != c.returns || (problem != "") != c.told {
			t.Errorf("%s: %d returns, told %q", name, returns, problem)
		}
		if c.told && (!strings.Contains(problem, "a…") || !strings.Contains(problem, "b…") || !strings.Contains(problem, "balancer")) {
			t.Errorf("%s: told %q", name, problem)
		}
		if e.problem(now.Add(engineMemory)) != "" {
			t.Errorf("%s: told after an hour", name)
		}
	}
	var e engines // a lake that is moved there and back, and months later again
	for i, landing := range []string{"a", "b", "a", "b"} {
		e.hear(start.Add(time.Duration(i)*24*time.Hour), landing)
	}
	if p := e.problem(start.Add(73 * time.Hour)); p != "" {
		t.Errorf("moved at leisure: %q", p)
	}
}
