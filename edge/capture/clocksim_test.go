package capture

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"landfall/decoders/aissim"
	"landfall/edge/clock"
	"landfall/edge/record"
)

// simStart is when simulated traffic begins: 2026-06-15 10:30:07 UTC.
const simStart = int64(1_781_519_407_000_000)

// simBoot is how long before that the gateway booted.
const simBoot = int64(3_600_000_000)

// gateway is a simulated gateway with a bad clock and a perfect witness.
type simGateway struct {
	t    *testing.T
	c    *Capturer
	est  *clock.Estimator
	drft float64                 // of the monotonic clock, parts per million
	wall func(now int64) int64   // the wall clock at a true time
	sent map[string]int64        // truth by text
	errs map[uint32][]simReading // by source
	seen int                     // records
}

// simReading is one record's error.
type simReading struct {
	event, receipt int64 // distance from the truth
	r              record.Record
}

func newSimGateway(t *testing.T, sources []string, drift float64, wall func(int64) int64) *simGateway {
	g := &simGateway{t: t, drft: drift, wall: wall, sent: map[string]int64{}, errs: map[uint32][]simReading{}}
	g.est = clock.NewEstimator(clock.EstimatorConfig{Floor: record.Micros(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro())})
	for _, s := range sources {
		g.est.AddObserver(s, true)
	}
	g.c = New(Config{Clock: g.est, Emit: func(r *record.Record) {
		g.seen++
		first, _, _ := bytes.Cut(r.Raw, []byte{'\n'})
		if truth, ok := g.sent[string(first)]; ok && r.Kind == record.KindAIS {
			copied := *r
			copied.Raw = nil
			g.errs[r.Source] = append(g.errs[r.Source], simReading{int64(r.EventTime) - truth, int64(r.ReceivedAt) - truth, copied})
		}
	}})
	return g
}

// mono is the monotonic time at a true time.
func (g *simGateway) mono(now int64) int64 {
	up := now - simStart + simBoot
	return up + int64(float64(up)*g.drft/1e6)
}

// line arrives through a source at a true time.
func (g *simGateway) line(source uint32, stream string, text []byte, at, sent int64) {
	if sent != 0 {
		g.sent[string(text)] = sent
	}
	mono, wall := g.mono(at), record.Micros(g.wall(at))
	g.est.Update(mono, wall)
	g.c.Feed(g.c.Stream(source, stream), text, false, Receipt{At: wall, Monotonic: mono})
}

// quantiles of absolute values, in milliseconds.
func quantiles(all []int64) string {
	s := make([]int64, len(all))
	for i, v := range all {
		s[i] = max(v, -v)
	}
	slices.Sort(s)
	if len(s) == 0 {
		return "none"
	}
	at := func(q float64) float64 { return float64(s[min(int(q*float64(len(s))), len(s)-1)]) / 1000 }
	return fmt.Sprintf("%12.1f %12.1f %12.1f", at(0.5), at(0.9), at(1))
}

func median(all []int64) int64 {
	s := make([]int64, len(all))
	for i, v := range all {
		s[i] = max(v, -v)
	}
	slices.Sort(s)
	return s[len(s)/2]
}

// without gives a line whose communication state is not synchronised to UTC:
// its slot, hour and minute tell nothing. The other lines it gives as they are.
func withoutSlots(l *aissim.Line) []byte {
	switch l.MsgType {
	case 1, 2, 3, 4, 9, 11:
	default:
		return l.Text
	}
	p := bytes.Clone(l.Payload)
	p[24] = armour(unarmour(p[24]) | 1)
	text := bytes.Replace(l.Text, l.Payload, p, 1)
	body := text[bytes.LastIndexByte(text, '!')+1 : bytes.LastIndexByte(text, '*')]
	sum := byte(0)
	for _, c := range body {
		sum ^= c
	}
	return append(text[:len(text)-2], fmt.Sprintf("%02X", sum)...)
}

func unarmour(c byte) byte {
	if c -= '0'; c >= 48 {
		c -= 8
	}
	return c
}

func armour(v byte) byte {
	if v += '0'; v > 'W' {
		v += 8
	}
	return v
}

// evidence is what a simulated receiver gets to hear.
type evidence struct {
	name         string
	slots, dates bool
	positions    bool
}

func (e *evidence) takes(l *aissim.Line) ([]byte, bool) {
	switch l.MsgType {
	case 4, 11:
		if !e.dates {
			return nil, false
		}
	case 1, 2, 3, 9, 18:
		if !e.positions {
			return nil, false
		}
	}
	if !e.slots {
		return withoutSlots(l), true
	}
	return l.Text, true
}

// TestEventTimeOfBadClocks is the table of how far event times are from the
// truth, by what is wrong with the gateway's clock and what it can hear.
func TestEventTimeOfBadClocks(t *testing.T) {
	const days = 24 * 3600 * int64(1_000_000)
	off := func(d int64) func(int64) int64 { return func(now int64) int64 { return now + d } }
	clocks := []struct {
		name  string
		wall  func(int64) int64
		drift float64
		wrong bool // by more than a time of day can mend
	}{
		{"+0.1 s", off(100_000), 3, false}, {"-0.1 s", off(-100_000), -3, false},
		{"+5 s", off(5_000_000), 3, false}, {"-5 s", off(-5_000_000), 3, false},
		{"+3 days", off(3 * days), 3, true}, {"-3 days", off(-3 * days), 3, true},
		{"in 1970", func(now int64) int64 { return now - simStart + simBoot }, 3, true},
		{"steps +1 h mid-run", func(now int64) int64 {
			if now > simStart+400_000_000 {
				return now + 3_600_000_000
			}
			return now + 100_000
		}, 3, false},
		{"drifts 50 ppm", func(now int64) int64 { return now + (now-simStart)/20_000 }, 50, false},
	}
	kinds := []evidence{
		{"slots, seconds, dates", true, true, true},
		{"slots, seconds", true, false, true},
		{"seconds, dates", false, true, true},
		{"seconds alone", false, false, true},
		{"nothing", false, false, false},
	}
	t.Logf("%-22s %-20s | %s | %s", "clock", "heard", "event time, ms: median, 90%, worst", "receipt, ms: median, 90%, worst")
	for _, cl := range clocks {
		for _, k := range kinds {
			h, err := aissim.New(aissim.Config{Seed: 11, Start: simStart, Ships: 60, BaseStations: 2, Receivers: []aissim.Receiver{{Latency: 15 * time.Millisecond}}})
			if err != nil {
				t.Fatal(err)
			}
			g := newSimGateway(t, []string{"radio"}, cl.drift, cl.wall)
			slots, from := 0, -1
			for l := range h.Lines(simStart + 900_000_000) {
				text, ok := k.takes(&l)
				if !ok {
					continue
				}
				g.line(0, "", text, l.At, l.Sent)
				switch l.MsgType {
				case 1, 2, 3, 18:
					slots++
				}
				if slots >= 200 && from < 0 {
					from = len(g.errs[0])
				}
			}
			var events, receipts []int64
			for _, e := range g.errs[0][max(from, 0):] {
				events, receipts = append(events, e.event), append(receipts, e.receipt)
				if e.r.TimeQuality >= record.QualityAsserted && max(e.event, -e.event) > 2_000_000 {
					t.Fatalf("%s, %s: a time called %v is %d us off", cl.name, k.name, e.r.TimeQuality, e.event)
				}
			}
			t.Logf("%-22s %-20s | %s | %s", cl.name, k.name, quantiles(events), quantiles(receipts))
			m, was := median(events), median(receipts)
			solvable := k.dates || !cl.wrong && k.positions
			switch {
			case k.slots && solvable && m >= 50_000:
				t.Errorf("%s, %s: median error %d us, want under 50 ms", cl.name, k.name, m)
			case solvable && m >= 2_000_000:
				t.Errorf("%s, %s: median error %d us, want under 2 s", cl.name, k.name, m)
			case !solvable && !k.positions && m > was:
				t.Errorf("%s, %s: median error %d us, receipt is %d us off", cl.name, k.name, m, was)
			}
		}
	}
}

func sortArrivals(all []arrival) {
	slices.SortStableFunc(all, func(a, b arrival) int { return int(a.at - b.at) })
}
