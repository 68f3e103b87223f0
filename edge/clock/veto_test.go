package clock

import (
	"testing"

	"landfall/edge/record"
)

// heardFor hears some evidence for a while and returns how what is believed is called,
// and how far it is off; unsynchronised where nothing is believed.
func heardFor(g *modelGateway, seconds int, say func(at record.Micros, now int64)) (int64, record.TimeQuality) {
	for range seconds {
		g.mono += sec
		say(g.utc(), g.mono-g.begun)
		g.est.Update(g.mono-g.begun, record.Micros(g.mono-g.begun))
	}
	off, e := g.believed()
	if !e.Known {
		return 0, record.QualityUnsynchronised
	}
	return off, e.Quality
}

// TestTrafficOfOneShipIsNoWitness: whoever sends two base stations can send one ship.
func TestTrafficOfOneShipIsNoWitness(t *testing.T) {
	for ships, want := range map[uint32]record.TimeQuality{1: record.QualityAsserted, 2: record.QualitySynchronised} {
		g := newModel(nil)
		_, got := heardFor(g, 20, func(at record.Micros, now int64) {
			for i := range uint32(2) {
				g.est.Observe(Evidence{Kind: KindBase, Clock: 7 + i, Sender: 7 + i, Mono: now, UTC: at - 1_000_000})
			}
			for ship := range ships {
				g.est.Observe(Evidence{Kind: KindSecond, Sender: 200 + ship, Mono: now,
					UTC: (at - 1_200_000) / 1_000_000 % 60 * 1_000_000})
			}
		})
		if got != want {
			t.Errorf("%d ships: %v, want %v", ships, got, want)
		}
	}
}

// TestAStationIsOneThroughEverySource: two receivers that hear the same base station
// are not two who tell the date.
func TestAStationIsOneThroughEverySource(t *testing.T) {
	for second, want := range map[uint32]record.TimeQuality{7: record.QualityUnsynchronised,
		8: record.QualityAsserted} {
		g := newModel(nil)
		_, got := heardFor(g, 20, func(at record.Micros, now int64) {
			g.est.Observe(Evidence{Kind: KindBase, Observer: 0, Clock: 7, Mono: now, UTC: at - 1_000_000})
			g.est.Observe(Evidence{Kind: KindBase, Observer: 1, Clock: second, Mono: now, UTC: at - 1_000_000})
		})
		if got != want {
			t.Errorf("stations 7 and %d: %v, want %v", second, got, want)
		}
	}
}

// TestAStationThatSaysTwoThings as often is not heard; once more often, it is.
func TestAStationThatSaysTwoThings(t *testing.T) {
	h := heard{kind: KindBase, clock: 7}
	o := observer{clocks: []heard{h}}
	var scratch []int64
	for _, c := range []struct {
		says []int64
		used bool
		at   int64
	}{{[]int64{0, day}, false, 0}, {[]int64{day, 0}, false, 0}, {[]int64{0, 0, day}, true, 0}, {[]int64{day}, true,
		day}, {[]int64{day, day, 0, 0}, false, 0}} {
		o.clocks[0] = h
		for i, x := range c.says {
			o.clocks[0].add(sample{int64(i), x}, 5)
		}
		o.summarise(100, &scratch)
		if got := &o.clocks[0]; got.used != c.used || got.where.median != c.at {
			t.Errorf("%v: used %v at %d, want %v at %d", c.says, got.used, got.where.median, c.used, c.at)
		}
	}
}

// TestJustBelowTheFloorIsNoRollover: a GNSS date that is a day before what the engine
// proved is wrong; moved by 1,024 weeks it would be of another age.
func TestJustBelowTheFloorIsNoRollover(t *testing.T) {
	for name, c := range map[string]struct {
		off  int64
		want record.TimeQuality
	}{
		"right":              {0, record.QualityAsserted},
		"a day behind":       {-day, record.QualityUnsynchronised},
		"1,024 weeks behind": {-int64(rollover), record.QualityAsserted},
	} {
		g := newModel(record.EncodeKept(&record.KeptClock{Proven: modelBirth}))
		off, got := heardFor(g, 10, func(at record.Micros, now int64) {
			g.est.Observe(Evidence{Kind: KindGNSS, Mono: now, UTC: at + record.Micros(c.off) - 300_000})
		})
		if got != c.want || got == record.QualityAsserted && !near(off, 0) {
			t.Errorf("%s: %v, off by %v", name, got, span1(off))
		}
	}
}

// TestRadioWalksNoAuthenticatedClock: strangers who lie by a little more each second
// move what NTP said once by no more than it may have drifted.
func TestRadioWalksNoAuthenticatedClock(t *testing.T) {
	g := newModel(nil)
	g.hear(&facts{host: word{true, 0}}, 3)
	for i := range int64(10_000) {
		off := i * 200 * micro
		f := facts{mast: radioWords{stations: []int64{off, off}, traffic: true, off: off}}
		g.hear(&f, 1)
		drift := 300*milli + record.Drift(i*sec)
		if is, e := g.believed(); max(is, -is) > drift || !e.Basis.Authenticated() {
			t.Fatalf("after %d s: off by %v, %+v", i, span1(is), e)
		}
	}
}

// TestASmallDelayIsAdded: of two sources that hear the same, one 1.2 s later, both say
// the same time.
func TestASmallDelayIsAdded(t *testing.T) {
	const late = 1200 * milli
	g := newModel(nil)
	f := facts{
		mast: radioWords{stations: []int64{0, 0}, traffic: true},
		feed: radioWords{stations: []int64{0, 0}, traffic: true, late: late},
	}
	for i := range uint64(20) {
		now := g.mono - g.begun
		g.est.Transmission(0, i, now)
		g.est.Transmission(1, i, now+late)
		g.hear(&f, 1)
	}
	if off, e := g.believed(); max(off, -off) > 100*milli || e.Quality != record.QualitySynchronised {
		t.Errorf("off by %v, %+v", span1(off), e)
	}
}

// TestWhatIsRememberedOfTransmissionsIsBounded, and what is sent again is heard once.
func TestWhatIsRememberedOfTransmissionsIsBounded(t *testing.T) {
	g := newModel(nil)
	for i := range uint64(3 * echoesKept) {
		g.est.Transmission(0, i, int64(i))
		g.est.Transmission(0, i, int64(i)+1)
	}
	e := &g.est.observers[0].echoes
	if len(e.at) != echoesKept || len(e.ring) != echoesKept || len(e.lags.all) != 0 {
		t.Errorf("%d and %d are kept, %d lags", len(e.at), len(e.ring), len(e.lags.all))
	}
	if _, ok := e.at[3*echoesKept-1]; !ok {
		t.Error("the newest is gone")
	}
}

// TestStrangersGiveWayAfterSilence: what strangers agreed on stands against one word
// while they were heard in the last quarter of an hour, and no longer; a time of day
// that contradicts ends it too.
func TestStrangersGiveWayAfterSilence(t *testing.T) {
	lie := int64(6 * 60 * minute)
	for _, c := range []struct {
		name    string
		silence int64
		then    facts
		unknown bool
		off     int64
	}{
		{"one word at once", 0, facts{feed: radioWords{tag: word{true, 0}}}, false, lie},
		{"one word while they contradict themselves", 0,
			facts{mast: radioWords{stations: []int64{lie, lie, 0, 0}, traffic: true, off: lie},
				feed: radioWords{tag: word{true, 0}}}, false, lie},
		{"one word after 20 minutes", 20 * minute, facts{feed: radioWords{tag: word{true, 0}}}, false, 0},
		{"nothing after 20 minutes", 20 * minute, facts{}, false, lie},
		{"a time of day at once", 0, facts{feed: radioWords{traffic: true}}, false, lie},
		{"a time of day after 20 minutes", 20 * minute, facts{feed: radioWords{traffic: true}}, true, 0},
	} {
		g := newModel(nil)
		g.hear(&facts{mast: radioWords{stations: []int64{lie, lie}, traffic: true, off: lie}}, 8)
		g.mono += c.silence
		g.hear(&c.then, 8)
		if off, e := g.believed(); e.Known == c.unknown || e.Known && !near(off, c.off) {
			t.Errorf("%s: off by %v, %+v", c.name, span1(off), e)
		}
	}
}

// TestCertificateTime: by whom certificates are judged.
func TestCertificateTime(t *testing.T) {
	const mono, floor = int64(10 * 60 * minute), Floor
	at := func(days int64) record.Micros { return Floor + record.Micros(days*day) }
	estimate := func(days int64, b record.Basis, q record.TimeQuality) Estimate {
		return Estimate{Known: true, Mono: mono, Offset: int64(at(days)) - mono, Basis: b, Quality: q}
	}
	radio := estimate(300, record.BasisRadio, record.QualitySynchronised)
	host := estimate(200, record.BasisHost, record.QualitySynchronised)
	for _, c := range []struct {
		name string
		r    Report
		wall record.Micros
		want record.Micros
		weak bool
	}{
		{"nothing known", Report{}, 0, floor, false},
		{"a clock that was set", Report{}, at(100), at(100), false},
		{"against strangers", Report{Estimate: radio}, at(100), at(100), false},
		{"strangers alone", Report{Estimate: radio}, 0, at(300), true},
		{"one word", Report{Estimate: estimate(300, record.BasisWord, record.QualityAsserted)}, 0, floor, false},
		{"strangers who are contradicted", Report{Estimate: estimate(300, record.BasisRadio, record.QualityAsserted)},
			0, floor, false},
		{"strangers, once the engine proved", Report{Estimate: radio, Proven: at(50)}, 0, at(50), false},
		{"a clock before what the engine proved", Report{Proven: at(150)}, at(100), at(150), false},
		{"a clock after what the engine proved", Report{Proven: at(50)}, at(100), at(100), false},
		{"authenticated now", Report{Authority: host, Live: true}, at(100), at(200), false},
		{"authenticated before, and a clock that was set", Report{Authority: host}, at(100), at(100), false},
		{"authenticated before, and none", Report{Authority: host}, 0, at(200), false},
		{"authenticated now, in the past",
			Report{Authority: estimate(-50, record.BasisHost, record.QualitySynchronised), Live: true}, at(100), floor,
			false},
	} {
		if got, weak := c.r.CertificateTime(c.wall, mono, floor); got != c.want || weak != c.weak {
			t.Errorf("%s: day %d, weak %v; want day %d, weak %v", c.name, int64(got-Floor)/day, weak,
				int64(c.want-Floor)/day, c.weak)
		}
	}
}

// TestWhatIsKept: only the engine's proven word rises what is kept, and may lower it; a
// stranger's boot does not replace an authenticated one.
func TestWhatIsKept(t *testing.T) {
	g := newModel(nil)
	g.hear(&facts{host: word{true, 365 * day}, plain: word{true, 365 * day},
		mast: radioWords{stations: []int64{365 * day, 365 * day}, traffic: true}}, 8)
	if k, err := record.DecodeKept(g.kept); err != nil || k.Proven != 0 || len(k.Anchors) != 1 ||
		k.Anchors[0].Basis != record.BasisHost {
		t.Errorf("kept %+v, %v", k, err)
	}
	g.hear(&facts{tls: word{true, 0}}, 3)
	k, err := record.DecodeKept(g.kept)
	if err != nil || k.Proven < modelBirth || k.Proven > g.utc() {
		t.Errorf("kept %+v, %v", k, err)
	}
	if got := g.est.Report(); got.Proven == 0 {
		t.Error("the engine proved nothing")
	}
	boots, _ := NewAnchors(BootID{1}, nil)
	kept := Estimate{Known: true, Mono: 1, Offset: 0, Uncertainty: 100, Quality: record.QualitySynchronised,
		Basis: record.BasisEngine}
	boots.Note(kept)
	for _, b := range []record.Basis{record.BasisWord, record.BasisRadio, record.BasisHost} {
		other := Estimate{Known: true, Mono: 2, Offset: 365 * day, Quality: record.QualitySynchronised, Basis: b}
		if boots.Note(other) {
			t.Errorf("%v replaces the engine's word", b)
		}
	}
	kept.Mono, kept.Offset = 3, -365*day
	if !boots.Note(kept) {
		t.Error("the engine cannot correct itself")
	}
}

// TestSecondsAreNoContradiction: an engine over plain HTTP whose clock is some seconds
// off leaves the radio's time as sure as it was; one an hour off does not.
func TestSecondsAreNoContradiction(t *testing.T) {
	for off, want := range map[int64]record.TimeQuality{3 * sec: record.QualitySynchronised,
		60 * minute: record.QualityAsserted} {
		g := newModel(nil)
		g.hear(&facts{plain: word{true, off}, mast: radioWords{stations: []int64{0, 0}, traffic: true}}, 8)
		is, e := g.believed()
		if r := g.est.Report(); max(is, -is) > sec || e.Quality != want ||
			(r.Refused[Outvoted] > 0) != (want == record.QualityAsserted) {
			t.Errorf("%v off: %+v, off by %v, %v", span1(off), e, span1(is), r.Refused)
		}
	}
}

// TestScatteredSecondsShowADelay: where the seconds of positions lie anywhere, what
// base stations say that come the same way sets no clock.
func TestScatteredSecondsShowADelay(t *testing.T) {
	for name, c := range map[string]struct {
		step int64 // by which the delay of positions grows
		want record.TimeQuality
	}{"as heard": {0, record.QualitySynchronised}, "late by any time": {17 * sec, record.QualityUnsynchronised}} {
		g, late := newModel(nil), int64(0)
		_, got := heardFor(g, 40, func(at record.Micros, now int64) {
			late += c.step
			for i := range uint32(2) {
				g.est.Observe(Evidence{Kind: KindBase, Clock: 7 + i, Mono: now, UTC: at - 1_000_000})
				g.est.Observe(Evidence{Kind: KindSecond, Sender: 200 + i, Mono: now,
					UTC: (at - 1_200_000 - record.Micros(late)) / 1_000_000 % 60 * 1_000_000})
			}
		})
		if r := g.est.Report(); got != c.want || (r.Refused[Delays] > 0) != (c.step > 0) {
			t.Errorf("%s: %v, want %v; refused %v", name, got, c.want, r.Refused)
		}
	}
}

// TestWhatWasLateIsNotHeld: a source is believed until another one shows that it is 30 s
// late; then the other's seconds and the machine's day are all there is.
func TestWhatWasLateIsNotHeld(t *testing.T) {
	g, wall := newModel(nil), word{true, 0}
	late := radioWords{stations: []int64{0, 0}, traffic: true, late: 30 * sec}
	g.hear(&facts{wall: wall, feed: late}, 8)
	if off, e := g.believed(); !near(off, -30*sec) || e.Basis != record.BasisRadio {
		t.Fatalf("off by %v, %+v", span1(off), e)
	}
	for i := range uint64(10) {
		now := g.mono - g.begun
		g.est.Transmission(0, i, now)
		g.est.Transmission(1, i, now+30*sec)
		g.hear(&facts{wall: wall, mast: radioWords{traffic: true}, feed: late}, 1)
	}
	if off, e := g.believed(); max(off, -off) > 2*sec || e.Quality != record.QualityUnsynchronised {
		t.Errorf("off by %v, %+v", span1(off), e)
	}
}
