package capture

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"landfall/decoders/aissim"
	"landfall/edge/clock"
	"landfall/edge/record"
	"landfall/edge/source"
)

// steppingClock is a bubble's clock whose wall clock steps once.
type steppingClock struct {
	start, at int64 // of the bubble, microseconds; the step
	by        time.Duration
}

func (c *steppingClock) Now() (record.Micros, int64) {
	now := time.Now().UnixMicro()
	wall := now
	if now >= c.at {
		wall += c.by.Microseconds()
	}
	return record.Micros(wall), now - c.start
}

func (c *steppingClock) Boot() clock.BootID { return clock.BootID{7} }

// captured is what a run left in its log.
type captured struct {
	cuts       []uint32             // records of each block
	events     []record.Micros      // of all records
	raws       []string             // of all records
	qualities  []record.TimeQuality // of all records
	truth      map[string][]int64   // begins of transmission, by text
	watermarks []record.Watermark   // the gateway's, by block
}

// wrongClock is what is wrong with a wall clock, and until when no base station
// tells the day.
type wrongClock struct {
	from, by time.Duration // since the begin; off by, from then on
	dayFrom  time.Duration
}

// stepped captures ten minutes of a harbour while the wall clock steps by a time
// in the middle.
func stepped(t *testing.T, by time.Duration) captured {
	return harbour(t, wrongClock{from: 5 * time.Minute, by: by})
}

// harbour captures ten minutes of one.
func harbour(t *testing.T, wrong wrongClock) (out captured) {
	synctest.Test(t, func(t *testing.T) {
		log, in := &memLog{marks: map[string][]byte{}}, make(chan *source.Batch)
		begin := time.Now().UnixMicro()
		c := &steppingClock{start: begin - 5_000_000, at: begin + wrong.from.Microseconds(), by: wrong.by}
		l, err := NewLive(LiveConfig{Log: log, Clock: c, Sources: []Source{feeder("radio", in)}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- l.Run(ctx) }()
		h, err := aissim.New(aissim.Config{Seed: 9, Start: begin, Ships: 30, BaseStations: 2})
		if err != nil {
			t.Fatal(err)
		}
		out.truth = map[string][]int64{}
		for line := range h.Lines(begin + 600_000_000) {
			if line.MsgType == 4 && line.At < begin+wrong.dayFrom.Microseconds() {
				continue
			}
			out.truth[string(line.Text)] = append(out.truth[string(line.Text)], line.Sent)
			pass(time.Duration(line.At-time.Now().UnixMicro()) * time.Microsecond)
			wall, mono := c.Now()
			in <- &source.Batch{Stream: "s", ReceivedAt: wall, Monotonic: mono, Lines: []source.Line{{Data: line.Text}}}
		}
		pass(time.Second)
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		for _, b := range log.all() {
			out.cuts = append(out.cuts, b.Count)
			for _, r := range decode(t, &b) {
				out.events, out.raws = append(out.events, r.EventTime), append(out.raws, r.raw)
				out.qualities = append(out.qualities, r.TimeQuality)
			}
			for a := range b.Annotations {
				if a.Type != record.AnnWatermark {
					continue
				}
				if w, err := a.Watermark(); err == nil && w.Source == "" {
					out.watermarks = append(out.watermarks, w)
				}
			}
		}
	})
	return out
}

// TestClockStepsChangeNothing: the wall clock steps by ten years; records keep
// their order, blocks their cuts, watermarks and event times stay as they were.
func TestClockStepsChangeNothing(t *testing.T) {
	const years = 10 * 365 * 24 * time.Hour
	want := stepped(t, 0)
	if n := len(want.watermarks); n < 100 || want.watermarks[n-1].At == record.NoTime {
		t.Fatalf("%d watermarks, the last %+v", n, want.watermarks[n-1])
	}
	for _, by := range []time.Duration{years, -years} {
		got := stepped(t, by)
		for _, c := range []struct{ what, got, want string }{
			{"order", fmt.Sprint(got.raws), fmt.Sprint(want.raws)},
			{"cuts", fmt.Sprint(got.cuts), fmt.Sprint(want.cuts)},
			{"watermarks", fmt.Sprint(got.watermarks), fmt.Sprint(want.watermarks)},
			{"event times once the time is known", fmt.Sprint(got.events[len(got.events)/10:]), fmt.Sprint(want.events[len(want.events)/10:])},
		} {
			t.Run(fmt.Sprintf("%v: %s", by, c.what), func(t *testing.T) {
				if c.got != c.want {
					t.Errorf("a step of %v changes the %s", by, c.what)
				}
			})
		}
	}
}

// TestDayThatNobodyStates: a clock wrong by whole days agrees with the radio's
// time of day. Until something states the day, its word is nobody's: records are
// unsynchronised, which the engine mends, and no watermark moves, which nobody
// could take back.
func TestDayThatNobodyStates(t *testing.T) {
	const day = 24 * time.Hour
	for _, by := range []time.Duration{3 * day, -3 * day, 3653 * day, 5 * time.Second} {
		got := harbour(t, wrongClock{by: by, dayFrom: 5 * time.Minute})
		end := int64(0)
		for _, sent := range got.truth {
			end = max(end, slices.Max(sent))
		}
		for _, w := range got.watermarks {
			if int64(w.At) > end {
				t.Fatalf("off by %v: watermark %v, the last transmission was at %v", by, time.UnixMicro(int64(w.At)).UTC(), time.UnixMicro(end).UTC())
			}
		}
		if last := got.watermarks[len(got.watermarks)-1]; int64(last.At) < end-60_000_000 {
			t.Errorf("off by %v: watermark stays at %v", by, time.UnixMicro(int64(last.At)).UTC())
		}
		confirmed := 0
		for i, quality := range got.qualities {
			truth := got.truth[got.raws[i]]
			if quality < record.QualityAsserted || len(truth) == 0 {
				continue
			}
			confirmed++
			near := func(sent int64) bool { d := int64(got.events[i]) - sent; return max(d, -d) < 2_000_000 }
			if !slices.ContainsFunc(truth, near) {
				t.Fatalf("off by %v: record %d is called %v and is at %v", by, i, quality, time.UnixMicro(int64(got.events[i])).UTC())
			}
		}
		if confirmed < len(got.qualities)/3 {
			t.Errorf("off by %v: %d of %d records are confirmed", by, confirmed, len(got.qualities))
		}
	}
}

// TestOneOf2038AmongAMillion: one record dated 2038 moves no watermark and not
// the clock.
func TestOneOf2038AmongAMillion(t *testing.T) {
	run := func(wrong int) (record.Watermark, clock.Estimate) {
		e := clock.NewEstimator(clock.EstimatorConfig{})
		e.AddObserver("radio", true)
		k := &timekeeper{estimator: e}
		marks := clock.NewWatermarks(clock.WatermarkConfig{})
		i := marks.Add("radio", 0)
		c := New(Config{Clock: e, Emit: func(r *record.Record) {
			marks.Observe(i, r.EventTime, ownTime(r.TimeSource), k.bound(r.ReceivedAt, r.Monotonic))
		}})
		s := c.Stream(0, "")
		const start = int64(1_790_000_000_000_000)
		for n := range 1_000_000 {
			mono := int64(n) * 1_000
			stated := (start + mono) / 1_000
			if n == wrong {
				stated = 2_147_483_647_000
			}
			tag := fmt.Sprintf("c:%d", stated)
			sum := byte(0)
			for _, b := range []byte(tag) {
				sum ^= b
			}
			marks.Wake(i, mono)
			e.Update(mono, record.Micros(start+mono))
			c.Feed(s, fmt.Appendf(nil, "\\%s*%02X\\!AIVDM,1,1,,A,12vg24002gPm3WtPqina@WJ>2L0i,0*49", tag, sum), false, Receipt{At: record.Micros(start + mono), Monotonic: mono})
		}
		return marks.Gateway(), e.Current()
	}
	wantMark, wantClock := run(-1)
	for _, wrong := range []int{0, 500_000, 999_998} {
		mark, estimate := run(wrong)
		if mark != wantMark || estimate != wantClock {
			t.Errorf("the %dth: watermark %+v, clock %+v, want %+v, %+v", wrong, mark, estimate, wantMark, wantClock)
		}
	}
}

// TestTimeOfBootSurvivesRestart: what was learned of a boot is in the log, a
// process of the same boot goes on from it, and one of another remembers it.
func TestTimeOfBootSurvivesRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, in := &memLog{marks: map[string][]byte{}}, make(chan *source.Batch)
		l, stop := live(t, log, feeder("a", in))
		wall, mono := bubbleClock{}.Now()
		l.Tell(clock.Evidence{Kind: clock.KindCloud, Observer: clock.Local, UTC: wall + 86_400_000_000, Mono: mono, Before: mono - 100_000, Trusted: true})
		pass(2 * time.Second)
		in <- batch("one")
		pass(2 * time.Second)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if len(log.marks[ClockMark]) == 0 {
			t.Fatal("nothing is kept")
		}
		l, stop = live(t, log, feeder("a", in))
		pass(time.Second)
		e := l.Clock().Estimate
		_, mono = bubbleClock{}.Now()
		if utc, _ := e.UTC(mono); !e.Known || e.Quality != record.QualitySynchronised || max(int64(utc)-mono-86_400_000_000, mono+86_400_000_000-int64(utc)) > 200_000 {
			t.Errorf("the next process believes %+v", e)
		}
		in <- batch("two")
		pass(time.Second)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		last := decode(t, &log.all()[len(log.all())-1])
		if r := last[0]; r.TimeSource != record.TimeClock || r.EventTime < r.ReceivedAt+86_000_000_000 {
			t.Errorf("stamped %+v", r)
		}
		a, err := clock.NewAnchors(clock.BootID{8}, log.marks[ClockMark])
		if _, ok := a.Of(); err != nil || ok || len(a.All()) != 1 {
			t.Errorf("another boot knows %+v, %v", a.All(), err)
		}
	})
}
