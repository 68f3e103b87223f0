package clock

import (
	"testing"

	"landfall/edge/record"
)

// attacked is a gateway that strangers moved, with what it remembers of its boot.
func attacked(t *testing.T, off int64) *modelGateway {
	t.Helper()
	g := newModel(nil)
	g.hear(&facts{wall: word{true, 0}, mast: radioWords{stations: []int64{off, off}, traffic: true, off: off},
		feed: radioWords{stations: []int64{off, off}, traffic: true, off: off, first: 90}}, 72)
	if e := g.est.Current(); e.Basis != record.BasisRadio || e.Quality != record.QualitySynchronised {
		t.Fatalf("the attack fails: %+v", e)
	}
	if x, ok := g.anchors.Of(); !ok || x.Quality != record.QualitySynchronised || x.Basis != record.BasisRadio {
		t.Fatalf("of the boot is remembered %+v", x)
	}
	return g
}

// remembered checks what goes along for the boot that runs: its error and its quality.
func (g *modelGateway) remembered(t *testing.T, name string, all []record.Anchor, off int64,
	quality record.TimeQuality) {
	t.Helper()
	if len(all) == 0 || all[len(all)-1].Boot != g.anchors.boot {
		t.Errorf("%s: nothing is remembered of the boot", name)
		return
	}
	x := &all[len(all)-1]
	utc, _ := x.At(g.mono - g.begun)
	if got := int64(utc - g.utc()); !near(got, off) || x.Quality != quality {
		t.Errorf("%s: remembered is %v, off by %v, want %v, off by %v", name, x.Quality, span1(got), quality,
			span1(off))
	}
}

// TestAStrangersBootEndsWithHim: what goes along of a boot is worth no more than what
// is believed of it: after a restart it is asserted at most; the engine, NTP or, where
// strangers have lost their right, a single word replaces it; and it is withdrawn when
// nothing is believed any more.
func TestAStrangersBootEndsWithHim(t *testing.T) {
	const lie = 10 * day
	wall := word{true, 0}
	for _, restart := range []bool{false, true} {
		begin := func() *modelGateway {
			g := attacked(t, lie)
			if restart {
				g.restart()
				g.remembered(t, "after a restart", g.anchors.All(), lie, record.QualityAsserted)
			}
			return g
		}
		g := begin()
		g.hear(&facts{wall: wall, tls: word{true, 0}}, 2)
		g.remembered(t, "the engine proves", g.anchors.All(), 0, record.QualitySynchronised)
		g = begin()
		g.hear(&facts{wall: wall, host: word{true, 0}}, 2)
		g.remembered(t, "NTP keeps the clock", g.anchors.All(), 0, record.QualitySynchronised)
		g = begin()
		g.hear(&facts{wall: wall, plain: word{true, 0}}, 2)
		g.remembered(t, "the engine's plain word", g.anchors.All(), 0, record.QualityAsserted)
		g = begin()
		g.mono += 20 * minute
		g.hear(&facts{wall: wall, feed: radioWords{tag: word{true, 0}}}, 8)
		g.remembered(t, "one word after silence", g.anchors.All(), 0, record.QualityAsserted)
	}
	g := attacked(t, 6*60*minute)
	g.mono += 20 * minute
	g.hear(&facts{wall: wall, feed: radioWords{traffic: true}}, 2)
	if x, ok := g.anchors.Of(); ok && x.Quality >= record.QualityAsserted {
		t.Errorf("a time of day ended what was believed, remembered is %+v", x)
	}
	g = attacked(t, 6*60*minute)
	g.hear(&facts{wall: wall, plain: word{true, 0},
		mast: radioWords{stations: []int64{6 * 60 * minute, 6 * 60 * minute}, traffic: true, off: 6 * 60 * minute}}, 8)
	g.remembered(t, "a plain word against strangers who are heard", g.anchors.All(), 6*60*minute,
		record.QualityAsserted)
}

// TestABootOfTheFutureIsWithdrawn: what strangers said of another boot, and an
// authenticated time shows to lie ahead, goes along no more; what may be right stays.
func TestABootOfTheFutureIsWithdrawn(t *testing.T) {
	for off, want := range map[int64]int{10 * day: 1, 0: 2} {
		g := attacked(t, off)
		g.reboot()
		g.hear(&facts{wall: word{true, 0}, tls: word{true, 0}}, 2)
		if all := g.anchors.All(); len(all) != want {
			t.Errorf("strangers off by %v: remembered is %+v", span1(off), all)
		} else if want == 2 && all[0].Quality != record.QualityAsserted {
			t.Errorf("of another boot strangers' word is %v", all[0].Quality)
		}
	}
}

// TestAnAnswerCountsBeforeItIsJudged: blocks follow the first answer at once, and what
// goes along with them says nothing that it refutes.
func TestAnAnswerCountsBeforeItIsJudged(t *testing.T) {
	const lie = 10 * day
	answer := func(g *modelGateway, off int64, trusted bool) *Evidence {
		now := g.mono - g.begun
		return &Evidence{Kind: KindCloud, Observer: Local, Mono: now, Before: now - 100*milli,
			UTC: g.utc() + record.Micros(off) - 50_000, Trusted: trusted}
	}
	heed := func(g *modelGateway, v *Evidence) []record.Anchor {
		return Heed(g.anchors.All(), g.anchors.boot, Floor, v)
	}
	g := attacked(t, lie)
	g.remembered(t, "proven", heed(g, answer(g, 0, true)), 0, record.QualitySynchronised)
	if all := heed(g, answer(g, 0, false)); len(all) != 0 {
		t.Errorf("more than a day ahead of a plain word goes along %+v", all)
	}
	g.remembered(t, "a plain word within a day", heed(g, answer(g, lie-60*minute, false)), lie, record.QualityAsserted)
	g.remembered(t, "a plain word that agrees", heed(g, answer(g, lie+sec, false)), lie, record.QualitySynchronised)
	g.remembered(t, "a word before the floor", heed(g, answer(g, -300*day, true)), lie, record.QualitySynchronised)
	g = newModel(nil)
	g.hear(&facts{host: word{true, 0}}, 3)
	g.remembered(t, "an authenticated boot", heed(g, answer(g, lie, true)), 0, record.QualitySynchronised)
	g = attacked(t, lie)
	g.reboot()
	if all := heed(g, answer(g, 0, true)); len(all) != 0 {
		t.Errorf("of a boot of the future goes along %+v", all)
	}
}
