package capture

import (
	"testing"
	"testing/synctest"
	"time"

	"landfall/edge/clock"
	"landfall/edge/record"
	"landfall/edge/source"
)

// tellOf makes evidence of the ingest's answer now, off by some microseconds.
func tellOf(off record.Micros, trusted bool) clock.Evidence {
	wall, mono := bubbleClock{}.Now()
	return clock.Evidence{Kind: clock.KindCloud, Observer: clock.Local, UTC: wall + off, Mono: mono, Before: mono - 100_000, Trusted: trusted}
}

// TestWhatGoesAlongHeedsTheAnswerBefore: what strangers said of a boot was kept over a
// restart. The first answer that proves the time is followed by blocks at once, before
// Run has looked at it: what goes along with them has the proven time.
func TestWhatGoesAlongHeedsTheAnswerBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const days = record.Micros(10 * 86_400_000_000)
		wall, mono := bubbleClock{}.Now()
		kept := record.KeptClock{Anchors: []record.Anchor{{
			Boot: bubbleClock{}.Boot(), Begin: mono, Mono: mono, UTC: wall + days, Uncertainty: 20_000, Quality: record.QualitySynchronised, Radio: true, Basis: record.BasisRadio,
		}}}
		log, in := &memLog{marks: map[string][]byte{ClockMark: record.EncodeKept(&kept)}}, make(chan *source.Batch)
		l, stop := live(t, log, feeder("a", in))
		pass(2 * time.Second)
		if all := l.Anchors(); len(all) != 1 || all[0].Quality != record.QualityAsserted {
			t.Errorf("after a restart goes along %+v", all)
		}
		l.Tell(tellOf(0, true))
		check := func(when string) {
			t.Helper()
			if all := l.Anchors(); len(all) != 1 || all[0].Quality != record.QualitySynchronised || max(all[0].Offset(), -all[0].Offset()) > 200_000 || all[0].Radio {
				t.Errorf("%s goes along %+v", when, all)
			}
		}
		check("at once")
		pass(3 * time.Second)
		check("afterwards")
		in <- batch("one")
		pass(time.Second)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		k, err := record.DecodeKept(log.marks[ClockMark])
		if err != nil || len(k.Anchors) != 1 || k.Anchors[0].Basis != record.BasisEngine {
			t.Errorf("kept is %+v, %v", k, err)
		}
	})
}

// TestWatermarksFollowWhatIsBelieved: a time ten days ahead moved the watermarks. When
// the engine proves another they begin again, and move with what is captured then.
func TestWatermarksFollowWhatIsBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const days = record.Micros(10 * 86_400_000_000)
		log, in := &memLog{marks: map[string][]byte{}}, make(chan *source.Batch)
		l, stop := live(t, log, feeder("a", in))
		say := func(off record.Micros) record.Micros {
			l.Tell(tellOf(off, true))
			pass(2 * time.Second)
			in <- batch("one")
			pass(2 * time.Second)
			wall, _ := bubbleClock{}.Now()
			return l.Status().Watermark.At - wall
		}
		if d := say(days); d < days-40_000_000 || d > days {
			t.Fatalf("the watermark is %v from now", time.Duration(d)*time.Microsecond)
		}
		if d := say(0); d < -40_000_000 || d > 0 {
			t.Errorf("the watermark stays %v from now", time.Duration(d)*time.Microsecond)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}
