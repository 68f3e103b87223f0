//go:build failpoint && linux

package crashtest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"landfall/edge/durable/failpoint"
)

// tally counts the deaths at one step.
type tally struct{ edge, engine, inFlight, second int }

func (c *tally) add(d death, role string) {
	if role == roleEdge {
		c.edge++
	} else {
		c.engine++
	}
	if d.inFlight {
		c.inFlight++
	}
	if d.second {
		c.second++
	}
}

func (c tally) all() int { return c.edge + c.engine }

// histogram counts deaths by failpoint; the empty name is a random moment.
type histogram map[string]*tally

func (h histogram) count(s *supervisor) {
	for _, d := range s.deaths {
		if h[d.point] == nil {
			h[d.point] = &tally{}
		}
		h[d.point].add(d, s.role)
	}
}

// String gives a table, failpoints in data's way.
func (h histogram) String() string {
	var b strings.Builder
	line := func(name string, c tally) {
		fmt.Fprintf(&b, "  %-20s %5d %5d %7d %10d %7d\n", name, c.all(), c.edge, c.engine, c.inFlight, c.second)
	}
	fmt.Fprintf(&b, "  %-20s %5s %5s %7s %10s %7s\n", "killed at", "kills", "edge", "engine", "in flight", "second")
	var total tally
	for _, name := range append(failpoint.Names(), "") {
		if h[name] == nil {
			continue
		}
		c := *h[name]
		line(cmp.Or(name, "(random moment)"), c)
		total.edge, total.engine = total.edge+c.edge, total.engine+c.engine
		total.inFlight, total.second = total.inFlight+c.inFlight, total.second+c.second
	}
	line("all", total)
	return b.String()
}

// require fails the test for each failpoint reached less than want times with
// records in flight.
func (h histogram) require(t *testing.T, want int) {
	t.Helper()
	for _, name := range failpoint.Names() {
		if hasATestOfItsOwn(name) {
			continue // TestRepairSurvivesKills, TestRebuildSurvivesKills and TestAMoveSurvivesKills reach those
		}
		if c := h[name]; c == nil || c.inFlight < want {
			t.Errorf("failpoint %s was reached too seldom with records in flight: %+v, want %d", name, c, want)
		}
	}
}

// uptimes gives the shortest, median and longest life.
func uptimes(s *supervisor) string {
	if len(s.deaths) == 0 {
		return "no deaths"
	}
	var all []time.Duration
	for _, d := range s.deaths {
		all = append(all, d.uptime)
	}
	slices.Sort(all)
	return fmt.Sprintf("%d deaths, lives of %v / %v / %v (shortest, median, longest)", len(all),
		all[0].Round(time.Millisecond), all[len(all)/2].Round(time.Millisecond), all[len(all)-1].Round(time.Millisecond))
}
