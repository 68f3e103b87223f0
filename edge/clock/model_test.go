package clock

import (
	"fmt"
	"testing"

	"landfall/edge/record"
)

// The truth of the model's tests: monotonic 0 was at modelBirth.
const (
	modelFloor = Floor
	modelBirth = Floor + record.Micros(250*day)
)

// word is what one party of the model says: absent, or off by an error.
type word struct {
	says bool
	off  int64
}

// radioWords are what a source brings: base stations, each off by something, and the
// traffic of ships, and a TAG block.
type radioWords struct {
	stations []int64
	traffic  bool
	off      int64 // of the traffic
	tag      word
	late     int64 // everything comes so much later
	first    uint32
}

// facts are all evidence of a moment.
type facts struct {
	wall       word // says: it was set
	host       word
	tls, plain word
	mast, feed radioWords
}

// modelGateway is a gateway of the model's tests.
type modelGateway struct {
	mono    int64
	boot    byte
	begun   int64 // monotonic time 0 of this boot
	kept    []byte
	est     *Estimator
	anchors *Anchors
}

func newModel(kept []byte) *modelGateway {
	g := &modelGateway{mono: 1000 * sec, boot: 1, kept: kept}
	g.start()
	return g
}

// start begins a process, in the way that capture does.
func (g *modelGateway) start() {
	g.anchors, g.est, _ = Begin(BootID{g.boot}, g.kept, g.mono-g.begun, EstimatorConfig{Floor: modelFloor})
	g.est.AddObserver("mast", true)
	g.est.AddObserver("feed", true)
}

func (g *modelGateway) restart() { g.start() }

func (g *modelGateway) reboot() {
	g.boot++
	g.mono += 1000 * sec
	g.begun = g.mono - 10*sec
	g.start()
}

// utc is the truth.
func (g *modelGateway) utc() record.Micros { return modelBirth + record.Micros(g.mono) }

// wall is the machine's clock.
func (g *modelGateway) wall(f *facts) record.Micros {
	if !f.wall.says {
		return record.Micros(g.mono - g.begun)
	}
	return g.utc() + record.Micros(f.wall.off)
}

// hear lets the evidence of some parties come for a number of seconds.
func (g *modelGateway) hear(f *facts, seconds int) {
	for range seconds {
		g.mono += sec
		now := g.mono - g.begun
		if f.host.says {
			g.est.Observe(Evidence{Kind: KindHost, Observer: Local, Mono: now, Before: now - 20*milli,
				UTC: g.utc() + record.Micros(f.host.off) + 10_000})
		}
		for _, c := range []struct {
			w       word
			trusted bool
		}{{f.tls, true}, {f.plain, false}} {
			if c.w.says {
				g.est.Observe(Evidence{Kind: KindCloud, Observer: Local, Mono: now, Before: now - 100*milli,
					UTC: g.utc() + record.Micros(c.w.off) - 50_000, Trusted: c.trusted})
			}
		}
		g.radio(0, &f.mast)
		g.radio(1, &f.feed)
		g.anchors.Note(g.est.Update(now, g.wall(f)))
		g.anchors.Prove(g.est.Proven())
		g.kept = g.anchors.Kept()
	}
}

func (g *modelGateway) radio(source int, r *radioWords) {
	now := g.mono - g.begun
	at := g.utc() - record.Micros(r.late)
	e := Evidence{Observer: source, Mono: now}
	for i, off := range r.stations {
		e.Kind, e.UTC, e.Clock = KindBase, at+record.Micros(off-sec), r.first+uint32(i)
		g.est.Observe(e)
	}
	e.Clock = 0
	if r.tag.says {
		e.Kind, e.UTC = KindStamp, at+record.Micros(r.tag.off)-300_000
		g.est.Observe(e)
	}
	if !r.traffic {
		return
	}
	at += record.Micros(r.off)
	for ship := range uint32(3) {
		e.Sender = 200_000_000 + ship
		e.Kind, e.UTC = KindSecond, (at-1_200_000)/1_000_000%60*1_000_000
		g.est.Observe(e)
		e.Kind, e.UTC = KindMinute, at/60_000_000%1440*60_000_000
		g.est.Observe(e)
		e.Kind, e.UTC = KindSlot, (at-SlotLatency)%60_000_000
		g.est.Observe(e)
	}
}

// believed is the error of what is believed, and its quality.
func (g *modelGateway) believed() (off int64, e Estimate) {
	e = g.est.Current()
	utc, _ := e.UTC(g.mono - g.begun)
	return int64(utc - g.utc()), e
}

// connects tells whether a certificate of a hundred days before and after the truth
// is believed.
func (g *modelGateway) connects(f *facts) bool {
	r := g.est.Report()
	const valid = 100 * day
	at, weak := r.CertificateTime(g.wall(f), g.mono-g.begun, g.utc()-record.Micros(50*day))
	d := int64(at - g.utc())
	return d >= -valid && (d <= valid || weak)
}

// want is what the model of docs/time.md says of a set of evidence that has come
// whole: it is written from there, not from the estimator.
type want struct {
	unknown bool
	off     int64
	quality record.TimeQuality
	either  bool // a tie that nothing settles: what was believed first stays
	other   int64
	later   bool // the machine's clock contradicts: asserted for the first minute
}

// near is within what evidence may differ by and be the same time.
func near(a, b int64) bool { return max(a-b, b-a) < 10*sec }

// stands is what one source says by itself.
type stands struct {
	says     bool
	off      int64
	dates    int
	station  bool // a base station tells the date
	kinds    string
	contests bool // as many of its own clocks tell another date
}

func (r *radioWords) stands(f *facts) (s stands) {
	count := map[int64]int{}
	for _, off := range r.stations {
		count[off]++
	}
	for _, off := range r.stations {
		if n := count[off]; n > 0 {
			if s.dates < n || s.dates == n && tie(f, off, s.off) {
				s.dates, s.off, s.says, s.station = n, off, true, true
			}
			count[off] = -n
		}
	}
	others := len(r.stations) - s.dates
	if r.tag.says {
		switch {
		case !s.says:
			s.says, s.off, s.dates, s.kinds = true, r.tag.off, 1, "T"
		case near(s.off, r.tag.off):
			s.dates++
			s.kinds += "T"
		default:
			others++
		}
	}
	if !s.says {
		return s
	}
	if s.station {
		s.kinds += "B"
	}
	if r.traffic && near(0, (s.off-r.off)%minute) {
		s.kinds += "S"
	}
	s.contests = others >= s.dates && others > 0
	return s
}

// tie tells whether a goes before b by the machine's clock, else by being earlier.
func tie(f *facts, a, b int64) bool {
	wall := func(x int64) bool { return f.wall.says && max(f.wall.off-x, x-f.wall.off) < nearGuess }
	if wall(a) != wall(b) {
		return wall(a)
	}
	return a < b
}

func (f *facts) want() want {
	switch {
	case f.host.says && f.tls.says && !near(f.host.off, f.tls.off):
		return want{off: min(f.host.off, f.tls.off), quality: record.QualityAsserted}
	case f.host.says:
		return want{off: f.host.off, quality: record.QualitySynchronised}
	case f.tls.says:
		return want{off: f.tls.off, quality: record.QualitySynchronised}
	}
	return f.wantOfStrangers()
}

// modelCoalition is who agrees.
type modelCoalition struct {
	off     int64
	sources int
	level   int // 2: independent in number and kind; 1: a word; 0: none
	plain   bool
}

func (f *facts) wantOfStrangers() want {
	var all []stands
	for _, r := range []*radioWords{&f.mast, &f.feed} {
		if s := r.stands(f); s.says && (!f.plain.says || s.off-f.plain.off <= day) {
			all = append(all, s)
		}
	}
	if f.plain.says {
		all = append(all, stands{says: true, off: f.plain.off, dates: 1, kinds: "I"})
	}
	var groups []modelCoalition
	lone := false
	for self, s := range all {
		g := modelCoalition{off: s.off, plain: f.plain.says && near(s.off, f.plain.off)}
		dates, kinds, only := 0, map[rune]bool{}, true
		for i, t := range all {
			if !near(s.off, t.off) || t.contests && i != self {
				continue
			}
			if !t.contests {
				g.sources++
			}
			for _, k := range t.kinds {
				kinds[k] = true
			}
			dates, only = dates+t.dates, only && t.station
		}
		switch {
		case dates >= 2 && len(kinds) >= 2 && !s.contests:
			g.level = 2
		case dates >= 2 || !only || f.wall.says && max(f.wall.off-s.off, s.off-f.wall.off) < nearGuess:
			g.level = 1
		default:
			lone = true
			continue
		}
		groups = append(groups, g)
	}
	if len(groups) == 0 {
		return f.wantOfNobody(lone)
	}
	best := groups[0]
	before := func(a, b *modelCoalition) bool {
		return a.level > b.level || a.level == b.level && a.sources > b.sources
	}
	for _, g := range groups[1:] {
		if before(&g, &best) || !before(&best, &g) && !near(g.off, best.off) && tie(f, g.off, best.off) {
			best = g
		}
	}
	w := want{off: best.off, quality: record.QualityAsserted}
	contradicted := f.plain.says && !best.plain
	for _, g := range groups {
		if near(g.off, best.off) || before(&best, &g) {
			continue
		}
		contradicted = true
		wallA, wallB := f.wall.says && max(f.wall.off-best.off, best.off-f.wall.off) < nearGuess, f.wall.says &&
			max(f.wall.off-g.off, g.off-f.wall.off) < nearGuess
		if wallA == wallB {
			w.either, w.other = true, g.off
		}
	}
	if best.level == 2 && !contradicted {
		w.quality = record.QualitySynchronised
	}
	if f.wall.says && !near(f.wall.off, w.off) && max(f.wall.off-w.off, w.off-f.wall.off) > nearGuess &&
		w.quality == record.QualitySynchronised {
		w.later = true
	}
	return w
}

// wantOfNobody is where nobody tells the date.
func (f *facts) wantOfNobody(lone bool) want {
	if lone || !f.wall.says || !f.mast.traffic && !f.feed.traffic {
		return want{unknown: true}
	}
	return want{off: f.wall.off, quality: record.QualityUnsynchronised}
}

// check compares what is believed with the model.
func (g *modelGateway) check(f *facts) error {
	w := f.want()
	off, e := g.believed()
	switch {
	case w.unknown != !e.Known:
		return fmt.Errorf("known %v, want %v", e.Known, !w.unknown)
	case w.unknown:
		return nil
	case !near(off, w.off) && !(w.either && near(off, w.other)):
		return fmt.Errorf("believes an error of %v, want %v (or %v: %v)", span1(off), span1(w.off), w.either,
			span1(w.other))
	case w.later && g.mono-1000*sec < unopposedFor && e.Quality != record.QualityAsserted:
		return fmt.Errorf("calls it %v in the first minute, against the machine's clock", e.Quality)
	case w.later && g.mono-1000*sec < unopposedFor:
	case e.Quality != w.quality:
		return fmt.Errorf("calls it %v, want %v", e.Quality, w.quality)
	}
	return nil
}

func span1(us int64) string { return fmt.Sprintf("%.1f s", float64(us)/1e6) }

// everyFact calls f with each set of evidence, lies being off by that much.
func everyFact(lie int64, f func(*facts)) {
	wrong := func(off int64) []word { return []word{{}, {true, 0}, {true, off}} }
	mast := [][]int64{nil, {0}, {0, 0}, {lie}, {lie, lie}, {0, lie}, {0, 0, lie}, {0, 0, lie, lie}}
	feed := []radioWords{
		{}, {stations: []int64{0, 0}, traffic: true}, {stations: []int64{lie, lie}, traffic: true, off: lie},
		{tag: word{true, 0}}, {tag: word{true, lie}}, {stations: []int64{lie}},
	}
	walls := []word{{}, {true, 2 * sec}, {true, 3 * day}, {true, -3 * day}}
	for _, wall := range walls {
		for _, host := range wrong(lie) {
			for _, tls := range wrong(lie) {
				for _, plain := range wrong(lie) {
					if tls.says && plain.says {
						continue // there is one ingest
					}
					for _, stations := range mast {
						for _, traffic := range []bool{true, false} {
							for _, other := range feed {
								other.first = 900
								one := facts{wall: wall, host: host, tls: tls, plain: plain,
									mast: radioWords{stations: stations, traffic: traffic, first: 100}, feed: other}
								f(&one)
							}
						}
					}
				}
			}
		}
	}
}

// TestModelOfTime goes through every set of evidence: which time is believed, and
// how it is called.
func TestModelOfTime(t *testing.T) {
	for _, lie := range []int64{365 * day, -100 * day, 60 * minute} {
		n, bad := 0, 0
		everyFact(lie, func(f *facts) {
			g := newModel(nil)
			g.hear(f, 8)
			n++
			err := g.check(f)
			if err == nil && f.want().later {
				g.hear(f, 61)
				err = g.check(f)
			}
			if err != nil {
				if bad++; bad <= 10 {
					t.Errorf("lies of %v: %+v: %v", span1(lie), f, err)
				}
			}
		})
		t.Logf("lies of %v: %d sets of evidence, %d wrong", span1(lie), n, bad)
	}
}

// parties are the facts, one after the other.
func (f *facts) parties() []func(*facts) {
	var all []func(*facts)
	add := func(is bool, set func(*facts)) {
		if is {
			all = append(all, set)
		}
	}
	add(f.host.says, func(to *facts) { to.host = f.host })
	add(f.tls.says, func(to *facts) { to.tls = f.tls })
	add(f.plain.says, func(to *facts) { to.plain = f.plain })
	add(len(f.mast.stations) > 0 || f.mast.traffic, func(to *facts) { to.mast = f.mast })
	add(len(f.feed.stations) > 0 || f.feed.traffic || f.feed.tag.says, func(to *facts) { to.feed = f.feed })
	return all
}

// orders calls f with each order of n things.
func orders(n int, f func([]int)) {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	var place func(int)
	place = func(k int) {
		if k == n {
			f(all)
			return
		}
		for i := k; i < n; i++ {
			all[k], all[i] = all[i], all[k]
			place(k + 1)
			all[k], all[i] = all[i], all[k]
		}
	}
	place(0)
}

// TestModelInEveryOrder: whoever speaks first, in the end the same is believed.
func TestModelInEveryOrder(t *testing.T) {
	for _, lie := range []int64{365 * day, -100 * day} {
		n, bad := 0, 0
		everyFact(lie, func(f *facts) {
			parties := f.parties()
			orders(len(parties), func(order []int) {
				g, now := newModel(nil), facts{wall: f.wall}
				for _, i := range order {
					parties[i](&now)
					g.hear(&now, 6)
				}
				n++
				if err := g.check(f); err != nil {
					if bad++; bad <= 5 {
						t.Errorf("lies of %v, order %v: %+v: %v", span1(lie), order, f, err)
					}
				}
			})
		})
		t.Logf("lies of %v: %d orders, %d wrong", span1(lie), n, bad)
	}
}

// honest is evidence of strangers that is right.
func honest(wall word) *facts {
	return &facts{wall: wall, mast: radioWords{stations: []int64{0, 0}, traffic: true, first: 500}}
}

// modelWays are what may happen between lies and truth.
var modelWays = []struct {
	name string
	pass func(*modelGateway)
}{
	{"a restart", (*modelGateway).restart},
	{"a reboot", (*modelGateway).reboot},
	{"an hour of silence", func(g *modelGateway) { g.mono += 61 * minute }},
}

// TestNoStateOfTheClockLasts: whatever was believed, after a restart, a reboot or
// silence the truth is believed when somebody tells it who has the right to, and
// certificates are judged by it.
func TestNoStateOfTheClockLasts(t *testing.T) {
	for _, lie := range []int64{365 * day, -100 * day} {
		n, bad := 0, 0
		fail := func(f *facts, way, what string, g *modelGateway) {
			if bad++; bad <= 10 {
				off, e := g.believed()
				t.Errorf("lies of %v, %s: %s: %+v: off by %v, %+v", span1(lie), way, what, f, span1(off), e)
			}
		}
		everyFact(lie, func(f *facts) {
			before := newModel(nil)
			before.hear(f, 8)
			authority, ahead := f.host.says || f.tls.says, f.host.off > 0 && f.host.says || f.tls.off > 0 && f.tls.says
			if connects := before.connects(f); connects != (f.want().off <= 0 || !authority) {
				fail(f, "at once", fmt.Sprintf("the link connects: %v", connects), before)
			}
			for _, way := range modelWays {
				after := func() *modelGateway {
					g := newModel(nil)
					g.hear(f, 8)
					way.pass(g)
					return g
				}
				n++
				g := after()
				nobody := &facts{wall: f.wall}
				g.hear(nobody, 3)
				if _, e := g.believed(); way.name != "an hour of silence" && e.Known && !e.Basis.Authenticated() {
					fail(f, way.name, "what strangers said is still believed", g)
				}
				if (!ahead || f.wall.says && (!f.tls.says || f.tls.off <= 0)) && !g.connects(nobody) {
					fail(f, way.name, "the link does not connect", g)
				}
				right := &facts{wall: f.wall, tls: word{true, 0}}
				g.hear(right, 3)
				if off, e := g.believed(); !near(off, 0) || e.Quality != record.QualitySynchronised ||
					!g.connects(right) {
					fail(f, way.name, "the engine is not believed", g)
				}
				g = after()
				right = &facts{wall: f.wall, host: word{true, 0}}
				g.hear(right, 3)
				if off, e := g.believed(); !near(off, 0) || e.Quality != record.QualitySynchronised ||
					!g.connects(right) {
					fail(f, way.name, "the host is not believed", g)
				}
				g = after()
				if authority && (way.name != "a reboot" || f.tls.off > 0) {
					g.est.Forget() // landfall-edge clock forget: no stranger undoes what was authenticated
					g.anchors.Forget()
				}
				right = honest(f.wall)
				g.hear(right, 8)
				if right.want().later {
					g.hear(right, 61)
				}
				if off, e := g.believed(); !near(off, 0) || e.Quality != record.QualitySynchronised ||
					!g.connects(right) {
					fail(f, way.name, "strangers who agree are not believed", g)
				}
			}
		})
		t.Logf("lies of %v: %d histories, %d wrong", span1(lie), n, bad)
	}
}

// TestWhatVersion1KeptIsNoFloor: an earlier version kept what a stranger's date of
// 2046 made of the clock. Nothing of it stands in the way.
func TestWhatVersion1KeptIsNoFloor(t *testing.T) {
	for _, boot := range []byte{1, 9} { // this boot, another one
		wrong := record.Anchor{Boot: BootID{boot}, Mono: 1, UTC: modelBirth + record.Micros(20*365*day),
			Quality: record.QualitySynchronised, Radio: true}
		for _, wall := range []word{{}, {true, 0}} {
			for _, right := range []*facts{honest(wall), {wall: wall, host: word{true, 0}},
				{wall: wall, tls: word{true, 0}}} {
				g := newModel(record.EncodeAnchors([]record.Anchor{wrong}))
				if !g.connects(right) {
					t.Errorf("boot %d, %+v: the link does not connect", boot, right)
				}
				g.hear(right, 8)
				if off, e := g.believed(); !near(off, 0) || e.Quality != record.QualitySynchronised ||
					!g.connects(right) {
					t.Errorf("boot %d, %+v: off by %v, %+v", boot, right, span1(off), e)
				}
			}
		}
	}
}
