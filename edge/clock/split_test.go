package clock

import (
	"testing"

	"landfall/edge/record"
)

// TestAuthoritiesDisagreeUntilTheyAgree: while the engine's proven time and the machine's,
// which NTP keeps, contradict each other, that is reported, the earlier is believed and
// asserted only, whoever spoke first and over a restart; it ends when they agree, and when
// one of them has said nothing for as long as its word lasts.
func TestAuthoritiesDisagreeUntilTheyAgree(t *testing.T) {
	says := func(host, tls int64) *facts {
		return &facts{wall: word{true, 0}, host: word{true, host}, tls: word{true, tls}}
	}
	check := func(name string, g *modelGateway, split bool, off int64) {
		t.Helper()
		want := record.QualitySynchronised
		if split {
			want = record.QualityAsserted
		}
		if is, e := g.believed(); g.est.Report().Split != split || e.Quality != want || !near(is, off) {
			t.Errorf("%s: split %v, %v, off by %v; want %v, %v, %v", name, g.est.Report().Split, e.Quality, span1(is), split, want, span1(off))
		}
	}
	for _, lie := range []int64{60 * minute, -60 * minute, 365 * day} {
		for name, first := range map[string]*facts{
			"together": says(0, lie), "the host first": {wall: word{true, 0}, host: word{true, 0}}, "the engine first": {wall: word{true, 0}, tls: word{true, lie}},
		} {
			g := newModel(nil)
			g.hear(first, 3)
			if name != "together" {
				check(name, g, false, max(first.host.off, first.tls.off)+min(first.host.off, first.tls.off))
			}
			g.hear(says(0, lie), 3)
			check(name, g, true, min(0, lie))
			g.restart()
			g.hear(says(0, lie), 3)
			check(name+", a restart", g, true, min(0, lie))
			g.hear(says(0, 0), 3)
			check(name+", they agree", g, false, 0)
		}
	}
	g := newModel(nil)
	g.hear(says(0, 60*minute), 3)
	g.hear(&facts{wall: word{true, 0}, host: word{true, 0}}, 3)
	check("the engine is silent", g, true, 0)
	g.hear(&facts{wall: word{true, 0}, host: word{true, 0}}, int(models[KindCloud].lasts/sec)+1)
	check("its word has expired", g, false, 0)
}
