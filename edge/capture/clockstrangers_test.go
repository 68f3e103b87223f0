package capture

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"landfall/decoders/aissim"
	"landfall/edge/clock"
	"landfall/edge/record"
)

// strangers is one case of time from strangers: what a gateway hears beside an honest
// mast, and who else tells it the time.
type strangers struct {
	name     string
	stations int // of the honest mast
	ntp, tls bool
	wall     int64 // the machine's clock is off by
	// forged are base stations with a date off by so much, heard once each.
	forged []time.Duration
	feeds  []feed          // beside the mast; the same transmissions
	worlds []time.Duration // beside the mast; other transmissions, all off by so much
	silent bool            // the mast hears nothing: the feeds are all there is
	deaf   bool            // the mast hears no base station, the feeds do
	// early is how many rows may be called asserted and be wrong: those before the mast
	// has heard two base stations, while the liar was the only one to tell the date.
	early int
}

// modelDay is a day.
const modelDay = 24 * time.Hour

// forgedStation is a type 4 with a date of its own.
func forgedStation(mmsi uint32, at time.Time) []byte {
	fields := [][2]uint64{{4, 6}, {0, 2}, {uint64(mmsi), 30}, {uint64(at.Year()), 14}, {uint64(at.Month()), 4}, {uint64(at.Day()), 5},
		{uint64(at.Hour()), 5}, {uint64(at.Minute()), 6}, {uint64(at.Second()), 6}, {0, 1}, {0, 28}, {0, 27}, {1, 4}, {0, 10}, {0, 1}, {1, 2}, {0, 17}}
	var bits []byte
	for _, f := range fields {
		for i := int(f[1]) - 1; i >= 0; i-- {
			bits = append(bits, byte(f[0]>>i&1))
		}
	}
	var payload []byte
	for len(bits) >= 6 {
		v := byte(0)
		for _, b := range bits[:6] {
			v = v<<1 | b
		}
		payload, bits = append(payload, armour(v)), bits[6:]
	}
	body := fmt.Sprintf("AIVDM,1,1,,A,%s,0", payload)
	sum := byte(0)
	for i := range len(body) {
		sum ^= body[i]
	}
	return fmt.Appendf(nil, "!%s*%02X", body, sum)
}

// run lets the gateway hear ten minutes and returns, of the honest mast, how many rows
// are called asserted or better, how many of these are more than 2 s wrong, and how far
// the watermark was ahead of the truth. Of wrong ones called synchronised it complains.
func (c *strangers) run(t *testing.T) (rows, wrong int, ahead time.Duration) {
	t.Helper()
	const length = 600_000_000
	names := []string{"mast"}
	var all []arrival
	harbour := func(seed uint64, off time.Duration, stations int, take func(*aissim.Line)) {
		h, err := aissim.New(aissim.Config{Seed: seed, Start: simStart + off.Microseconds(), Ships: 40, BaseStations: max(stations, 1)})
		if err != nil {
			t.Fatal(err)
		}
		for l := range h.Lines(simStart + off.Microseconds() + length) {
			if stations == 0 && (l.MsgType == 4 || l.MsgType == 11) {
				continue
			}
			l.At, l.Sent = l.At-off.Microseconds(), l.Sent-off.Microseconds()
			take(&l)
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	harbour(5, 0, c.stations, func(l *aissim.Line) {
		if !c.silent && !(c.deaf && (l.MsgType == 4 || l.MsgType == 11)) {
			all = append(all, arrival{at: l.At, sent: l.Sent, text: l.Text})
		}
		for i, f := range c.feeds {
			for _, a := range f.lines(rng, l) {
				a.source = uint32(1 + i)
				all = append(all, a)
			}
		}
	})
	for _, f := range c.feeds {
		names = append(names, f.name)
	}
	for i, off := range c.worlds {
		names = append(names, fmt.Sprintf("world %d", i))
		harbour(uint64(50+i), off, 3, func(l *aissim.Line) {
			all = append(all, arrival{at: l.At, source: uint32(len(names) - 1), text: l.Text})
		})
	}
	for i, off := range c.forged {
		at := simStart + 7_000_000 + int64(i)*1_000_000
		all = append(all, arrival{at: at, text: forgedStation(2_999_000+uint32(i), time.UnixMicro(at).UTC().Add(off))})
	}
	sortArrivals(all)
	g := newSimGateway(t, names, 10, func(now int64) int64 { return now + c.wall })
	marks, k := clock.NewWatermarks(clock.WatermarkConfig{}), &timekeeper{estimator: g.est}
	for _, name := range names {
		marks.Add(name, 0)
	}
	now, emit := int64(0), g.c.cfg.Emit
	g.c.cfg.Emit = func(r *record.Record) {
		emit(r)
		marks.Wake(int(r.Source), r.Monotonic)
		if r.TimeQuality != record.QualityUnsynchronised {
			marks.Observe(int(r.Source), r.EventTime, ownTime(r.TimeSource), k.bound(r.ReceivedAt, r.Monotonic))
		}
		marks.Advance(r.Monotonic)
		for i := range names {
			if at := marks.Source(i).At; at != record.NoTime {
				ahead = max(ahead, time.Duration(int64(at)-now)*time.Microsecond)
			}
		}
	}
	second := int64(0)
	for _, a := range all {
		now = a.at
		if s := a.at / 1_000_000; s > second {
			second = s
			c.tell(g, a.at)
		}
		g.line(a.source, "", a.text, a.at, a.sent)
	}
	for _, e := range g.errs[0] {
		if e.r.TimeQuality >= record.QualityAsserted {
			rows++
			if max(e.event, -e.event) > 2_000_000 {
				wrong++
				if e.r.TimeQuality == record.QualitySynchronised {
					t.Errorf("a row that is %v wrong is called synchronised", time.Duration(e.event)*time.Microsecond)
				}
			}
		}
	}
	return rows, wrong, ahead
}

// tell lets NTP and the ingest say the truth.
func (c *strangers) tell(g *simGateway, at int64) {
	mono := g.mono(at)
	if c.ntp {
		g.est.Observe(clock.Evidence{Kind: clock.KindHost, Observer: clock.Local, Mono: mono, Before: mono - 40_000, UTC: record.Micros(at + 20_000)})
	}
	if c.tls && at/1_000_000%10 == 0 {
		g.est.Observe(clock.Evidence{Kind: clock.KindCloud, Observer: clock.Local, Mono: mono, Before: mono - 200_000, UTC: record.Micros(at - 100_000), Trusted: true})
	}
}

// TestStrangersMoveNoClockThatIsKept: each case was measured on a gateway whose clock
// strangers moved, with what they did.
func TestStrangersMoveNoClockThatIsKept(t *testing.T) {
	late := feed{"a receiver 30 s behind", delayed(30*time.Second, 30*time.Second+time.Millisecond)}
	satellite := feed{"satellite, 20 to 50 minutes late", delayed(20*time.Minute, 50*time.Minute)}
	hours := feed{"satellite, up to 2 hours late", delayed(time.Minute, 2*time.Hour)}
	const year, weeks = 365 * modelDay, 1024 * 7 * modelDay
	for _, c := range []strangers{
		{name: "one type 4, 20 years ahead", forged: []time.Duration{20 * year}},
		{name: "one type 4, 20 years ahead, against NTP", ntp: true, forged: []time.Duration{20 * year}},
		{name: "one type 4, 20 years ahead, against the ingest", tls: true, forged: []time.Duration{20 * year}},
		{name: "one type 4, 20 years ahead, against an honest one", stations: 1, forged: []time.Duration{20 * year}},
		{name: "one type 4, 1,024 weeks ahead", forged: []time.Duration{weeks}},
		{name: "one type 4, a hundred days behind", forged: []time.Duration{-100 * modelDay}},
		{name: "one forged packet a year ahead, NTP, one honest station", stations: 1, ntp: true, forged: []time.Duration{year}},
		{name: "one forged packet a year ahead, NTP, no honest station", ntp: true, forged: []time.Duration{year}},
		{name: "two forged packets, NTP, one honest station", stations: 1, ntp: true, forged: []time.Duration{year, year}},
		{name: "a mast beside a feed an hour ahead", stations: 3, worlds: []time.Duration{time.Hour}, early: 20},
		{name: "a mast beside a feed an hour ahead, NTP", stations: 3, ntp: true, worlds: []time.Duration{time.Hour}},
		{name: "a mast beside yesterday's recording", stations: 3, worlds: []time.Duration{-modelDay}, early: 20},
		{name: "a mast beside yesterday's recording, NTP", stations: 3, ntp: true, worlds: []time.Duration{-modelDay}},
		{name: "three liars against NTP and the ingest", stations: 3, ntp: true, tls: true, worlds: []time.Duration{time.Hour, time.Hour, time.Hour}},
		{name: "three liars a year ahead against NTP", stations: 3, ntp: true, worlds: []time.Duration{year, year, year}},
		{name: "a mast beside a receiver 30 s behind", stations: 3, feeds: []feed{late}},
		{name: "a mast beside two receivers 30 s behind", stations: 3, feeds: []feed{late, late}},
		{name: "a mast without a base station beside a receiver 30 s behind", stations: 3, deaf: true, feeds: []feed{late}},
		{name: "a mast without a base station beside a receiver 30 s behind, NTP", stations: 3, deaf: true, ntp: true, feeds: []feed{late}},
		{name: "a mast beside satellites", stations: 3, feeds: []feed{satellite, hours}},
		{name: "a mast without a base station beside satellites", feeds: []feed{satellite, hours}},
	} {
		t.Run(c.name, func(t *testing.T) {
			rows, wrong, ahead := c.run(t)
			t.Logf("%d rows of the mast called asserted or better, %d of them wrong; watermark ahead by %v at most", rows, wrong, ahead)
			if wrong > c.early {
				t.Errorf("%d of %d rows are wrong", wrong, rows)
			}
			if ahead > 2*time.Second {
				t.Errorf("the watermark is %v ahead of the truth", ahead)
			}
			if rows == 0 && (c.ntp || c.tls || c.stations > 1 && !c.deaf) {
				t.Error("no row has a time that is vouched for")
			}
		})
	}
}

// TestASatelliteSetsNoClock: what a feed that delays by minutes to hours says of the
// time is not believed where it is alone. Within a minute, which is nobody's word, the
// first few of its seconds may agree by accident. A delay that is the same for all
// lines cannot be seen there; against the machine's clock that is no proof.
func TestASatelliteSetsNoClock(t *testing.T) {
	for _, c := range []struct {
		name  string
		lines func(*rand.Rand, *aissim.Line) []arrival
		most  record.TimeQuality // that a wrong time may be called
	}{
		{"1 to 30 minutes", delayed(time.Minute, 30*time.Minute), record.QualityUnsynchronised},
		{"1 minute to 2 hours", delayed(time.Minute, 2*time.Hour), record.QualityUnsynchronised},
		{"29 minutes", delayed(29*time.Minute, 29*time.Minute+time.Second), record.QualityAsserted},
	} {
		h, err := aissim.New(aissim.Config{Seed: 5, Start: simStart, Ships: 40, BaseStations: 3})
		if err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(1, 2))
		var all []arrival
		for l := range h.Lines(simStart + 3_600_000_000) {
			all = append(all, c.lines(rng, &l)...)
		}
		sortArrivals(all)
		g := newSimGateway(t, []string{"satellite"}, 10, func(now int64) int64 { return now })
		for _, a := range all {
			g.line(0, "", a.text, a.at, 0)
			e := g.est.Current()
			utc, _ := e.UTC(g.mono(a.at))
			if off := max(int64(utc)-a.at, a.at-int64(utc)); e.Known && off > 60_000_000 && e.Quality > c.most {
				t.Fatalf("%s late, after %v: it sets the clock %v off: %+v", c.name, time.Duration(a.at-simStart)*time.Microsecond, time.Duration(off)*time.Microsecond, e)
			}
		}
	}
}
