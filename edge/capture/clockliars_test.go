package capture

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"landfall/decoders/aissim"
	"landfall/edge/clock"
	"landfall/edge/record"
	"landfall/edge/source"
)

// arrival is one line on its way to the gateway.
type arrival struct {
	at, sent int64
	source   uint32
	text     []byte
}

// feed is a way in that does something to lines.
type feed struct {
	name string
	// lines gives what becomes of one line heard on the air.
	lines func(rng *rand.Rand, l *aissim.Line) []arrival
}

func heardLive(_ *rand.Rand, l *aissim.Line) []arrival {
	return []arrival{{at: l.At, text: l.Text}}
}

// delayed comes later, by a time between two that differs from line to line.
func delayed(least, most time.Duration) func(*rand.Rand, *aissim.Line) []arrival {
	return func(rng *rand.Rand, l *aissim.Line) []arrival {
		d := least.Microseconds() + rng.Int64N((most - least).Microseconds())
		return []arrival{{at: l.At + d, text: l.Text}}
	}
}

// copies come from several receivers, up to 3 s late.
func copies(rng *rand.Rand, l *aissim.Line) []arrival {
	var out []arrival
	for range 1 + rng.IntN(3) {
		out = append(out, arrival{at: l.At + 50_000 + rng.Int64N(3_000_000), text: l.Text})
	}
	return out
}

// stamped adds a TAG block whose clock is wrong.
func stamped(by time.Duration, only bool) func(*rand.Rand, *aissim.Line) []arrival {
	return func(_ *rand.Rand, l *aissim.Line) []arrival {
		if only && (l.MsgType == 4 || l.MsgType == 11) {
			return nil
		}
		tag := fmt.Appendf(nil, "c:%d", (l.At+by.Microseconds())/1000)
		sum := byte(0)
		for _, c := range tag {
			sum ^= c
		}
		return []arrival{{at: l.At, text: fmt.Appendf(nil, "\\%s*%02X\\%s", tag, sum, l.Text)}}
	}
}

// TestOneThatLiesOrDelaysDoesNotWin: among several ways in, one whose clock is
// wrong, one that delays by seconds or hours, and one with every message three
// times do not make event times wrong.
func TestOneThatLiesOrDelaysDoesNotWin(t *testing.T) {
	radio := feed{"radio", heardLive}
	satellite := feed{"satellite, 4-9 s late", delayed(4*time.Second, 9*time.Second)}
	hours := feed{"satellite, 20-50 min late", delayed(20*time.Minute, 50*time.Minute)}
	network := feed{"network, copies to 3 s late", copies}
	ahead80 := feed{"TAG 80 s ahead", stamped(80*time.Second, true)}
	zone := feed{"TAG an hour ahead", stamped(time.Hour, true)}
	behind := feed{"TAG 80 s behind", stamped(-80*time.Second, true)}
	weeks := feed{"TAG 1,024 weeks behind", stamped(-1024*7*24*time.Hour, true)}
	year38 := feed{"TAG in 2038", stamped(12*365*24*time.Hour, true)}
	t.Logf("%-100s | %-26s | %s", "ways in", "way", "event time, ms: median, 90%, worst")
	for _, c := range []struct {
		feeds []feed
		limit int64 // of the first's median, microseconds
		all   bool  // every way's
	}{
		{[]feed{radio, satellite}, 50_000, false},
		{[]feed{radio, satellite, network}, 50_000, false},
		{[]feed{radio, hours}, 50_000, false},
		{[]feed{radio, ahead80}, 50_000, true},
		{[]feed{radio, behind, zone}, 50_000, true},
		{[]feed{radio, zone, year38, weeks}, 50_000, true},
		{[]feed{radio, satellite, satellite, satellite, zone}, 50_000, false},
		{[]feed{network, satellite}, 3_000_000, false},
		{[]feed{{"radio with TAG an hour ahead", stamped(time.Hour, false)}}, 50_000, true},
		{[]feed{{"radio with TAG 80 s behind", stamped(-80*time.Second, false)}}, 50_000, true},
	} {
		names, g := lieTo(t, c.feeds)
		for i := range c.feeds {
			var events []int64
			for _, e := range g.errs[uint32(i)][len(g.errs[uint32(i)])/2:] {
				events = append(events, e.event)
			}
			t.Logf("%-100s | %-26s | %s", names, c.feeds[i].name, quantiles(events))
			if m := median(events); m > c.limit && (i == 0 || c.all) {
				t.Errorf("%s: median error of %s %d us, want at most %d", names, c.feeds[i].name, m, c.limit)
			}
		}
		if e := g.est.Current(); e.Quality != record.QualitySynchronised {
			t.Errorf("%s: estimate %+v", names, e)
		}
	}
}

// lieTo lets a gateway in 1970 hear an hour of a harbour through feeds.
func lieTo(t *testing.T, feeds []feed) (string, *simGateway) {
	h, err := aissim.New(aissim.Config{Seed: 5, Start: simStart, Ships: 40, BaseStations: 3})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range feeds {
		names = append(names, f.name)
	}
	g := newSimGateway(t, names, 10, func(now int64) int64 { return now - simStart })
	rng := rand.New(rand.NewPCG(1, 2))
	var all []arrival
	for l := range h.Lines(simStart + 3_600_000_000) {
		for i, f := range feeds {
			for _, a := range f.lines(rng, &l) {
				a.sent, a.source = l.Sent, uint32(i)
				all = append(all, a)
			}
		}
	}
	sortArrivals(all)
	for _, a := range all {
		g.line(a.source, "", a.text, a.at, a.sent)
	}
	return fmt.Sprint(names), g
}

// TestGNSSOnTheBus: RMC and ZDA with a fix give the date, without one nothing,
// and an old receiver's date is 1,024 weeks too early. GGA and GLL give no date,
// at midnight neither.
func TestGNSSOnTheBus(t *testing.T) {
	midnight := int64(1_781_568_000_000_000) // 2026-06-16
	sentence := func(body string) []byte {
		sum := byte(0)
		for i := 1; i < len(body); i++ {
			sum ^= body[i]
		}
		return fmt.Appendf(nil, "%s*%02X", body, sum)
	}
	for _, c := range []struct {
		name   string
		bodies func(at time.Time) []string
		wall   int64 // the gateway's clock is off by
		within int64 // the estimate is, microseconds; 0: there is none
	}{
		{"RMC with a fix", func(at time.Time) []string {
			return []string{"$GPRMC," + at.Format("150405.00") + ",A,5736.00,N,01124.00,E,0.1,0.0," + at.Format("020106") + ",,,A"}
		}, -1_000_000_000_000, 1_000_000},
		{"RMC without a fix", func(at time.Time) []string {
			return []string{"$GPRMC," + at.Format("150405.00") + ",V,,,,,,," + at.Format("020106") + ",,,N"}
		}, -1_000_000_000_000, 0},
		{"RMC 1,024 weeks back", func(at time.Time) []string {
			at = at.Add(-1024 * 7 * 24 * time.Hour)
			return []string{"$GPRMC," + at.Format("150405.00") + ",A,5736.00,N,01124.00,E,0.1,0.0," + at.Format("020106") + ",,,A"}
		}, -1_000_000_000_000, 1_000_000},
		{"ZDA and GGA with a fix", func(at time.Time) []string {
			return []string{"$GPGGA," + at.Format("150405") + ",5736.00,N,01124.00,E,1,08,1.0,10,M,40,M,,", "$GPZDA," + at.Format("150405,02,01,2006") + ",00,00"}
		}, -1_000_000_000_000, 1_500_000},
		{"ZDA without a word of a fix", func(at time.Time) []string {
			return []string{"$GPZDA," + at.Format("150405,02,01,2006") + ",00,00"}
		}, -1_000_000_000_000, 0},
		{"ZDA, GGA without a fix", func(at time.Time) []string {
			return []string{"$GPGGA," + at.Format("150405") + ",,,,,0,00,,,M,,M,,", "$GPZDA," + at.Format("150405,02,01,2006") + ",00,00"}
		}, -1_000_000_000_000, 0},
		{"GGA alone, clock days off", func(at time.Time) []string {
			return []string{"$GPGGA," + at.Format("150405") + ",5736.00,N,01124.00,E,1,08,1.0,10,M,40,M,,"}
		}, -300_000_000_000, 0},
		{"GLL alone, clock 5 s off", func(at time.Time) []string {
			return []string{"$GPGLL,5736.00,N,01124.00,E," + at.Format("150405") + ",A,A"}
		}, 5_000_000, 1_000_000},
	} {
		begin := midnight - 300_000_000
		g := newSimGateway(t, []string{"bus"}, 0, func(now int64) int64 { return now + c.wall })
		for at := begin; at < midnight+300_000_000; at += 1_000_000 {
			for _, body := range c.bodies(time.UnixMicro(at).UTC()) {
				g.line(0, "", sentence(body), at+200_000, 0)
			}
			e := g.est.Current()
			if at < begin+10_000_000 {
				continue
			}
			if e.Known != (c.within > 0) {
				t.Fatalf("%s: estimate %+v", c.name, e)
			}
			if utc, _ := e.UTC(g.mono(at)); e.Known && max(int64(utc)-at, at-int64(utc)) > c.within {
				t.Fatalf("%s: %v is taken for %v", c.name, time.UnixMicro(at).UTC(), time.UnixMicro(int64(utc)).UTC())
			}
		}
	}
}

// TestIngestAndHost: the ingest's answers and a disciplined host give the time
// where no source does.
func TestIngestAndHost(t *testing.T) {
	const truth, mono = record.Micros(1_790_000_000_000_000), int64(5_000_000_000)
	e := clock.NewEstimator(clock.EstimatorConfig{Floor: truth - 1_000_000_000_000})
	e.Observe(clock.Evidence{Kind: clock.KindCloud, Observer: clock.Local, Mono: mono + 900_000, Before: mono, UTC: truth + 400_000})
	if got := e.Update(mono+1_000_000, 0); !got.Known || got.Quality != record.QualityAsserted {
		t.Fatalf("after an answer over plain HTTP: %+v", got)
	}
	e.Observe(clock.Evidence{Kind: clock.KindCloud, Observer: clock.Local, Mono: mono + 2_900_000, Before: mono + 2_000_000, UTC: truth + 2_400_000, Trusted: true})
	got := e.Update(mono+3_000_000, 0)
	if utc, u := got.UTC(mono); got.Quality != record.QualitySynchronised || max(utc-truth, truth-utc) > record.Micros(u) || u > 600_000 {
		t.Fatalf("after an authenticated one: %+v", got)
	}
	e.Observe(clock.Evidence{Kind: clock.KindHost, Observer: clock.Local, Mono: mono + 4_000_000, Before: mono + 3_990_000, UTC: truth + 3_995_000})
	got = e.Update(mono+4_000_000, 0)
	if utc, u := got.UTC(mono); max(utc-truth, truth-utc) > record.Micros(u) || u > 10_000 {
		t.Fatalf("with NTP: %+v", got)
	}
}

// TestSensorsTellTheTime: the times of live reports set a clock that never was,
// within a minute; alone they move no clock that was set, and what a source had
// kept tells nothing.
func TestSensorsTellTheTime(t *testing.T) {
	for _, c := range []struct {
		name  string
		wall  int64 // the gateway's clock is off by
		lag   int64 // of reports
		kept  bool
		known bool
	}{
		{"clock in 1970", 3_600_000_000 - simStart, 700_000, false, true},
		{"clock an hour off", 3_600_000_000, 700_000, false, false},
		{"clock in 1970, kept reports", 3_600_000_000 - simStart, 700_000, true, false},
	} {
		g := newSimGateway(t, []string{"broker"}, 0, func(now int64) int64 { return now + c.wall })
		for at := simStart; at < simStart+60_000_000; at += 1_000_000 {
			g.est.Update(g.mono(at), record.Micros(g.wall(at)))
			report := source.Line{Data: []byte("r"), Reading: true, Time: record.Micros(at - c.lag), Kept: c.kept}
			g.c.Reading(g.c.Stream(0, "mqtt"), &report, Receipt{At: record.Micros(g.wall(at)), Monotonic: g.mono(at)})
		}
		end := simStart + 60_000_000
		e := g.est.Update(g.mono(end), record.Micros(g.wall(end)))
		if e.Known != c.known {
			t.Errorf("%s: %+v", c.name, e)
		}
		if utc, u := e.UTC(g.mono(end)); e.Known && (max(int64(utc)-end, end-int64(utc)) > u || u > 61_000_000 || e.Quality != record.QualityAsserted) {
			t.Errorf("%s: %d us off, said to be %d: %v", c.name, int64(utc)-end, u, e.Quality)
		}
	}
}
